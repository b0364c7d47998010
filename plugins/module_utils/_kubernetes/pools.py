# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Services to pools: those of ingress controllers, and those that ingresses name themselves. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core.errors import InvalidValue, NotObserved
from .._core.model import Pool, PoolTls
from .annotations import field as annotation
from .decode import NO_PORT, Draft
from .hostile import Quarantine
from .services import Services
from .sources import ClassSource, ClusterSource, ServicePort

_NO_TLS = PoolTls()


def wanted(cluster: ClusterSource, sources: dict[str, ClassSource], drafts: t.Iterable[Draft]) -> set[ServicePort]:
    """The ports of Services that are needed."""
    ports = {port for source in sources.values() for port in _of_class(source)}
    if cluster.default_backend:
        ports.add(cluster.default_backend)
    for draft in drafts:
        if sources[draft.ingress.ingress_class].direct:
            ports.update(map(_service_port, _names(draft)))
    return {port for port in ports if port.port != NO_PORT}


def _of_class(source: ClassSource) -> list[ServicePort]:
    ports = [source.backend] if source.backend else []
    return ports + [port._replace(port=source.tls_port) for port in ports if source.tls_port]


def _names(draft: Draft) -> set[str]:
    names = {path.pool for path in draft.ingress.paths}
    return names | {draft.ingress.default_pool} if draft.ingress.default_pool else names


def _service_port(pool: str) -> ServicePort:
    return ServicePort(*pool.split("/")[1:])


def of_classes(sources: dict[str, ClassSource], services: Services) -> list[Pool]:
    """The pools of ingress controllers; raises NotObserved when one has no Service, which is the operator's mistake."""
    pools = []
    for name, source in sorted(sources.items()):
        endpoints = []
        for port in _of_class(source):
            try:
                endpoints.append(services.port(port).endpoints)
            except InvalidValue as error:
                raise NotObserved(f"ingress class {name}: {error.cause}", "Check ingress_classes of the cluster") from error
        if endpoints:
            through = endpoints[1] if source.tls_port else ()
            pools.append(Pool(f"class/{name}", endpoints[0], source.protocol, source.proxy_protocol, source.tls, through))
    return pools


@dataclass(slots=True)
class _Wish:
    """What ingresses want of a pool: the oldest decides on TLS, and the oldest that names a protocol on that."""

    tls: PoolTls
    passthrough: bool = False
    protocols: list[tuple[str, str]] = field(default_factory=list)


def of_ingresses(drafts: t.Iterable[Draft], sources: dict[str, ClassSource], services: Services, quarantine: Quarantine) -> list[Pool]:
    """The pools that ingresses of direct classes name. A Service that can't be used has no endpoints, and is named."""
    wishes: dict[str, _Wish] = {}
    unusable: dict[str, InvalidValue | None] = {}
    for draft in sorted(drafts, key=lambda draft: draft.ingress.age_key):
        source = sources[draft.ingress.ingress_class]
        if not source.direct:
            continue
        for name in sorted(_names(draft)):
            wish = wishes.setdefault(name, _Wish(source.tls))
            wish.passthrough |= draft.ingress.passthrough
            if draft.protocol:
                wish.protocols.append((draft.protocol, str(draft.ingress)))
            if name not in unusable:
                unusable[name] = _problem(name, services)
            if error := unusable[name]:
                quarantine.add(str(draft.ingress), f"backend {error.field}", error.cause)
    return [_pool(name, wish, services, quarantine) for name, wish in wishes.items()]


def _problem(name: str, services: Services) -> InvalidValue | None:
    try:
        services.port(_service_port(name))
    except InvalidValue as error:
        # A backend without a port was named when it was decoded.
        return error if _service_port(name).port != NO_PORT else None
    return None


def _pool(name: str, wish: _Wish, services: Services, quarantine: Quarantine) -> Pool:
    for protocol, label in wish.protocols:
        if protocol != wish.protocols[0][0]:
            cause = f"has no effect: the older {wish.protocols[0][1]} names {wish.protocols[0][0]} for the same port"
            quarantine.add(label, annotation("backend-protocol"), cause)
    try:
        port = services.port(_service_port(name))
    except InvalidValue:
        return Pool(name)
    protocol = wish.protocols[0][0] if wish.protocols else port.protocol
    return Pool(
        name,
        port.endpoints,
        protocol,
        tls=wish.tls if protocol == "https" else _NO_TLS,
        passthrough=port.endpoints if wish.passthrough else (),
    )


def of_operator(port: ServicePort, services: Services) -> Pool:
    """The pool of default_backend; raises NotObserved when there is no such Service."""
    try:
        found = services.port(port)
    except InvalidValue as error:
        raise NotObserved(f"default_backend: {error.cause}", "Check default_backend of the cluster") from error
    return Pool(port.pool, found.endpoints, found.protocol)


def merged(pools: t.Iterable[Pool]) -> tuple[Pool, ...]:
    """Each pool once, in order; what an ingress asks for of the operator's default backend counts for both."""
    by_name: dict[str, Pool] = {}
    for pool in pools:
        by_name.setdefault(pool.name, pool)
    return tuple(by_name[name] for name in sorted(by_name))
