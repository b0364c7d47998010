# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probers: what asks again and again, and notes how that went. All of them share one loop."""
from __future__ import annotations

import itertools
import selectors
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from .exchange import Exchange
from .records import AGAIN, CLOSED, OK, OTHER, REFUSED, RESET, TIMEOUT, Series
from .stream import CONNECTING, Stream, Target
from .stream import REFUSED as STREAM_REFUSED
from .stream import TIMEOUT as STREAM_TIMEOUT

# The longest time that the loop sleeps.
STEP = 0.5
# Between the end of a stream and the next one.
PAUSE = 0.1
# Between the first attempts of probers, so that they do not all come at once.
STAGGER = 0.005
_STREAM_ENDS = {STREAM_REFUSED: REFUSED, STREAM_TIMEOUT: TIMEOUT, "econnreset": RESET, "epipe": RESET, "closed": CLOSED}


class Prober(Protocol):
    """``due`` is when ``tick`` has something to do, ``waiting`` for how long the oldest attempt that is not over has waited."""

    series: Series

    def due(self) -> float: ...

    def tick(self, now: float) -> None: ...

    def waiting(self, now: float) -> float: ...


class Loop:
    """Runs probers until stopped, in one thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.began = now, now()
        self.probers: list[Prober] = []
        # When something began later than it was due, and by how much: this machine had no time for us.
        self.late: list[tuple[float, float]] = []
        self._selector = selectors.DefaultSelector()
        self._stopped = False

    def follow(self, descriptor: int, wanted: int, event: Callable[[float], None]) -> None:
        """Call ``event`` with the time whenever a descriptor is as wanted; a second call changes that."""
        known = self._selector.get_map().get(descriptor)
        if known is None:
            self._selector.register(descriptor, wanted, event)
        elif known.events != wanted:
            self._selector.modify(descriptor, wanted, event)

    def forget(self, descriptor: int) -> None:
        """No longer follow a descriptor, which may be closed."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def stop(self) -> None:
        """Let ``run`` return."""
        self._stopped = True

    def run(self, after: Callable[[float], None]) -> None:
        """Run; ``after`` is called after each step."""
        while not self._stopped:
            pause = min((prober.due() for prober in self.probers), default=float("inf")) - self.now()
            for key, _ in self._selector.select(min(max(pause, 0.0), STEP)):
                key.data(self.now())
            now = self.now()
            for prober in self.probers:
                if prober.due() <= now:
                    prober.tick(now)
            after(self.now())
        self._selector.close()


class Flights:
    """Exchanges that are under way, oldest first, each followed until it is over."""

    def __init__(self, loop: Loop, over: Callable[[Exchange, float, float], None]) -> None:
        self._loop, self._over = loop, over
        self._began: dict[Exchange, tuple[float, int]] = {}

    def __iter__(self):
        return iter(list(self._began))

    def __len__(self) -> int:
        return len(self._began)

    @property
    def oldest(self) -> float:
        """When the oldest one began; infinite when there is none."""
        return next((start for start, _ in self._began.values()), float("inf"))

    def add(self, exchange: Exchange, start: float) -> None:
        """Follow an exchange that has just begun."""
        if exchange.outcome:
            self._over(exchange, start, start)
            return
        self._began[exchange] = start, exchange.fileno()
        self._loop.follow(exchange.fileno(), exchange.wanted, lambda now: self._event(exchange, now))

    def end(self, exchange: Exchange, now: float, outcome: str) -> None:
        """Give one up, unless it is over."""
        exchange.end(outcome)
        self._look(exchange, now)

    def expire(self, before: float, now: float, spared: Exchange | None = None) -> None:
        """Give up what began before, but for one that is spared."""
        for exchange, (start, _) in list(self._began.items()):
            if start > before:
                break
            if exchange is not spared:
                self.end(exchange, now, TIMEOUT)

    def _event(self, exchange: Exchange, now: float) -> None:
        exchange.go_on()
        self._look(exchange, now)

    def _look(self, exchange: Exchange, now: float) -> None:
        if exchange not in self._began:
            return
        if not exchange.outcome:
            self._loop.follow(exchange.fileno(), exchange.wanted, lambda now: self._event(exchange, now))
            return
        start, descriptor = self._began.pop(exchange)
        self._loop.forget(descriptor)
        self._over(exchange, start, now)


class Repeated:
    """Begins an exchange every interval, to its targets in turn, whatever became of those before. One that takes ``timeout`` seconds is lost.

    A question whose connection ends before the answer is put again, ``asks_again`` times at most and in the same time.
    """

    def __init__(self, loop: Loop, series: Series, targets: Sequence[Target], make: Callable[[Target, int], Exchange], timeout: float, *,
                 asks_again: int = 0) -> None:
        self.series = series
        self._loop, self._make, self._timeout, self._asks_again = loop, make, timeout, asks_again
        self._repeated: dict[Exchange, int] = {}
        self._flights = Flights(loop, self._over)
        self._targets, self._numbers = itertools.cycle(targets), itertools.count(1)
        self._next = loop.now() + STAGGER * len(loop.probers)

    def due(self) -> float:
        return min(self._next, self._flights.oldest + self._timeout)

    def tick(self, now: float) -> None:
        self._flights.expire(now - self._timeout, now)
        if now < self._next:
            return
        if now - self._next > self.series.interval:
            self._loop.late.append((now, now - self._next))
        # What was due meanwhile is not made up for.
        self._next = self._next + self.series.interval if self._next + self.series.interval > now else now + self.series.interval
        self._flights.add(self._question(), self._loop.now())

    def waiting(self, now: float) -> float:
        return max(0.0, now - self._flights.oldest)

    def _question(self) -> Exchange:
        return self._make(next(self._targets), next(self._numbers))

    def _over(self, exchange: Exchange, start: float, now: float) -> None:
        times = self._repeated.pop(exchange, 0)
        if times < self._asks_again and exchange.outcome in (RESET, CLOSED):
            self.series.record(start, now, AGAIN)
            repeated = self._question()
            self._repeated[repeated] = times + 1
            self._flights.add(repeated, start)
            return
        self.series.record(start, now, exchange.outcome)


class LongStream:
    """A stream, and another one whenever it ends. A message that was answered is an attempt, and so is the end of a stream."""

    def __init__(self, loop: Loop, series: Series, number: int, target: Target, patience: float) -> None:
        self.series = series
        self._loop, self._make = loop, lambda: Stream(number, target, series.interval, patience)
        self._stream: Stream | None = None
        self._descriptor, self._messages = -1, 0
        self._again = loop.now()

    def due(self) -> float:
        return self._again if self._stream is None else self._stream.due()

    def tick(self, now: float) -> None:
        if self._stream is not None:
            self._stream.tick(now)
        elif now >= self._again:
            self._stream, self._messages = self._make(), 0
            self._stream.begin(now)
            if self._stream.socket is not None:
                self._descriptor = self._stream.socket.fileno()
        self._look(now)

    def waiting(self, now: float) -> float:
        return max(0.0, now - (self._again if self._stream is None else self._stream.waiting_since))

    def _event(self, now: float) -> None:
        if self._stream is None:
            return
        if self._stream.state == CONNECTING:
            self._stream.writable(now)
        else:
            self._stream.readable(now)
        self._look(now)

    def _look(self, now: float) -> None:
        stream = self._stream
        if stream is None:
            return
        if stream.messages > self._messages:
            self._messages = stream.messages
            self.series.record(stream.answered_of, now, OK)
        if stream.is_over:
            self.series.record(min(stream.waiting_since, now), now, _STREAM_ENDS.get(stream.why, OTHER))
            self._loop.forget(self._descriptor)
            self._stream, self._again = None, now + PAUSE
        else:
            self._loop.follow(self._descriptor, selectors.EVENT_WRITE if stream.state == CONNECTING else selectors.EVENT_READ, self._event)
