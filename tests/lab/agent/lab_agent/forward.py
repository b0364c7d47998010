# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP forwarder on loopback to whichever API server answers.

It gives the agent and kube-proxy one address for all API servers, as the load balancers that
distributions of Kubernetes run on their nodes.
"""
from __future__ import annotations

import socket
import threading

CONNECT_SECONDS = 2


class Forwarder:
    """Listens on 127.0.0.1 and relays each connection to the first server that takes it."""

    def __init__(self, port: int, servers: list[tuple[str, int]]) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._servers = list(servers)

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self._accept, name="forwarder", daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _peer = self._listener.accept()
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = self._connect()
        if server is None:
            client.close()
            return
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
        client.close()
        server.close()

    def _connect(self) -> socket.socket | None:
        for server in list(self._servers):
            try:
                connection = socket.create_connection(server, CONNECT_SECONDS)
            except OSError:
                # The next connection starts with another server.
                self._servers = [other for other in self._servers if other != server] + [server]
                continue
            _notice_silence(connection)
            return connection
        return None


def _notice_silence(connection: socket.socket) -> None:
    """Make a connection to a dead host fail within about 10 seconds instead of never."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    # An end in one direction ends both: TLS has no use for half a connection.
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
