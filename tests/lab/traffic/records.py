# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of many attempts, kept small: a start, a latency and a letter of each."""
from __future__ import annotations

import array
import errno
import ssl
from typing import Any

# Outcomes: answered; no answer in time; reset, refused, closed without a whole answer; an answer that is none we want; no route; anything else.
OK, TIMEOUT, RESET, REFUSED, CLOSED, STATUS, UNREACHABLE, OTHER = ".TRFCSUE"
# What a watch asks for is too old to be had.
GONE = "G"
# Of a watch: a change that was never seen; and, which is no failure, another connection that took over.
MISSED, RECONNECTED = "MN"
# The connection ended before the answer, and the question was put again, whose outcome is noted from the same start.
AGAIN = "A"
MEANING = {
    TIMEOUT: "no answer in time", RESET: "reset", REFUSED: "refused", CLOSED: "closed early", STATUS: "another status", UNREACHABLE: "no route",
    OTHER: "another error", GONE: "too old", MISSED: "never seen", AGAIN: "ended, and asked again",
}
# Notes on attempts, of which others say how they went.
NOTES = frozenset((RECONNECTED, AGAIN))
_ERRNO = {
    errno.ECONNRESET: RESET, errno.EPIPE: RESET, errno.ECONNABORTED: RESET, errno.ECONNREFUSED: REFUSED, errno.ETIMEDOUT: TIMEOUT,
    errno.EHOSTUNREACH: UNREACHABLE, errno.ENETUNREACH: UNREACHABLE,
}


def letter(error: OSError) -> str:
    """Return the outcome that an error is; those of TLS have numbers of their own."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return CLOSED
    return OTHER if isinstance(error, ssl.SSLError) else _ERRNO.get(error.errno, OTHER)


class Series:
    """Attempts of one prober. Times are seconds of one clock.

    ``in_turn`` says that each attempt waits for the one before, as in a stream; others begin every ``interval`` seconds whatever became of those before.
    """

    def __init__(self, prober: str, interval: float, in_turn: bool = False) -> None:
        self.prober, self.interval, self.in_turn = prober, interval, in_turn
        self.answered_at = self.failed_at = float("-inf")
        self.failed_as = ""
        self._starts, self._latencies, self._outcomes = array.array("d"), array.array("f"), bytearray()

    def record(self, start: float, now: float, outcome: str) -> None:
        """Note an attempt that is over now."""
        self._starts.append(start)
        self._latencies.append(now - start)
        self._outcomes += outcome.encode()
        if outcome == OK:
            self.answered_at = now
        elif outcome not in NOTES:
            self.failed_at, self.failed_as = now, outcome

    def result(self, began: float) -> dict[str, Any]:
        """Return all of it; starts (after ``began``) and latencies in milliseconds, one letter of ``outcomes`` for each."""
        return {
            "prober": self.prober, "interval": self.interval, "in_turn": self.in_turn,
            "starts": [round((start - began) * 1000, 1) for start in self._starts],
            "latencies": [round(latency * 1000, 1) for latency in self._latencies],
            "outcomes": self._outcomes.decode(),
        }
