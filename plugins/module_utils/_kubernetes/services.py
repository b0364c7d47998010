# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services and their EndpointSlices: from a Service's port to the pods behind it. ``read`` asks the API, the rest is pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import Endpoint
from .client import Client
from .hostile import Object, Quarantine, mapping, name_of, sequence
from .sources import ServicePort

# Up to so many Services are asked for one by one, more by a list of all.
_FEW = 8
_SERVICES, _SLICES = "/api/v1/{}services", "/apis/discovery.k8s.io/v1/{}endpointslices"
_OF_SERVICE = "kubernetes.io/service-name"

# KEP-3726, and names of IANA that are in use; everything else is plain HTTP.
_PROTOCOLS = {"kubernetes.io/h2c": "h2c", "grpc": "h2c", "https": "https", "kubernetes.io/wss": "https"}

Name = tuple[str, str]
Conditions = tuple[bool, bool, bool]


@dataclass(slots=True)
class Port:
    """A port of a Service: its name ("" for an unnamed one) and how its pods are spoken to."""

    name: str
    number: str
    protocol: str
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(slots=True)
class Services:
    """The Services that were asked for, by namespace and name: their ports, or the reason why they have none."""

    ports: dict[Name, list[Port]] = field(default_factory=dict)
    unusable: dict[Name, str] = field(default_factory=dict)

    def port(self, wanted: ServicePort) -> Port:
        """The port with its endpoints; raises InvalidValue where there is no such Service or port."""
        name = (wanted.namespace, wanted.service)
        if name in self.unusable:
            raise InvalidValue("service", f"{wanted} {self.unusable[name]}")
        if name not in self.ports:
            raise InvalidValue("service", f"there is no {wanted}")
        for port in self.ports[name]:
            if wanted.port in (port.name, port.number):
                return port
        offered = ", ".join(f"{port.name or '-'}/{port.number}" for port in self.ports[name][:10]) or "none"
        raise InvalidValue("port", f"{wanted.port!r} is no port of {wanted}; its ports are {offered}")


def read(client: Client, wanted: t.Collection[ServicePort], page_size: int, quarantine: Quarantine) -> Services:
    """The Services of ``wanted`` with their endpoints."""
    names = {(one.namespace, one.service) for one in wanted}
    found = Services()
    if len(names) <= _FEW:
        for namespace, service in sorted(names):
            space, one = f"namespaces/{namespace}/", {(namespace, service)}
            # A list of one: the account that routers' controllers have may list, and nothing else.
            client.read(_SERVICES.format(space), lambda items, one=one: take_services(found, items, one), fieldSelector=f"metadata.name={service}")
            selector = f"{_OF_SERVICE}={service}"
            client.read(_SLICES.format(space), lambda items: take_slices(found, items, quarantine), page_size, labelSelector=selector)
    else:
        client.read(_SERVICES.format(""), lambda items: take_services(found, items, names), page_size)
        client.read(_SLICES.format(""), lambda items: take_slices(found, items, quarantine), page_size)
    return found


def take_services(found: Services, items: t.Iterable[t.Any], names: t.Container[Name]) -> None:
    """Adds those of raw Services that have one of ``names``."""
    for raw in items:
        raw = mapping(raw)
        name = _key(mapping(raw.get("metadata")).get("namespace"), mapping(raw.get("metadata")).get("name"))
        if name not in names:
            continue
        spec = mapping(raw.get("spec"))
        if spec.get("type") == "ExternalName":
            found.unusable[name] = "is an ExternalName: it has no pods"
        else:
            found.ports[name] = [_port(mapping(port)) for port in sequence(spec.get("ports")) if _is_tcp(mapping(port))]


def _key(namespace: object, name: object) -> Name:
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else ("", "")


def _is_tcp(port: Object) -> bool:
    return port.get("protocol") in (None, "TCP")


def _port(raw: Object) -> Port:
    name, number, application = raw.get("name"), raw.get("port"), raw.get("appProtocol")
    return Port(
        name if isinstance(name, str) else "",
        str(number) if isinstance(number, int) and not isinstance(number, bool) else "",
        _PROTOCOLS.get(application, "http") if isinstance(application, str) else "http",
    )


def take_slices(found: Services, items: t.Iterable[t.Any], quarantine: Quarantine) -> None:
    """Gives the ports of ``found`` their endpoints, from raw EndpointSlices.

    A dual-stack Service has slices of both families for the same pods; IPv4 is taken when there is any.
    """
    by_port: dict[tuple[Name, str], dict[str, dict[tuple[str, int], Conditions]]] = defaultdict(lambda: {"IPv4": {}, "IPv6": {}})
    for raw in items:
        raw = mapping(raw)
        metadata = mapping(raw.get("metadata"))
        name = _key(metadata.get("namespace"), mapping(metadata.get("labels")).get(_OF_SERVICE))
        family = raw.get("addressType")
        if name not in found.ports or family not in ("IPv4", "IPv6"):
            continue
        numbers = {str(p.get("name") or ""): p.get("port") for p in map(mapping, sequence(raw.get("ports"))) if _is_tcp(p)}
        for port_name in {port.name for port in found.ports[name]} & set(numbers):
            _take_endpoints(by_port[(name, port_name)][family], raw, numbers[port_name], f"EndpointSlice {name_of(metadata)}", quarantine)
    for (name, port_name), families in by_port.items():
        endpoints = tuple(sorted(Endpoint(*where, *how) for where, how in (families["IPv4"] or families["IPv6"]).items()))
        for port in found.ports[name]:
            if port.name == port_name:
                port.endpoints = endpoints


def _take_endpoints(known: dict[tuple[str, int], Conditions], raw: Object, number: t.Any, label: str, quarantine: Quarantine) -> None:
    try:
        port = syntax.port(number, "ports")
    except InvalidValue as error:
        quarantine.refuse(label, error)
        return
    for index, entry in enumerate(map(mapping, sequence(raw.get("endpoints")))):
        conditions = mapping(entry.get("conditions"))
        # All addresses of one endpoint are fungible (API reference, discovery.k8s.io/v1): take the first.
        addresses = sequence(entry.get("addresses")) or [None]
        # A condition that is absent means: ready and serving, not terminating (API reference).
        ready, serving = conditions.get("ready") is not False, conditions.get("serving") is not False
        terminating = conditions.get("terminating") is True
        try:
            address = _pod_address(addresses[0], f"endpoints[{index}].addresses[0]")
        except InvalidValue as error:
            quarantine.refuse(label, error)
            continue
        # While an endpoint moves between slices it is in two of them (API concepts, EndpointSlices): the better state counts.
        other = known.get((address, port), (False, False, True))
        known[(address, port)] = (ready or other[0], serving or other[1], terminating and other[2])


def _pod_address(value: object, where: str) -> str:
    """An address that a pod may have: not the router itself, and nothing that means more than one host."""
    address = syntax.address(value, where)
    if address.startswith(("0.", "127.", "169.254.", "fe8", "fe9", "fea", "feb", "ff")) or address in ("::", "::1", "255.255.255.255"):
        raise InvalidValue(where, f"{address} is no address of a pod")
    if "." in address and 224 <= int(address.partition(".")[0]) < 240:
        raise InvalidValue(where, f"{address} is no address of a pod")
    return address
