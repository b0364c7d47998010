# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of long streams, against an echo on loopback that behaves as told."""
from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from traffic import stream, streams
from traffic.stream import Stream, Target

LAB = Path(__file__).resolve().parents[2] / "lab"


def said(pod, data):
    return json.dumps({"pod": pod, "client": "c", "data": data}).encode() + b"\n"


class Echo:
    """TCP and UDP at one address. ``pods`` answer message 1, 2, ... of a connection; the last one also all that follow.

    "" closes (TCP) or says nothing (UDP).
    """

    def __init__(self, *pods, address="127.0.0.1", greeting=None):
        self.pods, self.greeting = pods, greeting
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tcp = socket.create_server((address, 0), family=family)
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, 0))

    def __enter__(self):
        for work in (self._accept, self._datagrams):
            threading.Thread(target=work, daemon=True).start()
        return {name: Target(name, *opened.getsockname()[:2]) for name, opened in (("tcp", self.tcp), ("udp", self.udp))}

    def __exit__(self, *_):
        for opened in (self.tcp, self.udp):
            # Only this wakes a thread that waits for it.
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _pod(self, number):
        return self.pods[min(number, len(self.pods)) - 1]

    def _accept(self):
        try:
            while True:
                threading.Thread(target=self._converse, args=(self.tcp.accept()[0],), daemon=True).start()
        except OSError:
            pass

    def _converse(self, connection):
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            connection.sendall(self.greeting or said(self.pods[0], ""))
            for number, line in enumerate(lines, 1):
                if not self._pod(number):
                    return
                connection.sendall(said(self._pod(number), line.decode().strip()))

    def _datagrams(self):
        number = 0
        try:
            while True:
                data, client = self.udp.recvfrom(2000)
                if client is None:
                    return
                number += 1
                if self._pod(number):
                    self.udp.sendto(said(self._pod(number), data.decode().strip()), client)
        except OSError:
            pass


def talk(target, until, count=1, interval=0.01, patience=5.0, resend=0.05):
    """Runs streams until ``until(streams)``; returns their results."""
    running = streams.Streams(Stream(number, target, interval, patience, resend) for number in range(count))

    def after():
        if until(running.streams) or running.now() > running.began + 20:
            running.stop()
    return running.run(after)


def have(messages):
    return lambda found: all(entry.messages >= messages or entry.is_over for entry in found)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_streams_go_on_with_one_pod(protocol, address):
    with Echo("a", address=address) as targets:
        results = talk(targets[protocol], have(3), count=120 if protocol == "tcp" else 5)
    assert {(entry["ended"], entry["pod"], entry["pod_changes"]) for entry in results} == {("", "a", 0)}
    assert min(entry["messages"] for entry in results) == 3


def test_another_pod_ends_a_connection_and_is_counted_for_datagrams():
    with Echo("a", "a", "b") as targets:
        connection, = talk(targets["tcp"], have(5))
        datagrams, = talk(targets["udp"], have(5))
    assert (connection["ended"], connection["messages"], connection["pod"]) == ("pod b answered instead of a", 2, "a")
    assert (datagrams["ended"], datagrams["pod_changes"], datagrams["pod"]) == ("", 1, "b")


@pytest.mark.parametrize("pods, greeting, ended", [
    (("a", "a", ""), None, "closed"), (("a",), b"hello\n", "no answer of echo: b'hello'"),
    (("a",), b'{"pod": "b", "data": ""}\n', "pod a answered instead of b")])
def test_why_a_connection_ends(pods, greeting, ended):
    with Echo(*pods, greeting=greeting) as targets:
        result, = talk(targets["tcp"], have(5))
    assert result["ended"] == ended
    assert 0 <= result["ended_at"] < 20


def test_lost_datagrams_are_counted_and_the_next_is_sent():
    with Echo("a", "", "", "a") as targets:
        result, = talk(targets["udp"], have(3))
    assert (result["ended"], result["lost"], result["messages"]) == ("", 2, 3)
    # Two times ``resend``; and no more, had the wait begun with the last one that was sent.
    assert result["longest"] >= 0.1


def test_silence_ends_either():
    with Echo("a"), socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Target("tcp", *silent.getsockname())
        assert [entry["ended"] for entry in talk(mute, have(1), patience=0.1)] == ["timeout"]
    # More at once than may be about to open, to a place that never answers.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    nowhere = Target("tcp", *full.getsockname())
    with full:
        results = talk(nowhere, have(1), count=streams.OPENING * 2 + 1, patience=0.1)
    assert {entry["ended"] for entry in results} == {"timeout"}
    with Echo("a", "") as targets:
        result, = talk(targets["udp"], have(2), patience=0.2)
    assert (result["ended"], result["messages"], result["lost"] >= 2) == ("timeout", 1, True)


class Mirror:
    """A socket to a pod that answers what was sent last."""

    def __init__(self):
        self.sent = []

    def send(self, data):
        self.sent.append(data)

    def recv(self, _size):
        return said("a", self.sent[-1].decode().strip())

    def close(self):
        pass


def test_patience_is_with_each_message_and_not_with_the_stream():
    talking = Stream(7, Target("tcp", "192.0.2.1", 1), interval=1.0, patience=5.0)
    talking.socket, talking.state = Mirror(), stream.TALKING
    for second in range(20):
        assert talking.due() == float(second)
        talking.tick(float(second))
        talking.readable(second + 0.25)
    assert (talking.is_over, talking.messages, talking.longest) == (False, 20, 0.25)
    talking.tick(20.0)
    assert talking.due() == 25.0
    talking.tick(25.0)
    assert (talking.why, talking.result(10.0)["ended_at"]) == ("timeout", 15.0)


def free(protocol):
    """A target where nobody listens; the socket keeps the port from others."""
    opened = socket.socket(socket.AF_INET, *stream.PROTOCOLS[protocol])
    opened.bind(("127.0.0.1", 0))
    target = Target(protocol, *opened.getsockname())
    if protocol == "udp":
        opened.close()
    return opened, target


def test_answers_refusals_and_silence_to_questions():
    closed = [free(protocol) for protocol in ("tcp", "udp")]
    with Echo("a", "") as targets, socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Target("tcp", *silent.getsockname())
        texts = [str(target) for target in (targets["tcp"], targets["udp"], *(target for _, target in closed), mute)]
        first = streams.ask([{"target": texts[1], "source": "127.0.0.9"}], 5.0)
        answers = streams.ask([{"target": text} for text in texts], 0.5)
        long, = streams.ask([{"target": texts[0], "padding": 50_000}], 5.0)
    assert [answer["pod"] for answer in (first[0], answers[0])] == ["a", "a"]
    assert [answer["error"] for answer in answers[1:]] == ["timeout", "refused", "refused", "timeout"]
    assert len(long["data"]) > 50_000
    for opened, _ in closed:
        opened.close()


@pytest.mark.parametrize("text", ["tcp:1.2.3.4", "http:1.2.3.4:80", "udp::5", "tcp:a:b"])
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match="is not PROTOCOL:ADDRESS:PORT"):
        Target.parse(text)


def test_targets_are_written_as_they_are_read():
    for text in ("sctp:192.0.2.1:7000", "udp:[2001:db8::1]:53"):
        assert str(Target.parse(text)) == text


def test_the_program_says_when_it_is_ready_and_what_was_answered_since():
    with Echo("a") as targets:
        process = subprocess.Popen(
            [sys.executable, "-m", "traffic.streams", "run", f"3*{targets['tcp']}", f"2*{targets['udp']}", "--interval=0.02"],
            cwd=LAB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(LAB)})
        word, first = process.stdout.readline().split(" ", 1)
        process.stdin.write("mark\n")
        process.stdin.flush()
        told, mark, then = process.stdout.readline().split(" ", 2)
        output, _ = process.communicate(timeout=20)
    assert (word, told, mark, process.returncode) == ("ready", "said", "mark", 0)
    counts = [[entry["messages"] for entry in json.loads(text)["streams"]] for text in (first, then, output)]
    assert len(counts[0]) == 5
    assert all(0 < before < after <= last for before, after, last in zip(*counts, strict=True))


def test_the_first_answer_is_waited_for():
    opened, target = free("tcp")
    with opened, pytest.raises(SystemExit, match="no answer within 0 s.*refused"):
        streams.first(target, 0.5, 0.1)
    with Echo("", "", "a") as targets:
        found = streams.first(targets["udp"], 0.1, 10.0)
    assert (found["tries"], found["answer"]["pod"]) == (3, "a")
