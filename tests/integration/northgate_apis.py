# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Authorities, servers that stand for kube-apiservers, and their clients."""

from __future__ import annotations

import datetime
import http.client
import http.server
import ipaddress
import socket
import ssl
import threading
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ports import free_port

NAME = "kubernetes.default.svc"


class Authority:
    """Signs certificates, as a cluster's own authority does."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
        constraints = (x509.BasicConstraints(ca=True, path_length=None), True)
        self.pem = self._sign(self._name, self._key, constraints).public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, subject: x509.Name, key: t.Any, *extensions: tuple[t.Any, bool]) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def certificate(self, *names: str) -> Path:
        """A file with a certificate for ``names`` and addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.IPAddress(ipaddress.ip_address(name)) if name[-1].isdigit() else x509.DNSName(name) for name in names]
        certificate = self._sign(x509.Name([]), key, (x509.SubjectAlternativeName(alternatives), False))
        path = self._root / f"{certificate.serial_number}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        return path

    def context(self, *names: str) -> ssl.SSLContext:
        """That of a server with such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(*names))
        return context


class ApiServer:
    """Answers GETs with its name, /readyz with ``readyz``, and /watch with its name again for each ``tick``."""

    def __init__(self, name: str, context: ssl.SSLContext, port: int = 0) -> None:
        self.readyz, self.asked = 200, 0
        # Nobody else gets it when this server has been killed.
        self.port = port or free_port()
        self._tick = threading.Condition()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                self.request = context.wrap_socket(self.request, server_side=True)
                server.connections.append(self.request)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.request.close()

            def do_GET(self) -> None:
                if self.path == "/readyz":
                    server.asked += 1
                self.send_response(server.readyz if self.path == "/readyz" else 200)
                if self.path == "/watch":
                    self.end_headers()
                    while True:
                        self.wfile.write(f"{name}\n".encode())
                        with server._tick:
                            server._tick.wait()
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *arguments: object) -> None:
                """Who is refused or goes away is no error."""

        self.connections: list[ssl.SSLSocket] = []
        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def tick(self) -> None:
        with self._tick:
            self._tick.notify_all()

    def kill(self) -> None:
        """As a process that is killed: nobody listens, and its connections are reset."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def connect(port: int, sni: str | None = NAME) -> http.client.HTTPConnection:
    """A connection by TLS to a port of 127.0.0.1, which verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=sni)
    return connection


def get(port: int, sni: str | None = NAME, path: str = "/") -> str:
    """What a new connection gets: of an ApiServer, its name."""
    connection = connect(port, sni)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text
