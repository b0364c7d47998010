# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VIPs of router groups, as the operator writes them, and what VRRP (RFC 5798) needs of them. Pure.

Every router derives the same router ids and its own priority from the inventory alone, so nobody has to write them down.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import typing as t
from dataclasses import dataclass

from . import syntax
from .address_pools import AddressPools
from .errors import InvalidValue

KEYS = ("addresses", "advert_interval", "interface", "nopreempt", "pools", "preferred", "router_id", "unicast")
ROUTER_IDS = 255
# Of the first router; each further one has one less.
HIGHEST_PRIORITY = 200
# What a router loses that has no routes or rules: any other is then preferred.
WITHOUT_ROUTES = 100
# Addresses of layer-2 pools that a VIP may carry: each is one of an interface.
MAX_CARRIED = 1024

# Part of names in keepalived's configuration.
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")

Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class Vip:
    """A VIP of a router group: addresses that move together. ``advert_interval`` is in seconds."""

    group: str
    name: str
    addresses: tuple[Address, ...]
    interface: str = ""
    router_id: int | None = None
    preferred: tuple[str, ...] = ()
    nopreempt: bool = False
    advert_interval: float = 0.1
    unicast: bool = False
    pools: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """By which keepalived knows it."""
        return f"{self.group}_{self.name}"

    @property
    def where(self) -> str:
        """For messages."""
        return f"northgate_router_groups.{self.group}.vips.{self.name}"


def parse(group: str, configured: object) -> tuple[Vip, ...]:
    """The VIPs of a router group. Raises InvalidValue."""
    if not _GROUP.fullmatch(group):
        raise InvalidValue("northgate_router_groups", f"{syntax.shown(group)} is no name of a group with VIPs (letters, digits, '_' and '-')")
    where = f"northgate_router_groups.{group}.vips"
    if not isinstance(configured, dict):
        raise InvalidValue(where, "is no dictionary of VIPs by name")
    return tuple(_vip(group, name, values, f"{where}.{name}") for name, values in configured.items())


def _vip(group: str, name: object, values: object, where: str) -> Vip:
    syntax.dns_label(name, f"northgate_router_groups.{group}.vips")
    if not isinstance(values, dict):
        raise InvalidValue(where, "is no dictionary")
    if unknown := sorted(set(values) - set(KEYS)):
        raise InvalidValue(where, f"has no setting {syntax.shown(unknown[0])}; there are {', '.join(KEYS)}")
    router_id = values.get("router_id")
    if router_id is not None and not (isinstance(router_id, int) and 1 <= router_id <= ROUTER_IDS):
        raise InvalidValue(f"{where}.router_id", f"{syntax.shown(router_id)} is no number from 1 to {ROUTER_IDS}")
    interval = values.get("advert_interval", Vip.advert_interval)
    # The field has 12 bits, in hundredths of a second.
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0.01 <= interval <= 40:
        raise InvalidValue(f"{where}.advert_interval", f"{syntax.shown(interval)} is no number of seconds from 0.01 to 40")
    return Vip(
        group, str(name), _addresses(values.get("addresses"), f"{where}.addresses"), str(values.get("interface") or ""), router_id,
        _texts(values.get("preferred"), f"{where}.preferred"), bool(values.get("nopreempt", False)), float(interval),
        bool(values.get("unicast", False)), _texts(values.get("pools"), f"{where}.pools"))


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(entry, str) for entry in value):
        raise InvalidValue(where, "is no list of names")
    return tuple(value)


def _addresses(value: object, where: str) -> tuple[Address, ...]:
    """With or without the length of their network, which is the interface's business."""
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidValue(where, "is no list of addresses, or is empty")
    try:
        return tuple(ipaddress.ip_interface(text).ip for text in value)
    except ValueError as error:
        raise InvalidValue(where, str(error)) from error


def router_ids(vips: t.Iterable[Vip]) -> dict[str, int]:
    """The virtual router id of each VIP of all groups, by label; no two have the same. Raises InvalidValue.

    It follows from the VIP's name, and gives way only to one that is written down or comes before it in the alphabet.
    """
    ordered = sorted(vips, key=lambda vip: vip.label)
    found: dict[str, int] = {}
    taken: dict[int, Vip] = {}
    for vip in sorted(ordered, key=lambda vip: vip.router_id is None):
        if vip.router_id is None and len(taken) == ROUTER_IDS:
            raise InvalidValue(vip.where, f"there are more than {ROUTER_IDS} VIPs; put some of them together")
        number = vip.router_id or int(hashlib.sha256(vip.label.encode()).hexdigest(), 16) % ROUTER_IDS + 1
        while vip.router_id is None and number in taken:
            number = number % ROUTER_IDS + 1
        if number in taken:
            raise InvalidValue(f"{vip.where}.router_id", f"{number} is that of {taken[number].where} as well")
        found[vip.label], taken[number] = number, vip
    return found


def order(vip: Vip, number: int, routers: t.Sequence[str]) -> tuple[str, ...]:
    """The routers of the group, the most preferred first. ``number`` is the VIP's among those of its group: they begin with
    different routers. Raises InvalidValue."""
    for name in vip.preferred:
        if name not in routers:
            raise InvalidValue(f"{vip.where}.preferred", f"{syntax.shown(name)} is no router of the group; there are {', '.join(routers) or 'none'}")
    if len(routers) > HIGHEST_PRIORITY - WITHOUT_ROUTES:
        raise InvalidValue(vip.where, f"the group has more than {HIGHEST_PRIORITY - WITHOUT_ROUTES} routers")
    others = sorted(set(routers) - set(vip.preferred))
    first = number % len(others) if others else 0
    return tuple(dict.fromkeys((*vip.preferred, *others[first:], *others[:first])))


def carried(vip: Vip, pools: AddressPools) -> tuple[str, ...]:
    """The addresses of the VIP's layer-2 pools. Raises InvalidValue."""
    found: list[str] = []
    for name in vip.pools:
        if name not in pools.by_name:
            raise InvalidValue(f"{vip.where}.pools", f"there is no pool {syntax.shown(name)} in northgate_address_pools")
        networks = [ipaddress.ip_network(prefix) for prefix in pools.by_name[name].prefixes]
        if len(found) + sum(network.num_addresses for network in networks) > MAX_CARRIED:
            raise InvalidValue(f"{vip.where}.pools", f"has more than {MAX_CARRIED} addresses; announce such pools by BGP")
        found += [str(address) for network in networks for address in network]
    return tuple(found)
