# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo proves, each with real packets of the guest ``client`` or by a router's kernel."""

from __future__ import annotations

import ipaddress
import json
import typing as t
from dataclasses import dataclass

from lab import Answer, call, get, inventory, on, say, service_addresses, until

ROUTERS = {"r1": ("10.91.0.11", "fd91::11"), "r2": ("10.91.0.12", "fd91::12")}
# How long BGP and health checks, all together, or a boot may take until a probe has failed.
SETTLE_SECONDS = 60.0
BOOT_SECONDS = 120.0
# What a probe gets when others have used up the time to settle: enough to look a second time.
LEAST_SECONDS = 10.0
SHARED = "shared.example.test"
# The LoadBalancer service of each cluster.
SERVICE, SERVICE_PORT = "l4", 7000


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    what: str
    expected: str
    seen: str

    @property
    def ok(self) -> bool:
        """Whether it is as expected."""
        return self.seen == self.expected


def summary(results: list[Result]) -> str:
    """What failed, each in a line of its own, then how many did not: what is left of a run whose log nobody has in full."""
    failed = [f"probes: FAILED {result.what}: expected {result.expected}, seen {result.seen or 'nothing'}" for result in results if not result.ok]
    return "\n".join([*failed, f"probes: {len(results) - len(failed)} of {len(results)} ok"])


@dataclass(frozen=True)
class Probe:
    """``look`` answers with what is seen, which is compared with ``expected``."""

    what: str
    expected: str
    look: t.Callable[[], str]

    def run(self, seconds: float = SETTLE_SECONDS) -> Result:
        """Looks until it is right or ``seconds`` have passed."""
        return Result(self.what, self.expected, until(self.look, lambda seen: seen == self.expected, seconds))


def _fields(answers: list[Answer], *names: str) -> str:
    """What the answers say, each different value once; or the status and error of those that failed."""
    bad = sorted({f"{a.status or 'no answer'} {a.error}".strip() for a in answers if a.status != 200})
    return " ".join(bad) or ", ".join(sorted({" ".join(str(a.body.get(name)) for name in names) for a in answers}))


def web(router: str, host: str, path: str, fields: tuple[str, ...], expected: str, what: str, scheme: str = "http", family: int = 4) -> Probe:
    """A probe that asks ``router`` for a URL eight times and looks at ``fields`` of the JSON answers."""
    address = ROUTERS[router][0 if family == 4 else 1]
    url = f"{scheme}://{host}{path}"
    name = f"{router}: {what} ({url}{', IPv6' if family == 6 else ''})"
    return Probe(name, expected, lambda: _fields(get(url, host, address, times=8), *fields))


def status(router: str, host: str, expected: str) -> Probe:
    """A probe that looks at the HTTP status alone."""
    url = f"http://{host}/"
    return Probe(f"{router}: unknown host ({url})", expected, lambda: str(get(url, host, ROUTERS[router][0])[0].status))


def redirect(router: str, host: str) -> Probe:
    """A probe of a host that has a certificate, asked by plain HTTP."""
    def look() -> str:
        answer = get(f"http://{host}/", host, ROUTERS[router][0])[0]
        return f"{answer.status} {answer.location}"
    return Probe(f"{router}: HTTP leads to HTTPS (http://{host}/)", f"308 https://{host}/", look)


def requests(router: str) -> list[Probe]:
    """What a router must answer."""
    both = "alpha, beta"
    return [
        web(router, SHARED, "/", ("cluster",), both, "host of both clusters"),
        web(router, SHARED, "/", ("cluster",), both, "host of both clusters", family=6),
        web(router, "alpha.example.test", "/", ("cluster", "host"), "alpha alpha.example.test", "host of alpha only", scheme="https"),
        web(router, "beta.example.test", "/", ("cluster", "host"), "beta beta.example.test", "host of beta only"),
        web(router, SHARED, "/b/page", ("app", "path"), "echo-b /b/page", "path"),
        web(router, SHARED, "/", ("cluster",), both, "certificate verified", scheme="https"),
        web(router, "secure.wild.example.test", "/", ("cluster",), both, "wildcard certificate verified", scheme="https"),
        web(router, "direct.example.test", "/b", ("cluster", "app"), "alpha echo-b, beta echo-b", "straight to pods, certificate of a Secret", scheme="https"),
        redirect(router, "alpha.example.test"),
        status(router, "unknown.example.test", "404"),
    ]


def routes(router: str) -> list[Probe]:
    """What a router must have learned by BGP: every worker's pod prefixes, and the service prefixes over all workers."""
    tables = (("pod prefixes", _pod_prefixes()), ("service prefixes", _service_prefixes()))
    return [probe for what, table in tables for probe in _by_family(router, f"{what} by BGP", table)]


def outside() -> list[Probe]:
    """What the client must have learned: the same prefixes, each over both routers."""
    return _by_family("client", "prefixes of both clusters by BGP", dict.fromkeys([*_pod_prefixes(), *_service_prefixes()], len(ROUTERS)))


def balanced(router: str) -> list[Probe]:
    """What the client gets from LoadBalancer services through a router: of each cluster, by each protocol and family."""
    return [
        Probe(
            f"{router}: LoadBalancer service of {cluster} by TCP, UDP and SCTP, IPv{family}", f"TCP {cluster}, UDP {cluster}, SCTP {cluster}",
            lambda cluster=cluster, family=family: _balanced(router, cluster, family),
        )  # fmt: skip
        for cluster in inventory()["all"]["vars"]["northgate_clusters"] for family in (4, 6)
    ]


def _balanced(router: str, cluster: str, family: int) -> str:
    addresses = [address for address in service_addresses(cluster, "demo", SERVICE) if (":" in address) == (family == 6)]
    if not addresses:
        return f"no address of IPv{family}"
    found = {name: say(name, addresses[0], SERVICE_PORT, ROUTERS[router][family == 6]) for name in ("TCP", "UDP", "SCTP")}
    return ", ".join(f"{name} {answer.get('cluster', 'no answer')}" for name, answer in found.items())


def _by_family(host: str, what: str, table: dict[str, int]) -> list[Probe]:
    families = {f: {prefix: paths for prefix, paths in table.items() if ipaddress.ip_network(prefix).version == f} for f in (4, 6)}
    return [
        Probe(f"{host}: {what}, IPv{family}", _routes_text(wanted), lambda f=family, w=wanted: _routes_text(_learned(host, f, w)))
        for family, wanted in families.items()
    ]


def _routes_text(paths: dict[str, int]) -> str:
    return ", ".join(f"{prefix}{f' x{count}' if count > 1 else ''}" for prefix, count in sorted(paths.items()))


def _learned(host: str, family: int, wanted: dict[str, int]) -> dict[str, int]:
    """Number of next hops for each of the wanted prefixes that BIRD put into the host's kernel."""
    kernel = json.loads(on(host, "ip", f"-{family}", "-j", "route", "show", "proto", "bird") or "[]")
    found: dict[str, int] = {}
    for route in kernel:
        if route["dst"] in wanted:
            found[route["dst"]] = found.get(route["dst"], 0) + len(route.get("nexthops", [route]))
    return found


def _workers() -> dict[str, dict[str, t.Any]]:
    return {name: values for name, values in _hosts(inventory()).items() if "northgate_cluster" in values}


def _hosts(group: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Host variables of all groups, however they are nested."""
    found: dict[str, dict[str, t.Any]] = {}
    for name, value in group.items():
        if name == "hosts":
            for host, values in value.items():
                found.setdefault(host, {}).update(values or {})
        elif isinstance(value, dict) and name != "vars":
            for host, values in _hosts(value).items():
                found.setdefault(host, {}).update(values)
    return found


def _pod_prefixes() -> dict[str, int]:
    return {prefix: 1 for values in _workers().values() for prefix in values["northgate_pod_prefixes"]}


def _service_prefixes() -> dict[str, int]:
    clusters = inventory()["all"]["vars"]["northgate_clusters"]
    workers = [values["northgate_cluster"] for values in _workers().values()]
    return {prefix: workers.count(name) for name, cluster in clusters.items() for prefix in cluster["service_prefixes"]}


def pulled_plug(killed: str, other: str) -> t.Iterator[Result]:
    """Kills a router, asks the other one, starts the first again and looks whether it serves by itself."""
    host = "alpha.example.test"
    call("kill", killed)
    down = Probe(f"{killed}: plug pulled", "no answer", lambda: _silence(get(f"http://{SHARED}/", SHARED, ROUTERS[killed][0])))
    yield down.run(10.0)
    yield web(other, SHARED, "/", ("cluster",), "alpha, beta", f"asked instead of {killed}").run()
    yield web(other, host, "/", ("cluster",), "alpha", f"asked instead of {killed}", scheme="https").run()
    for probe in balanced(other):
        yield probe.run()
    call("start", killed, timeout=BOOT_SECONDS)
    again = web(killed, SHARED, "/", ("cluster",), "alpha, beta", "started again, serves from its own disk")
    yield again.run(BOOT_SECONDS)
    for probe in balanced(killed):
        yield probe.run()


def _silence(answers: list[Answer]) -> str:
    return "no answer" if not answers[0].status else str(answers[0].status)
