# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages against what a kernel tells, and against bytes written by hand from uapi/linux/ip_vs.h."""

from __future__ import annotations

import json
import pathlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import Destination, Frontend, Prefixes, VirtualService
from ansible_collections.northgate.edge.plugins.module_utils._ipvs import codec, mirror, table
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.codec import Operation

REAL = json.loads((pathlib.Path(__file__).parent / "data" / "linux-6.1.json").read_text("utf-8"))
EVERYTHING = Prefixes(["0.0.0.0/0", "::/0"])
WEB = Frontend("TCP", "203.0.113.1", 80)


def real_services():
    return [service for body in REAL["services"] if (service := codec.parse_service(bytes.fromhex(body)))]


def real_destinations(frontend):
    return [codec.parse_destination(bytes.fromhex(body), socket.AF_INET) for body in REAL["destinations"][str(frontend)]]


def test_the_table_of_a_real_kernel_is_read_as_the_rules_that_made_it():
    found = table.parse(REAL["proc"].splitlines(), EVERYTHING)
    assert not table.complete(found, real_services(), EVERYTHING)
    table.with_tunnels(found, real_destinations)
    assert {frontend: known.service for frontend, known in found.items()} == mirror.parse(REAL["rules"])[0]


def test_what_we_send_is_read_by_the_kernels_own_rules_for_what_it_tells():
    """The kernel's answer has more attributes than a command; those that a command has are the same."""
    services, _drains = mirror.parse(REAL["rules"])
    told = {codec.parse_service(bytes.fromhex(body))[0]: bytes.fromhex(body) for body in REAL["services"] if codec.parse_service(bytes.fromhex(body))}
    for frontend, service in services.items():
        ours = codec.payload(Operation(codec.NEW_SERVICE, frontend, service))
        assert values(ours, 1, exclude={3, 7}).items() <= values(told[frontend], 1).items()


def values(body, kind, exclude=()):
    """The values of nested attributes; without the address (the kernel pads it) and flags (the kernel has one more)."""
    return {k: body[slice(*where)] for k, where in codec.attributes(body, *codec.attributes(body, 4)[kind]).items() if k not in exclude}


def test_a_new_service_in_bytes():
    service = VirtualService("mh", ("mh-fallback", "mh-port"))
    expected = (
        "01010000"  # NEW_SERVICE, version 1
        "48000100"  # IPVS_CMD_ATTR_SERVICE
        "0600010002000000"  # AF: AF_INET
        "0600020006000000"  # PROTOCOL: TCP
        "08000300cb007101"  # ADDR
        "0600040000500000"  # PORT, big endian
        "070006006d680000"  # SCHED_NAME: mh
        "0c00070018000000ffffffff"  # FLAGS: MH_FALLBACK 0x8, MH_PORT 0x10, and the mask
        "0800080000000000"  # TIMEOUT
        "08000900ffffffff"  # NETMASK
    )
    assert codec.payload(Operation(codec.NEW_SERVICE, WEB, service)).hex() == expected


def test_a_tunnels_destination_in_bytes():
    frontend = Frontend("UDP", "2001:db8::1", 53)
    destination = Destination("fd00::7", 53, "tunnel", 2, "gue", 6080)
    expected = (
        "05010000"  # NEW_DEST
        "30000100" "060001000a000000" "0600020011000000" "1400030020010db8000000000000000000000001" "0600040000350000"
        "60000200"  # IPVS_CMD_ATTR_DEST
        "14000100fd000000000000000000000000000007" "0600020000350000" "06000b000a000000"  # ADDR, PORT, ADDR_FAMILY
        "0800030002000000" "0800040002000000" "0800050000000000" "0800060000000000"  # tunnel, weight 2, no thresholds
        "05000d0001000000"  # TUN_TYPE: GUE
        "06000e0017c00000"  # TUN_PORT, big endian
        "06000f0000000000"  # TUN_FLAGS
    )  # fmt: skip
    assert codec.payload(Operation(codec.NEW_DEST, frontend, None, destination)).hex() == expected


def test_persistence_of_ipv6_has_a_prefix_length_and_a_flag():
    frontend = Frontend("TCP", "2001:db8::1", 80)
    found = values(codec.payload(Operation(codec.NEW_SERVICE, frontend, VirtualService("rr", (), 300))), 1)
    assert (found[7], found[8], found[9]) == (bytes.fromhex("01000000ffffffff"), (300).to_bytes(4, "little"), (128).to_bytes(4, "little"))


_addresses = st.ip_addresses().map(str).filter(lambda text: not text.startswith("::ffff:"))
_frontends = st.builds(Frontend, st.sampled_from(["TCP", "UDP", "SCTP"]), _addresses, st.integers(1, 65535))
_flags = st.sampled_from([("mh", ("mh-fallback", "mh-port")), ("sh", ("sh-port",)), ("wlc", ()), ("other", ("flag-1", "flag-3", "ops"))])


@given(_frontends, _flags, st.integers(0, 86400))
def test_services_are_parsed_as_they_were_packed(frontend, kind, persistence):
    service = VirtualService(*kind, persistence)
    for command in (codec.NEW_SERVICE, codec.SET_SERVICE):
        assert codec.parse_service(codec.payload(Operation(command, frontend, service))) == (frontend, service)
    assert codec.parse_service(codec.payload(Operation(codec.DEL_SERVICE, frontend))) == (frontend, VirtualService(""))


@given(
    _frontends, _addresses, st.integers(1, 65535), st.sampled_from([("direct", "", 0), ("masquerade", "", 0), ("tunnel", "ipip", 0), ("tunnel", "gue", 6080)])
)
def test_destinations_are_parsed_as_they_were_packed(frontend, address, port, kind):
    destination = Destination(address, port, kind[0], 7, *kind[1:])
    body = codec.payload(Operation(codec.SET_DEST, frontend, None, destination))
    assert codec.parse_destination(body, socket.AF_INET) == destination
    body = codec.payload(Operation(codec.DEL_DEST, frontend, None, destination))
    assert codec.parse_destination(body, socket.AF_INET).key == destination.key


def test_a_service_with_what_ours_never_have_differs_from_ours():
    body = bytearray.fromhex(REAL["services"][0])
    frontend, service = codec.parse_service(bytes(body))
    assert service.persistence == 300 and service.flags == ()
    place = body.index(b"\x08\x00\x09\x00\xff\xff\xff\xff") + 7
    body[place] = 0
    assert codec.parse_service(bytes(body)) == (frontend, service._replace(flags=("netmask",)))


@pytest.mark.parametrize("cut", [20, 30])
def test_a_message_that_is_cut_is_an_error(cut):
    data = codec.message(23, 0, 1, bytes.fromhex(REAL["services"][0]))
    with pytest.raises(ValueError, match="cut"):
        list(codec.messages(data[:cut]))
    with pytest.raises(ValueError, match="cut"):
        codec.parse_service(bytes.fromhex(REAL["services"][0])[:cut])
