# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and websockets that go on until told to stop, and what became of them."""
from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

from . import websocket
from .wire import SECONDS, Broken, Connection, Router

MOST_REASONS = 10
# How much of an unwanted answer a reason quotes.
SHOWN = 100


@dataclass(frozen=True)
class Plan:
    """``loops`` request one of ``urls`` each, over and over with ``pause`` seconds between; each of ``websockets``
    is a websocket that echoes a number every ``beat`` seconds. It ends after ``seconds`` or ``requests`` at the latest.
    """

    router: Router
    urls: tuple[str, ...] = ()
    loops: int = 1
    websockets: tuple[str, ...] = ()
    pause: float = 0.1
    beat: float = 0.5
    seconds: float = 60.0
    requests: int = 1_000_000
    status: int = 200


@dataclass
class Summary:
    """What became of it. ``retried`` requests came on a kept-alive connection that was just being closed, and were
    answered on another one, as RFC 9112 (9.3.1) has clients do. A websocket ``ended`` when the other side said goodbye,
    and ``broken`` is one that did not open, ended without a word or lost a message.
    """

    requests: int = 0
    failed: int = 0
    retried: int = 0
    websockets_opened: int = 0
    websockets_ended: int = 0
    websockets_broken: int = 0
    messages: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)


class Load:
    """Runs a plan. ``pods`` are those that greeted each of its websockets last."""

    def __init__(self, plan: Plan, ready: Callable[[], None] = lambda: None) -> None:
        self.plan, self.summary = plan, Summary()
        self.pods = [""] * len(plan.websockets)
        self._ready = ready
        self._stopped = asyncio.Event()
        self._context = plan.router.context() if any(url.startswith("https:") for url in plan.urls + plan.websockets) else None
        self._waiting = plan.loops * bool(plan.urls) + len(plan.websockets)
        self._began = time.monotonic()

    def stop(self) -> None:
        """End all loops after what they are about."""
        self._stopped.set()

    async def run(self) -> Summary:
        """Run until stopped. ``ready`` is called once every loop and websocket has had its first answer."""
        plan = self.plan
        work = [self._requests(plan.urls[number % len(plan.urls)]) for number in range(plan.loops) if plan.urls]
        work += [self._websocket(url, number) for number, url in enumerate(plan.websockets)]
        tasks = [asyncio.create_task(entry) for entry in work]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(plan.seconds):
                await self._stopped.wait()
        self.stop()
        await asyncio.gather(*tasks)
        self.summary.seconds = round(time.monotonic() - self._began, 3)
        return self.summary

    async def _requests(self, url: str) -> None:
        scheme, host, target = _parts(url)
        connection, first = None, True
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                connection = await self._one(connection, scheme, host, target)
                first = self._is_first_success(first)
            except (Broken, OSError) as error:  # TimeoutError is an OSError
                self.summary.failed += 1
                self._tell(url, error)
                connection = _closed(connection)
            self.summary.slowest = max(self.summary.slowest, round(time.monotonic() - began, 3))
            self.summary.requests += 1
            if self.summary.requests >= self.plan.requests:
                self.stop()
            await self._sleep(self.plan.pause)
        _closed(connection)

    async def _one(self, connection: Connection | None, scheme: str, host: str, target: str) -> Connection | None:
        """Make one request, on the connection or a new one; return the connection for the next one."""
        used = connection is not None
        connection = connection or await Connection.open(self.plan.router, scheme, _name(host), self._context)
        try:
            answer = await connection.request("GET", target, host)
        except Broken as error:
            connection.close()
            if error.answered or not used:
                raise
            self.summary.retried += 1
            return await self._one(None, scheme, host, target)
        except TimeoutError as error:
            connection.close()
            raise Broken(f"no answer within {SECONDS:.0f} s") from error
        if answer.status != self.plan.status:
            raise Broken(f"status {answer.status}: {answer.body[-SHOWN:]!r}")
        return connection if connection.reusable else _closed(connection)

    async def _websocket(self, url: str, number: int) -> None:
        scheme, host, target = _parts(url)
        first = True
        while not self._stopped.is_set():
            connection = None
            try:
                connection = await Connection.open(self.plan.router, scheme, _name(host), self._context)
                async with asyncio.timeout(SECONDS):
                    await websocket.open_on(connection, target, host)
                self.summary.websockets_opened += 1
                self.pods[number] = await _greeting(connection)
                first = self._is_first_success(first)
                await self._beats(connection, number)
            except websocket.Ended as error:
                self.summary.websockets_ended += 1
                self._tell(url, error)
            except (Broken, OSError) as error:
                self.summary.websockets_broken += 1
                self._tell(url, error)
                await self._sleep(self.plan.beat)
            _closed(connection)

    async def _beats(self, connection: Connection, number: int) -> None:
        """Send numbers and get each one back, until stopped. Between them it listens, for a goodbye may come at any time."""
        beat, stopped = 0, asyncio.create_task(self._stopped.wait())
        incoming = asyncio.create_task(websocket.receive(connection))
        try:
            while not self._stopped.is_set():
                beat += 1
                sent = f"{number}-{beat}"
                await websocket.send(connection, sent)
                received = await asyncio.wait_for(incoming, SECONDS)
                incoming = asyncio.create_task(websocket.receive(connection))
                if received != sent:
                    raise Broken(f"{received[:80]!r} came back for {sent!r}")
                self.summary.messages += 1
                await asyncio.wait({incoming, stopped}, timeout=self.plan.beat, return_when=asyncio.FIRST_COMPLETED)
                if incoming.done():
                    raise Broken(f"{incoming.result()[:80]!r} came unasked")
        finally:
            stopped.cancel()
            incoming.cancel()
            await asyncio.gather(stopped, incoming, return_exceptions=True)

    def _is_first_success(self, first: bool) -> bool:
        if first:
            self._waiting -= 1
            if not self._waiting:
                self._ready()
        return False

    def _tell(self, url: str, error: Exception) -> None:
        if len(self.summary.reasons) < MOST_REASONS:
            when = time.monotonic() - self._began
            self.summary.reasons.append(f"{when:.1f} s: {url}: {error or type(error).__name__}")

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)


async def _greeting(connection: Connection) -> str:
    """The pod that greets a new websocket, as the application echo does. Raises Broken when something else comes."""
    text = await asyncio.wait_for(websocket.receive(connection), SECONDS)
    try:
        return json.loads(text)["pod"]
    except (ValueError, TypeError, KeyError) as error:
        raise Broken(f"{text[:80]!r} came for a greeting") from error


def _parts(url: str) -> tuple[str, str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc, parts._replace(scheme="", netloc="").geturl() or "/"


def _name(host: str) -> str:
    """The server name for TLS that goes with a Host field."""
    return host.partition(":")[0].rstrip(".").lower()


def _closed(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
