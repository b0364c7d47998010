# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide: the desired state as a pure function of snapshots, options and the operator's certificates.

The order of input never matters.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from . import certificates as matching
from .claims import Claim, Claims, Key
from .desired import EdgeOptions, IngressState, PoolName, Route
from .model import PREFIX, Certificate, Ingress, Pool, Quarantined, Rule, Snapshot

_DEFAULTS = EdgeOptions()


def ingress_state(
    snapshots: t.Iterable[Snapshot], options: EdgeOptions = _DEFAULTS, certificates: t.Iterable[Certificate] = ()
) -> IngressState:
    """What a router that serves the clusters of ``snapshots`` must offer by HTTP(S).

    A host and path goes to every cluster that offers it. Where ingresses want it in different ways, one of
    them gets it (``options.claim_winner``), and the others' rules are quarantined.
    """
    by_name = [_of_group(snapshot, options.group) for snapshot in sorted(snapshots, key=lambda s: s.cluster)]
    quarantined = [q for snapshot in by_name for q in snapshot.quarantined]
    claims = Claims(options)
    for snapshot in by_name:
        for ingress in snapshot.ingresses:
            if ingress.passthrough and not (options.passthrough and all(ingress.hosts)):
                quarantined.append(_no_passthrough(snapshot.cluster, ingress, options))
            else:
                _claim(snapshot.cluster, ingress, claims)
    settled = claims.settle()
    _edge_default(by_name, settled)
    served, unfit = _certificates(by_name, certificates, settled, claims, options)
    names = {name for entry in served for name in entry.names}
    routes = {rule: _resolved(rule, route, names, options) for (default, rule), route in settled.items() if not default}
    defaults = {rule.host: _resolved(rule, route, names, options) for (default, rule), route in settled.items() if default}
    through = {rule.host: route.pools for (_default, rule), route in settled.items() if route.passthrough}
    hosts = {rule.host for rule in routes} | set(defaults)
    used = {pool for route in settled.values() for pool in (*route.pools, *route.canary)}
    return IngressState(
        routes={rule: routes[rule] for rule in sorted(routes)},
        defaults={host: defaults[host] for host in sorted(defaults)},
        passthrough={host: through[host] for host in sorted(through)},
        pools=_pools(by_name, used),
        shares={snapshot.cluster: options.shares[snapshot.cluster] for snapshot in by_name if snapshot.cluster in options.shares},
        certificates=served,
        without_certificate=tuple(sorted(h for h in hosts - set(through) if h and not matching.covers(names, h))),
        expiring=matching.expiring(served, options),
        quarantined=tuple(sorted({*quarantined, *claims.quarantined, *unfit})),
        served=frozenset(owner for owner, won in claims.hosts_of.items() if won),
    )


def _of_group(snapshot: Snapshot, group: str) -> Snapshot:
    """The snapshot without the ingresses that ask for other router groups."""
    if not group or not any(ingress.groups for ingress in snapshot.ingresses):
        return snapshot
    return replace(snapshot, ingresses=tuple(i for i in snapshot.ingresses if not i.groups or group in i.groups))


def _no_passthrough(cluster: str, ingress: Ingress, options: EdgeOptions) -> Quarantined:
    cause = "TLS passthrough needs a host in every rule" if options.passthrough else "TLS passthrough is off on this router (option tls_passthrough)"
    return Quarantined(cluster, str(ingress), "annotation northgate.edge/tls-passthrough", cause)


def _claim(cluster: str, ingress: Ingress, claims: Claims) -> None:
    for path in ingress.paths:
        # A connection that is passed through has a host, but no path yet.
        rule = Rule(path.rule.host, "/", PREFIX) if ingress.passthrough else path.rule
        claims.add(Claim(cluster, ingress, rule, path.pool))
    if ingress.default_pool and not ingress.passthrough:
        for host in ingress.hosts or ("",):
            claims.add(Claim(cluster, ingress, Rule(host, "/", PREFIX), ingress.default_pool, default=True))


def _edge_default(snapshots: t.Iterable[Snapshot], settled: dict[Key, Route]) -> None:
    """The operator's default backend, where no ingress is one for every host."""
    pools = tuple(PoolName(s.cluster, s.default_pool) for s in snapshots if s.default_pool)
    if pools:
        settled.setdefault((True, Rule("", "/", PREFIX)), Route(pools, "default backend"))


def _certificates(
    snapshots: list[Snapshot], ours: t.Iterable[Certificate], settled: dict[Key, Route], claims: Claims, options: EdgeOptions
) -> tuple[tuple[matching.Served, ...], list[Quarantined]]:
    hosts = frozenset(rule.host for (_default, rule) in settled)
    of_clusters = []
    for snapshot in snapshots:
        by_source = {certificate.source: certificate for certificate in snapshot.certificates}
        of_clusters += [(snapshot.cluster, ingress, by_source) for ingress in snapshot.ingresses if ingress.tls]
    return matching.choose(hosts, ours, of_clusters, claims.hosts_of, options)


def _resolved(rule: Rule, route: Route, names: set[str], options: EdgeOptions) -> Route:
    """The route with its redirect: to HTTPS only where there is a certificate, or the pods have it."""
    if route.passthrough:
        return replace(route, pools=(), redirect=True)
    wanted = options.redirect if route.policy.redirect is None else route.policy.redirect
    redirect = wanted and bool(rule.host) and matching.covers(names, rule.host)
    return replace(route, redirect=True) if redirect else route


def _pools(snapshots: t.Iterable[Snapshot], used: set[PoolName]) -> dict[PoolName, Pool]:
    known = {PoolName(snapshot.cluster, pool.name): pool for snapshot in snapshots for pool in snapshot.pools}
    return {name: known.get(name) or Pool(name.pool) for name in sorted(used)}
