# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Services of type LoadBalancer to the model. Pure.

What is mistaken in a service must neither open what it protects nor get it something else than it asks for, and a
typing error must not take its address away. So such a service is held: it stays in the snapshot without ports, and is named.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.services import (
    FAMILY_POLICIES, FORWARDING, MAX_AFFINITY, SCHEDULERS, AddressRequest, Service, ServiceEndpoint, ServicePort,
    check_label, family, host_address, sharing_key,
)
from . import annotations
from .hostile import Object, Quarantine, created, mapping, name_of, sequence
from .slices import Behind, Key, key
from .sources import ClusterSource

MAX_LABELS = 100
MAX_RANGES = 1024
# What controllers of clouds read where the spec has none: who writes it wants to be protected.
_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
_DEFAULT_AFFINITY = 10800
_FAMILIES = {"IPv4": 4, "IPv6": 6}
_IPS = "load-balancer-ips"

T = t.TypeVar("T")


class Draft(t.NamedTuple):
    """A service without its pods, and by which key those of each port (protocol and number) are found."""

    service: Service
    keys: dict[tuple[str, int], Key]


def is_ours(raw: Object, source: ClusterSource) -> bool:
    """Whether a raw Service is ours to serve. One that is being deleted is not any more."""
    spec = mapping(raw.get("spec"))
    if spec.get("type") != "LoadBalancer" or mapping(raw.get("metadata")).get("deletionTimestamp") is not None:
        return False
    name = spec.get("loadBalancerClass")
    return source.load_balancer_default if name is None else bool(name == source.load_balancer_class)


def entries(raw: Object) -> list[t.Any]:
    """What a raw Service has in status.loadBalancer.ingress."""
    return sequence(mapping(mapping(raw.get("status")).get("loadBalancer")).get("ingress"))


def decode(raw: Object, quarantine: Quarantine) -> Draft | None:
    """The service in ``raw``, or None where not even its name can be told."""
    metadata, spec = mapping(raw.get("metadata")), mapping(raw.get("spec"))
    label = f"Service {name_of(metadata)}"
    reader = _Reader(label, quarantine)
    try:
        service = Service(
            namespace=syntax.dns_label(metadata.get("namespace"), "metadata.namespace"),
            name=syntax.dns_label(metadata.get("name"), "metadata.name"),
            created=created(metadata),
            addresses=status_addresses(entries(raw)),
        )
    except InvalidValue as error:
        quarantine.refuse(label, error)
        return None
    asked = reader.annotations(mapping(metadata.get("annotations")))
    cluster_ips = reader.cluster_ips(spec)
    service = replace(
        service,
        cluster_ips=cluster_ips,
        request=reader.field(lambda: _request(spec, cluster_ips, asked), AddressRequest()),
        labels=reader.field(lambda: reader.labels(mapping(metadata.get("labels"))), ()),
        local=reader.field(lambda: _choice(spec, "externalTrafficPolicy", ("Cluster", "Local")) == "Local", False),
        affinity=reader.field(lambda: _affinity(spec), 0),
        source_ranges=reader.field(lambda: _source_ranges(spec, mapping(metadata.get("annotations"))), ()),
        forwarding=asked.get("forwarding", ""),
        scheduler=asked.get("scheduler", ""),
    )
    ports = reader.ports(spec.get("ports"))
    if reader.mistaken:
        return Draft(service, {})
    return Draft(replace(service, ports=tuple(sorted(ports))), {(port.protocol, port.port): one for port, one in ports.items()})


def with_pods(draft: Draft, pods: t.Callable[[Key], Behind | None]) -> Service:
    """The service with the endpoints of its ports."""
    ports = draft.service.ports
    found = tuple(replace(port, endpoints=_endpoints(pods(draft.keys[(port.protocol, port.port)]))) for port in ports)
    return draft.service if found == ports else replace(draft.service, ports=found)


def _endpoints(behind: Behind | None) -> tuple[ServiceEndpoint, ...]:
    states = [pod for family_pods in behind for pod in family_pods.items()] if behind else []
    return tuple(sorted(ServiceEndpoint(*where, state.node, state.ready, state.serving, state.terminating) for where, state in states))


class _Reader:
    """Reads one service. ``mistaken``: something in it counts that can't be understood."""

    def __init__(self, label: str, quarantine: Quarantine) -> None:
        self._label, self._quarantine = label, quarantine
        self.mistaken = False

    def field(self, parse: t.Callable[[], T], default: T) -> T:
        try:
            return parse()
        except InvalidValue as error:
            self.mistaken = True
            self._quarantine.refuse(self._label, error)
            return default

    def annotations(self, raw: Object) -> Object:
        """The values of our annotations."""
        found = annotations.ours(raw, PARSERS)
        if found is None:
            return {}
        self.mistaken = bool(found.mistakes)
        for field, cause in (*found.mistakes, *found.unknown):
            self._quarantine.add(self._label, field, cause)
        return found.values

    def labels(self, raw: Object) -> tuple[tuple[str, str], ...]:
        """Without those that are none, for which no pool can ask."""
        if len(raw) > MAX_LABELS:
            raise InvalidValue("metadata.labels", f"has {len(raw)} labels, {MAX_LABELS} are the most")
        found = []
        for name in sorted(raw):
            try:
                check_label(name, raw[name])
                found.append((name, raw[name]))
            except InvalidValue as error:
                self._quarantine.refuse(self._label, error)
        return tuple(found)

    def cluster_ips(self, spec: Object) -> tuple[str, ...]:
        """The first of each family."""
        found: dict[int, str] = {}
        for value in sequence(spec.get("clusterIPs")) or [spec.get("clusterIP")]:
            if value in (None, "", "None"):
                continue
            try:
                address = host_address(value, "spec.clusterIPs")
                found.setdefault(family(address), address)
            except InvalidValue as error:
                self._quarantine.refuse(self._label, error)
        return tuple(found.values())

    def ports(self, raw: object) -> dict[ServicePort, Key]:
        """A port that is mistaken costs that port; a service without any is mistaken."""
        found: dict[tuple[str, int], tuple[ServicePort, Key]] = {}
        for index, entry in enumerate(map(mapping, sequence(raw))):
            where = f"spec.ports[{index}]"
            try:
                port = _port(entry, where)
                if (port.protocol, port.port) in found:
                    raise InvalidValue(where, "repeats the protocol and number of an earlier one")
                found[(port.protocol, port.port)] = port, key(entry)
            except InvalidValue as error:
                self._quarantine.refuse(self._label, error)
        if not found:
            self.field(lambda: _refuse("spec.ports", "has none that can be served"), None)
        return dict(found.values())


def _refuse(field: str, cause: str) -> None:
    raise InvalidValue(field, cause)


def _port(raw: Object, where: str) -> ServicePort:
    protocol, node_port = raw.get("protocol"), raw.get("nodePort")
    try:
        return ServicePort("TCP" if protocol is None else protocol, raw.get("port"), 0 if node_port is None else syntax.port(node_port, "nodePort"))
    except InvalidValue as error:
        raise InvalidValue(f"{where}.{error.field}", error.cause) from error


def _choice(spec: Object, key: str, choices: tuple[str, ...]) -> str:
    """A value of the spec; the first of ``choices`` where it says nothing."""
    value = spec.get(key)
    if value is None:
        return choices[0]
    if value in choices:
        return str(value)
    raise InvalidValue(f"spec.{key}", f"{syntax.shown(value)} is not one of {', '.join(choices)}")


def _affinity(spec: Object) -> int:
    if _choice(spec, "sessionAffinity", ("None", "ClientIP")) == "None":
        return 0
    seconds = mapping(mapping(spec.get("sessionAffinityConfig")).get("clientIP")).get("timeoutSeconds")
    if seconds is None:
        return _DEFAULT_AFFINITY
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds <= MAX_AFFINITY:
        return seconds
    raise InvalidValue("spec.sessionAffinityConfig.clientIP.timeoutSeconds", f"{syntax.shown(seconds)} is not within 1 and {MAX_AFFINITY}")


def _source_ranges(spec: Object, of_others: Object) -> tuple[str, ...]:
    field, raw = "spec.loadBalancerSourceRanges", spec.get("loadBalancerSourceRanges")
    if raw in (None, []) and of_others.get(_RANGES_ANNOTATION):
        field, raw = f"annotation {_RANGES_ANNOTATION}", of_others[_RANGES_ANNOTATION]
        raw = raw.split(",") if isinstance(raw, str) else raw
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_RANGES:
        raise InvalidValue(field, f"is no list of at most {MAX_RANGES} networks")
    return tuple(sorted({syntax.network(one.strip() if isinstance(one, str) else one, field) for one in raw}))


def _request(spec: Object, cluster_ips: tuple[str, ...], asked: Object) -> AddressRequest:
    addresses = asked.get("addresses", ())
    if not addresses and spec.get("loadBalancerIP") not in (None, ""):
        addresses = (host_address(spec["loadBalancerIP"], "spec.loadBalancerIP"),)
    return AddressRequest(
        pool=asked.get("pool", ""),
        addresses=addresses,
        sharing_key=asked.get("sharing_key", ""),
        families=_families(spec.get("ipFamilies"), cluster_ips),
        policy=_choice(spec, "ipFamilyPolicy", FAMILY_POLICIES),
        groups=asked.get("groups", ()),
    )


def _families(raw: object, cluster_ips: tuple[str, ...]) -> tuple[int, ...]:
    if raw is None:
        return tuple(map(family, cluster_ips)) or (4,)
    found = [_FAMILIES[one] for one in sequence(raw) if isinstance(one, str) and one in _FAMILIES]
    if not found or raw not in (["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]):
        raise InvalidValue("spec.ipFamilies", f"{syntax.shown(raw)} are no families")
    return tuple(found)


def status_addresses(raw: t.Iterable[t.Any]) -> tuple[str, ...]:
    """The addresses in entries of status.loadBalancer.ingress."""
    found = set()
    for entry in raw:
        try:
            found.add(host_address(mapping(entry).get("ip"), "status.loadBalancer.ingress"))
        except InvalidValue:
            continue  # A name, or what somebody else wrote there.
    return in_order(found)


def in_order(addresses: t.Iterable[str]) -> tuple[str, ...]:
    """IPv4 first."""
    return tuple(sorted(addresses, key=lambda address: (family(address), address)))


def _ips(value: str) -> dict[str, t.Any]:
    found = in_order(host_address(word, _IPS) for word in annotations.words(value, 2))
    return {"addresses": AddressRequest(addresses=found).addresses}


PARSERS: dict[str, annotations.Parser] = {
    "address-pool": lambda value: {"pool": syntax.dns_label(value, "address-pool")},
    "allow-shared-ip": lambda value: {"sharing_key": sharing_key(value, "allow-shared-ip")},
    "forwarding": annotations.one_of("forwarding", **{name: name for name in FORWARDING}),
    _IPS: _ips,
    "router-group": annotations.groups,
    "scheduler": annotations.one_of("scheduler", **{name: name for name in SCHEDULERS}),
}
