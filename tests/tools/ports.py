# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for programs that tests start later."""

from __future__ import annotations

import pathlib
import random
import socket

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
# How many ports below that range are ours to choose from.
COUNT = 12_000
_given: set[int] = set()
# Not the common generator, which Hypothesis begins anew for each test.
_random = random.SystemRandom()


def free_port() -> int:
    """A TCP port that nobody has on any IPv4 address, and that this process did not give before.

    It is below those that the kernel gives to whoever asks for any: until the program listens, it would give it to a client or a pod.
    """
    end = int(RANGE.read_text(encoding="ascii").split()[0])
    while True:
        port = _random.randrange(max(1024, end - COUNT), end)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
