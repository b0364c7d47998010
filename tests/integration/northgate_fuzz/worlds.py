# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small worlds: up to three clusters, whose raw Ingress objects lead straight to the pods of their services.

Hosts and paths are few, so that rules meet. Every pod has an address of its own in 127.0.0.0/8, by which it is known.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot

from .api import on_loopback, snapshot
from .reference import normal

Object = dict[str, t.Any]

CLUSTERS = ("alpha", "beta", "gamma")
NAMESPACES = ("demo", "shop")
SERVICES = ("cart", "echo", "web")
MOST_PODS = 2
HOSTS = ("a.test", "b.test", "x.a.test", "*.test", "*.a.test", "")
PATHS = ("/", "/foo", "/foo/", "/foo/bar", "/foo/bar/", "/foobar", "/f%6Fo/%7ebar", "/a%2cb", "/foo/bar/baz", "/~x;v=1")

Service = tuple[str, str, str]


def pods_of(service: Service, number: int = MOST_PODS) -> list[str]:
    """The addresses of the first pods of a service (cluster, namespace, name)."""
    cluster, namespace, name = CLUSTERS.index(service[0]), NAMESPACES.index(service[1]), SERVICES.index(service[2])
    return [f"127.{cluster + 1}.{10 * namespace + name}.{pod + 1}" for pod in range(number)]


EVERY_SERVICE = [(c, n, s) for c in CLUSTERS for n in NAMESPACES for s in SERVICES]
EVERY_POD = [pod for service in EVERY_SERVICE for pod in pods_of(service)]


def _backend(service: str) -> Object:
    return {"service": {"name": service, "port": {"number": 80}}}


def _many(kind: st.SearchStrategy[t.Any], sizes: list[int]) -> st.SearchStrategy[list[t.Any]]:
    """Lists of one of the ``sizes``, which hypothesis alone would make short."""
    return st.sampled_from(sizes).flatmap(lambda size: st.lists(kind, min_size=size, max_size=size))


# Some come more often, so that ingresses meet.
_paths = st.tuples(st.sampled_from([*PATHS, *2 * ["/", "/foo"]]), st.sampled_from(["Exact", "Prefix", "ImplementationSpecific"]), st.sampled_from(SERVICES))
_rules = st.tuples(st.sampled_from([*HOSTS, "a.test", "a.test", "*.test"]), _many(_paths, [1, 1, 2, 3, 0]))


def _once(rules: list[tuple[str, list[tuple[str, str, str]]]]) -> list[Object]:
    """Rules as they are in an Ingress, each host and path at most once in it: for two, nothing says which one counts.

    A rule without paths is for the default backend.
    """
    seen = set()
    found = []
    for host, paths in rules:
        kept = []
        if not paths and (host, "", False) not in seen:
            seen.add((host, "", False))
            found.append({"host": host} if host else {})
        for path, kind, service in paths:
            key = (host, normal(path), True) if kind == "Exact" else (host, normal(path).strip("/"), False)
            if key not in seen:
                seen.add(key)
                kept.append({"path": path, "pathType": kind, "backend": _backend(service)})
        if kept:
            found.append({**({"host": host} if host else {}), "http": {"paths": kept}})
    return found


def _ingress(namespace: str, name: str, day: int, rules: t.Any, default: str) -> Object:
    spec: Object = {"ingressClassName": "direct", "rules": _once(rules)}
    if default or not spec["rules"]:
        spec["defaultBackend"] = _backend(default or SERVICES[0])
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": f"2026-01-0{day}T00:00:00Z"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


ingresses = st.builds(
    _ingress,
    st.sampled_from(NAMESPACES),
    st.sampled_from(["one", "two", "three"]),
    st.integers(1, 3),
    _many(_rules, [1, 2, 3, 0]),
    st.sampled_from(["", "", *SERVICES]),
)


def of(kind: st.SearchStrategy[Object]) -> st.SearchStrategy[dict[str, Object]]:
    """Worlds of ingresses of a ``kind``: clusters by name."""
    clusters = st.fixed_dictionaries(
        {
            "ingresses": st.lists(kind, min_size=1, max_size=5, unique_by=lambda raw: (raw["metadata"]["namespace"], raw["metadata"]["name"])),
            "default_backend": st.sampled_from(["", "", "", *(f"{n}/{s}" for n in NAMESPACES for s in SERVICES)]),
            # How many pods each service has, namespace by namespace.
            "pods": st.lists(st.sampled_from([2, 1, 0]), min_size=len(NAMESPACES) * len(SERVICES), max_size=len(NAMESPACES) * len(SERVICES)),
        }
    )
    return st.dictionaries(st.sampled_from(CLUSTERS), clusters, min_size=1, max_size=3)


worlds = of(ingresses)

_SEGMENTS = ("", "foo", "bar", "baz", "foobar", "x", "f%6fo", "%66oo", "%7Ebar", "~bar", ".", "..", "%2e", "%2E%2e", "%2F", "foo%2fbar", "a%2Cb", "~x;v=1")
_request_hosts = st.builds(
    lambda host, change, port: change(host) + port,
    st.sampled_from(["a.test", "b.test", "c.test", "x.a.test", "y.a.test", "y.x.a.test", "test", "other.example"]),
    st.sampled_from([str, str, str.upper, str.title, lambda host: host + "."]),
    st.sampled_from(["", "", ":8080"]),
)
_request_paths = st.one_of(
    st.sampled_from(PATHS),
    st.builds(
        lambda segments, end: "/" + "/".join(segments) + end,
        st.lists(st.sampled_from(_SEGMENTS), max_size=4),
        st.sampled_from(["", "", "/", "?", "?foo=/bar/../x", "?q=100%&r=%41%2f?"]),
    ),
)
# (Host header, target)
requests = st.lists(st.tuples(_request_hosts, _request_paths), min_size=12, max_size=12)


def pods(world: dict[str, Object], service: Service) -> list[str]:
    """The addresses of the pods that a service has in this world."""
    order = [(n, s) for n in NAMESPACES for s in SERVICES]
    return pods_of(service, world[service[0]]["pods"][order.index(service[1:])])


def snapshots(world: dict[str, Object], port: int) -> list[Snapshot]:
    """What is observed of a world whose pods listen on ``port``."""
    return [_snapshot(world, cluster, port) for cluster in world]


def _snapshot(world: dict[str, Object], cluster: str, port: int) -> Snapshot:
    default = world[cluster]["default_backend"]
    observed = snapshot(
        cluster,
        {"ingresses": world[cluster]["ingresses"], **services(world, cluster, port)},
        ingress_classes={"direct": {"mode": "direct"}},
        default_backend={"service": default, "port": 80} if default else None,
    )
    return replace(observed, pools=tuple(map(on_loopback, observed.pools)))


def services(world: dict[str, Object], cluster: str, port: int) -> dict[str, list[Object]]:
    """The Services and EndpointSlices of a cluster. A pod's address there is in 10.0.0.0/8."""
    found: dict[str, list[Object]] = {"services": [], "endpointslices": []}
    for namespace in NAMESPACES:
        for name in SERVICES:
            metadata = {"namespace": namespace, "name": name}
            found["services"].append({"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}]}})
            endpoints = [{"addresses": [pod.replace("127.", "10.", 1)]} for pod in pods(world, (cluster, namespace, name))]
            found["endpointslices"].append(
                {
                    "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
                    "addressType": "IPv4",
                    "ports": [{"name": "http", "port": port}],
                    "endpoints": endpoints,
                }
            )
    return found
