# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of addresses for LoadBalancer services, as the operator writes them in northgate_address_pools. Pure.

Addresses are counted, never listed: a /64 costs as much as a /32.
"""

from __future__ import annotations

import bisect
import ipaddress
import typing as t
from dataclasses import dataclass

from . import syntax
from .errors import InvalidValue
from .services import Service

KEYS = ("addresses", "auto_assign", "clusters", "namespaces", "quota", "selector", "share_between_namespaces")
# What is no address of a service, as the model has it.
_UNUSABLE = tuple(
    ipaddress.ip_network(network)
    for network in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8")
)


class Span(t.NamedTuple):
    """Addresses from ``first`` to ``last`` (both included, as numbers) of a family (4 or 6)."""

    family: int
    first: int
    last: int


Spans = tuple[Span, ...]


def _number(address: str) -> tuple[int, int]:
    found = ipaddress.ip_address(address)
    return found.version, int(found)


def _text(family: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number))


def _merged(spans: t.Iterable[Span]) -> Spans:
    """Sorted, and none touches another."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and found[-1].family == span.family and span.first <= found[-1].last + 1:
            found[-1] = Span(span.family, found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)


def _within(spans: Spans, family: int, number: int) -> bool:
    place = bisect.bisect_right(spans, (family, number, float("inf"))) - 1
    return place >= 0 and spans[place].family == family and number <= spans[place].last


@dataclass(frozen=True)
class AddressPool:
    """One pool. ``spans`` are its addresses, ``given`` those of them that a service may have.

    ``clusters`` and ``namespaces`` are None for all. ``selector`` are labels that a service must have. ``quota`` is how many addresses of each
    family a namespace of a cluster may hold, None for any number.
    """

    name: str
    spans: Spans
    given: Spans
    clusters: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None
    selector: tuple[tuple[str, str], ...] = ()
    quota: int | None = None
    auto_assign: bool = True
    share_between_namespaces: bool = False

    @classmethod
    def parse(cls, name: str, options: t.Any, where: str = "pools") -> AddressPool:
        """From an entry of northgate_address_pools; raises InvalidValue that names ``where``, the pool and the key."""
        field = f"{where}.{name}"
        syntax.dns_label(name, field)
        if not isinstance(options, dict):
            raise InvalidValue(field, f"{syntax.shown(options)} is no dictionary")
        for key in options:
            if key not in KEYS:
                raise InvalidValue(f"{field}.{key}", f"is no key of a pool; there are {', '.join(KEYS)}")
        addresses = _list(options, "addresses", field)
        if not addresses:
            raise InvalidValue(f"{field}.addresses", "is missing, or empty")
        entries = [_entry(value, f"{field}.addresses[{index}]") for index, value in enumerate(addresses)]
        return cls(
            name=name,
            spans=_merged(span for span, _given in entries),
            given=_merged(given for _span, given in entries),
            clusters=_names(options, "clusters", field),
            namespaces=_names(options, "namespaces", field),
            selector=_selector(options, field),
            quota=_quota(options, field),
            auto_assign=_bool(options, "auto_assign", True, field),
            share_between_namespaces=_bool(options, "share_between_namespaces", False, field),
        )

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The networks that cover the pool and nothing else, IPv4 first."""
        found: list[str] = []
        for span in self.spans:
            ends = [ipaddress.ip_address(_text(span.family, number)) for number in (span.first, span.last)]
            found += map(str, ipaddress.summarize_address_range(*ends))
        return tuple(found)

    def contains(self, address: str) -> bool:
        """Whether a (canonical) address lies in the pool."""
        return _within(self.spans, *_number(address))

    def offers(self, address: str) -> bool:
        """Whether a service may have it: not the network and broadcast address of a prefix, nor its subnet-router anycast address."""
        return _within(self.given, *_number(address))

    def serves(self, cluster: str) -> bool:
        """Whether services of a cluster may have addresses here at all."""
        return self.clusters is None or cluster in self.clusters

    def admits(self, cluster: str, service: Service) -> bool:
        """Whether a service of a cluster may have addresses here."""
        return (
            self.serves(cluster)
            and (self.namespaces is None or service.namespace in self.namespaces)
            and (not self.selector or set(self.selector) <= set(service.labels))
        )

    def has(self, family: int) -> bool:
        """Whether services may have addresses of a family (4 or 6)."""
        return any(span.family == family for span in self.given)

    def walk(self, family: int) -> t.Iterator[str]:
        """The addresses of a family that services may have, in order, made one by one."""
        for span in self.given:
            if span.family == family:
                # Not range(): its length must fit a machine word in places, and that of a /64 does not.
                number = span.first
                while number <= span.last:
                    yield _text(family, number)
                    number += 1


class AddressPools:
    """All pools by name. No address is in two of them."""

    def __init__(self, pools: t.Iterable[AddressPool]) -> None:
        """Raises InvalidValue that names two pools that overlap."""
        self.by_name = {pool.name: pool for pool in sorted(pools, key=lambda pool: pool.name)}
        self._spans = sorted((span, pool.name) for pool in self.by_name.values() for span in pool.spans)
        for (one, name), (other, other_name) in zip(self._spans, self._spans[1:]):
            if one.family == other.family and other.first <= one.last:
                cause = f"{_text(other.family, other.first)} is also in the pool {name}: an address belongs to one pool"
                raise InvalidValue(f"pools.{other_name}.addresses", cause)

    @classmethod
    def parse(cls, options: t.Any, where: str = "pools") -> AddressPools:
        """From northgate_address_pools; raises InvalidValue."""
        if not isinstance(options, dict):
            raise InvalidValue(where, f"{syntax.shown(options)} is no dictionary")
        return cls(AddressPool.parse(name, entry, where) for name, entry in options.items())

    def __iter__(self) -> t.Iterator[AddressPool]:
        """In the order of names."""
        return iter(self.by_name.values())

    def find(self, address: str) -> AddressPool | None:
        """The pool in which an address (canonical) lies."""
        family, number = _number(address)
        place = bisect.bisect_right(self._spans, ((family, number, float("inf")), "")) - 1
        if place < 0:
            return None
        span, name = self._spans[place]
        return self.by_name[name] if span.family == family and number <= span.last else None


def _entry(value: t.Any, field: str) -> tuple[Span, Span]:
    """The addresses of a prefix or a range A-B, and those of them that services may have."""
    if isinstance(value, str) and "-" in value:
        first, last = (_number(syntax.address(part.strip(), field)) for part in value.split("-", 1))
        if first[0] != last[0] or first > last:
            raise InvalidValue(field, f"{syntax.shown(value)} is no range: its second address must be of the same family, and not before the first")
        span = given = Span(first[0], first[1], last[1])
    else:
        network = ipaddress.ip_network(syntax.network(value, field))
        span = given = Span(network.version, int(network.network_address), int(network.broadcast_address))
        # Where there are hosts beside them: RFC 3021 and RFC 6164 use both addresses of the smallest prefixes.
        if network.max_prefixlen - network.prefixlen > 1:
            given = Span(span.family, span.first + 1, span.last - (network.version == 4))
    for network in _UNUSABLE:
        if network.version == span.family and span.first <= int(network.broadcast_address) and int(network.network_address) <= span.last:
            raise InvalidValue(field, f"{syntax.shown(value)} has addresses in {network}, which services can't have")
    return span, given


def _list(options: dict[t.Any, t.Any], key: str, where: str) -> list[t.Any] | None:
    value = options.get(key)
    if value is not None and not isinstance(value, list):
        raise InvalidValue(f"{where}.{key}", f"{syntax.shown(value)} is no list")
    return value


def _names(options: dict[t.Any, t.Any], key: str, where: str) -> frozenset[str] | None:
    names = _list(options, key, where)
    return None if names is None else frozenset(syntax.dns_label(name, f"{where}.{key}[{index}]") for index, name in enumerate(names))


def _selector(options: dict[t.Any, t.Any], where: str) -> tuple[tuple[str, str], ...]:
    selector = options.get("selector")
    if selector is None:
        return ()
    if not isinstance(selector, dict) or not all(isinstance(part, str) for pair in selector.items() for part in pair):
        raise InvalidValue(f"{where}.selector", f"{syntax.shown(selector)} is no dictionary of labels and their values, all of them texts")
    return tuple(sorted(selector.items()))


def _quota(options: dict[t.Any, t.Any], where: str) -> int | None:
    value = options.get("quota")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise InvalidValue(f"{where}.quota", f"{syntax.shown(value)} is no number of addresses")
    return value


def _bool(options: dict[t.Any, t.Any], key: str, default: bool, where: str) -> bool:
    value = options.get(key, default)
    if not isinstance(value, bool):
        raise InvalidValue(f"{where}.{key}", f"{syntax.shown(value)} is neither true nor false")
    return value
