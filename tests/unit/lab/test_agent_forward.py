# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forwarder: the first server that answers takes the connection."""
from __future__ import annotations

import socket
import threading

from agent.lab_agent.forward import Forwarder
from ports import free_port


def greet(listener, name):
    def serve():
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(name + connection.recv(100))
    threading.Thread(target=serve, daemon=True).start()


def ask(port):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"?")
        answer = b""
        while data := client.recv(100):
            answer += data
        return answer


def test_dead_servers_are_passed_over():
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as alive:
        greet(alive, b"alive")
        Forwarder(port, [("127.0.0.1", free_port()), ("127.0.0.1", alive.getsockname()[1])]).start()
        assert [ask(port), ask(port)] == [b"alive?", b"alive?"]


def test_without_any_server_the_connection_ends():
    port = free_port()
    Forwarder(port, [("127.0.0.1", free_port())]).start()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        assert client.recv(1) == b""
