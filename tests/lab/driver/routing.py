# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which router packets go through: announcements, routes of the client, and addresses that move."""
from __future__ import annotations

import concurrent.futures
import contextlib
import ipaddress
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from .command import lab

# A program for a guest: see there.
NEIGHBOURS = Path(__file__).resolve().parents[1] / "traffic" / "neighbours.py"
# The interface of guests that is outside.
OUTSIDE = "outside"


def withdraw(router: str, neighbour: str = "client") -> None:
    """Let a router that runs take back what it announced to a neighbour, and no longer listen to it."""
    _sessions(router, neighbour, "disable")


def announce(router: str, neighbour: str = "client") -> None:
    """Let a router announce again what ``withdraw`` took back."""
    _sessions(router, neighbour, "enable")


def forget(router: str, *hosts: str) -> None:
    """Let hosts drop, at once, all that they learned from a router, which need not run any more."""
    _everywhere(hosts, router, "disable")


def remember(router: str, *hosts: str) -> None:
    """Let hosts listen to a router again."""
    _everywhere(hosts, router, "enable")


def next_hops(host: str, address: str) -> int:
    """Return over how many next hops a host's most exact route to an address goes."""
    wanted = ipaddress.ip_address(address)
    routes = json.loads(lab("exec", host, "--", "ip", f"-{wanted.version}", "-j", "route", "show", "proto", "bird") or "[]")
    matching = [route for route in routes if wanted in ipaddress.ip_network(route["dst"])]
    if not matching:
        return 0
    best = max(matching, key=lambda route: ipaddress.ip_network(route["dst"]).prefixlen)["dst"]
    return sum(len(route.get("nexthops", [route])) for route in matching if route["dst"] == best)


def hash_flows(*hosts: str) -> None:
    """Let hosts with several routes choose one by the ports too, and keep it for a connection's life."""
    for host in hosts:
        lab("exec", host, "--", "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1", "net.core.txrehash=0")


@contextlib.contextmanager
def through(router: str, *addresses: str) -> Iterator[None]:
    """Let the client reach addresses through one router, while the body of ``with`` runs."""
    vias = {ipaddress.ip_address(address).version: address for address in outside_addresses(router)}
    routes = [(ipaddress.ip_address(address), vias[ipaddress.ip_address(address).version]) for address in addresses]
    _batch("client", (f"route replace {address}/{address.max_prefixlen} via {via}" for address, via in routes))
    try:
        yield
    finally:
        _batch("client", (f"route del {address}/{address.max_prefixlen} via {via}" for address, via in routes))


def outside_addresses(router: str) -> list[str]:
    """Return a router's addresses of both families where clients see it."""
    found = json.loads(lab("exec", router, "--", "ip", "-j", "address", "show", "dev", OUTSIDE, "scope", "global"))
    # What the filters leave out is there as an empty object.
    return [entry["local"] for link in found for entry in link.get("addr_info", ()) if entry]


def give(host: str, interface: str, *addresses: str) -> None:
    """Give a host addresses, and tell its neighbours by gratuitous ARP and unsolicited neighbour advertisements."""
    _batch(host, (f"address replace {_alone(address)} dev {interface}{' nodad' if ':' in address else ''}" for address in addresses))
    lab("exec", host, "--", "python3", "-", interface, *addresses, data=NEIGHBOURS.read_text("utf-8"))


def take(host: str, interface: str, *addresses: str) -> None:
    """Take addresses from a host."""
    _batch(host, (f"address del {_alone(address)} dev {interface}" for address in addresses))


def _alone(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"


def _batch(host: str, commands: Iterator[str]) -> None:
    lab("exec", host, "--", "ip", "-batch", "-", data="".join(f"{command}\n" for command in commands))


def _everywhere(hosts: Sequence[str], neighbour: str, verb: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: _sessions(host, neighbour, verb), hosts))


def _sessions(host: str, neighbour: str, verb: str) -> None:
    name = neighbour.replace("-", "_")
    # A pattern of names is a text for BIRD.
    lab("exec", host, "--", "birdc", verb, f'"{name}_v?"')
