# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIRD's control socket, for reading only."""

from __future__ import annotations

import re
import socket
import typing as t

from .._core.errors import NorthgateError

# A line of a reply: its code, and whether more follow (-) or not (a blank).
_CODED = re.compile(r"(\d{4})([ -])(.*)")


class NotRunning(NorthgateError):
    """No BIRD answers on the socket."""


class Refused(NorthgateError):
    """BIRD answers with an error."""


class Control:
    """A connection that BIRD has restricted to commands that show. Close it, or use it in a ``with``."""

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        """Connect. Raises NotRunning when nobody answers within ``timeout`` seconds."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(path)
            self._lines = self._socket.makefile("r", encoding="utf-8", errors="replace", newline="\n")
            self.greeting = list(self._reply())[-1]
            self.ask("restrict")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise NotRunning(f"BIRD does not answer on {path}: {error}") from error
            raise

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, command: str) -> list[str]:
        """The reply to a command as lines without codes. Raises Refused, or NotRunning when BIRD goes away."""
        return list(self.lines(command))

    def lines(self, command: str) -> t.Iterator[str]:
        """As ``ask``, line by line. Who stops early has to close the connection."""
        try:
            self._socket.sendall(command.encode() + b"\n")
            yield from self._reply()
        except OSError as error:
            raise NotRunning(f"BIRD went away while it was asked to {command}: {error}") from error

    def _reply(self) -> t.Iterator[str]:
        for line in self._lines:
            text = line.rstrip("\n")
            coded = _CODED.match(text)
            if coded and coded[1][0] in "89":
                raise Refused(f"BIRD answers: {coded[3]}")
            if coded and coded[2] == " ":
                if coded[3]:
                    yield coded[3]
                return
            if coded:
                yield coded[3]
            elif text.startswith(" "):
                yield text[1:]
            # What begins with + is a message of a log that somebody else asked for.
        raise OSError("the connection was closed")
