# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client felt in a window of time, from what became of its attempts. Pure. Times are seconds of the client's clock."""
from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from traffic.records import AGAIN, CLOSED, MEANING, MISSED, NOTES, OK, RECONNECTED, REFUSED, RESET

RESETS = frozenset((RESET, REFUSED, CLOSED, AGAIN))
# An answer that takes as many seconds is trouble, though nothing is lost: a SYN that was is sent again only then (RFC 6298, 2.1).
SLOW = 1.0
# Failures that begin within as many seconds of one another are one disturbance.
TOGETHER = 1.0


class Attempt(NamedTuple):
    """From its start to its answer or failure."""

    start: float
    end: float
    outcome: str

    @property
    def failed(self) -> bool:
        """Whether it is lost."""
        return self.outcome != OK and self.outcome not in NOTES

    @property
    def in_time(self) -> bool:
        """Whether it was answered, and not slowly."""
        return self.outcome == OK and self.end - self.start < SLOW


@dataclass(frozen=True)
class Series:
    """Attempts of a prober, by start. Those ``in_turn`` wait for one another, as messages of a stream do."""

    prober: str
    interval: float
    in_turn: bool
    attempts: tuple[Attempt, ...]

    @classmethod
    def parse(cls, result: dict[str, Any]) -> Series:
        """Read what traffic.records wrote."""
        rows = zip(result["starts"], result["latencies"], result["outcomes"], strict=True)
        attempts = sorted(Attempt(start / 1000, (start + latency) / 1000, outcome) for start, latency, outcome in rows)
        return cls(result["prober"], result["interval"], result["in_turn"], tuple(attempts))


@dataclass(frozen=True)
class Felt:
    """Of one prober. ``outage`` and ``longest``, the longest that an answer took, are seconds; ``reset`` are those that somebody ended: reset, refused
    or closed before the whole answer was there. They are lost, unless the prober asks again.
    """

    outage: float
    attempts: int
    lost: int
    reset: int
    reconnects: int
    longest: float


def felt(found: Iterable[Series], begin: float, end: float) -> Felt:
    """Return what was felt in [begin, end) by a prober, of which these are all series."""
    every = list(found)
    inside = [attempt for series in every for attempt in within(series, begin, end)]
    return Felt(
        outage=max((outage(series, begin, end) for series in every), default=0.0),
        attempts=sum(attempt.outcome not in NOTES for attempt in inside),
        lost=sum(attempt.failed for attempt in inside),
        reset=sum(attempt.outcome in RESETS for attempt in inside),
        reconnects=sum(attempt.outcome == RECONNECTED or (series.in_turn and attempt.failed and attempt.outcome != MISSED)
                       for series in every for attempt in within(series, begin, end)),
        longest=max((attempt.end - attempt.start for attempt in inside if attempt.outcome == OK), default=0.0),
    )


def failures(found: Iterable[Series], begin: float, end: float) -> str:
    """Return what became of the attempts in [begin, end) that were not answered, and when they began; empty if there are none."""
    starts: dict[str, list[float]] = {}
    for series in found:
        for attempt in within(series, begin, end):
            if attempt.outcome in MEANING:
                starts.setdefault(MEANING[attempt.outcome], []).append(attempt.start - begin)
    return ", ".join(f"{len(times)} {meaning} ({min(times):.2f} to {max(times):.2f} s)" for meaning, times in sorted(starts.items()))


def within(series: Series, begin: float, end: float) -> list[Attempt]:
    """Return the attempts that were under way at some time of the window."""
    return [attempt for attempt in series.attempts if attempt.end >= begin and attempt.start < end]


def outage(series: Series, begin: float, end: float) -> float:
    """Return how long the trouble was that lasted longest: of a time without an answer, and of one in which attempts failed or were slow.

    In a stream the former is the longest wait for an answer.
    """
    inside = within(series, begin, end)
    waits = [attempt.end - attempt.start for attempt in inside if attempt.outcome == OK] if series.in_turn else [_silence(series, begin, end)]
    return max(0.0, *waits, *_disturbances(series, inside, end))


def _silence(series: Series, begin: float, end: float) -> float:
    """The longest time between an answer and the next one, less the interval, of which a part is in the window."""
    answers = sorted(attempt.end for attempt in series.attempts if attempt.outcome == OK)
    before = [answer for answer in answers if answer < begin]
    inside = [answer for answer in answers if begin <= answer < end]
    after = [answer for answer in answers if answer >= end]
    # What comes after the window ends a silence that began in it.
    times = [*(before[-1:] or [begin]), *inside, *(after[:1] or [end])]
    return max(later - earlier for earlier, later in itertools.pairwise(times)) - series.interval


def _disturbances(series: Series, inside: list[Attempt], end: float) -> list[float]:
    """How long attempts failed or were slow, even if others were not: from the start of the first of them to that of the first after the last one
    that was answered in time.
    """
    spans: list[list[float]] = []
    for attempt in inside:
        if attempt.outcome not in NOTES and not attempt.in_time:
            if spans and attempt.start - spans[-1][1] <= TOGETHER:
                spans[-1][1] = attempt.start
            else:
                spans.append([attempt.start, attempt.start])
    answered = [attempt.start for attempt in series.attempts if attempt.in_time]
    return [next((start for start in answered if start > last), end) - first for first, last in spans]
