# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of IPVS's generic netlink family, packed and parsed by hand. Pure.

Generic encoders take ten times as long, which counts with tens of thousands of rules. Structure and numbers are
those of the kernel's uapi headers linux/netlink.h, linux/genetlink.h and linux/ip_vs.h.
"""

from __future__ import annotations

import socket
import struct
import typing as t
from functools import lru_cache

from .._core.balance_model import GUE, IPIP, Destination, Frontend, VirtualService
from .._core.services import DIRECT, MASQUERADE, TUNNEL

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = range(1, 9)
SET_INFO, GET_INFO = 14, 15
FAMILY, VERSION = "IPVS", 1

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
_TYPE_MASK = 0x3FFF  # Of an attribute: the two bits above say nested and byte order.

_SERVICE, _DEST = 1, 2
_AF, _PROTOCOL, _ADDR, _PORT, _FWMARK, _SCHED_NAME, _FLAGS, _TIMEOUT, _NETMASK = range(1, 10)
_PE_NAME = 11
_D_ADDR, _D_PORT, _D_METHOD, _D_WEIGHT, _D_UPPER, _D_LOWER, _D_ACTIVE, _D_INACTIVE = range(1, 9)
_D_FAMILY, _D_TUN_TYPE, _D_TUN_PORT, _D_TUN_FLAGS = 11, 13, 14, 15

PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
METHODS = {MASQUERADE: 0, TUNNEL: 2, DIRECT: 3}
_METHOD_NAMES = {number: name for name, number in METHODS.items()}
TUNNEL_TYPES = {IPIP: 0, GUE: 1}
_TUNNEL_NAMES = {**{number: name for name, number in TUNNEL_TYPES.items()}, 2: "gre"}

PERSISTENT, ONE_PACKET = 0x1, 0x4
# What a scheduler makes of its three flags; the others' have no names.
_SCHEDULER_FLAGS = {"mh": ("mh-fallback", "mh-port"), "sh": ("sh-fallback", "sh-port")}
# Not flags for the kernel: what a service has that none of ours has, so that it differs from what is wanted.
NARROW_NETMASK, ENGINE = "netmask", "persistence-engine"

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")


class Operation(t.NamedTuple):
    """A command for the kernel: on the service of a frontend, or on one of its destinations."""

    command: int
    frontend: Frontend
    service: VirtualService | None = None
    destination: Destination | None = None

    @property
    def target(self) -> tuple[Frontend, tuple[str, int] | None]:
        """What it changes."""
        return (self.frontend, self.destination.key if self.destination else None)


def _packed(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _u32(kind: int, number: int) -> bytes:
    return struct.pack("=HHI", 8, kind, number)


def _u16(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH2sxx", 6, kind, data)


def address_family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@lru_cache(maxsize=64)
def flag_names(scheduler: str, flags: int) -> tuple[str, ...]:
    """The flags of a scheduler (and one-packet scheduling) as ipvsadm names them, sorted."""
    known = _SCHEDULER_FLAGS.get(scheduler, ())
    names = [known[i] if i < len(known) else f"flag-{i + 1}" for i in range(3) if flags & 0x8 << i]
    return tuple(sorted([*names, "ops"] if flags & ONE_PACKET else names))


def flag_bits(scheduler: str, names: t.Iterable[str]) -> int:
    """The inverse of flag_names."""
    known = (*_SCHEDULER_FLAGS.get(scheduler, ()), "flag-1", "flag-2", "flag-3")
    bits = {**{f"flag-{i + 1}": 0x8 << i for i in range(3)}, **{known[i]: 0x8 << i for i in range(len(known) - 3)}, "ops": ONE_PACKET}
    return sum(bits.get(name, 0) for name in names)


@lru_cache(maxsize=8)
def _identity(frontend: Frontend) -> bytes:
    family = address_family(frontend.address)
    return b"".join(
        (
            _u16(_AF, struct.pack("=H", family)),
            _u16(_PROTOCOL, struct.pack("=H", PROTOCOLS[frontend.protocol])),
            _packed(_ADDR, socket.inet_pton(family, frontend.address)),
            _u16(_PORT, struct.pack(">H", frontend.port)),
        )
    )


def _details(frontend: Frontend, service: VirtualService) -> bytes:
    flags = flag_bits(service.scheduler, service.flags) | (PERSISTENT if service.persistence else 0)
    # The kernel wants a whole netmask, for IPv6 as the length of a prefix, with and without persistence.
    netmask = _u32(_NETMASK, 128) if ":" in frontend.address else _packed(_NETMASK, b"\xff" * 4)
    return b"".join(
        (
            _packed(_SCHED_NAME, service.scheduler.encode() + b"\0"),
            _packed(_FLAGS, struct.pack("=II", flags, 0xFFFFFFFF)),
            _u32(_TIMEOUT, service.persistence),
            netmask,
        )
    )


def _destination(destination: Destination, whole: bool) -> bytes:
    family = address_family(destination.address)
    parts = [
        _packed(_D_ADDR, socket.inet_pton(family, destination.address)),
        _u16(_D_PORT, struct.pack(">H", destination.port)),
        _u16(_D_FAMILY, struct.pack("=H", family)),
    ]
    if whole:
        parts += [_u32(_D_METHOD, METHODS[destination.method]), _u32(_D_WEIGHT, destination.weight), _u32(_D_UPPER, 0), _u32(_D_LOWER, 0)]
    if whole and destination.method == TUNNEL:
        parts += [
            _packed(_D_TUN_TYPE, bytes([TUNNEL_TYPES[destination.tunnel]])),
            _u16(_D_TUN_PORT, struct.pack(">H", destination.tunnel_port)),
            _u16(_D_TUN_FLAGS, struct.pack("=H", 0)),
        ]
    return b"".join(parts)


def payload(operation: Operation) -> bytes:
    """The generic netlink header and attributes of a command."""
    command, frontend, service, destination = operation
    found = _identity(frontend)
    if service is not None:
        found += _details(frontend, service)
    found = struct.pack("=BBH", command, VERSION, 0) + _packed(_SERVICE, found)
    if destination is not None:
        found += _packed(_DEST, _destination(destination, command != DEL_DEST))
    return found


def bare(command: int) -> bytes:
    """A command that concerns no service: GET_INFO, or GET_SERVICE of all."""
    return struct.pack("=BBH", command, VERSION, 0)


def message(family: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A netlink message."""
    return _HEADER.pack(16 + len(body), family, flags, sequence, 0) + body


def messages(data: bytes) -> t.Iterator[tuple[int, int, int, bytes]]:
    """The messages of a datagram: type, flags, sequence number and body."""
    place = 0
    while place + 16 <= len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, place)
        if length < 16 or place + length > len(data):
            raise ValueError("a netlink message is cut")
        yield kind, flags, sequence, data[place + 16 : place + length]
        place += length + (-length % 4)


def error_number(body: bytes) -> int:
    """Of an NLMSG_ERROR: the errno, 0 for an acknowledgement."""
    return -struct.unpack_from("=i", body)[0]


def attributes(data: bytes, start: int = 0, end: int | None = None) -> dict[int, tuple[int, int]]:
    """Where the values of attributes are: type to start and end within ``data``."""
    found, end = {}, len(data) if end is None else end
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4 or start + length > end:
            raise ValueError("a netlink attribute is cut")
        found[kind & _TYPE_MASK] = (start + 4, start + length)
        start += length + (-length % 4)
    return found


def _address(data: bytes, family: int) -> str:
    return socket.inet_ntop(family, data[: 16 if family == socket.AF_INET6 else 4])


def parse_service(body: bytes) -> tuple[Frontend, VirtualService] | None:
    """The service of a message (its destinations are not in it); None for one by firewall mark, which is never ours.

    Of a command that only names its service, the scheduler is "".
    """
    nested = attributes(body, 4)[_SERVICE]
    found = attributes(body, *nested)
    if _PORT not in found:
        return None
    family = struct.unpack_from("=H", body, found[_AF][0])[0]
    protocol = struct.unpack_from("=H", body, found[_PROTOCOL][0])[0]
    port = struct.unpack_from(">H", body, found[_PORT][0])[0]
    frontend = Frontend(_PROTOCOL_NAMES.get(protocol, str(protocol)), _address(body[slice(*found[_ADDR])], family), port)
    if _SCHED_NAME not in found:
        return frontend, VirtualService("")
    scheduler = body[slice(*found[_SCHED_NAME])].rstrip(b"\0").decode("ascii", "replace")
    flags = _U32.unpack_from(body, found[_FLAGS][0])[0]
    names = flag_names(scheduler, flags)
    persistence = _U32.unpack_from(body, found[_TIMEOUT][0])[0] if flags & PERSISTENT else 0
    if flags & PERSISTENT and body[slice(*found[_NETMASK])] not in (b"\xff" * 4, _U32.pack(128)):
        names += (NARROW_NETMASK,)
    if _PE_NAME in found:
        names += (ENGINE,)
    return frontend, VirtualService(scheduler, names, persistence)


def parse_destination(body: bytes, family: int) -> Destination:
    """The destination of a message. ``family`` (an AF_ number) is its service's, for kernels that do not tell the destination's."""
    found = attributes(body, *attributes(body, 4)[_DEST])

    def number(kind: int, shape: str) -> int:
        return struct.unpack_from(shape, body, found[kind][0])[0] if kind in found else 0

    family = number(_D_FAMILY, "=H") or family
    method = _METHOD_NAMES.get(number(_D_METHOD, "=I") & 7, "local")
    tunnel = _TUNNEL_NAMES.get(body[found[_D_TUN_TYPE][0]] if _D_TUN_TYPE in found else 0, "unknown") if method == TUNNEL else ""
    tunnel_port = number(_D_TUN_PORT, ">H") if tunnel == GUE else 0
    address = _address(body[slice(*found[_D_ADDR])], family)
    return Destination(address, number(_D_PORT, ">H"), method, number(_D_WEIGHT, "=i"), tunnel, tunnel_port)
