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
# Sockets of names that say which ports were given: a name has one owner on the machine, and is free again when its process ends.
_given: list[socket.socket] = []
# Not the common generator, which Hypothesis begins anew for each test.
_random = random.SystemRandom()


def free_port() -> int:
    """A TCP port that nobody has on any IPv4 address, and that no process gives to another test while this one lives.

    It is below those that the kernel gives to whoever asks for any: until the program listens, it would give it to a client or a pod.
    """
    end = int(RANGE.read_text(encoding="ascii").split()[0])
    while True:
        port = _random.randrange(max(1024, end - COUNT), end)
        if _is_free(port) and _is_first(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _is_first(port: int) -> bool:
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0northgate-test-port-{port}")
    except OSError:
        name.close()
        return False
    _given.append(name)
    return True
