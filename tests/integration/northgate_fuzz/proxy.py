# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real haproxy: converged, asked by one connection that stays open, and in the place of all pods."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import typing as t
from pathlib import Path

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Client:
    """HTTP/1.1 by hand, so that nothing is changed or refused on the way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def get(self, host: str, target: str) -> tuple[int, str]:
        """Status and body. A connection that was closed in between is opened anew."""
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        try:
            return self._exchange(request)
        except ConnectionError:
            self.close()
            return self._exchange(request)

    def _exchange(self, request: bytes) -> tuple[int, str]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        head, _blank, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        while len(body) < int(length.group(1) if length else 0):
            body += self._received()
        if b"\r\nconnection: close" in head.lower() or not length:
            self.close()
        return int(head.split()[1]), body.decode()

    def _received(self) -> bytes:
        assert self._socket
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed by haproxy")
        return data

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None


class Pods:
    """All pods in one haproxy: each answers with its address, and the target that it was asked for."""

    def __init__(self, root: Path, addresses: t.Iterable[str], port: int) -> None:
        self.port = port
        binds = "".join(f"    bind {address}:{port}\n" for address in addresses)
        config = root / "pods.cfg"
        config.write_text(
            "global\n    maxconn 2000\ndefaults\n    mode http\n    timeout client 1m\n    timeout http-request 10s\n"
            f'frontend pods\n{binds}    http-request return status 200 content-type text/plain lf-string "%[dst] %[pathq]"\n'
        )
        self._log = (root / "pods.log").open("wb")
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=self._log, stderr=self._log)

    def await_first(self, address: str) -> None:
        """Waits until they answer."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection((address, self.port), 5).close()
            except ConnectionRefusedError:
                assert self._process.poll() is None and time.monotonic() < deadline, "the pods do not start: see pods.log"
                time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(15)
        self._log.close()
