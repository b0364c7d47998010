# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m traffic.probes PLAN``: probers of several kinds at once, in one thread, until standard input ends.

PLAN is JSON: ``seconds`` (end after as many), ``timeout`` (of an attempt) and ``probers``, each with ``name``, ``kind``, ``places`` (ADDRESS:PORT,
asked in turn), ``interval`` in seconds, and what its kind needs:

- ``http``: ``host``, ``path``. A GET on a new connection each time.
- ``https``: ``ca``, ``server_name``, ``path``. The same with TLS. ``asks_again`` (0) is how often it does so when a connection ends before its
  answer.
- ``tcp``, ``udp``: one word to the application echo, on a new connection each time or from a new port.
- ``stream``: ``count`` and ``patience``: so many long streams to echo, message after message.
- ``watch``: ``ca``, ``server_name``, ``path``, ``token_file``, ``silence``; see traffic.watch.

It prints ``ready`` when each prober has had an answer. To the line ``now`` it says ``said now SECONDS``, by its own clock; to ``settled`` likewise, but not
before every prober has been answered for CALM seconds without a failure; to ``restless`` which have not, and how their last failure was called (see
traffic.records). Its last line is all attempts, as JSON.
"""
from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .exchange import EchoAnswer, Exchange, HttpAnswer, Tls, get
from .probers import LongStream, Loop, Prober, Repeated
from .records import Series
from .stream import Target
from .watch import Watch

CALM = 2.0
# What waits for longer may become a failure.
WAITING = 0.5


class Told:
    """Lines of the standard input, and what is said to them."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._read = b""
        self._settling: float | None = None
        self.is_ready = False

    def readable(self, _now: float) -> None:
        """Take lines; the end of the input stops the loop."""
        data = os.read(0, 4096)
        if not data:
            self._loop.forget(0)
            self._loop.stop()
        *lines, self._read = (self._read + data).split(b"\n")
        for line in lines:
            if line == b"settled":
                self._settling = self._loop.now()
            elif line == b"restless":
                now = self._loop.now()
                print("said restless", *sorted(restless(self._loop.probers, now, now if self._settling is None else self._settling)), flush=True)
            else:
                self._say(line.decode())

    def answer(self, now: float) -> None:
        """Say what can be said by now."""
        if not self.is_ready and not silent(self._loop.probers):
            self.is_ready = True
            print("ready", flush=True)
        if self._settling is not None and all(is_calm(prober, now, self._settling) for prober in self._loop.probers):
            self._settling = None
            self._say("settled")

    def _say(self, word: str) -> None:
        print("said", word, round(self._loop.now() - self._loop.began, 4), flush=True)


def is_calm(prober: Prober, now: float, since: float) -> bool:
    """Return whether all has been well with a prober for long enough; ``since`` is when that was asked."""
    series = prober.series
    return series.answered_at > since + CALM and series.failed_at < now - CALM and prober.waiting(now) < WAITING


def restless(probers: list[Prober], now: float, since: float) -> set[str]:
    """Return the probers with which not all has been well, as NAME:OUTCOME of their last failure."""
    return {f"{prober.series.prober}:{prober.series.failed_as or '?'}" for prober in probers if not is_calm(prober, now, since)}


def silent(probers: list[Prober]) -> set[str]:
    """Return the names of probers that never had an answer."""
    return {prober.series.prober for prober in probers if prober.series.answered_at == float("-inf")}


def make(loop: Loop, spec: dict[str, Any], timeout: float) -> list[Prober]:
    """Return the probers that an entry of the plan describes."""
    name, interval, kind = spec["name"], spec["interval"], spec["kind"]
    targets = [Target.parse(f"{'udp' if kind == 'udp' else 'tcp'}:{place}") for place in spec["places"]]
    if kind == "stream":
        return [LongStream(loop, Series(name, interval, in_turn=True), number, targets[number % len(targets)], spec["patience"])
                for number in range(spec["count"])]
    if kind == "watch":
        token = Path(spec["token_file"]).read_text("utf-8").strip()
        tls = Tls.trusting(spec["ca"], spec["server_name"])
        return [Watch(loop, Series(name, interval, in_turn=True), targets, tls, spec["path"], token, spec["silence"])]
    return [Repeated(loop, Series(name, interval), targets, maker(kind, spec), timeout, asks_again=spec.get("asks_again", 0))]


def maker(kind: str, spec: dict[str, Any]) -> Callable[[Target, int], Exchange]:
    """Return what makes the exchanges of a prober that repeats them."""
    if kind == "http":
        plain = get(spec["host"], spec["path"])
        return lambda target, _: Exchange(target, plain, HttpAnswer())
    if kind == "https":
        tls = Tls.trusting(spec["ca"], spec["server_name"])
        encrypted = get(tls.name, spec["path"])
        return lambda target, _: Exchange(target, encrypted, HttpAnswer(), tls)
    # Over TCP echo greets.
    greetings = {"tcp": 1, "udp": 0}[kind]
    return lambda target, number: Exchange(target, f"{number}\n".encode(), EchoAnswer(str(number), greetings))


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Run all probers of a plan. Raises SystemExit when some never had an answer."""
    loop = Loop()
    told = Told(loop)
    loop.follow(0, 1, told.readable)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    for spec in plan["probers"]:
        loop.probers += make(loop, spec, plan["timeout"])

    def after(now: float) -> None:
        told.answer(now)
        if now > loop.began + plan["seconds"]:
            loop.stop()

    loop.run(after)
    if found := silent(loop.probers):
        raise SystemExit(f"no answer to: {', '.join(sorted(found))}")
    return {
        "seconds": round(loop.now() - loop.began, 3),
        "series": [prober.series.result(loop.began) for prober in loop.probers],
        "late": [[round((when - loop.began) * 1000, 1), round(late * 1000, 1)] for when, late in loop.late],
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1])), separators=(",", ":")), flush=True)
