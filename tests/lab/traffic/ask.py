# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many requests by one process: a list of questions in, a list of answers out, both JSON."""
from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from typing import Any

from . import websocket
from .wire import SECONDS, Answer, Broken, Connection, Router


class Asker:
    """Asks a router. A question is a dictionary:

    ``host`` (the field Host, required), ``path`` ("/"), ``scheme`` ("http"), ``sni`` (the host without port and
    final dot), ``address`` (of another router), ``method``, ``headers``, ``body`` (text), ``times`` (1), ``lines`` (end a stream after as many),
    ``websocket`` (true: open one, and answer with its greeting). Questions with the same address, scheme and name share a connection.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._context: ssl.SSLContext | None = None
        self._connections: dict[tuple[str, str, str], Connection] = {}

    async def all(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return an answer for each question, ``times`` in a row: status (0: none), headers, body, error, and for
        https names and serial of the certificate.
        """
        answers = [await self._one(question) for question in questions for _ in range(question.get("times", 1))]
        for connection in self._connections.values():
            connection.close()
        return answers

    async def _one(self, question: dict[str, Any]) -> dict[str, Any]:
        scheme = question.get("scheme", "http")
        name = question.get("sni", question["host"].partition(":")[0].rstrip(".").lower())
        address = question.get("address", self._router.address)
        connection = self._connections.pop((address, scheme, name), None)
        try:
            if connection is None:
                connection = await self._open(address, scheme, name)
            answer = await self._answer(connection, question)
        except (Broken, OSError) as error:
            if connection is not None:
                connection.close()
            return {"status": 0, "headers": {}, "body": "", "error": f"{type(error).__name__}: {error}"}
        if connection.reusable:
            self._connections[address, scheme, name] = connection
        certificate = connection.certificate()
        return {
            "status": answer.status, "headers": answer.headers, "body": answer.body.decode(errors="replace"), "error": "",
            "times": answer.times, "serial": certificate.get("serialNumber", ""),
            "names": [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"],
        }

    async def _open(self, address: str, scheme: str, name: str) -> Connection:
        if scheme == "https" and self._context is None:
            self._context = self._router.context()
        return await Connection.open(dataclasses.replace(self._router, address=address), scheme, name, self._context)

    async def _answer(self, connection: Connection, question: dict[str, Any]) -> Answer:
        target, host, headers = question.get("path", "/"), question["host"], question.get("headers", {})
        if question.get("websocket"):
            connection.reusable = False
            async with asyncio.timeout(SECONDS):
                await websocket.open_on(connection, target, host)
                return Answer(101, {}, (await websocket.receive(connection)).encode())
        method, body = question.get("method", "GET"), question.get("body", "").encode()
        if "lines" in question:
            return await self._stream(connection, target, host, question["lines"])
        return await connection.request(method, target, host, headers, body)

    @staticmethod
    async def _stream(connection: Connection, target: str, host: str, lines: int) -> Answer:
        """Read the first lines that are not empty of an endless body, in whatever chunks they come."""
        connection.reusable = False
        began, found, times = time.monotonic(), [], []
        await connection.send("GET", target, host)
        async with asyncio.timeout(SECONDS):
            answer = await connection.head()
            while len(found) < lines:
                line = await connection.reader.readline()
                if not line:
                    raise Broken("the stream ended")
                if line.startswith(b"data:"):
                    found.append(line)
                    times.append(round(time.monotonic() - began, 2))
        return Answer(answer.status, answer.headers, b"".join(found), times)
