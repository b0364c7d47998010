# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assign: which addresses each LoadBalancer service is to have, from what the status of all of them holds. Pure.

Status is the only memory, so what a service holds comes first, and all else is decided afterwards. An address that somebody lets go of in this run
is free in the next one only: until then a status somewhere still says it. The order of input never matters.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .address_pools import AddressPool, AddressPools
from .model import Snapshot
from .router_groups import RouterGroups
from .services import PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, Service, family

EXHAUSTED = "AddressPoolExhausted"
NOT_AVAILABLE = "AddressNotAvailable"
OVER_QUOTA = "AddressQuotaExceeded"
NOT_OBSERVED = "ClusterNotObserved"
NO_GROUP = "RouterGroupNotAvailable"

# A key is for a few addresses with many services. Who gives it to thousands that collide must not make every one of them look at all.
_LOOKED_AT = 16

# The cluster, and NAMESPACE/NAME.
Owner = tuple[str, str]


class Claim(t.NamedTuple):
    """A service of a cluster."""

    cluster: str
    service: Service

    @property
    def owner(self) -> Owner:
        return (self.cluster, self.service.full_name)

    @property
    def key(self) -> str:
        return self.service.request.sharing_key

    @property
    def age_key(self) -> tuple[str, ...]:
        """Sorts the older claim first, as the routers do."""
        return (*self.service.age_key, self.cluster)

    def merges(self, other: Claim) -> bool:
        """Whether both may have one port of one address: a service that several clusters offer together."""
        return self.cluster != other.cluster and self.service.is_offered_with(other.service)


@dataclass(frozen=True, order=True)
class Problem:
    """What could not be given to a service. ``message`` is for its owner; ``holder``, who has it instead, for the operator alone."""

    cluster: str
    name: str
    reason: str
    message: str
    holder: str = ""

    def __str__(self) -> str:
        return f"cluster {self.cluster}: Service {self.name}: {self.message}{f' ({self.holder})' if self.holder else ''}"


@dataclass(frozen=True)
class Assignment:
    """``addresses`` of every service, in the order of its families; one that is held is left as it is, and not among them.

    ``used`` is how many addresses of each pool are in use.
    """

    addresses: dict[Owner, tuple[str, ...]]
    problems: tuple[Problem, ...]
    used: dict[str, int]


def assign(
    snapshots: t.Iterable[Snapshot],
    pools: AddressPools,
    clusters: t.Iterable[str],
    others: t.Mapping[str, t.Iterable[str]] | None = None,
    groups: RouterGroups | None = None,
) -> Assignment:
    """The addresses of all services of ``snapshots``.

    ``clusters`` are all that are configured; those without a snapshot were not observed. ``others`` are addresses, by cluster, in the status of what
    is no service of its snapshot (any more). ``groups`` are the router groups; None where nothing is known of them, so that each pool is for everybody.
    """
    observed = {snapshot.cluster: snapshot for snapshot in snapshots}
    claims = sorted((Claim(name, service) for name, snapshot in observed.items() for service in snapshot.services), key=lambda claim: claim.age_key)
    work = _Work(pools, {pool.name: _missing(pool, set(clusters), set(observed), groups) for pool in pools}, groups)
    work.keep(claims, {address for addresses in (others or {}).values() for address in addresses})
    # Who asks for an address comes before those to whom any will do.
    for claim in sorted(claims, key=lambda claim: not claim.service.request.addresses):
        if not claim.service.held:
            work.settle(claim)
    return Assignment({owner: tuple(found.values()) for owner, found in work.given.items()}, tuple(sorted(work.problems)), work.used())


def _missing(pool: AddressPool, clusters: set[str], observed: set[str], groups: RouterGroups | None) -> str:
    """A cluster that may hold addresses of the pool of which we don't know; one that the pool names and nobody configured is such, too."""
    elsewhere = {cluster for cluster in clusters if groups and not groups.carrying(pool, cluster)}
    return min((clusters if pool.clusters is None else pool.clusters) - observed - elsewhere, default="")


class _Refused(Exception):
    def __init__(self, reason: str, message: str, holder: str = "", no_such_family: bool = False) -> None:
        super().__init__(message)
        self.reason, self.message, self.holder, self.no_such_family = reason, message, holder, no_such_family


@dataclass
class _Use:
    """An address in use. All ``claims`` have the key of the first."""

    claims: list[Claim] = field(default_factory=list)
    ports: dict[tuple[str, int], list[Claim]] = field(default_factory=lambda: defaultdict(list))

    def takes(self, claim: Claim, pool: AddressPool) -> bool:
        """Whether a further service may have the address, too."""
        if not self.claims:
            return True
        first = self.claims[0]
        if not claim.key or claim.key != first.key:
            return False
        if not pool.share_between_namespaces and claim.service.namespace != first.service.namespace:
            return False
        return all(claim.merges(other) for port in claim.service.ports for other in self.ports.get((port.protocol, port.port), ()))

    def add(self, claim: Claim) -> None:
        self.claims.append(claim)
        for port in claim.service.ports:
            self.ports[(port.protocol, port.port)].append(claim)


class _Free:
    """The addresses of a pool, from the first on. What is taken in a run stays taken, so no address is looked at twice."""

    def __init__(self, pool: AddressPool, number: int) -> None:
        self._walk = pool.walk(number)
        self._next = next(self._walk, "")

    def first(self, *taken: t.Container[str]) -> str:
        """The first one that is not taken; "" when there is none left."""
        while self._next and any(self._next in some for some in taken):
            self._next = next(self._walk, "")
        return self._next


class _Work:
    """One assignment in the making. ``given`` are the addresses of each service by family, ``closed`` the cluster for which a pool waits, or ""."""

    def __init__(self, pools: AddressPools, closed: dict[str, str], groups: RouterGroups | None) -> None:
        self.pools, self._closed, self._groups = pools, closed, groups
        self.given: dict[Owner, dict[int, str]] = {}
        self.problems: set[Problem] = set()
        self._uses: dict[str, _Use] = {}
        self._left: set[str] = set()
        self._free: dict[tuple[str, int], _Free] = {}
        # Addresses by pool, cluster, namespace and family, with the number of services on each.
        self._counts: dict[tuple[str, str, str, int], Counter[str]] = defaultdict(Counter)
        # Addresses by key and family, and by what may be together on them: a namespace, a name, or anything ("").
        self._of_key: dict[tuple[str, int, str], dict[str, None]] = defaultdict(dict)

    def keep(self, claims: t.Iterable[Claim], others: t.Iterable[str]) -> None:
        """What is in status stays where it may, the oldest service first. Addresses that lie in no pool are somebody else's and don't count."""
        left = set(others)
        for claim in claims:
            if claim.service.held:
                left.update(self._count_held(claim))
                continue
            kept: dict[int, str] = {}
            for address, pool in self._in_pools(claim):
                number = family(address)
                fits = number in claim.service.request.families and number not in kept and pool.offers(address) and self._admits(pool, claim)
                if fits and self._takes(address, claim, pool):
                    kept[number] = address
                    self._use(claim, address, pool)
                else:
                    left.add(address)
            self.given[claim.owner] = kept
        self._left = left - set(self._uses)

    def _count_held(self, claim: Claim) -> t.Iterator[str]:
        """The addresses of a service that is held. Its key and its ports may be what is mistaken, so nobody is to come to them."""
        for address, pool in self._in_pools(claim):
            self._count(claim, pool, family(address))[address] += 1
            yield address

    def _admits(self, pool: AddressPool, claim: Claim) -> bool:
        """Whether a service may have addresses of a pool: they must lead to a router that serves its cluster."""
        return pool.admits(*claim) and (self._groups is None or bool(self._groups.carrying(pool, claim.cluster)))

    def _suits(self, pool: AddressPool, claim: Claim) -> bool:
        """Whether addresses of a pool that admits a service lead to no router groups but those that it asks for."""
        wanted = claim.service.request.groups
        return not wanted or self._groups is None or self._groups.carrying(pool, claim.cluster) <= set(wanted)

    def used(self) -> dict[str, int]:
        """How many addresses of each pool are in use."""
        found: dict[str, set[str]] = {pool.name: set() for pool in self.pools}
        for (name, *_scope), addresses in self._counts.items():
            found[name].update(addresses)
        return {name: len(addresses) for name, addresses in found.items()}

    def _in_pools(self, claim: Claim) -> list[tuple[str, AddressPool]]:
        """What its status holds of ours; what it asks for comes first."""
        service = claim.service
        found = [(address, pool) for address in service.addresses if (pool := self.pools.find(address))]
        if len(found) < 2:
            return found
        request = service.request
        return sorted(found, key=lambda pair: (pair[0] not in request.addresses, pair[1].name != request.pool, not self._suits(pair[1], claim)))

    def settle(self, claim: Claim) -> None:
        """Gives a service what it lacks, or asks for. RequireDualStack gets nothing new when a family would stay without."""
        request, held = claim.service.request, self.given[claim.owner]
        found: dict[int, str] = {}
        self._check_request(claim)
        refusals = []
        for number in request.families:
            try:
                if self._lacks(claim, number, held.get(number, "")):
                    found[number] = self._find(claim, number)
            except _Refused as refused:
                refusals.append(refused)
        if request.policy == REQUIRE_DUAL_STACK and not {*held, *found} >= set(request.families):
            found = {}
        for number, address in found.items():
            self._move(claim, held.get(number, ""), address)
        has = {**held, **found}
        self.given[claim.owner] = {number: has[number] for number in request.families if number in has}
        for refused in refusals:
            # A family that no pool has can't be preferred.
            if not (refused.no_such_family and has and request.policy == PREFER_DUAL_STACK):
                self._tell(claim, refused.reason, refused.message, refused.holder)

    def _check_request(self, claim: Claim) -> None:
        for number in map(family, claim.service.request.addresses):
            if number not in claim.service.request.families:
                self._tell(claim, NOT_AVAILABLE, f"asks for an IPv{number} address, and IPv{number} is not in its spec.ipFamilies")
        if self._groups is not None:
            for name in claim.service.request.groups:
                if name not in self._groups:
                    self._tell(claim, NO_GROUP, f"there is no router group {name}")

    def _lacks(self, claim: Claim, number: int, held: str) -> bool:
        request, asked = claim.service.request, _asked(claim, number)
        pool = self.pools.find(held) if held else None
        if pool is None or asked not in ("", held) or not self._suits(pool, claim):
            return True
        return not asked and request.pool not in ("", pool.name)

    def _find(self, claim: Claim, number: int) -> str:
        """A new address of a family; raises _Refused."""
        if asked := _asked(claim, number):
            return self._requested(claim, asked)
        wanted = claim.service.request.pool
        candidates = self._candidates(claim)
        if wanted and not candidates:
            raise _Refused(NOT_AVAILABLE, f"there is no pool {wanted}" if wanted not in self.pools.by_name else f"the pool {wanted} does not admit it")
        if not candidates:
            raise _Refused(NOT_AVAILABLE, "no pool admits it without being named")
        candidates = self._of_groups(claim, candidates)
        having = [pool for pool in candidates if pool.has(number)]
        if not having:
            raise _Refused(NOT_AVAILABLE, f"no pool that admits it has IPv{number} addresses", no_such_family=True)
        return self._picked(claim, number, having)

    def _candidates(self, claim: Claim) -> list[AddressPool]:
        wanted = claim.service.request.pool
        return [pool for pool in self.pools if (pool.name == wanted if wanted else pool.auto_assign) and self._admits(pool, claim)]

    def _of_groups(self, claim: Claim, pools: list[AddressPool]) -> list[AddressPool]:
        """Those of ``pools`` that lead only to router groups that the service asks for; raises _Refused where there is none."""
        found = [pool for pool in pools if self._suits(pool, claim)]
        if self._groups is None or found:
            return found
        wanted = claim.service.request.groups
        if not any(self._groups.serves(name, claim.cluster) for name in wanted):
            raise _Refused(NO_GROUP, f"no router group that it asks for ({', '.join(wanted)}) serves its cluster")
        ways = [f"{pool.name} leads to {', '.join(sorted(self._groups.carrying(pool, claim.cluster)))}" for pool in pools]
        raise _Refused(NO_GROUP, f"no pool that admits it leads to {' or '.join(wanted)} alone", "; ".join(ways))

    def _requested(self, claim: Claim, address: str) -> str:
        pool, wanted = self.pools.find(address), claim.service.request.pool
        if pool is None or not pool.offers(address) or not self._admits(pool, claim) or wanted not in ("", pool.name):
            raise _Refused(NOT_AVAILABLE, f"{address} is in no pool that it may use")
        self._of_groups(claim, [pool])
        if self._closed[pool.name]:
            raise _waits(self._closed[pool.name], pool)
        if address in self._left:
            raise _Refused(NOT_AVAILABLE, f"{address} is not free yet", "it is in the status of a Service that lets go of it, or can't be read")
        if not self._takes(address, claim, pool):
            holder = self._uses[address].claims[0]
            raise _Refused(NOT_AVAILABLE, f"{address} is held by another service", f"{holder.service} of cluster {holder.cluster}")
        if self._over_quota(claim, pool, address):
            raise _over_quota(claim, pool, family(address))
        return address

    def _picked(self, claim: Claim, number: int, pools: list[AddressPool]) -> str:
        """An address of one of ``pools``: one that services of its key share, or else the first that is free."""
        waiting = [pool for pool in pools if self._closed[pool.name]]
        if claim.key and waiting:
            # Others of its key may be there: it would be parted from them for ever.
            raise _waits(self._closed[waiting[0].name], waiting[0])
        names = [pool.name for pool in pools]
        for address in self._shared(claim, number) if claim.key else ():
            pool = self.pools.find(address)
            if pool and pool.name in names and self._takes(address, claim, pool) and not self._over_quota(claim, pool, address):
                return address
        refusals = [_waits(self._closed[pool.name], pool) for pool in waiting]
        for pool in pools:
            if self._closed[pool.name]:
                continue
            free = self._first_free(pool, number)
            if not free:
                refusals.append(_Refused(EXHAUSTED, f"the pool {pool.name} has no free IPv{number} address"))
            elif self._over_quota(claim, pool, free):
                refusals.append(_over_quota(claim, pool, number))
            else:
                return free
        raise refusals[0] if len(refusals) == 1 else _Refused(refusals[0].reason, "; ".join(refused.message for refused in refusals))

    def _first_free(self, pool: AddressPool, number: int) -> str:
        if (pool.name, number) not in self._free:
            self._free[(pool.name, number)] = _Free(pool, number)
        return self._free[(pool.name, number)].first(self._uses, self._left)

    def _shared(self, claim: Claim, number: int) -> t.Iterator[str]:
        """Addresses that are used under its key: those of the same service in other clusters first."""
        for scope in (claim.service.full_name, claim.service.namespace, ""):
            yield from list(self._of_key.get((claim.key, number, scope), ()))[:_LOOKED_AT]

    def _takes(self, address: str, claim: Claim, pool: AddressPool) -> bool:
        use = self._uses.get(address)
        return use is None or use.takes(claim, pool)

    def _count(self, claim: Claim, pool: AddressPool, number: int) -> Counter[str]:
        return self._counts[(pool.name, claim.cluster, claim.service.namespace, number)]

    def _over_quota(self, claim: Claim, pool: AddressPool, address: str) -> bool:
        if pool.quota is None:
            return False
        number = family(address)
        count, own = self._count(claim, pool, number), self.given[claim.owner].get(number, "")
        # An address that it would leave, and that no other service of its namespace has.
        leaves = count[own] == 1 if own in count else False
        return address not in count and len(count) - leaves >= pool.quota

    def _use(self, claim: Claim, address: str, pool: AddressPool) -> None:
        number = family(address)
        self._uses.setdefault(address, _Use()).add(claim)
        self._count(claim, pool, number)[address] += 1
        if claim.key:
            for scope in (claim.service.full_name, "" if pool.share_between_namespaces else claim.service.namespace):
                self._of_key[(claim.key, number, scope)][address] = None

    def _move(self, claim: Claim, before: str, address: str) -> None:
        """The service stays among those that use ``before``, which its status still says; but it counts no more for the quota."""
        if pool := before and self.pools.find(before):
            count = self._count(claim, pool, family(before))
            count[before] -= 1
            if not count[before]:
                del count[before]
        self._use(claim, address, t.cast(AddressPool, self.pools.find(address)))

    def _tell(self, claim: Claim, reason: str, message: str, holder: str = "") -> None:
        self.problems.add(Problem(*claim.owner, reason, message, holder))


def _asked(claim: Claim, number: int) -> str:
    """The address of a family that the service asks for, or ""."""
    return next((address for address in claim.service.request.addresses if family(address) == number), "")


def _waits(cluster: str, pool: AddressPool) -> _Refused:
    return _Refused(NOT_OBSERVED, f"the pool {pool.name} gives no new addresses while the cluster {cluster} is not observed")


def _over_quota(claim: Claim, pool: AddressPool, number: int) -> _Refused:
    message = f"the namespace {claim.service.namespace} may hold {pool.quota} IPv{number} addresses of the pool {pool.name}, and has them"
    return _Refused(OVER_QUOTA, message)
