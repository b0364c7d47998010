# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m traffic.streams run``, ``ask`` and ``first``: many conversations over TCP, UDP and SCTP in one thread; see --help."""
from __future__ import annotations

import argparse
import collections
import dataclasses
import heapq
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from .stream import CONNECTING, REFUSED, Stream, Target

# How many connections may be about to open at once: a listener's queue is short.
OPENING = 50
# The longest time that the loop sleeps.
STEP = 0.5
# Between two questions, where one answer is waited for.
PAUSE = 0.02


class Streams:
    """Runs streams until told to stop. ``now`` is the clock."""

    def __init__(self, streams: Iterable[Stream], now: Callable[[], float] = time.monotonic) -> None:
        self.streams = list(streams)
        self.now, self.began = now, now()
        self._selector = selectors.DefaultSelector()
        self._others: dict[int, Callable[[], None]] = {}
        self._unopened = collections.deque(self.streams)
        self._opening: set[Stream] = set()
        self._watched: dict[Stream, int] = {}
        # When to look at each stream again: a heap, and the entry that counts of each.
        self._heap: list[tuple[float, int, Stream]] = []
        self._scheduled: dict[Stream, float] = {}
        self._stopped = False

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call ``readable`` whenever there is something to read from a file descriptor."""
        self._others[descriptor] = readable
        self._selector.register(descriptor, selectors.EVENT_READ, readable)

    def forget(self, descriptor: int) -> None:
        """No longer watch a file descriptor."""
        if self._others.pop(descriptor, None):
            self._selector.unregister(descriptor)

    def stop(self) -> None:
        """Let ``run`` return."""
        self._stopped = True

    def run(self, after: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
        """Run until stopped, and return the streams' results. ``after`` is called after each step."""
        while not self._stopped:
            self._open()
            touched = []
            for key, events in self._selector.select(self._pause()):
                if isinstance(key.data, Stream):
                    self._event(key.data, events)
                    touched.append(key.data)
                else:
                    key.data()
            touched += self._tick()
            after()
            # Before the next socket is opened, which may get the number of one that is closed.
            for stream in touched:
                self._follow(stream)
        for stream in self.streams:
            stream.close()
        self._selector.close()
        return [stream.result(self.began) for stream in self.streams]

    def answered_since(self, when: float) -> bool:
        """Whether each stream that lives has had the answer to a message that it sent after ``when``."""
        return all(stream.is_over or stream.answered_of >= when for stream in self.streams)

    def _open(self) -> None:
        while self._unopened and len(self._opening) < OPENING:
            stream = self._unopened.popleft()
            stream.begin(self.now())
            if stream.is_over:
                continue
            wanted = selectors.EVENT_READ
            if stream.state == CONNECTING:
                self._opening.add(stream)
                wanted = selectors.EVENT_WRITE
            self._selector.register(stream.socket, wanted, stream)
            self._watched[stream] = stream.socket.fileno()
            self._schedule(stream)

    def _pause(self) -> float:
        return max(0.0, self._heap[0][0] - self.now()) if self._heap else STEP

    def _schedule(self, stream: Stream) -> None:
        when = min(stream.due(), self.now() + STEP)
        if when < self._scheduled.get(stream, float("inf")):
            self._scheduled[stream] = when
            heapq.heappush(self._heap, (when, stream.number, stream))

    def _tick(self) -> list[Stream]:
        """Let streams do what is due; return those that were looked at."""
        now, looked = self.now(), []
        while self._heap and self._heap[0][0] <= now:
            when, _, stream = heapq.heappop(self._heap)
            if self._scheduled.get(stream) == when:
                del self._scheduled[stream]
                stream.tick(now)
                looked.append(stream)
        return looked

    def _event(self, stream: Stream, events: int) -> None:
        if stream.is_over:
            return
        if events & selectors.EVENT_WRITE:
            self._opening.discard(stream)
            stream.writable(self.now())
            if not stream.is_over:
                self._selector.modify(stream.socket, selectors.EVENT_READ, stream)
        else:
            stream.readable(self.now())

    def _follow(self, stream: Stream) -> None:
        """Look at a stream again when it is due, or never. The socket of one that is over is closed: only the number is left to name it by."""
        if not stream.is_over:
            self._schedule(stream)
        elif stream in self._watched:
            self._selector.unregister(self._watched.pop(stream))
            self._scheduled.pop(stream, None)
            self._opening.discard(stream)


class Told:
    """What ``run`` reads from its input: a line is a word, answered by ``said WORD SUMMARY`` once all that live have been answered since."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._read = b""
        self._waiting: list[tuple[str, float]] = []
        self._is_ready = False

    def readable(self) -> None:
        """Take lines; the end of the input stops the streams."""
        data = os.read(0, 4096)
        if not data:
            self._streams.forget(0)
            self._streams.stop()
        *lines, self._read = (self._read + data).split(b"\n")
        self._waiting += [(line.decode(), self._streams.now()) for line in lines]

    def answer(self) -> None:
        """Say what can be said by now."""
        if not self._is_ready and self._streams.answered_since(self._streams.began):
            self._is_ready = True
            print("ready", json.dumps(summary(self._streams)), flush=True)
        while self._is_ready and self._waiting and self._streams.answered_since(self._waiting[0][1]):
            word, _ = self._waiting.pop(0)
            print("said", word, json.dumps(summary(self._streams)), flush=True)


def summary(streams: Streams) -> dict[str, Any]:
    """Return seconds since the beginning, and the result of each stream."""
    return {"seconds": round(streams.now() - streams.began, 2), "streams": [stream.result(streams.began) for stream in streams.streams]}


def run(targets: list[tuple[Target, int]], interval: float, patience: float, seconds: float) -> dict[str, Any]:
    """Keep so many streams to each target until the input ends, a signal comes or ``seconds`` have passed."""
    every = [target for target, count in targets for _ in range(count)]
    streams = Streams(Stream(number, target, interval, patience) for number, target in enumerate(every))
    told = Told(streams)
    streams.watch(0, told.readable)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: streams.stop())

    def after() -> None:
        told.answer()
        if streams.now() > streams.began + seconds:
            streams.stop()

    streams.run(after)
    return summary(streams)


def ask(questions: list[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """Ask each question once, all at the same time: ``target`` (text), ``source``, ``source_port``, ``padding``.

    The answers are what echo said; else ``{"error": ...}``: refused, timeout, or the name of another error.
    """
    found = [
        dataclasses.replace(Target.parse(question["target"]), source=question.get("source", ""), source_port=question.get("source_port", 0))
        for question in questions
    ]
    streams = Streams(
        Stream(number, target, timeout, timeout, timeout, question.get("padding", 0))
        for number, (target, question) in enumerate(zip(found, questions)))

    def after() -> None:
        for stream in streams.streams:
            if stream.refused:
                stream.end(REFUSED, streams.now())
        if streams.answered_since(streams.began):
            streams.stop()

    streams.run(after)
    return [{"error": stream.why} if stream.why else stream.answer for stream in streams.streams]


def first(target: Target, timeout: float, seconds: float) -> dict[str, Any]:
    """Ask over and over, beginning anew each time, until there is an answer; return ``seconds`` that it took, and how often it asked."""
    began, tries = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        tries += 1
        answer, = ask([{"target": str(target)}], timeout)
        if "error" not in answer:
            return {"seconds": round(time.monotonic() - began, 3), "tries": tries, "answer": answer}
        time.sleep(PAUSE)
    raise SystemExit(f"no answer within {seconds:.0f} s: {answer}")


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="traffic.streams", description=__doc__)
    add = parser.add_subparsers(dest="command", required=True).add_parser
    running = add("run", help="print 'ready SUMMARY' once each stream had an answer, and a summary (JSON) when standard input ends; "
                              "a line of input is answered by 'said LINE SUMMARY' when all streams that live were answered since")
    running.add_argument("target", nargs="+", help="COUNT*PROTOCOL:ADDRESS:PORT, as in 300*tcp:192.0.2.1:80")
    running.add_argument("--interval", type=float, default=0.5, help="seconds between the messages of a stream")
    running.add_argument("--patience", type=float, default=30.0, help="seconds without an answer after which a stream has ended")
    running.add_argument("--seconds", type=float, default=300.0, help="end after as many")
    asking = add("ask", help="read questions (JSON) from standard input, print the answers")
    asking.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for an answer")
    once = add("first", help="print 'ready', ask until there is an answer, print 'said answered SUMMARY', and when standard input ends SUMMARY again")
    once.add_argument("target", help="PROTOCOL:ADDRESS:PORT")
    once.add_argument("--timeout", type=float, default=0.2, help="seconds to wait for an answer each time")
    once.add_argument("--seconds", type=float, default=300.0, help="give up after as many")
    arguments = parser.parse_args()
    if arguments.command == "first":
        print("ready", flush=True)
        found = json.dumps(first(Target.parse(arguments.target), arguments.timeout, arguments.seconds))
        print("said answered", found, flush=True)
        sys.stdin.read()
        print(found, flush=True)
        return 0
    if arguments.command == "ask":
        print(json.dumps(ask(json.load(sys.stdin), arguments.timeout)))
        return 0
    targets = [(Target.parse(text.partition("*")[2]), int(text.partition("*")[0])) for text in arguments.target]
    print(json.dumps(run(targets, arguments.interval, arguments.patience, arguments.seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
