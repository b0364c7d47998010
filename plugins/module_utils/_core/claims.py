# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims: which ingress gets a host and path that several want. Pure; the order of input never matters."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from .desired import HOST_SCOPE, NEWEST, NOBODY, OPEN_SCOPE, EdgeOptions, PoolName, Route
from .model import Ingress, Quarantined, Rule, owner
from .policy import CLOSED, NONE


@dataclass(frozen=True, slots=True)
class Claim:
    """An ingress of ``cluster`` wants ``rule`` to lead to ``pool``; ``default``: only where no rule matches."""

    cluster: str
    ingress: Ingress
    rule: Rule
    pool: str
    default: bool = False

    @property
    def owner(self) -> str:
        return owner(self.cluster, self.ingress.full_name)

    @property
    def target(self) -> PoolName:
        return PoolName(self.cluster, self.pool)


Key = tuple[bool, Rule]


class Claims:
    """Collects claims, and settles them. ``quarantined`` and ``hosts_of`` (hosts that each owner won) are the outcome."""

    def __init__(self, options: EdgeOptions) -> None:
        self._options = options
        self._claims: dict[Key, list[Claim]] = defaultdict(list)
        self._canaries: dict[Key, list[Claim]] = defaultdict(list)
        self.quarantined: list[Quarantined] = []
        self.hosts_of: dict[str, set[str]] = defaultdict(set)

    def add(self, claim: Claim) -> None:
        of_kind = self._claims if claim.ingress.canary_weight is None else self._canaries
        of_kind[(claim.default, claim.rule)].append(claim)

    def _by_age(self, claims: t.Iterable[Claim]) -> list[Claim]:
        newest = self._options.claim_winner == NEWEST
        # Names decide between equals in the same way, whoever wins.
        in_order = sorted(claims, key=lambda c: (c.ingress.namespace, c.ingress.name, c.cluster, c.pool))
        return sorted(in_order, key=lambda c: c.ingress.created, reverse=newest)

    def settle(self) -> dict[Key, Route]:
        """The route of each key that somebody gets."""
        by_host: dict[str, list[Claim]] = defaultdict(list)
        for claims in self._claims.values():
            for claim in claims:
                by_host[claim.rule.host].append(claim)
        first = {host: self._by_age(claims)[0] for host, claims in by_host.items()}
        routes = {}
        for key in sorted(self._claims):
            claims = [c for c in self._by_age(self._claims[key]) if self._host_is_free(c, first[c.rule.host])]
            if claims:
                routes[key] = self._route(claims, self._canaries.pop(key, []))
        for canaries in self._canaries.values():
            for claim in canaries:
                self._refuse(claim, f"there is no other ingress for {_claimed(claim)} to be a canary of")
        return routes

    def _host_is_free(self, claim: Claim, first: Claim) -> bool:
        """A whole host is one tenant's, or passed through, or neither, as its first claim says."""
        by = f"{first.ingress} of cluster {first.cluster}"
        if self._options.claim_scope == HOST_SCOPE and first.ingress.namespace != claim.ingress.namespace:
            self._refuse(claim, f"the host {_shown(claim.rule.host)} belongs to {by}")
        elif first.ingress.passthrough != claim.ingress.passthrough:
            doing = "passes TLS through" if first.ingress.passthrough else "does not pass TLS through"
            self._refuse(claim, f"the host {_shown(claim.rule.host)} is served by {by}, which {doing}")
        else:
            return True
        return False

    def _route(self, claims: list[Claim], canaries: list[Claim]) -> Route:
        winner = claims[0]
        first_of: dict[str, Claim] = {}
        losers = []
        for claim in claims:
            first = first_of.get(claim.cluster)
            if self._agree(winner, claim) and (first is None or first.pool == claim.pool):
                first_of.setdefault(claim.cluster, claim)
                self.hosts_of[claim.owner].add(claim.rule.host)
            else:
                losers.append(claim)
        if losers and self._options.claim_winner == NOBODY:
            for claim in claims:
                self._refuse(claim, f"{_claimed(claim)} is claimed by several ingresses, and nobody gets it")
                self.hosts_of[claim.owner].discard(claim.rule.host)
            return Route((), winner.owner, CLOSED)
        for claim in losers:
            self._refuse(claim, f"{_claimed(claim)} is claimed by the {self._options.claim_winner} {winner.ingress} of cluster {winner.cluster}")
        pools = tuple(first_of[cluster].target for cluster in sorted(first_of))
        canary, weight = self._canary(winner, canaries)
        return Route(
            pools, winner.owner, winner.ingress.policy, canary=canary, canary_weight=weight, passthrough=winner.ingress.passthrough
        )

    def _agree(self, winner: Claim, claim: Claim) -> bool:
        same_tenant = self._options.claim_scope == OPEN_SCOPE or winner.ingress.namespace == claim.ingress.namespace
        return same_tenant and winner.ingress.policy == claim.ingress.policy

    def _canary(self, winner: Claim, canaries: list[Claim]) -> tuple[tuple[PoolName, ...], int]:
        pools: dict[str, PoolName] = {}
        weight = 0
        for claim in self._by_age(canaries):
            if claim.ingress.namespace != winner.ingress.namespace:
                self._refuse(claim, f"{_claimed(claim)} belongs to {winner.ingress} of another namespace")
            elif claim.ingress.policy not in (NONE, winner.ingress.policy):
                self._refuse(claim, f"a canary has the annotations of {winner.ingress}, and these are others")
            elif pools and (claim.ingress.canary_weight != weight or claim.cluster in pools):
                self._refuse(claim, f"{_claimed(claim)} has a canary already")
            else:
                weight = claim.ingress.canary_weight or 0
                pools[claim.cluster] = claim.target
                self.hosts_of[claim.owner].add(claim.rule.host)
        return tuple(pools[cluster] for cluster in sorted(pools)), weight

    def _refuse(self, claim: Claim, cause: str) -> None:
        field = "spec.defaultBackend" if claim.default else "spec.rules"
        self.quarantined.append(Quarantined(claim.cluster, str(claim.ingress), field, cause))


def _claimed(claim: Claim) -> str:
    return f"{_shown(claim.rule.host)}{claim.rule.path} ({'default backend' if claim.default else claim.rule.path_type})"


def _shown(host: str) -> str:
    return host or "every host"
