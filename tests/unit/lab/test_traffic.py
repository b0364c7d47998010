# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traffic generator of tests, against a server that behaves as told."""
from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import pytest
from traffic import ask, load, websocket
from traffic.wire import Router

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


class Server:
    """Answers the requests of each connection with the given bytes in turn, and then closes; the last ones are for all that follow."""

    def __init__(self, *connections):
        self.connections, self.seen = list(connections), []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Router("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        answers = self.connections.pop(0) if len(self.connections) > 1 else self.connections[0]
        try:
            if callable(answers):
                await answers(reader, writer)
                return
            for answer in answers:
                self.seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the test has ended
        finally:
            writer.close()


def run_load(server, **plan):
    async def run():
        async with server as router:
            return await load.Load(load.Plan(router, **plan)).run()
    return asyncio.run(run())


def test_requests_are_counted_and_end_with_their_number():
    summary = run_load(Server([PLAIN] * 100), urls=("http://a/", "http://b/x"), loops=2, pause=0.0, requests=20)
    assert (summary.failed, summary.retried, summary.reasons) == (0, 0, [])
    assert 20 <= summary.requests <= 21


def test_a_wrong_status_fails_with_its_reason():
    summary = run_load(Server([b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"] * 9), urls=("http://a/y",), pause=0.0, requests=2)
    assert summary.failed == 2
    assert summary.reasons[0].endswith("http://a/y: status 503: b'no'")


def test_a_kept_alive_connection_that_closes_is_no_failure_but_a_new_one_is():
    assert run_load(Server([PLAIN]), urls=("http://a/",), pause=0.0, requests=3).failed == 0
    assert run_load(Server([PLAIN]), urls=("http://a/",), pause=0.0, requests=3).retried == 2
    assert run_load(Server([]), urls=("http://a/",), pause=0.0, requests=2).failed == 2


@pytest.mark.parametrize("cut", [PLAIN[:-1], CHUNKED[:-9], PLAIN[:20]])
def test_an_answer_that_ends_early_fails(cut):
    summary = run_load(Server([PLAIN, cut]), urls=("http://a/",), pause=0.0, requests=2)
    assert (summary.requests, summary.failed) == (2, 1)


async def handshake(reader, writer, greeting=b'{"pod": "a"}'):
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key.encode() + websocket.MAGIC).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n" + bytes([0x81, len(greeting)]) + greeting)


async def frame(reader):
    head = await reader.readexactly(6)
    return bytes(byte ^ head[2 + index % 4] for index, byte in enumerate(await reader.readexactly(head[1] & 127)))


async def echo(reader, writer, after, then):
    await handshake(reader, writer)
    for _ in range(after):
        data = await frame(reader)
        writer.write(bytes([0x81, len(data)]) + data)
    writer.write(then)


@pytest.mark.parametrize("then, ended, broken", [(b"\x88\x02\x03\xe9", 1, 0), (b"", 0, 1), (b"\x81\x02no", 0, 1), (b"\x89\x00\x88\x00", 1, 0)])
def test_what_becomes_of_a_websocket(then, ended, broken):
    async def first(reader, writer):
        await echo(reader, writer, 3, then)

    async def others(reader, writer):
        await echo(reader, writer, 10_000, b"")
    summary = run_load(Server(first, others), websockets=("http://a/ws",), beat=0.01, seconds=0.5)
    assert (summary.websockets_opened, summary.websockets_ended, summary.websockets_broken) == (2, ended, broken)
    assert summary.messages > 3
    assert len(summary.reasons) == 1


def test_a_greeting_names_the_pod():
    async def forever(reader, writer):
        await echo(reader, writer, 10_000, b"")

    async def run():
        async with Server(forever) as router:
            running = load.Load(load.Plan(router, websockets=("http://a/ws",)), ready=lambda: running.stop())
            await running.run()
        return running.pods
    assert asyncio.run(run()) == ["a"]


@pytest.mark.parametrize("greeting", [b"no", b"{}", b"[]"])
def test_a_websocket_that_does_not_greet_is_broken(greeting):
    async def rude(reader, writer):
        await handshake(reader, writer, greeting)
    summary = run_load(Server(rude), websockets=("http://a/ws",), beat=0.05, seconds=0.2)
    assert (summary.websockets_broken > 0, summary.messages) == (True, 0)


def test_a_websocket_that_is_refused_is_broken():
    summary = run_load(Server([PLAIN] * 9), websockets=("http://a/ws",), beat=0.05, seconds=0.2)
    assert (summary.websockets_opened, summary.websockets_broken > 0) == (0, True)


def test_it_says_when_everything_runs():
    async def run():
        said = []
        async with Server([PLAIN] * 9) as router:
            running = load.Load(load.Plan(router, ("http://a/",), loops=3, pause=0.01), ready=lambda: (said.append(running.summary.requests), running.stop()))
            await running.run()
        return said
    assert len(asyncio.run(run())) == 1


def asked(server, *questions):
    async def run():
        async with server as router:
            return await ask.Asker(router).all(list(questions))
    return asyncio.run(run())


def test_questions_go_out_as_they_are():
    server = Server([PLAIN, CHUNKED], [PLAIN])
    answers = asked(server, {"host": "A.b.:80", "path": "//x%2f/../?"}, {"host": "a.b", "method": "POST", "body": "z", "headers": {"X": "1"}})
    assert [(answer["status"], answer["body"]) for answer in answers] == [(200, "ok"), (200, "abcde")]
    assert server.seen[0] == "GET //x%2f/../? HTTP/1.1\r\nHost: A.b.:80\r\n\r\n"
    assert "Content-Length: 1\r\nX: 1\r\n" in server.seen[1]


def test_an_answer_that_does_not_come_is_told_and_the_next_is_asked():
    answers = asked(Server([b"no http\r\n\r\n"], [PLAIN]), {"host": "a"}, {"host": "a", "times": 2})
    assert [answer["status"] for answer in answers] == [0, 200, 0]
    assert "no HTTP" in answers[0]["error"]
    json.dumps(answers)


def test_a_stream_ends_after_its_lines():
    async def stream(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2\n\n")
        await reader.read()
    answer, = asked(Server(stream), {"host": "a", "lines": 2})
    assert (answer["body"], len(answer["times"])) == ("data: 1\ndata: 2\n", 2)
