# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw EndpointSlices (discovery.k8s.io/v1) to the pods behind ports of Services. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.services import host_address
from .hostile import Object, Quarantine, mapping, name_of, sequence

OF_SERVICE = "kubernetes.io/service-name"
_FAMILIES = ("IPv4", "IPv6")

# Namespace and name of a Service.
Name = tuple[str, str]
# Protocol and name of a port, by which a Service's port and those of its slices belong together.
Key = tuple[str, str]


class State(t.NamedTuple):
    """The conditions of an endpoint, and the name of its node, "" where nobody says. The better one is the greater."""

    ready: bool
    serving: bool
    staying: bool
    node: str

    @property
    def terminating(self) -> bool:
        return not self.staying


# Addresses with their port.
Pods = dict[tuple[str, int], State]


class Behind(t.NamedTuple):
    """The pods behind a port, by family."""

    ipv4: Pods
    ipv6: Pods


def key(port: Object) -> Key:
    """Of a raw port of a Service or an EndpointSlice."""
    name, protocol = port.get("name"), port.get("protocol")
    # What is not said is TCP, in both of them (API reference).
    return ("TCP" if protocol is None else str(protocol), name if isinstance(name, str) else "")


def service_name(namespace: object, name: object) -> Name:
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else ("", "")


def collect(items: t.Iterable[t.Any], wanted: t.Callable[[Name], t.Collection[Key]], quarantine: Quarantine) -> dict[tuple[Name, Key], Behind]:
    """The pods behind those ports that ``wanted`` says of a Service."""
    found: dict[tuple[Name, Key], Behind] = defaultdict(lambda: Behind({}, {}))
    for raw in items:
        raw = mapping(raw)
        metadata = mapping(raw.get("metadata"))
        name = service_name(metadata.get("namespace"), mapping(metadata.get("labels")).get(OF_SERVICE))
        family = raw.get("addressType")
        keys = wanted(name)
        if not keys or family not in _FAMILIES:
            continue
        numbers = {key(port): port.get("port") for port in map(mapping, sequence(raw.get("ports")))}
        for one in sorted(keys & numbers.keys()):
            _take(found[(name, one)][_FAMILIES.index(family)], raw, numbers[one], f"EndpointSlice {name_of(metadata)}", quarantine)
    return found


def _take(known: Pods, raw: Object, number: t.Any, label: str, quarantine: Quarantine) -> None:
    try:
        port = syntax.port(number, "ports")
    except InvalidValue as error:
        quarantine.refuse(label, error)
        return
    for index, entry in enumerate(map(mapping, sequence(raw.get("endpoints")))):
        conditions = mapping(entry.get("conditions"))
        # All addresses of one endpoint are fungible (API reference, discovery.k8s.io/v1): take the first.
        addresses = sequence(entry.get("addresses")) or [None]
        try:
            address = host_address(addresses[0], f"endpoints[{index}].addresses[0]")
        except InvalidValue as error:
            quarantine.refuse(label, error)
            continue
        # A condition that is absent means: ready and serving, not terminating (API reference).
        ready, serving = conditions.get("ready") is not False, conditions.get("serving") is not False
        state = State(ready, serving, conditions.get("terminating") is not True, _node(entry, index, label, quarantine))
        # While an endpoint moves between slices it is in two of them (API concepts, EndpointSlices): the better state counts.
        known[(address, port)] = _better(state, known[(address, port)]) if (address, port) in known else state


def _better(one: State, other: State) -> State:
    return State(one.ready or other.ready, one.serving or other.serving, one.staying or other.staying, max(one, other).node)


def _node(entry: Object, index: int, label: str, quarantine: Quarantine) -> str:
    if entry.get("nodeName") is None:
        return ""
    try:
        return syntax.dns_subdomain(entry["nodeName"], f"endpoints[{index}].nodeName")
    except InvalidValue as error:
        quarantine.refuse(label, error)
        return ""
