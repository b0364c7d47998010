# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 neighbours.py INTERFACE ADDRESS...``: tells all neighbours of an interface that the addresses are here now."""
from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from pathlib import Path

BROADCAST = b"\xff" * 6
ALL_NODES_MAC = bytes.fromhex("333300000001")
ALL_NODES = ipaddress.ip_address("ff02::1").packed
ARP, IPV6, ICMPV6 = 0x0806, 0x86DD, 58
# Neighbour advertisement, and its flag to override what neighbours know.
ADVERTISEMENT, OVERRIDE = 136, 0x20000000
TARGET_LINK_LAYER_ADDRESS = 2


def frame(mac: bytes, address: str) -> bytes:
    """Return the Ethernet frame that says it for one address: a gratuitous ARP request, or an unsolicited neighbour advertisement."""
    packed = ipaddress.ip_address(address).packed
    if len(packed) == 4:
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + packed + bytes(6) + packed
        return BROADCAST + mac + struct.pack("!H", ARP) + body
    message = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, OVERRIDE) + packed + bytes([TARGET_LINK_LAYER_ADDRESS, 1]) + mac
    pseudo = packed + ALL_NODES + struct.pack("!II", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + packed + ALL_NODES
    return ALL_NODES_MAC + mac + struct.pack("!H", IPV6) + header + message


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(interface: str, addresses: list[str]) -> None:
    """Send a frame for each address."""
    mac = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for address in addresses:
            wire.send(frame(mac, address))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
