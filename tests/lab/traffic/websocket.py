# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A websocket (RFC 6455) from the client's side, as far as an echo needs it."""
from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import struct

from .wire import Broken, Connection

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Ended(Exception):
    """The other side said goodbye, as websockets should; ``code`` is its reason."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


async def open_on(connection: Connection, target: str, host: str) -> None:
    """Make a websocket of a connection. Raises Broken with the status of a refusal."""
    key = base64.b64encode(os.urandom(16))
    await connection.send("GET", target, host, {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key.decode()})
    answer = await connection.head()
    accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
    if answer.status != 101 or answer.headers.get("sec-websocket-accept") != accept:
        raise Broken(f"no websocket: status {answer.status}")


async def send(connection: Connection, text: str) -> None:
    """Send a text of less than 65,536 bytes."""
    await _write(connection, TEXT, text.encode())


async def receive(connection: Connection) -> str:
    """Return the next text; pings are answered. Raises Ended, or Broken when the connection ends without a word."""
    try:
        while True:
            kind, data = await _read(connection)
            if kind == CLOSE:
                with contextlib.suppress(Broken):  # the other side may not wait for an answer
                    await _write(connection, CLOSE, data[:2])
                raise Ended(struct.unpack("!H", data[:2])[0] if len(data) > 1 else 1005)
            if kind == TEXT:
                return data.decode()
            if kind == PING:
                await _write(connection, PONG, data)
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Broken(str(error) or type(error).__name__) from error


async def _read(connection: Connection) -> tuple[int, bytes]:
    """Return kind and content of one frame; ours are never in fragments."""
    first, length = await connection.reader.readexactly(2)
    if length == 126:
        length = struct.unpack("!H", await connection.reader.readexactly(2))[0]
    elif length == 127:
        length = struct.unpack("!Q", await connection.reader.readexactly(8))[0]
    return first & 15, await connection.reader.readexactly(length)


async def _write(connection: Connection, kind: int, data: bytes) -> None:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    length = bytes([128 | len(data)]) if len(data) < 126 else struct.pack("!BH", 128 | 126, len(data))
    try:
        connection.writer.write(bytes([128 | kind]) + length + mask + masked)
        await connection.writer.drain()
    except OSError as error:
        raise Broken(str(error) or type(error).__name__) from error
