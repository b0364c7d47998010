# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a router: HTTP/1.1 as it is on the wire, so that nothing is normalised on the way."""
from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

# How long connecting, and then each answer, may take.
SECONDS = 10.0
LIMIT = 1 << 20


class Broken(Exception):
    """The connection ended, or said something that is no HTTP. ``answered``: after it had begun to answer."""

    def __init__(self, message: str, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


@dataclass(frozen=True)
class Router:
    """Where connections go to. Certificates are verified with the authority in file ``ca``, unless that is empty."""

    address: str
    http_port: int = 80
    https_port: int = 443
    ca: str = ""

    def context(self) -> ssl.SSLContext:
        """Return what TLS connections need, made once: reading an authority takes long in a guest."""
        if self.ca:
            return ssl.create_default_context(cafile=self.ca)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class Answer:
    """Status, header fields by lower-case name (repeated ones joined with a comma), body."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    # When each line of the body came, in seconds after the request; only of streams.
    times: list[float] = field(default_factory=list)


class Connection:
    """An open connection, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.requests = 0
        self.reusable = True

    @classmethod
    async def open(cls, router: Router, scheme: str, server_name: str = "", context: ssl.SSLContext | None = None) -> Connection:
        """Connect; ``server_name`` is for TLS. Raises OSError (also of TLS) and TimeoutError."""
        port = router.https_port if scheme == "https" else router.http_port
        tls = {"ssl": context or router.context(), "server_hostname": server_name} if scheme == "https" else {}
        async with asyncio.timeout(SECONDS):
            return cls(*await asyncio.open_connection(router.address, port, limit=LIMIT, **tls))

    def certificate(self) -> dict:
        """Return the peer's certificate as ssl shows it; empty without TLS or without verification."""
        tls = self.writer.get_extra_info("ssl_object")
        return (tls.getpeercert() or {}) if tls else {}

    async def send(self, method: str, target: str, host: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Send a request; ``target`` and ``host`` go out as they are."""
        fields = {"Host": host, **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        self.requests += 1
        try:
            await self.writer.drain()
        except OSError as error:
            raise Broken(str(error) or type(error).__name__, answered=False) from error

    async def head(self) -> Answer:
        """Read status and header fields of an answer."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Broken("ended in the header" if error.partial else "closed without an answer", bool(error.partial)) from error
        except (OSError, asyncio.LimitOverrunError) as error:
            raise Broken(str(error) or type(error).__name__, answered=False) from error
        lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = [*lines[0].split(" "), "", ""]
        if not version.startswith("HTTP/1.") or not status.isdigit():
            raise Broken(f"no HTTP: {lines[0][:80]!r}")
        fields: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
        return Answer(int(status), fields)

    async def request(self, method: str, target: str, host: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """Send a request and read the whole answer. Raises Broken and TimeoutError; then the connection is of no use."""
        self.reusable = False
        async with asyncio.timeout(SECONDS):
            await self.send(method, target, host, headers, body)
            answer = await self.head()
            try:
                content = b"" if method == "HEAD" or answer.status in (204, 304) else await self._body(answer.headers)
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                raise Broken(f"in the body: {error or type(error).__name__}") from error
        self.reusable = answer.headers.get("connection", "").lower() != "close"
        return Answer(answer.status, answer.headers, content)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                parts.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            await self.reader.readuntil(b"\r\n")
            return b"".join(parts)
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()

    def close(self) -> None:
        """Close at once."""
        self.writer.transport.abort()
