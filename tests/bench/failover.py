# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many long streams end when a router is lost and comes back, with the settings of the roles and with others."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from driver import clusters, routing, services
from driver.command import inventory, lab
from driver.streams import Streams, host, target
from figure import CouldNotMeasure, Figure, Measurement
from labs import play, running, told

TOPOLOGY, CLUSTER, APP = "routers", "alpha", "failover"
ROUTERS, WORKERS = ("r1", "r2", "r3"), ("alpha-w1", "alpha-w2", "alpha-w3")
LOST, DRAINED = "r1", "alpha-w3"
# Half of them IPv4, half IPv6.
COUNTS = {"tcp": 300, "sctp": 50, "udp": 50}
# Where masqueraded packets come from, for workers: it moves with the active router.
NAT = ("10.90.0.90", "fd90::90")
NAT_INTERFACE = "fabric"
# The inventory has routers synchronise.
ALONE = {"ipvs_sync_interface": ""}
INTERVAL = 0.4
BOOT_SECONDS, ROUTE_SECONDS = 180.0, 60.0
# Streams that the lost router must have carried, or nothing is measured.
LEAST_CARRIED = 0.1

METHOD = f"""\
A client of its own kernel keeps {COUNTS['tcp']} TCP, {COUNTS['sctp']} SCTP and {COUNTS['udp']} UDP streams, half of them IPv4 and half IPv6, to a
service with three pods on three workers, a message on each every {INTERVAL} seconds. It has learned the pool by BGP from three routers, and sends by ECMP
over ports. In `direct` the plug of `{LOST}` is pulled, the client and the workers drop its routes at once, every stream that lives must be answered
again; `{LOST}` boots with what is on its disk, and is announced again. A stream ended when it was reset, was silent for 30 seconds, or (UDP) was answered
by another pod. The control has scheduler `rr`. Then IPVS synchronises, and a worker is drained just before the plug is pulled, and comes back
as `{LOST}`'s announcement is withdrawn; UDP of that worker moves at once to another pod, which is meant, and is told beside. In `masquerade`, to pods, only
the active router announces; its plug is pulled, and the source address moves to the standby with gratuitous ARP and unsolicited neighbour
advertisements. Every guest is user-mode Linux with one core, all on two."""


@dataclass(frozen=True)
class Round:
    """One run: what was done, the streams at its end, and how many of them the lost router carried when it was lost.

    ``moving`` are the places of those that have to move to another pod.
    """

    name: str
    results: list[dict[str, t.Any]]
    carried: int
    moving: frozenset[int] = frozenset()

    def lost(self, protocol: str = "") -> int:
        """Streams that ended, or that another pod answered unless they had to move."""
        return sum(bool(entry["ended"]) or (entry["pod_changes"] > 0 and number not in self.moving) for number, entry in self._of(protocol))

    def survived(self, protocol: str) -> str:
        """As in 300/300."""
        return f"{len(self._of(protocol)) - self.lost(protocol)}/{len(self._of(protocol))}"

    def _of(self, protocol: str) -> list[tuple[int, dict[str, t.Any]]]:
        return [(number, entry) for number, entry in enumerate(self.results) if entry["target"].startswith(protocol)]

    @property
    def longest(self) -> float:
        """The longest that an answer took, in seconds, of a stream that went on."""
        return max((entry["longest"] for entry in self.results if not entry["ended"]), default=0.0)


def measure() -> Measurement:
    """Streams that ended. Raises CouldNotMeasure when the lost router had carried too few."""
    with running(TOPOLOGY):
        routing.hash_flows("client", *WORKERS)
        clusters.apply(CLUSTER, services.application(CLUSTER, APP, len(WORKERS)))
        clusters.wait_deployed(CLUSTER, APP)
        settings = {"northgate_clusters": services.with_settings(CLUSTER, forwarding="direct"), "northgate_confirm_shrink": CLUSTER}
        play("site", settings | ALONE)
        direct = _plug("direct", settings, "mh")
        control = _plug("direct, control with rr", settings, "rr")
        changed = _worker_too(settings)
        masquerade = _active_standby()
    return _measurement([direct, control, changed, masquerade])


def _measurement(rounds: list[Round]) -> Measurement:
    direct, control, changed, masquerade = rounds
    everything = sum(COUNTS.values())
    what = f"of {everything} streams"
    figures = (
        Figure("failover_direct_router_lost_and_back_streams_ended", direct.lost(), what, at_most=0),
        # Only if many end can none be told from nothing measured.
        Figure("failover_direct_control_rr_streams_ended", control.lost(), what, at_least=everything // 5),
        Figure("failover_direct_with_worker_drained_and_added_streams_ended", changed.lost(), what, at_most=0),
        Figure("failover_masquerade_active_lost_streams_ended", masquerade.lost(), what, at_most=0),
    )
    rows = [("", *(f"{protocol.upper()} that went on" for protocol in COUNTS), f"over {LOST} before", "UDP that had to move", "longest wait of a message")]
    for entry in rounds:
        rows.append((entry.name, *map(entry.survived, COUNTS), str(entry.carried), str(len(entry.moving)), f"{entry.longest:.1f} s"))
    return Measurement("A router lost under long streams", figures, METHOD, tuple(rows))


def _plug(name: str, settings: dict[str, t.Any], scheduler: str) -> Round:
    """The router's plug is pulled, and it comes back."""
    told(name)
    targets = _offer(settings, {"scheduler": scheduler})
    with Streams(targets, INTERVAL) as streams:
        carried = _carried(streams)
        _pull(streams)
        _back(streams, targets)
    return Round(name, streams.results, carried)


def _worker_too(settings: dict[str, t.Any]) -> Round:
    """The same, synchronised, with a worker drained before the plug is pulled, and added before the announcement is withdrawn."""
    name = "direct, synchronised, with a worker drained and added"
    told(name)
    play("site", settings)
    targets = _offer(settings, {})
    try:
        with Streams(targets, INTERVAL) as streams:
            carried = _carried(streams)
            moving = _datagrams_of(DRAINED, streams.first)
            services.exclude(CLUSTER, DRAINED, True)
            play("converge", settings)
            _pull(streams)
            _back(streams, targets, synchronised=True)
            services.exclude(CLUSTER, DRAINED, False)
            play("converge", settings)
            with _forgotten():
                streams.settled("withdrawn")
            _wait_routes(targets, len(ROUTERS))
            streams.settled("announced")
    finally:
        services.exclude(CLUSTER, DRAINED, False)
    return Round(name, streams.results, carried, moving)


def _datagrams_of(worker: str, streams: list[dict[str, t.Any]]) -> frozenset[int]:
    nodes = services.nodes_of(CLUSTER, APP)
    return frozenset(number for number, entry in enumerate(streams) if entry["target"].startswith("udp") and nodes[entry["pod"]] == worker)


def _active_standby() -> Round:
    """Masquerading to pods by one router, whose plug is pulled; the standby takes the source address."""
    told("masquerade, active and standby")
    groups = {name: {**group, "nat_addresses": list(NAT)} for name, group in inventory()["northgate_router_groups"].items()}
    known = services.with_settings(CLUSTER, forwarding="masquerade", masquerade_to="pods")
    settings = {"northgate_clusters": known, "northgate_router_groups": groups, "northgate_confirm_shrink": CLUSTER}
    play("site", settings | ALONE)
    targets = _offer(settings, {})
    standby, *others = (router for router in ROUTERS if router != LOST)
    for router in (standby, *others):
        routing.withdraw(router)
    _wait_routes(targets, 1)
    routing.give(LOST, NAT_INTERFACE, *NAT)
    with Streams(targets, INTERVAL) as streams:
        carried = _carried(streams)
        lab("kill", LOST)
        routing.give(standby, NAT_INTERFACE, *NAT)
        routing.announce(standby)
        routing.forget(LOST, "client", *WORKERS)
        streams.settled("taken")
    return Round("masquerade, active and standby", streams.results, carried)


def _offer(settings: dict[str, t.Any], annotations: dict[str, str]) -> dict[str, int]:
    """A new service with these annotations, converged: so many streams to each target."""
    clusters.delete(CLUSTER, "service", APP)
    clusters.apply(CLUSTER, services.load_balancer(APP, APP, annotations=annotations, externalTrafficPolicy="Local"))
    play("converge", settings)
    found = services.addresses(CLUSTER, APP)[APP]
    if len(found) != 2:
        raise CouldNotMeasure(f"the service has the addresses {found}: {services.events(CLUSTER, APP)}")
    targets = {target(protocol, address, services.PORT): count // 2 for protocol, count in COUNTS.items() for address in found}
    _wait_routes(targets, len(ROUTERS))
    return targets


def _wait_routes(targets: t.Iterable[str], count: int) -> None:
    addresses = {host(text.partition(":")[2]) for text in targets}
    clusters.eventually(
        lambda: {routing.next_hops("client", address) for address in addresses} == {count}, ROUTE_SECONDS, f"{count} routes of the client")


def _carried(streams: Streams) -> int:
    """How many entries for streams the router that will be lost has. Raises CouldNotMeasure for too few, and for streams that did not begin."""
    if failed := [entry for entry in streams.first if entry["ended"]]:
        raise CouldNotMeasure(f"{len(failed)} streams did not begin: {failed[0]}")
    found = _entries()
    if found < LEAST_CARRIED * len(streams.first):
        raise CouldNotMeasure(f"{LOST} has carried only {found} of {len(streams.first)} streams")
    return found


def _entries() -> int:
    """How many entries for connections the router has that is lost."""
    return sum(f":{services.PORT} " in line for line in lab("exec", LOST, "--", "ipvsadm", "-Lnc").splitlines())


def _pull(streams: Streams) -> None:
    told(f"plug of {LOST}")
    lab("kill", LOST)
    routing.forget(LOST, "client", *WORKERS)
    streams.settled("pulled")


def _back(streams: Streams, targets: dict[str, int], synchronised: bool = False) -> None:
    """The lost router boots and is announced again; when routers synchronise, not before it has learned of every stream."""
    told(f"{LOST} boots")
    lab("start", LOST, timeout=BOOT_SECONDS)
    clusters.eventually(lambda: lab("exec", LOST, "--", "systemctl", "is-active", "bird", "northgate-services"), ROUTE_SECONDS, f"BIRD on {LOST}")
    if synchronised:
        clusters.eventually(lambda: _entries() >= sum(targets.values()), ROUTE_SECONDS, f"every stream known to {LOST}")
    routing.remember(LOST, "client", *WORKERS)
    _wait_routes(targets, len(ROUTERS))
    streams.settled("back")


@contextlib.contextmanager
def _forgotten() -> t.Iterator[None]:
    routing.forget(LOST, "client", *WORKERS)
    yield
    routing.remember(LOST, "client", *WORKERS)
