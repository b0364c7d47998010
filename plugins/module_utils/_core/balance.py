# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide: the virtual services of a router as a pure function of snapshots and options. The order of input never matters."""

from __future__ import annotations

import ipaddress
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field, replace

from .balance_model import HASHING, MASQUERADE, NODE_PORTS, BalanceState, Destination, Forwarding, Frontend, Prefixes, VirtualService
from .balance_shares import spread
from .balance_targets import destinations
from .desired import Share
from .model import Quarantined, Snapshot
from .services import Service, ServicePort, family

DEFAULT_SCHEDULER = "mh"
# Schedulers that know no weights, and those that do the same with them.
_WEIGHTED = {"rr": "wrr", "lc": "wlc"}
_EVERYBODY = (("0.0.0.0/0",), ("::/0",))


@dataclass(frozen=True, slots=True)
class BalanceOptions:
    """What the operator decides, and what the router is.

    ``pools`` are all there are; ``carried``, where it is not None, are those whose addresses lead to this router.
    ``forwarding`` and ``shares`` by cluster. ``own_addresses`` are those configured on the router's interfaces.
    """

    pools: Prefixes
    forwarding: dict[str, Forwarding] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    own_addresses: frozenset[str] = frozenset()
    carried: Prefixes | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A service of a cluster wants a frontend for one of its ports."""

    snapshot: Snapshot
    service: Service
    port: ServicePort

    @property
    def age(self) -> tuple[object, ...]:
        return (*self.service.age_key, self.snapshot.cluster)

    def refused(self, cause: str, name: str = "spec.ports") -> Quarantined:
        return Quarantined(self.snapshot.cluster, str(self.service), name, cause)


def balance_state(snapshots: t.Iterable[Snapshot], options: BalanceOptions) -> BalanceState:
    """What IPVS on a router that serves the clusters of ``snapshots`` must forward.

    Only frontends within the pools that lead to the router. Where several services claim one, the oldest gets it, together with
    the services of the same name and sharing key in other clusters; the others' ports are quarantined.
    """
    decision = _Decision(options)
    here = options.pools if options.carried is None else options.carried
    claims: dict[Frontend, list[Claim]] = defaultdict(list)
    for snapshot in snapshots:
        decision.quarantined.update(snapshot.quarantined)
        for service in snapshot.services:
            for address in filter(here.__contains__, service.addresses):
                found = [Claim(snapshot, service, port) for port in service.ports]
                if address in options.own_addresses:
                    decision.quarantined.update(c.refused(f"{address} is an address of the router itself", "status.loadBalancer") for c in found)
                    continue
                for claim in found:
                    claims[Frontend(claim.port.protocol, address, claim.port.port)].append(claim)
    services = {frontend: decision.serve(frontend, claims[frontend]) for frontend in sorted(claims)}
    return BalanceState(services, decision.sources, tuple(sorted(decision.quarantined)), tuple(sorted(decision.warnings)))


class _Decision:
    """Decides frontend by frontend, and collects what is to be told."""

    def __init__(self, options: BalanceOptions) -> None:
        self._options = options
        self.sources: dict[Frontend, tuple[str, ...]] = {}
        self.quarantined: set[Quarantined] = set()
        self.warnings: set[str] = set()

    def serve(self, frontend: Frontend, claims: list[Claim]) -> VirtualService:
        merged = self._settle(frontend, sorted(claims, key=lambda c: c.age))
        first = merged[0].service
        if first.source_ranges:
            networks = _of_family(first.source_ranges, family(frontend.address))
            if networks not in _EVERYBODY:
                self.sources[frontend] = networks
        parts = {c.snapshot.cluster: self._destinations(frontend, c) for c in merged}
        found = spread(parts, self._options.shares if len(merged) > 1 else {})
        return _virtual_service(first, found)

    def _settle(self, frontend: Frontend, claims: list[Claim]) -> list[Claim]:
        """The claims that are served together, the oldest first."""
        first = claims[0]
        merged, clusters = [first], {first.snapshot.cluster}
        for claim in claims[1:]:
            by = f"{frontend} belongs to {first.service} of cluster {first.snapshot.cluster}, which is older"
            if claim.snapshot.cluster in clusters or not first.service.is_offered_with(claim.service):
                self.quarantined.add(claim.refused(by))
            elif claim.service.source_ranges != first.service.source_ranges:
                # Nobody can say beforehand which cluster gets a packet: it would be let in where it is not wanted.
                self.quarantined.add(claim.refused(f"{by} and lets other sources in", "spec.loadBalancerSourceRanges"))
            else:
                merged.append(claim)
                clusters.add(claim.snapshot.cluster)
        return merged

    def _destinations(self, frontend: Frontend, claim: Claim) -> list[Destination]:
        service, cluster = claim.service, claim.snapshot.cluster
        how = self._options.forwarding.get(cluster, Forwarding())
        how = replace(how, mode=service.forwarding) if service.forwarding else how
        if service.local and how.mode == MASQUERADE:
            self.warnings.add(f"cluster {cluster}: {service}: externalTrafficPolicy Local does not keep the client's address with forwarding masquerade")
        if how.mode == MASQUERADE and how.masquerade_to == NODE_PORTS and not claim.port.node_port:
            self.quarantined.add(claim.refused(f"port {frontend.port} has no nodePort to masquerade to", "spec.ports.nodePort"))
        found = destinations(claim.snapshot, service, claim.port, family(frontend.address), how)
        allowed = [d for d in found if d.address not in self._options.own_addresses and d.address not in self._options.pools]
        for refused in set(found) - set(allowed):
            # Else a tenant reaches what listens on the router, or sends packets round in circles.
            self.quarantined.add(claim.refused(f"its destination {refused.address} is an address of the router or of a pool", "endpoints"))
        return allowed


def _of_family(networks: tuple[str, ...], of_family: int) -> tuple[str, ...]:
    """The networks of one family, none of them within another."""
    found = [network for network in map(ipaddress.ip_network, networks) if network.version == of_family]
    return tuple(sorted(map(str, ipaddress.collapse_addresses(found))))  # type: ignore[type-var]


def _virtual_service(service: Service, found: tuple[Destination, ...]) -> VirtualService:
    scheduler = service.scheduler or DEFAULT_SCHEDULER
    if len({d.weight for d in found}) > 1:
        scheduler = _WEIGHTED.get(scheduler, scheduler)
    stateless = scheduler == "mh" and all(d.method != MASQUERADE for d in found)
    flags = [f"{scheduler}-fallback", f"{scheduler}-port"] if scheduler in HASHING else []
    if service.affinity and stateless:
        # A hash of the client's address alone: templates of persistence would differ between routers.
        return VirtualService(scheduler, (f"{scheduler}-fallback",), 0, found)
    return VirtualService(scheduler, tuple(flags), service.affinity, found)
