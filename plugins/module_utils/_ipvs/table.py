# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's table of virtual services, from the text of /proc/net/ip_vs. Pure.

The text has in one read what netlink tells in one dump for each service: destinations with their connections. It
lacks the flags of services and the kind of tunnels, which netlink has.
"""

from __future__ import annotations

import socket
import typing as t
from dataclasses import dataclass

from .._core.balance_model import Destination, Frontend, VirtualService
from .._core.services import DIRECT, MASQUERADE, TUNNEL

_METHODS = {"Masq": MASQUERADE, "Route": DIRECT, "Tunnel": TUNNEL}
_PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True)
class Known:
    """A service in the kernel. ``connections`` (active and inactive ones) by key of those destinations that have any.

    Unlike a wanted service's, the destinations are in the order in which they were added.
    """

    service: VirtualService
    connections: dict[tuple[str, int], int]


Table = dict[Frontend, Known]


class _Addresses(dict[str, tuple[str, int]]):
    """ADDRESS:PORT as the kernel writes them (hexadecimal; IPv6 in brackets), each read once."""

    def __missing__(self, text: str) -> tuple[str, int]:
        address, _colon, port = text.rpartition(":")
        if address.startswith("["):
            canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address[1:-1]))
        else:
            canonical = socket.inet_ntop(socket.AF_INET, bytes.fromhex(address))
        found = self[text] = (canonical, int(port, 16))
        return found


def parse(lines: t.Iterable[str], ours: t.Container[str]) -> Table:
    """The services whose address is in ``ours``; all others, also those by firewall mark, are left out."""
    found: Table = {}
    addresses = _Addresses()
    destinations: list[Destination] = []
    connections: dict[tuple[str, int], int] = {}
    frontend: Frontend | None = None
    scheduler = ""

    def close() -> None:
        if frontend is not None:
            # Each new destination comes to the head of the kernel's list.
            destinations.reverse()
            found[frontend] = Known(VirtualService(scheduler, (), 0, tuple(destinations)), connections)

    for line in lines:
        words = line.split()
        if words[:1] == ["->"]:
            if frontend is not None and len(words) == 6:
                address, port = addresses[words[1]]
                method = _METHODS.get(words[2], "local")
                destinations.append(Destination(address, port, method, int(words[3])))
                if words[4:] != ["0", "0"]:
                    connections[(address, port)] = int(words[4]) + int(words[5])
            continue
        close()
        frontend = None
        if len(words) > 2 and words[0] in _PROTOCOLS:
            address, port = addresses[words[1]]
            if address in ours:
                frontend, scheduler, destinations, connections = Frontend(words[0], address, port), words[2], [], {}
    close()
    return found


def complete(table: Table, services: t.Iterable[tuple[Frontend, VirtualService]], ours: t.Container[str]) -> set[Frontend]:
    """Adds what netlink says of services: scheduler, flags and persistence. Returns those that are in one of the two only."""
    untold = set(table)
    for frontend, of_netlink in services:
        if frontend in table:
            untold.discard(frontend)
            known = table[frontend]
            service = VirtualService(of_netlink.scheduler, of_netlink.flags, of_netlink.persistence, known.service.destinations)
            table[frontend] = Known(service, known.connections)
        elif frontend.address in ours:
            untold.add(frontend)
    return untold


def with_tunnels(table: Table, tunnels: t.Callable[[Frontend], list[Destination]]) -> None:
    """Asks ``tunnels`` for the destinations of services that have a tunnel, and puts these in."""
    for frontend, known in table.items():
        if any(d.method == TUNNEL for d in known.service.destinations):
            by_key = {d.key: d for d in tunnels(frontend)}
            destinations = tuple(by_key.get(d.key, d) for d in known.service.destinations)
            table[frontend] = Known(known.service._replace(destinations=destinations), known.connections)
