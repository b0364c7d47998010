# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One conversation with the application echo over TCP, UDP or SCTP, as a machine that never blocks."""
from __future__ import annotations

import errno
import json
import socket
from dataclasses import dataclass
from typing import Any

PROTOCOLS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, 132),
}
MOST = 65536
CONNECTING, GREETING, TALKING, OVER = "connecting", "greeting", "talking", "over"
REFUSED, TIMEOUT = "refused", "timeout"


@dataclass(frozen=True)
class Target:
    """Where to, and over what. ``source`` and ``source_port`` are where from; "" and 0 leave that to the kernel."""

    protocol: str
    address: str
    port: int
    source: str = ""
    source_port: int = 0

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``tcp:192.0.2.1:80`` or ``udp:[2001:db8::1]:53``; raises ValueError."""
        protocol, _, place = text.partition(":")
        address, _, port = place.rpartition(":")
        if protocol not in PROTOCOLS or not address or not port.isdigit():
            raise ValueError(f"{text!r} is not PROTOCOL:ADDRESS:PORT with one of {', '.join(PROTOCOLS)}")
        return cls(protocol, address.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"{self.protocol}:[{self.address}]:{self.port}" if ":" in self.address else f"{self.protocol}:{self.address}:{self.port}"


def open_socket(target: Target) -> socket.socket:
    """Return a socket that is connected, or about to be. Raises OSError.

    SCTP would tell the other side every address that it has, and heartbeats between these are cut where addresses are
    translated; so each socket is bound to the one address from which the target is reached.
    """
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    kind, number = PROTOCOLS[target.protocol]
    opened = socket.socket(family, kind, number)
    try:
        opened.setblocking(False)
        if target.source or target.source_port or target.protocol == "sctp":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((target.source or _own_address(family, target), target.source_port))
        if found := opened.connect_ex((target.address, target.port)):
            if found != errno.EINPROGRESS:
                raise OSError(found, errno.errorcode[found])
    except OSError:
        opened.close()
        raise
    return opened


def _own_address(family: int, target: Target) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((target.address, target.port))
        return probe.getsockname()[0]


def reason(error: OSError) -> str:
    """Return ``refused`` for a refusal, else the error's name, in lower case: ``econnreset``."""
    if error.errno == errno.ECONNREFUSED:
        return REFUSED
    return errno.errorcode.get(error.errno, type(error).__name__).lower()


class Stream:
    """A conversation: numbered messages, one at a time, each of which must come back from the same pod.

    Times are seconds of one clock, and come from the caller. Over TCP and SCTP the other side greets first, and any error
    or silence of ``patience`` seconds ends it. A datagram without an answer within ``resend`` seconds is lost and the
    next one is sent; so only silence ends it, and another pod is counted. Messages are longer by ``padding`` bytes.
    """

    def __init__(self, number: int, target: Target, interval: float, patience: float, resend: float = 1.0, padding: int = 0) -> None:
        self.number, self.target, self._padding = number, target, "x" * padding
        self.interval, self.patience, self.resend = interval, patience, resend
        self.is_datagram = target.protocol == "udp"
        self.socket: socket.socket | None = None
        self.state, self.why, self.when = CONNECTING, "", 0.0
        self.answer: dict[str, Any] = {}
        self.messages = self.lost = self.refused = self.pod_changes = 0
        # When the message was sent that was answered last, and the longest time that an answer took.
        self.answered_of = float("-inf")
        self.longest = 0.0
        self._sent = 0
        # When the last message was sent, and since when the other side owes us something.
        self._sent_at = self._asked_at = 0.0
        self._waiting = False
        self._received = b""

    def begin(self, now: float) -> None:
        """Open the socket; one that can't be opened ends the stream."""
        self._asked_at = self._sent_at = now
        try:
            self.socket = open_socket(self.target)
        except OSError as error:
            self.end(reason(error), now)
            return
        if self.is_datagram:
            self.state = TALKING

    @property
    def pod(self) -> str:
        """The pod that answered last; "" before the first answer."""
        return self.answer.get("pod", "")

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state == OVER

    @property
    def waiting_since(self) -> float:
        """Since when the other side owes it something, or did when it ended; infinite when it does not."""
        return self._asked_at if self._waiting or not self._sent else float("inf")

    def due(self) -> float:
        """When ``tick`` has something to do next."""
        if self.state == TALKING and not self._waiting:
            return self._sent_at + self.interval if self._sent else self._sent_at
        end = self._asked_at + self.patience
        return min(end, self._sent_at + self.resend) if self.is_datagram else end

    def tick(self, now: float) -> None:
        """Do what is due: send the next message, or give up."""
        if self.is_over or now < self.due():
            return
        if (self._waiting or self.state != TALKING) and now >= self._asked_at + self.patience:
            self.end(TIMEOUT, now)
            return
        if self._waiting:
            self.lost += 1
        else:
            self._asked_at = now
        self._send(now)

    def writable(self, now: float) -> None:
        """The socket has connected, or failed to."""
        if found := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end(reason(OSError(found, "")), now)
        else:
            self.state = GREETING

    def readable(self, now: float) -> None:
        """Read what has come, and check it."""
        try:
            data = self.socket.recv(MOST)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(error, now)
            return
        if self.is_datagram:
            self._take(data, now)
            return
        if not data:
            self.end("closed", now)
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            if not self.is_over:
                self._take(line, now)

    def end(self, why: str, now: float) -> None:
        """End it, for a reason; what it had been told stays."""
        if not self.is_over:
            self.state, self.why, self.when = OVER, why, now
        self.close()

    def close(self) -> None:
        """Close the socket."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _send(self, now: float) -> None:
        self._sent += 1
        self._sent_at, self._waiting = now, True
        try:
            self.socket.send(f"{self._message()}\n".encode())
        except OSError as error:
            self._failed(error, now)

    def _message(self) -> str:
        return f"{self.number}-{self._sent}{self._padding}"

    def _failed(self, error: OSError, now: float) -> None:
        """A datagram's error is about one before it: the stream goes on until nobody answers for long."""
        if not self.is_datagram:
            self.end(reason(error), now)
        elif error.errno == errno.ECONNREFUSED:
            self.refused += 1

    def _take(self, line: bytes, now: float) -> None:
        try:
            answer = json.loads(line)
            pod, data = answer["pod"], answer["data"]
        except (ValueError, TypeError, KeyError):
            self.end(f"no answer of echo: {line[:80]!r}", now)
            return
        if self.pod and pod != self.pod:
            if not self.is_datagram:
                self.end(f"pod {pod} answered instead of {self.pod}", now)
                return
            self.pod_changes += 1
        if self.state == GREETING:
            self.answer, self.state = answer, TALKING
            return
        if data != self._message():
            # An answer that was given up comes late; over a stream nothing is given up.
            if not self.is_datagram:
                self.end(f"{data[:80]!r} came back for {self._message()[:80]!r}", now)
            return
        self.answer, self.answered_of, self._waiting = answer, self._sent_at, False
        self.messages += 1
        self.longest = max(self.longest, now - self._asked_at)

    def result(self, began: float) -> dict[str, Any]:
        """Return what became of it; ``ended_at`` and ``longest`` (the longest wait for an answer) are seconds, the former after ``began``."""
        return {
            "stream": self.number, "target": str(self.target), "ended": self.why, "ended_at": round(self.when - began, 2) if self.is_over else 0.0,
            "pod": self.pod, "client": self.answer.get("client", ""), "messages": self.messages, "lost": self.lost, "refused": self.refused,
            "pod_changes": self.pod_changes, "longest": round(self.longest, 2),
        }
