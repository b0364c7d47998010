# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two clusters whose ingresses, pods and certificates change at random; the pods are processes on this machine."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import time
import typing as t
from dataclasses import dataclass, field

import edge
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Endpoint, Ingress, Path, Pool, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, NONE, Policy
from ports import free_port
from processes import listens

CLUSTERS = ("alpha", "beta")
CONTROLLER = "class/traefik"
# The hosts of the load. Those with HTTPS have a certificate.
STEADY = {"plain-1.example.test": "http", "plain-2.example.test": "http", "tls-1.example.test": "https", "tls-2.example.test": "https"}
MOST_SITES = 40
# So many pods without a route live on.
LINGERING = 5
# Policies that a request by anybody on this machine passes.
HARMLESS = (
    NONE, Policy(hsts="max-age=600"), Policy(timeout_server=30_000), Policy(affinity=True), Policy(allow=("127.0.0.0/8",)),
    Policy(rate_limit=100_000), Policy(deny=("192.0.2.0/24",), max_body=1 << 20),
)  # fmt: skip
USERS = (hashlib.sha256(b"anna:secret").hexdigest().upper(),)
# Others, and the status that they give.
STRICT = ((CLOSED, 403), (Policy(deny=("127.0.0.0/8",)), 403), (Policy(users=USERS), 401), (Policy(rewrite="/moved"), 200))

Check = t.Callable[[edge.HAProxy], str]


class Pod:
    """The lab's program echo, as a pod: it answers with its name, and ends in two steps."""

    def __init__(self, name: str, cluster: str) -> None:
        self.name, self.port = name, free_port()
        environment = {**os.environ, "CLUSTER": cluster, "NODE": "here", "POD": name, "APP": "bench"}
        self._process = subprocess.Popen([str(edge.program("echo")), f"-port={self.port}", "-drain=1s"], env=environment, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not listens(self.port) and time.monotonic() < deadline:
            time.sleep(0.01)

    def endpoint(self, terminating: bool = False) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, ready=not terminating, serving=True, terminating=terminating)

    def end(self) -> None:
        """Asks it to end."""
        self._process.terminate()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Target:
    """A pool: which of its pods are endpoints, and which of these are terminating."""

    cluster: str
    name: str
    pods: list[Pod]
    terminating: list[Pod] = field(default_factory=list)
    # Pods with websockets: they live on when they are no endpoints any more.
    away: list[Pod] = field(default_factory=list)

    def pool(self) -> Pool:
        endpoints = [pod.endpoint() for pod in self.pods] + [pod.endpoint(True) for pod in self.terminating]
        return Pool(self.name, tuple(sorted(endpoints)))


@dataclass
class Site:
    """An ingress for a host, in each of the clusters of its targets."""

    targets: list[Target]
    policy: Policy = NONE
    status: int = 200

    def pods(self) -> set[str]:
        return {pod.name for target in self.targets for pod in target.pods}


class World:
    """The clusters. ``change`` changes one thing; ``snapshots`` and ``certificates`` are what a run then gets."""

    def __init__(self, chance: random.Random) -> None:
        self._random = chance
        self._numbers = itertools.count(1)
        self._started: list[Pod] = []
        self._controllers = [Target(cluster, CONTROLLER, [self._pod(cluster) for _number in range(3)]) for cluster in CLUSTERS]
        self._lasting = {pod for target in self._controllers for pod in target.pods}
        self._sites = {host: Site(self._controllers) for host in STEADY}
        self._leaving: list[Pod] = []
        self.certificates: dict[str, Certificate] = {}
        for host, scheme in STEADY.items():
            if scheme == "https":
                self._certify(host)

    def _pod(self, cluster: str) -> Pod:
        pod = Pod(f"{cluster}-{next(self._numbers)}", cluster)
        self._started.append(pod)
        return pod

    def stop(self) -> None:
        """Stops all pods."""
        for pod in self._started:
            pod.stop()

    def snapshots(self) -> list[Snapshot]:
        """What an observation of each cluster gives."""
        return [self._snapshot(cluster) for cluster in CLUSTERS]

    def _snapshot(self, cluster: str) -> Snapshot:
        ingresses, pools = [], {}
        for number, (host, site) in enumerate(self._sites.items()):
            for target in site.targets:
                if target.cluster == cluster:
                    rule = Rule(host, "/", "Prefix")
                    path = (Path(rule, target.name),)
                    ingresses.append(Ingress("demo", f"site-{number}", "2026-01-01T00:00:00Z", "traefik", path, policy=site.policy))
                    pools[target.name] = target.pool()
        return Snapshot(cluster, tuple(ingresses), tuple(pools[name] for name in sorted(pools)))

    def change(self) -> tuple[str, Check]:
        """Changes something: what, and a function that says "", or how it is not there when it should be."""
        kinds = {
            "routes added": self._add, "routes removed": self._remove, "routes moved": self._move, "policies": self._policy,
            "policies under load": self._harmless_policy, "certificates added": self._add_certificate, "certificates rotated": self._rotate,
            "certificates removed": self._remove_certificate, "pods started": self._start_pod, "pods drained": self._drain,
            "pods ended": self._end, "pods with websockets drained": self._send_away, "pods with websockets back": self._bring_back,
        }  # fmt: skip
        while len(self._leaving) > LINGERING:
            self._leaving.pop(0).end()
        while True:
            kind = self._random.choice(list(kinds))
            check = kinds[kind]()
            if check:
                return kind, check

    def _added(self) -> list[str]:
        return [host for host in self._sites if host not in STEADY]

    def _choice(self, values: t.Iterable[t.Any]) -> t.Any:
        found = list(values)
        return self._random.choice(found) if found else None

    def _targets(self) -> list[Target]:
        """One controller, or both, or a service of its own, in direct mode."""
        if self._random.random() < 0.3:
            cluster = self._random.choice(CLUSTERS)
            return [Target(cluster, f"service/demo/svc-{next(self._numbers)}/http", [self._pod(cluster)])]
        return self._choice((self._controllers, self._controllers[:1], self._controllers[1:]))

    def _add(self) -> Check | None:
        if len(self._sites) >= MOST_SITES:
            return None
        host = f"site-{next(self._numbers)}.example.test"
        self._sites[host] = Site(self._targets())
        return self._answers(host)

    def _remove(self) -> Check | None:
        host = self._choice(self._added())
        if not host:
            return None
        self._release(self._sites.pop(host))
        self.certificates.pop(host, None)
        return lambda haproxy: _differs(haproxy.get(host)[0], 404)

    def _move(self) -> Check | None:
        host = self._choice(self._added())
        targets = self._targets()
        if not host or self._sites[host].targets == targets:
            return None
        self._release(self._sites[host])
        self._sites[host].targets = targets
        return self._answers(host)

    def _release(self, site: Site) -> None:
        """Pods of a service of its own end some changes later than their route."""
        self._leaving += [pod for target in site.targets if target not in self._controllers for pod in target.pods]

    def _policy(self) -> Check | None:
        host = self._choice(self._added())
        policy, status = self._choice(STRICT)
        if not host or self._sites[host].policy == policy:
            return None
        self._sites[host].policy, self._sites[host].status = policy, status
        return self._answers(host)

    def _harmless_policy(self) -> Check | None:
        host = self._choice(STEADY)
        policy = self._choice(HARMLESS)
        if self._sites[host].policy == policy:
            return None
        self._sites[host].policy = policy
        return self._answers(host)

    def _certify(self, host: str) -> Check:
        certificate = edge.certificate(host, int(time.time()))
        self.certificates[host] = certificate
        serial = edge.serial(certificate)

        def check(haproxy: edge.HAProxy) -> str:
            presented = haproxy.certificate(host)
            return _differs(presented and presented.serial_number, serial)

        return check

    def _add_certificate(self) -> Check | None:
        host = self._choice(host for host in self._added() if host not in self.certificates)
        return self._certify(host) if host else None

    def _rotate(self) -> Check | None:
        return self._certify(self._choice(self.certificates))

    def _remove_certificate(self) -> Check | None:
        host = self._choice(host for host in self._added() if host in self.certificates)
        if not host:
            return None
        del self.certificates[host]
        return lambda haproxy: _differs(haproxy.certificate(host), None)

    def _start_pod(self) -> Check | None:
        target = self._choice(self._controllers)
        if len(target.pods) >= 6:
            return None
        pod = self._pod(target.cluster)
        target.pods.append(pod)
        return self._seen(pod)

    def _drain(self) -> Check | None:
        target = self._choice(self._controllers)
        pod = self._choice(pod for pod in target.pods if pod not in self._lasting)
        if not pod:
            return None
        target.pods.remove(pod)
        target.terminating.append(pod)
        return self._not_seen(pod)

    def _end(self) -> Check | None:
        """An endpoint that was terminating leaves. Its pod ends when haproxy knows of it, which the check is after."""
        target = self._choice(self._controllers)
        if not target.terminating:
            return None
        pod = target.terminating.pop(0)

        def check(haproxy: edge.HAProxy) -> str:
            pod.end()
            return self._not_seen(pod)(haproxy)

        return check

    def _send_away(self) -> Check | None:
        target = self._choice(self._controllers)
        lasting = [pod for pod in target.pods if pod in self._lasting]
        if len(lasting) < 2:
            return None
        pod = self._choice(lasting)
        target.pods.remove(pod)
        target.away.append(pod)
        return self._not_seen(pod)

    def _bring_back(self) -> Check | None:
        target = self._choice(self._controllers)
        pod = self._choice(pod for pod in target.away if pod in self._lasting)
        if not pod:
            return None
        target.away.remove(pod)
        target.pods.append(pod)
        return self._seen(pod)

    def _answers(self, host: str) -> Check:
        site = self._sites[host]
        scheme = host if host in self.certificates else ""

        def check(haproxy: edge.HAProxy) -> str:
            for _attempt in range(3):
                status, body = haproxy.get(host, sni=scheme)
                if status != site.status:
                    return _differs(status, site.status)
                if status == 200 and body["pod"] not in site.pods():
                    return f"{body['pod']} answers for {host}, and not one of {', '.join(sorted(site.pods()))}"
                if status == 200 and site.policy.rewrite and body["path"] != site.policy.rewrite + "/":
                    return _differs(body["path"], site.policy.rewrite + "/")
            return ""

        return check

    def _seen(self, pod: Pod) -> Check:
        return lambda haproxy: "" if pod.name in _answering(haproxy, 60, pod.name) else f"{pod.name} does not answer"

    def _not_seen(self, pod: Pod) -> Check:
        return lambda haproxy: f"{pod.name} still answers" if pod.name in _answering(haproxy, 12, pod.name) else ""


def _answering(haproxy: edge.HAProxy, most: int, until: str) -> t.Iterator[str]:
    """Pods that answer for a host of all controllers, one request each; without the affinity that the load may have."""
    host = list(STEADY)[0]
    for _number in range(most):
        status, body = haproxy.get(host)
        yield body["pod"] if status == 200 else f"status {status}"


def _differs(found: object, wanted: object) -> str:
    return "" if found == wanted else f"{found} instead of {wanted}"
