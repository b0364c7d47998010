# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model of LoadBalancer services and of the nodes behind them, as a snapshot holds them.

All values are immutable and canonical, and the constructors refuse everything else, as in ``model``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import syntax
from .errors import InvalidValue

PROTOCOLS = ("TCP", "UDP", "SCTP")
DIRECT, TUNNEL, MASQUERADE = "direct", "tunnel", "masquerade"
FORWARDING = (DIRECT, TUNNEL, MASQUERADE)
# Schedulers of IPVS (ipvsadm(8)) that make sense for a service that several routers may serve.
SCHEDULERS = ("mh", "sh", "rr", "wrr", "lc", "wlc", "sed", "nq")
SINGLE_STACK, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK = "SingleStack", "PreferDualStack", "RequireDualStack"
FAMILY_POLICIES = (SINGLE_STACK, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK)
MAX_AFFINITY = 86400
MAX_GROUPS = 16

_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_TIME = re.compile(r"[0-9TZ:-]{0,20}")
# A stranger must not send traffic to the router itself, or to more than one host.
_NO_HOST = ("0.", "127.", "169.254.", "fe8", "fe9", "fea", "feb", "ff")


def family(address: str) -> int:
    """4 or 6, of a canonical address."""
    return 6 if ":" in address else 4


def sharing_key(value: object, field: str) -> str:
    """What services that share an address have in common: written like the value of a label, and not empty."""
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise InvalidValue(field, f"{syntax.shown(value)} is no key (letters, digits, '.', '_' and '-', at most 63)")


def router_groups(value: object, field: str) -> tuple[str, ...]:
    """Names of router groups in order, each once, from a text with commas. An operator writes them as Ansible lets one write keys."""
    words = value.split(",", MAX_GROUPS) if isinstance(value, str) else []
    names = tuple(sorted({word.strip() for word in words}))
    if not names or len(words) > MAX_GROUPS or not all(map(_KEY.fullmatch, names)):
        raise InvalidValue(field, f"{syntax.shown(value)} are no names of router groups with commas between them (at most {MAX_GROUPS})")
    return names


def qualified_name(value: object, field: str) -> str:
    """The key of a label, or the name of a class of load balancers: NAME, or DOMAIN/NAME."""
    if isinstance(value, str) and _KEY.fullmatch(value.rpartition("/")[2]):
        if "/" in value:
            syntax.dns_subdomain(value.rpartition("/")[0], field)
        return value
    raise InvalidValue(field, f"{syntax.shown(value)} is no qualified name (such as example.com/name)")


def check_label(key: object, value: object) -> None:
    """Raises InvalidValue for what is no label of an object."""
    qualified_name(key, "metadata.labels")
    if value != "":
        sharing_key(value, "metadata.labels")


def host_address(value: object, field: str) -> str:
    """The canonical address of one host that may be a service, a node or a pod."""
    address = syntax.address(value, field)
    several = "." in address and 224 <= int(address.partition(".")[0]) < 240
    if several or address.startswith(_NO_HOST) or address in ("::", "::1", "255.255.255.255"):
        raise InvalidValue(field, f"{address} is no address of a service, node or pod")
    return address


def _check_addresses(addresses: tuple[str, ...], field: str) -> None:
    for address in addresses:
        if host_address(address, field) != address:
            raise InvalidValue(field, f"{address!r} is not canonical")


def _check_one_of_each_family(addresses: tuple[str, ...], field: str) -> None:
    _check_addresses(addresses, field)
    if len(set(map(family, addresses))) != len(addresses):
        raise InvalidValue(field, f"{', '.join(addresses)} are more than one of a family")


def _check_labels(labels: tuple[tuple[str, str], ...]) -> None:
    for label in labels:
        if len(label) != 2:  # An edited file may say so.
            raise InvalidValue("metadata.labels", f"{syntax.shown(label)} is no label")
        check_label(*label)
    if len(dict(labels)) != len(labels):
        raise InvalidValue("metadata.labels", "has a key twice")


@dataclass(frozen=True, order=True, slots=True)
class Node:
    """A node that may get traffic. ``addresses`` are its InternalIPs, at most one of each family."""

    name: str
    addresses: tuple[str, ...]
    ready: bool = True

    def __post_init__(self) -> None:
        syntax.dns_subdomain(self.name, "metadata.name")
        _check_one_of_each_family(self.addresses, "status.addresses")


@dataclass(frozen=True, order=True, slots=True)
class ServiceEndpoint:
    """A pod behind a port of a service, with the conditions of its EndpointSlice; ``node`` is "" where nobody says."""

    address: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False

    def __post_init__(self) -> None:
        _check_addresses((self.address,), "address")
        syntax.port(self.port, "port")
        if self.node:
            syntax.dns_subdomain(self.node, "nodeName")


@dataclass(frozen=True, order=True, slots=True)
class ServicePort:
    """A port of a service. ``node_port`` is 0 where none is allocated. ``endpoints`` are of both families."""

    protocol: str
    port: int
    node_port: int = 0
    endpoints: tuple[ServiceEndpoint, ...] = ()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InvalidValue("protocol", f"{syntax.shown(self.protocol)} is not one of {', '.join(PROTOCOLS)}")
        syntax.port(self.port, "port")
        if self.node_port:
            syntax.port(self.node_port, "nodePort")


@dataclass(frozen=True, order=True, slots=True)
class AddressRequest:
    """What a service asks for. ``pool`` and ``sharing_key`` are "" and ``addresses`` empty where it leaves that to us.

    ``groups`` are the router groups that may serve it, sorted; empty for any.
    ``families`` (4 and 6, the first one preferred) and ``policy`` are spec.ipFamilies and spec.ipFamilyPolicy.
    """

    pool: str = ""
    addresses: tuple[str, ...] = ()
    sharing_key: str = ""
    families: tuple[int, ...] = (4,)
    policy: str = SINGLE_STACK
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pool:
            syntax.dns_label(self.pool, "address-pool")
        _check_one_of_each_family(self.addresses, "load-balancer-ips")
        if self.sharing_key:
            sharing_key(self.sharing_key, "allow-shared-ip")
        if self.groups and router_groups(",".join(self.groups), "router-group") != self.groups:
            raise InvalidValue("router-group", f"{syntax.shown(self.groups)} is not canonical")
        if self.families not in ((4,), (6,), (4, 6), (6, 4)):
            raise InvalidValue("spec.ipFamilies", f"{syntax.shown(self.families)} are no families")
        if self.policy not in FAMILY_POLICIES:
            raise InvalidValue("spec.ipFamilyPolicy", f"{syntax.shown(self.policy)} is not one of {', '.join(FAMILY_POLICIES)}")


@dataclass(frozen=True, order=True, slots=True)
class Service:
    """A Service of type LoadBalancer that is ours to serve. ``created`` is RFC 3339 in UTC.

    One without ``ports`` is held: something in it is mistaken, so it is not served, but it keeps the addresses that it has.

    ``addresses`` are those in its status (at most one of each family is ours; the rest is somebody else's).
    ``local`` is externalTrafficPolicy Local. ``affinity`` is sessionAffinity ClientIP in seconds, 0 for none.
    ``source_ranges`` are the networks of clients that may come in; empty for everybody.
    ``forwarding`` and ``scheduler`` are "" for the cluster's and the router's choice.
    """

    namespace: str
    name: str
    created: str
    ports: tuple[ServicePort, ...] = ()
    cluster_ips: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    request: AddressRequest = AddressRequest()
    labels: tuple[tuple[str, str], ...] = ()
    local: bool = False
    affinity: int = 0
    source_ranges: tuple[str, ...] = ()
    forwarding: str = ""
    scheduler: str = ""

    def __post_init__(self) -> None:
        syntax.dns_label(self.namespace, "metadata.namespace")
        syntax.dns_label(self.name, "metadata.name")
        if not _TIME.fullmatch(self.created):
            raise InvalidValue("metadata.creationTimestamp", f"{syntax.shown(self.created)} is no time in UTC")
        _check_labels(self.labels)
        _check_one_of_each_family(self.cluster_ips, "spec.clusterIPs")
        _check_addresses(self.addresses, "status.loadBalancer.ingress")
        if not 0 <= self.affinity <= MAX_AFFINITY:
            raise InvalidValue("spec.sessionAffinityConfig", f"{self.affinity!r} is not within 0 and {MAX_AFFINITY} seconds")
        for network in self.source_ranges:
            if syntax.network(network, "spec.loadBalancerSourceRanges") != network:
                raise InvalidValue("spec.loadBalancerSourceRanges", f"{network!r} is not canonical")
        if self.forwarding not in ("", *FORWARDING):
            raise InvalidValue("forwarding", f"{syntax.shown(self.forwarding)} is not one of {', '.join(FORWARDING)}")
        if self.scheduler not in ("", *SCHEDULERS):
            raise InvalidValue("scheduler", f"{syntax.shown(self.scheduler)} is not one of {', '.join(SCHEDULERS)}")

    @property
    def age_key(self) -> tuple[str, str, str]:
        """Sorts the older claim first; names decide between equals."""
        return (self.created, self.namespace, self.name)

    @property
    def held(self) -> bool:
        """Whether it is to be left as it is: no traffic, no address more and none less."""
        return not self.ports

    @property
    def full_name(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    def is_offered_with(self, other: Service) -> bool:
        """Whether services of two clusters are one that both offer: they may have the same ports of an address."""
        key = self.request.sharing_key
        return bool(key) and key == other.request.sharing_key and self.full_name == other.full_name

    def __str__(self) -> str:
        return f"Service {self.full_name}"
