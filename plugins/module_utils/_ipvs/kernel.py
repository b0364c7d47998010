# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IPVS of this host's kernel: the table, and commands in batches.

Commands are sent without asking for acknowledgements, which takes a quarter of the time: the kernel answers those
that fail, and an acknowledged command that changes nothing ends each batch.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
import typing as t

from .._core.balance_model import Destination, Frontend, VirtualService
from .._core.errors import ConvergeError
from . import codec, table
from .codec import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, Operation

BATCH = 200
_PROC = "/proc/net/ip_vs"
_RECEIVE = 1 << 17
_SO_RCVBUFFORCE = 33
# How often the table is read until both lists have the same services, with so many seconds between.
_LOOKS, _PAUSE = 20, 0.05
_DOING = {
    codec.NEW_SERVICE: "add", codec.SET_SERVICE: "change", codec.DEL_SERVICE: "delete",
    codec.NEW_DEST: "add destination", codec.SET_DEST: "change destination", codec.DEL_DEST: "delete destination",
}  # fmt: skip


class Failure(t.NamedTuple):
    """A command that was refused, and the errno."""

    operation: Operation
    code: int


class Transport(t.Protocol):
    """A socket bound to the family ``family``."""

    family: int

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes: ...


class Netlink:
    """The generic netlink socket of pyroute2, any version from 0.7.2 on, which knows the family's number."""

    def __init__(self) -> None:
        try:
            from pyroute2.netlink import genlmsg
            from pyroute2.netlink.exceptions import NetlinkError
            from pyroute2.netlink.generic import GenericNetlinkSocket
        except ImportError as error:
            raise ConvergeError(
                f"{sys.executable} has no pyroute2 ({error})", "The role ipvs installs it; set northgate_ipvs_python to the Python that has it"
            ) from error
        self._owner = GenericNetlinkSocket()
        try:
            self._owner.bind(codec.FAMILY, genlmsg)
        except NetlinkError as error:
            raise ConvergeError(f"the kernel has no IPVS ({os.strerror(error.code)})", "Load the module ip_vs, as the role ipvs does") from error
        self.family: int = self._owner.prid
        # From here on bytes only: pyroute2 would parse each message, and its ways to do so differ between versions.
        self._socket = socket.socket(fileno=os.dup(self._owner.fileno()))
        self._socket.setblocking(True)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self) -> bytes:
        return self._socket.recv(_RECEIVE)


def read_proc() -> t.Iterator[str]:
    """The kernel's table as lines of text."""
    try:
        with open(_PROC, encoding="ascii") as file:
            yield from file
    except OSError as error:
        raise ConvergeError(f"{_PROC} can't be read: {error.strerror}", "Load the module ip_vs, as the role ipvs does") from error


class Kernel:
    """``connect`` opens the transport when it is first needed; ``proc`` reads the kernel's table as lines. ``sends`` counts writes."""

    def __init__(self, connect: t.Callable[[], Transport] = Netlink, proc: t.Callable[[], t.Iterable[str]] = read_proc) -> None:
        self._connect, self._proc = connect, proc
        self._opened: Transport | None = None
        self._sequence = 0
        self.sends = 0

    def _connected(self) -> Transport:
        self._opened = self._opened or self._connect()
        return self._opened

    def table(self, ours: t.Container[str]) -> table.Table:
        """The services whose address is in ``ours``. Raises ConvergeError when the kernel's text and its dump have different ones at every look.

        A kernel that makes its table larger or smaller (seen with Linux 7.3) leaves services out of the one or the other meanwhile.
        """
        # The socket first: it says best what is amiss where there is no IPVS.
        self._connected()
        for look in range(_LOOKS):
            if look:
                time.sleep(_PAUSE)
            found = table.parse(self._proc(), ours)
            untold = table.complete(found, self._services(), ours)
            if not untold:
                table.with_tunnels(found, self._destinations)
                return found
        named = ", ".join(sorted(map(str, untold))[:5])
        raise ConvergeError(f"{_PROC} and netlink tell different services: {named}", "Does somebody else change them all the time? Run it again")

    def _services(self) -> t.Iterator[tuple[Frontend, VirtualService]]:
        for body in self._dump(codec.bare(codec.GET_SERVICE), "the services"):
            service = codec.parse_service(body)
            if service:
                yield service

    def _destinations(self, frontend: Frontend) -> list[Destination]:
        request = codec.payload(Operation(codec.GET_DEST, frontend))
        family = codec.address_family(frontend.address)
        return [codec.parse_destination(body, family) for body in self._dump(request, str(frontend))]

    def _dump(self, request: bytes, what: str) -> t.Iterator[bytes]:
        number = self._next()
        self._send(codec.message(self._connected().family, NLM_F_REQUEST | NLM_F_DUMP, number, request))
        while True:
            for kind, _flags, sequence, body in self._receive():
                if sequence != number:
                    continue
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    code = codec.error_number(body)
                    raise ConvergeError(f"the kernel does not tell {what}: {os.strerror(code)}", "Run it again as root" if code == errno.EPERM else "")
                yield body

    def apply(self, operations: t.Sequence[Operation]) -> list[Failure]:
        """Does all of them; returns those that the kernel refused."""
        failed: list[Failure] = []
        start = 0
        while start < len(operations):
            end = min(start + BATCH, len(operations))
            # The kernel does a batch as a whole, whatever happens to us: what is deleted to be added again is never just gone.
            while end < len(operations) and operations[end].target == operations[end - 1].target:
                end += 1
            failed += self._batch(operations[start:end])
            start = end
        return failed

    def _batch(self, operations: t.Sequence[Operation]) -> list[Failure]:
        family, numbers, data = self._connected().family, {}, []
        for operation in operations:
            number = self._next()
            numbers[number] = operation
            data.append(codec.message(family, NLM_F_REQUEST, number, codec.payload(operation)))
        last = self._next()
        data.append(codec.message(family, NLM_F_REQUEST | NLM_F_ACK, last, codec.bare(codec.GET_INFO)))
        self._send(b"".join(data))
        failed: list[Failure] = []
        while True:
            for kind, _flags, sequence, body in self._receive():
                if kind != NLMSG_ERROR:
                    continue
                code = codec.error_number(body)
                if sequence == last:
                    if code:
                        raise ConvergeError(f"IPVS does not answer: {os.strerror(code)}", _hint(None, code))
                    return failed
                if sequence in numbers and code:
                    failed.append(Failure(numbers[sequence], code))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _send(self, data: bytes) -> None:
        self.sends += 1
        try:
            self._connected().send(data)
        except OSError as error:
            raise ConvergeError(f"IPVS takes no commands: {error.strerror}", "Run it again; a repeated run repairs what is half done") from error

    def _receive(self) -> list[tuple[int, int, int, bytes]]:
        try:
            return list(codec.messages(self._connected().receive()))
        except (OSError, ValueError) as error:
            raise ConvergeError(f"answers of IPVS were lost: {error}", "Run it again; a repeated run repairs what is half done") from error


def refusal(failed: t.Sequence[Failure]) -> ConvergeError:
    """The error that names what was refused, and the way out of the first."""
    named = "; ".join(f"{_named(operation)}: {os.strerror(code)}" for operation, code in failed[:5])
    return ConvergeError(f"IPVS refused {len(failed)} commands: {named}", _hint(*failed[0]))


def _named(operation: Operation) -> str:
    of = f" {operation.destination} of" if operation.destination else ""
    return f"{_DOING[operation.command]}{of} {operation.frontend}"


def _hint(operation: Operation | None, code: int) -> str:
    """The operator's way out."""
    if code == errno.EPERM:
        return "Run it as root (become: true)"
    if operation and operation.service and code == errno.ENOENT:
        return f"Load the module ip_vs_{operation.service.scheduler}: the role ipvs does, for the schedulers that it is told"
    if code in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return "This kernel's IPVS lacks the protocol or IPv6: another kernel has them"
    if operation and operation.destination and operation.destination.tunnel and code == errno.EINVAL:
        return "Is the kernel older than 5.3? Its IPVS knows no GUE: choose tunnel ipip"
    return "Did somebody else change IPVS at the same time? Run it again"
