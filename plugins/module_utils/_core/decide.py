# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide: the desired state as a pure function of snapshots. The order of input never matters."""

from __future__ import annotations

import typing as t

from .model import Endpoint, Ingress, IngressState, PoolName, Quarantined, Rule, Snapshot


def ingress_state(snapshots: t.Iterable[Snapshot]) -> IngressState:
    """What a router that serves the clusters of ``snapshots`` must offer by HTTP(S).

    A host and path goes to every cluster that offers it. Where two ingress classes of one
    cluster claim the same host and path, the older ingress keeps it and the other's rule is
    quarantined, for its pods would not know the route.
    """
    routes: dict[Rule, list[PoolName]] = {}
    pools: dict[PoolName, tuple[Endpoint, ...]] = {}
    quarantined: list[Quarantined] = []
    for snapshot in sorted(snapshots, key=lambda s: s.cluster):
        served = {c.ingress_class: _ready(c.endpoints) for c in snapshot.controllers}
        quarantined.extend(snapshot.quarantined)
        owners: dict[Rule, Ingress] = {}
        for ingress in sorted(snapshot.ingresses, key=lambda i: i.age_key):
            if ingress.ingress_class not in served:
                continue
            for rule in ingress.rules:
                owner = owners.setdefault(rule, ingress)
                if owner.ingress_class != ingress.ingress_class:
                    quarantined.append(_conflict(snapshot.cluster, ingress, rule, owner))
                elif owner is ingress:
                    pool = PoolName(snapshot.cluster, ingress.ingress_class)
                    pools[pool] = served[ingress.ingress_class]
                    offered = routes.setdefault(rule, [])
                    if pool not in offered:
                        offered.append(pool)
    return IngressState(
        routes={rule: tuple(routes[rule]) for rule in sorted(routes)},
        pools={pool: pools[pool] for pool in sorted(pools)},
        quarantined=tuple(sorted(set(quarantined))),
    )


def _ready(endpoints: t.Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(sorted(e for e in endpoints if e.ready and not e.terminating))


def _conflict(cluster: str, ingress: Ingress, rule: Rule, owner: Ingress) -> Quarantined:
    return Quarantined(
        cluster,
        str(ingress),
        "spec.rules",
        f"{rule.host}{rule.path} ({rule.path_type}) is claimed by the older {owner} of class {owner.ingress_class}",
    )
