# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch on an object of the API that somebody changes all the time: how late a change is seen, and whether one never is."""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from .exchange import Exchange, Tls, WatchAnswer, get
from .probers import Flights, Loop
from .records import CLOSED, GONE, MISSED, OK, RECONNECTED, Series
from .stream import Target

# How long a connection may take until it says something new, and between two that are tried while none does.
SPEAK_SECONDS, AGAIN = 1.0, 0.05


class Watch:
    """Sees the changes of an object whose ``data`` has ``n``, their number, and ``t``, when they were made by another machine's clock.

    The quickest change stands for no time on the way: of the others an attempt's latency is how much longer they took. Nothing tells who only listens that
    the other side is gone. So another connection is tried when there was no change for ``silence`` seconds, and again and again until one speaks;
    it goes on from the version that was seen last, so that no change should be lost.
    """

    def __init__(self, loop: Loop, series: Series, targets: Sequence[Target], tls: Tls, path: str, token: str, silence: float) -> None:
        self.series = series
        self._loop, self._tls, self._path, self._token, self._silence = loop, tls, path, token, silence
        self._targets = itertools.cycle(targets)
        self._flights = Flights(loop, self._over)
        self._speaking: Exchange | None = None
        self._number, self._version = 0, ""
        self._heard = self._opened = loop.now() - silence
        self._offset = float("inf")

    def due(self) -> float:
        return max(self._heard + self._silence, self._opened + AGAIN)

    def tick(self, now: float) -> None:
        self._flights.expire(now - SPEAK_SECONDS, now, self._speaking)
        if now < self.due():
            return
        self._opened = now
        separator = "&" if "?" in self._path else "?"
        path = f"{self._path}{separator}watch=true" + (f"&resourceVersion={self._version}" if self._version else "")
        answer = WatchAnswer(lambda found: self._see(found, exchange))
        exchange = Exchange(next(self._targets), get(self._tls.name, path, {"Authorization": f"Bearer {self._token}"}), answer, self._tls)
        self._flights.add(exchange, now)

    def waiting(self, now: float) -> float:
        return now - self._heard

    def _over(self, exchange: Exchange, _start: float, _now: float) -> None:
        if exchange is self._speaking:
            # Its end is known: no need to wait until the silence is long.
            self._heard = min(self._heard, self._loop.now() - self._silence)
        elif exchange.outcome == GONE:
            self._version = ""

    def _see(self, found: dict[str, Any], exchange: Exchange) -> None:
        """Take a change that an exchange tells."""
        now, number, made = self._loop.now(), int(found["data"]["n"]), float(found["data"]["t"])
        if number <= self._number:
            return
        if exchange is not self._speaking:
            self._take_over(exchange, now)
        for _ in range(number - self._number - 1 if self._number else 0):
            self.series.record(now, now, MISSED)
        self._number, self._version, self._heard = number, found["metadata"]["resourceVersion"], now
        self._offset = min(self._offset, now - made)
        self.series.record(made + self._offset, now, OK)

    def _take_over(self, exchange: Exchange, now: float) -> None:
        if self._speaking is not None:
            self.series.record(now, now, RECONNECTED)
        self._speaking = exchange
        for other in self._flights:
            if other is not exchange:
                self._flights.end(other, now, CLOSED)
