# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which router groups carry which pools of addresses for which clusters, as the operator writes them in northgate_router_groups. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import syntax
from .address_pools import AddressPool, AddressPools
from .errors import InvalidValue

Names = frozenset[str]


@dataclass(frozen=True)
class RouterGroup:
    """Routers that serve ``clusters`` and carry the addresses of ``pools``, None for all that are for one of their clusters."""

    name: str
    clusters: Names
    pools: Names | None = None

    @classmethod
    def parse(cls, name: str, options: t.Any, known: AddressPools, where: str = "groups") -> RouterGroup:
        """From an entry of northgate_router_groups; raises InvalidValue that names ``where``, the group and the key."""
        field = f"{where}.{name}"
        if not isinstance(options, dict):
            raise InvalidValue(field, f"{syntax.shown(options)} is no dictionary")
        clusters, pools = (_names(options, key, field) for key in ("clusters", "address_pools"))
        for pool in sorted(pools or ()):
            if pool not in known.by_name:
                raise InvalidValue(f"{field}.address_pools", f"there is no pool {syntax.shown(pool)}; there are {', '.join(known.by_name) or 'none'}")
        return cls(name, clusters or frozenset(), pools)

    def carries(self, pool: AddressPool) -> bool:
        """Whether addresses of a pool lead to its routers."""
        return any(map(pool.serves, self.clusters)) if self.pools is None else pool.name in self.pools


class RouterGroups:
    """All router groups."""

    def __init__(self, groups: t.Iterable[RouterGroup]) -> None:
        self._groups = {group.name: group for group in sorted(groups, key=lambda group: group.name)}
        # There are few pools and clusters, and very many services.
        self._carrying: dict[tuple[str, str], Names] = {}

    @classmethod
    def parse(cls, options: t.Any, pools: AddressPools, where: str = "groups") -> RouterGroups:
        """From northgate_router_groups; raises InvalidValue."""
        if not isinstance(options, dict):
            raise InvalidValue(where, f"{syntax.shown(options)} is no dictionary")
        return cls(RouterGroup.parse(name, entry, pools, where) for name, entry in options.items())

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def serves(self, name: str, cluster: str) -> bool:
        """Whether there is a group ``name`` that serves a cluster."""
        return name in self._groups and cluster in self._groups[name].clusters

    def carrying(self, pool: AddressPool, cluster: str) -> Names:
        """The groups by which clients reach services of a cluster that have addresses of a pool."""
        found = self._carrying.get((pool.name, cluster))
        if found is None:
            found = frozenset(group.name for group in self._groups.values() if cluster in group.clusters and group.carries(pool))
            self._carrying[(pool.name, cluster)] = found
        return found

    def dead_ends(self, pools: AddressPools, clusters: t.Iterable[str]) -> list[str]:
        """What the operator hardly means: a pool that leads to the routers of a group which do not serve a cluster that has addresses there."""
        found, names = [], sorted(clusters)
        for pool in pools:
            for cluster in names:
                others = [group.name for group in self._groups.values() if group.carries(pool) and cluster not in group.clusters]
                if others and pool.serves(cluster) and self.carrying(pool, cluster):
                    found.append(
                        f"the pool {pool.name} has addresses for services of the cluster {cluster}, and also leads to the router group "
                        f"{', '.join(others)}, which does not serve it: what comes to its routers is refused. "
                        f"Give address_pools to the groups, or clusters to the pool"
                    )
        return found


def _names(options: dict[t.Any, t.Any], key: str, where: str) -> Names | None:
    value = options.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidValue(f"{where}.{key}", f"{syntax.shown(value)} is no list of names")
    return frozenset(value)
