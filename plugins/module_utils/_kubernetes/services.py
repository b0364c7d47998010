# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that ingresses lead to: from a Service's port to the pods behind it. ``read`` asks the API, the rest is pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core.errors import InvalidValue
from .._core.model import Endpoint
from . import slices
from .balanced import LoadBalancers
from .client import Client
from .hostile import Object, Quarantine, mapping, sequence
from .slices import OF_SERVICE, Behind, Key, Name, service_name
from .sources import ServicePort

# Up to so many Services are asked for one by one, more by a list of all.
_FEW = 8
_SERVICES, _SLICES = "/api/v1/{}services", "/apis/discovery.k8s.io/v1/{}endpointslices"

# KEP-3726, and names of IANA that are in use; everything else is plain HTTP.
_PROTOCOLS = {"kubernetes.io/h2c": "h2c", "grpc": "h2c", "https": "https", "kubernetes.io/wss": "https"}


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

    def keys(self, name: Name) -> set[Key]:
        """The ports of a Service whose pods are needed."""
        return {("TCP", port.name) for port in self.ports.get(name, ())}

    def take(self, found: dict[tuple[Name, Key], Behind]) -> None:
        """Gives ports their endpoints. A dual-stack Service has them in both families; IPv4 is taken when there is any."""
        for (name, (protocol, port_name)), behind in found.items():
            for port in self.ports.get(name, ()):
                if (protocol, port_name) == ("TCP", port.name):
                    pods = behind.ipv4 or behind.ipv6
                    port.endpoints = tuple(sorted(Endpoint(*where, state.ready, state.serving, state.terminating) for where, state in pods.items()))


def read(
    client: Client, wanted: t.Collection[ServicePort], page_size: int, quarantine: Quarantine, balancers: LoadBalancers
) -> Services:
    """The Services of ``wanted`` with their endpoints. ``balancers`` take theirs out of the same lists."""
    names = {(one.namespace, one.service) for one in wanted}
    found = Services()
    if not balancers.observed and len(names) <= _FEW:
        for namespace, service in sorted(names):
            space, one = f"namespaces/{namespace}/", {(namespace, service)}
            # A list of one: the account that routers' controllers have may list, and nothing else.
            client.read(_SERVICES.format(space), lambda items, one=one: take_services(found, items, one), fieldSelector=f"metadata.name={service}")
            selector = f"{OF_SERVICE}={service}"
            client.read(_SLICES.format(space), lambda items: take_slices(found, items, quarantine), page_size, labelSelector=selector)
        return found
    client.read(_SERVICES.format(""), lambda items: take_services(found, balancers.passing(items), names), page_size)
    pods = client.read(_SLICES.format(""), lambda items: slices.collect(items, lambda name: found.keys(name) | balancers.keys(name), quarantine), page_size)
    found.take(pods)
    balancers.take(pods)
    return found


def take_services(found: Services, items: t.Iterable[t.Any], names: t.Container[Name]) -> None:
    """Adds those of raw Services that have one of ``names``."""
    for raw in items:
        raw = mapping(raw)
        name = service_name(mapping(raw.get("metadata")).get("namespace"), mapping(raw.get("metadata")).get("name"))
        if name not in names:
            continue
        spec = mapping(raw.get("spec"))
        if spec.get("type") == "ExternalName":
            found.unusable[name] = "is an ExternalName: it has no pods"
        else:
            found.ports[name] = [_port(mapping(port)) for port in sequence(spec.get("ports")) if _is_tcp(mapping(port))]


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
    """Gives the ports of ``found`` their endpoints, from raw EndpointSlices."""
    found.take(slices.collect(items, found.keys, quarantine))
