# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""haproxy's run-time interface (management guide, section 9.3), one command a connection.

haproxy answers in prose without codes, and 2.6 refuses some commands by an empty answer, so
each call says what a good answer looks like. A command of more than 15,359 bytes hangs its
session in 2.6 for good: none leaves here longer than MAX_COMMAND.
"""

from __future__ import annotations

import re
import socket
import typing as t

from .._core.errors import ConvergeError
from . import parse
from .parse import RunningServer

MAX_COMMAND = 14_000
_MAX_ANSWER = 256 * 1024 * 1024


class Unreachable(ConvergeError):
    """Nothing answers on the socket."""


class Refused(ConvergeError):
    """haproxy did not do what it was told."""


class Runtime:
    """The stats socket of the running worker. ``timeout`` in seconds, for each command."""

    def __init__(self, path: str, timeout: float = 20.0) -> None:
        self.path = path
        self._timeout = timeout

    def ask(self, command: str, payload: str = "") -> str:
        """The answer to ``command``. ``payload`` ends with a newline and holds no empty line."""
        message = f"{command} <<\n{payload}\n" if payload else f"{command}\n"
        data = message.encode()
        if len(data) > MAX_COMMAND:
            raise Refused(f"{command.split(' <<')[0][:80]}: {len(data)} bytes, the run-time interface takes {MAX_COMMAND}")
        chunks: list[bytes] = []
        size = 0
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout)
                connection.connect(self.path)
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(1 << 20):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > _MAX_ANSWER:
                        raise Refused(f"{command}: the answer does not end")
        except OSError as error:
            raise Unreachable(
                f"haproxy does not answer on {self.path}: {error}", "Look at: systemctl status haproxy"
            ) from error
        return b"".join(chunks).decode(errors="replace")

    def expect(self, pattern: str, command: str, payload: str = "") -> re.Match[str]:
        """The match of ``pattern`` in the answer; raises Refused with the answer when there is none."""
        answer = self.ask(command, payload)
        match = re.search(pattern, answer)
        if match is None:
            said = answer.strip() or "an empty answer"
            raise Refused(f"haproxy refused {command[:160]!r}: {said[:300]}")
        return match

    def version(self) -> tuple[int, int]:
        """Major and minor version."""
        match = self.expect(r"(?m)^Version: (\d+)\.(\d+)", "show info")
        return int(match.group(1)), int(match.group(2))

    def backends(self) -> frozenset[str]:
        """The names of all backends."""
        return frozenset(self.ask("show backend").split("\n")[1:]) - {""}

    def servers(self) -> dict[str, dict[str, RunningServer]]:
        """Backend to server name to server, of every backend that has servers."""
        return parse.running_servers(self.ask("show servers state"))

    def health(self, backend: str) -> dict[str, parse.Health]:
        """Of each server of a backend."""
        return parse.health(self.ask(f"show stat {backend} 4 -1"))

    def map_entries(self, path: str) -> dict[str, str] | None:
        """Key to value of a map, or None when haproxy has loaded no such map."""
        answer = self.ask(f"show map {path}")
        if answer.startswith("Unknown map"):
            return None
        lines = (line.split(" ", 2) for line in answer.splitlines() if line)
        return {line[1]: line[2] for line in lines if len(line) == 3}

    def replace_map(self, path: str, entries: dict[str, str]) -> None:
        """Swaps the whole map atomically."""
        version = self.expect(r"New version created: (\d+)", f"prepare map {path}").group(1)
        try:
            for payload in _chunks((f"{key} {value}\n" for key, value in sorted(entries.items())), MAX_COMMAND - 512):
                self.expect(r"\A\n+\Z", f"add map @{version} {path}", payload)
            self.expect(r"\A\n*\Z", f"commit map @{version} {path}")
        except Refused:
            self.ask(f"clear map @{version} {path}")
            raise

    def certificates(self) -> frozenset[str]:
        """Paths of all certificates that haproxy holds."""
        lines = self.ask("show ssl cert").splitlines()
        return frozenset(line.strip() for line in lines if line and not line.startswith(("#", "*")))

    def certificate_list(self, path: str) -> dict[str, tuple[str, ...]] | None:
        """Path to server names of the certificates in a crt-list, or None when haproxy has loaded no such list."""
        answer = self.ask(f"show ssl crt-list {path}")
        return parse.certificate_list(answer) if answer.startswith("#") else None


def _chunks(lines: t.Iterable[str], limit: int) -> t.Iterator[str]:
    """Joins lines to payloads of at most ``limit`` bytes."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode())
        if chunk and size + length > limit:
            yield "".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += length
    if chunk:
        yield "".join(chunk)
