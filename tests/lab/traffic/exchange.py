# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question over a new connection, or in one datagram, and what reads its answer: machines that never block."""
from __future__ import annotations

import json
import selectors
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .records import CLOSED, GONE, OK, OTHER, STATUS, letter
from .stream import MOST, Target, open_socket

HEAD_END = b"\r\n\r\n"
GONE_STATUS = 410


class Reader(Protocol):
    """Takes an answer as it comes. ``take`` returns "" as long as there has to be more, and then the outcome.

    It may raise ValueError, TypeError and KeyError for what is no such answer.
    """

    def take(self, data: bytes) -> str: ...


@dataclass(frozen=True)
class Tls:
    """How to do TLS; the name is what is asked for by SNI."""

    context: ssl.SSLContext
    name: str

    @classmethod
    def trusting(cls, ca: str, name: str) -> Tls:
        """Verify with the authority in file ``ca``. Not the name: one certificate is known by several, and reached by none of them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(ca)
        return cls(context, name)


class Exchange:
    """A question to one place. ``wanted`` is what it waits for; ``outcome`` is "" until it is over, and then its socket is closed."""

    def __init__(self, target: Target, question: bytes, reader: Reader, tls: Tls | None = None) -> None:
        self._question, self._reader, self._tls = question, reader, tls
        self._socket: socket.socket | None = None
        self._step: Callable[[], str] = self._connected
        self.wanted = selectors.EVENT_WRITE
        self.outcome = ""
        self._guarded(lambda: self._open(target))

    def fileno(self) -> int:
        """Return the socket's number."""
        return self._socket.fileno()

    def go_on(self) -> None:
        """Do what can be done without waiting; what it waited for is there."""
        if not self.outcome:
            self._guarded(self._step)

    def end(self, outcome: str) -> None:
        """Give up with an outcome, unless it is over."""
        self.outcome = self.outcome or outcome
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _guarded(self, step: Callable[[], str]) -> None:
        try:
            outcome = step()
        except (BlockingIOError, ssl.SSLWantReadError):
            self.wanted = selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            self.wanted = selectors.EVENT_WRITE
        except OSError as error:
            self.end(letter(error))
        except (ValueError, TypeError, KeyError):
            self.end(OTHER)
        else:
            if outcome:
                self.end(outcome)

    def _open(self, target: Target) -> str:
        self._socket = open_socket(target)
        return self._ask() if target.protocol == "udp" else ""

    def _connected(self) -> str:
        if found := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(found, "")
        if self._tls is None:
            return self._ask()
        self._socket = self._tls.context.wrap_socket(self._socket, server_hostname=self._tls.name, do_handshake_on_connect=False)
        self._step = self._shake_hands
        return self._shake_hands()

    def _shake_hands(self) -> str:
        self._socket.do_handshake()
        return self._ask()

    def _ask(self) -> str:
        self._step, self.wanted = self._read, selectors.EVENT_READ
        self._socket.send(self._question)
        return ""

    def _read(self) -> str:
        """Read what is there: of TLS all of it, for what the library has read already wakes nobody."""
        while data := self._socket.recv(MOST):
            if (outcome := self._reader.take(data)) or self._tls is None:
                return outcome
        return CLOSED


def get(host: str, path: str, headers: dict[str, str] | None = None) -> bytes:
    """Return a GET request on a connection of its own."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode()


class HttpAnswer:
    """A whole answer with status 200; any other status will do as a failure."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, data: bytes) -> str:
        self._data += data
        head, found, body = self._data.partition(HEAD_END)
        if not found:
            return ""
        status, fields = read_head(head)
        if status != 200:
            return STATUS
        length = fields.get("content-length", "")
        whole = len(body) >= int(length) if length.isdigit() else body.endswith(b"0" + HEAD_END)
        return OK if whole else ""


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status (0: this is no HTTP) and fields of an answer."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(words[1]) if words[0].startswith("HTTP/1.") and words[1:] and words[1].isdigit() else 0, fields


class EchoAnswer:
    """What the application echo says to ``word``, after so many lines that it says unasked."""

    def __init__(self, word: str, greetings: int) -> None:
        self._word, self._greetings = word, greetings
        self._data = b""

    def take(self, data: bytes) -> str:
        self._data += data
        *lines, _ = self._data.split(b"\n")
        if len(lines) <= self._greetings:
            return ""
        return OK if json.loads(lines[self._greetings])["data"] == self._word else OTHER


class WatchAnswer:
    """The events of a watch on the API, each given to ``tell``. It is over when there are no more, or one is an error."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._is_head_read = False
        self._data = self._text = b""

    def take(self, data: bytes) -> str:
        self._data += data
        if not self._is_head_read:
            head, found, rest = self._data.partition(HEAD_END)
            if not found:
                return ""
            if (status := read_head(head)[0]) != 200:
                return GONE if status == GONE_STATUS else STATUS
            self._is_head_read, self._data = True, rest
        return self._chunks()

    def _chunks(self) -> str:
        while True:
            size, found, rest = self._data.partition(b"\r\n")
            if not found:
                return ""
            length = int(size.split(b";")[0], 16)
            if not length:
                return CLOSED
            if len(rest) < length + 2:
                return ""
            self._text, self._data = self._text + rest[:length], rest[length + 2:]
            *lines, self._text = self._text.split(b"\n")
            for event in map(json.loads, lines):
                if event["type"] == "ERROR":
                    return GONE if event["object"]["code"] == GONE_STATUS else STATUS
                self._tell(event["object"])
