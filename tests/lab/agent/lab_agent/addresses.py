# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses for pods out of the node's prefixes."""
from __future__ import annotations

import ipaddress
import threading

LOWEST, HIGHEST = 2, 254


class Pool:
    """Hands out host numbers that are the same in each of the node's prefixes.

    A number comes back last, so that connections to a pod that is gone do not meet a new one.
    """

    def __init__(self, prefixes: list[str]) -> None:
        self._networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
        self._free = list(range(LOWEST, HIGHEST + 1))
        self._lock = threading.Lock()

    def take(self, preferred: str = "") -> list[str]:
        """Return one address of each prefix, in their order; the numbers of `preferred` when free.

        Raises IndexError when the node is full.
        """
        with self._lock:
            number = self._number(preferred)
            if number in self._free:
                self._free.remove(number)
            else:
                number = self._free.pop(0)
            return [str(network[number]) for network in self._networks]

    def give_back(self, addresses: list[str]) -> None:
        """Make the addresses of one pod available again."""
        with self._lock:
            number = self._number(addresses[0])
            if number is not None and number not in self._free:
                self._free.append(number)

    def _number(self, address: str) -> int | None:
        for network in self._networks:
            if address and ipaddress.ip_address(address) in network:
                return int(ipaddress.ip_address(address)) - int(network.network_address)
        return None
