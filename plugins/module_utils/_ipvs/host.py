# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the router itself is: its addresses, and whether it can translate addresses."""

from __future__ import annotations

import json
import subprocess

from .._core.errors import ConvergeError

_CONNTRACK = "/proc/sys/net/ipv4/vs/conntrack"


def own_addresses() -> frozenset[str]:
    """The addresses that are configured on interfaces."""
    try:
        done = subprocess.run(["ip", "-json", "address", "show"], capture_output=True, text=True, check=True)
        interfaces = json.loads(done.stdout or "[]")
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise ConvergeError(f"ip does not tell the router's addresses: {error}", "Is iproute2 installed? ip -json address show") from error
    return frozenset(entry["local"] for interface in interfaces for entry in interface.get("addr_info", ()) if "local" in entry)


def translates() -> bool:
    """Whether connections of IPVS are known to conntrack, without which there is no source NAT for them."""
    try:
        with open(_CONNTRACK, encoding="ascii") as file:
            return file.read().strip() != "0"
    except OSError:
        return True  # There is no such setting here, so nothing says that it is off.
