# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Kubernetes objects (parsed JSON) to the model. Pure.

An object that can't be taken is quarantined: named with field and cause, and skipped. A rule
is the smallest thing that is skipped, so the other rules of its ingress are served.
"""

from __future__ import annotations

import typing as t

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import EXACT, PREFIX, Endpoint, Ingress, Quarantined, Rule

Object = dict[str, t.Any]

# networking.k8s.io/v1: what ImplementationSpecific means is ours to say.
_PATH_TYPES = {"Exact": EXACT, "Prefix": PREFIX, "ImplementationSpecific": PREFIX}


def ingress(cluster: str, raw: Object) -> tuple[Ingress | None, list[Quarantined]]:
    """The ingress in ``raw`` (networking.k8s.io/v1), or None when nothing of it can be served."""
    metadata = raw.get("metadata") or {}
    label = f"Ingress {metadata.get('namespace')}/{metadata.get('name')}"
    quarantined: list[Quarantined] = []
    spec = raw.get("spec") or {}
    rules: list[Rule] = []
    for field, host, raw_path in _paths(spec):
        try:
            rules.append(_rule(field, host, raw_path))
        except InvalidValue as error:
            quarantined.append(Quarantined(cluster, label, error.field, error.cause))
    try:
        result = Ingress(
            namespace=metadata.get("namespace"),
            name=metadata.get("name"),
            created=str(metadata.get("creationTimestamp") or ""),
            ingress_class=spec.get("ingressClassName"),
            rules=tuple(sorted(set(rules))),
        )
    except InvalidValue as error:
        return None, [Quarantined(cluster, label, error.field, error.cause)]
    return (result if result.rules else None), quarantined


def _paths(spec: Object) -> t.Iterator[tuple[str, t.Any, Object]]:
    for number, rule in enumerate(spec.get("rules") or []):
        http = rule.get("http") or {}
        for index, path in enumerate(http.get("paths") or []):
            yield f"spec.rules[{number}].http.paths[{index}]", (f"spec.rules[{number}].host", rule.get("host")), path


def _rule(field: str, host: tuple[str, t.Any], raw: Object) -> Rule:
    host_field, host_value = host
    path_type = _PATH_TYPES.get(str(raw.get("pathType")))
    if path_type is None:
        raise InvalidValue(f"{field}.pathType", f"{raw.get('pathType')!r} is not one of {', '.join(_PATH_TYPES)}")
    path = syntax.path(raw.get("path") or "/", f"{field}.path")
    if path_type == PREFIX:
        # "/foo" and "/foo/" are the same prefix: matching is by path segment.
        path = path.rstrip("/") or "/"
    return Rule(syntax.host(host_value, host_field), path, path_type)


def endpoints(cluster: str, slices: t.Iterable[Object], port_name: str) -> tuple[tuple[Endpoint, ...], list[Quarantined]]:
    """The endpoints at port ``port_name`` in EndpointSlices (discovery.k8s.io/v1) of one Service.

    A dual-stack Service has slices of both families for the same pods; IPv4 is taken when there is any.
    """
    found: dict[str, set[Endpoint]] = {"IPv4": set(), "IPv6": set()}
    quarantined: list[Quarantined] = []
    for raw in slices:
        metadata = raw.get("metadata") or {}
        label = f"EndpointSlice {metadata.get('namespace')}/{metadata.get('name')}"
        family = found.get(raw.get("addressType", ""))
        ports = [p.get("port") for p in raw.get("ports") or [] if (p.get("name") or "") == port_name]
        if family is None or not ports:
            continue
        for index, entry in enumerate(raw.get("endpoints") or []):
            try:
                family.add(_endpoint(f"endpoints[{index}]", entry, ports[0]))
            except InvalidValue as error:
                quarantined.append(Quarantined(cluster, label, error.field, error.cause))
    return tuple(sorted(found["IPv4"] or found["IPv6"])), quarantined


def _endpoint(field: str, entry: Object, port: t.Any) -> Endpoint:
    conditions = entry.get("conditions") or {}
    # All addresses of one endpoint are fungible (API reference, discovery.k8s.io/v1): take the first.
    addresses = entry.get("addresses") or [None]
    # A condition that is absent means: ready and serving, not terminating (API reference).
    return Endpoint(
        address=syntax.address(addresses[0], f"{field}.addresses[0]"),
        port=syntax.port(port, "ports"),
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
    )


def service_port_name(service: Object, wanted: str) -> str:
    """The name of the port ``wanted`` (a name or a number) of a Service, "" for an unnamed one."""
    ports = (service.get("spec") or {}).get("ports") or []
    for port in ports:
        if wanted in (port.get("name"), str(port.get("port"))):
            return port.get("name") or ""
    offered = ", ".join(f"{p.get('name') or '-'}/{p.get('port')}" for p in ports) or "none"
    raise InvalidValue("port", f"{wanted!r} is no port of the Service; its ports are {offered}")
