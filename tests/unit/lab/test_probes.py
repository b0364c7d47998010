# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probers, against servers on loopback that behave as told."""
from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from northgate_lab.credentials import Authority
from traffic import probes, records
from traffic.exchange import EchoAnswer, HttpAnswer, WatchAnswer, get
from traffic.probers import Loop

LAB = Path(__file__).resolve().parents[2] / "lab"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAMED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """A listener on loopback, each of whose connections is handled in a thread by ``handle(socket, number)``."""

    def __init__(self, handle, tls=None):
        self.handle, self.tls, self.seen, self._open = handle, tls, [], []
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return "127.0.0.1:{1}".format(*self._listener.getsockname())

    def __exit__(self, *_):
        for opened in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._open.append(self._listener.accept()[0])
                threading.Thread(target=self._serve, args=(self._open[-1], len(self._open)), daemon=True).start()

    def _serve(self, connection, number):
        with contextlib.suppress(OSError, ValueError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.handle(connection, number)


def request(connection):
    """Read one request, and return its first line."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(4096)):
            raise ValueError("no request")
        data += more
    return data.split(b"\r\n")[0].decode()


def web(*answers):
    """Answers the connections in turn, the last one also all that follow; None resets, "" is never an answer."""
    def handle(connection, number):
        request(connection)
        answer = answers[min(number, len(answers)) - 1]
        if answer is None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        elif answer:
            connection.sendall(answer)
        else:
            connection.recv(1)
        connection.close()
    return handle


def echo(connection, _number):
    """What the application echo does over TCP."""
    connection.sendall(b'{"pod":"a","client":"","data":""}\n')
    for line in connection.makefile():
        connection.sendall(json.dumps({"pod": "a", "client": "", "data": line.rstrip()}).encode() + b"\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    directory = tmp_path_factory.mktemp("probes")
    authority = Authority(directory, "probes")
    certificate, key = authority.issue("kubernetes", ["kubernetes"])
    (directory / "server.pem").write_bytes(certificate + key)
    return directory


@pytest.fixture
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    return context


def run(until, *specs, timeout=1.0):
    """Run probers in this process until their series are as wanted, given as a list of outcomes for each; return their results."""
    loop = Loop()
    for spec in specs:
        loop.probers += probes.make(loop, {"interval": 0.01, **spec}, timeout)

    def results():
        return [prober.series.result(loop.began) for prober in loop.probers]

    def after(now):
        if until([result["outcomes"] for result in results()]) or now > loop.began + 20:
            loop.stop()

    loop.run(after)
    return results()


def at_least(count):
    return lambda outcomes: all(len(entry) >= count for entry in outcomes)


def test_requests_and_what_becomes_of_them():
    answers = (PLAIN, b"HTTP/1.1 503 No\r\n\r\n", None, PLAIN[:-1], b"hello\r\n\r\n", PLAIN)
    with Server(web(*answers)) as place:
        result, = run(at_least(6), {"name": "http", "kind": "http", "places": [place], "host": "a", "path": "/"})
    assert sorted(result["outcomes"][:6]) == sorted(".SRCS.")
    assert result["starts"] == sorted(result["starts"]) and min(result["latencies"]) > 0
    assert (result["prober"], result["interval"], result["in_turn"]) == ("http", 0.01, False)


def test_the_api_is_asked_again_when_a_connection_ends_before_the_answer(tls, authority):
    spec = {"name": "api", "kind": "https", "path": "/", "asks_again": 1, "ca": str(authority / "ca.pem"), "server_name": "kubernetes"}
    with Server(web(PLAIN, None, PLAIN), tls) as place:
        result, = run(at_least(20), {**spec, "places": [place]})
    assert set(result["outcomes"]) == {records.OK, records.AGAIN} and result["outcomes"].count(records.AGAIN) == 1
    again = result["starts"][result["outcomes"].index(records.AGAIN)]
    assert result["starts"].count(again) == 2

    with Server(web(PLAIN, None), tls) as place:
        result, = run(lambda outcomes: set(outcomes[0]) & {records.RESET, records.CLOSED}, {**spec, "places": [place]})
    assert records.AGAIN in result["outcomes"]

    with Server(web(PLAIN, None, None, PLAIN), tls) as place:
        result, = run(at_least(20), {**spec, "asks_again": 2, "places": [place]})
    assert set(result["outcomes"]) == {records.OK, records.AGAIN} and result["outcomes"].count(records.AGAIN) == 2

    with Server(web(PLAIN, None, PLAIN), tls) as place:
        result, = run(at_least(6), {**spec, "asks_again": 0, "places": [place]})
    assert len(set(result["outcomes"][:6]) & {records.RESET, records.CLOSED}) == 1 and records.AGAIN not in result["outcomes"]


def test_an_attempt_without_an_answer_is_lost_after_its_time_and_others_go_on_meanwhile():
    with Server(web(PLAIN, "", PLAIN)) as place:
        result, = run(lambda outcomes: "T" in outcomes[0], {"name": "http", "kind": "http", "places": [place], "host": "a", "path": "/"}, timeout=0.2)
    lost = result["outcomes"].index("T")
    assert lost > 3 and set(result["outcomes"]) == {".", "T"}
    assert result["latencies"][lost] >= 200


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = "127.0.0.1:{1}".format(*closed.getsockname())
    specs = [{"name": kind, "kind": kind, "places": [place], "host": "a", "path": "/"} for kind in ("http", "tcp", "udp")]
    assert {result["outcomes"][0] for result in run(at_least(3), *specs)} == {"F"}


def test_tls_is_verified(authority, tls, tmp_path):
    Authority(tmp_path, "another")
    spec = {"kind": "https", "server_name": "kubernetes", "path": "/version"}
    with Server(web(PLAIN), tls) as place:
        good, bad = run(at_least(3), {**spec, "name": "api", "places": [place], "ca": str(authority / "ca.pem")},
                        {**spec, "name": "bad", "places": [place], "ca": str(tmp_path / "ca.pem")})
    assert set(good["outcomes"]) == {"."}
    assert set(bad["outcomes"]) == {"E"}


def test_echo_is_asked_once_a_connection():
    with Server(echo) as place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(5)

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    data, client = datagrams.recvfrom(100)
                    datagrams.sendto(json.dumps({"data": data.decode().strip()}).encode() + b"\n", client)

        threading.Thread(target=answer, daemon=True).start()
        results = run(at_least(5), {"name": "tcp", "kind": "tcp", "places": [place]},
                      {"name": "udp", "kind": "udp", "places": ["127.0.0.1:{1}".format(*datagrams.getsockname())]})
    assert [set(result["outcomes"]) for result in results] == [{"."}, {"."}]


def test_a_stream_that_ends_is_lost_and_the_next_one_goes_on():
    def handle(connection, number):
        if number == 1:
            connection.sendall(b'{"pod":"a","client":"","data":""}\n')
            for _ in range(2):
                line = connection.recv(100).decode().strip()
                connection.sendall(json.dumps({"pod": "a", "client": "", "data": line}).encode() + b"\n")
            connection.recv(100)
            connection.close()
        else:
            echo(connection, number)

    with Server(handle) as place:
        result, = run(at_least(6), {"name": "stream", "kind": "stream", "places": [place], "count": 1, "patience": 5.0})
    assert result["outcomes"].startswith("..C...") and result["in_turn"]


class Watched:
    """An object that changes every 10 ms. Watches with odd numbers fall silent for ever after 5 changes."""

    def __init__(self, missing=()):
        self.began, self.missing, self.asked = time.monotonic(), missing, []

    def handle(self, connection, number):
        self.asked.append(request(connection))
        _, found, version = self.asked[-1].partition("resourceVersion=")
        if found and version.startswith("1 "):
            connection.sendall(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(STREAMED)
        n = int(version.split()[0]) if found else 0
        sent = 0
        while number % 2 == 0 or sent < 5:
            n += 1
            if (wait := self.began + n * 0.01 - time.monotonic()) > 0:
                time.sleep(wait)
            if n not in self.missing:
                body = json.dumps({"type": "MODIFIED", "object": {
                    "metadata": {"resourceVersion": str(n)}, "data": {"n": str(n), "t": str(1000 + n * 0.01)}}}).encode() + b"\n"
                connection.sendall(b"%x\r\n%b\r\n" % (len(body), body))
            sent += 1
        connection.recv(1)


def watch(authority, tls, watched, until):
    (authority / "token").write_text("secret\n")
    with Server(watched.handle, tls) as place:
        result, = run(until, {"name": "watch", "kind": "watch", "places": [place], "server_name": "kubernetes", "ca": str(authority / "ca.pem"),
                              "path": "/x?fieldSelector=y", "token_file": str(authority / "token"), "silence": 0.1})
    return result


def test_a_watch_that_falls_silent_is_replaced_and_no_change_is_lost(authority, tls):
    watched = Watched()
    result = watch(authority, tls, watched, at_least(30))
    assert result["outcomes"].count("N") >= 1 and set(result["outcomes"]) == {".", "N"}
    # What was made while nobody spoke came late.
    assert max(result["latencies"]) > 50 and min(result["latencies"]) < 10
    assert watched.asked[0].startswith("GET /x?fieldSelector=y&watch=true HTTP")
    # On a busy machine the first watch may be silent before it shows a change.
    goes_on = [bool(re.search(r"&watch=true&resourceVersion=\d+ HTTP", asked)) for asked in watched.asked]
    assert goes_on == sorted(goes_on) and goes_on[-1]


def test_a_change_that_is_never_seen_is_told(authority, tls):
    result = watch(authority, tls, Watched(missing={3, 4}), at_least(6))
    assert result["outcomes"].startswith("..MM")


@pytest.mark.parametrize("head, outcome", [
    (b"HTTP/1.1 410 Gone\r\n\r\n", records.GONE), (b"HTTP/1.1 403 Forbidden\r\n\r\n", records.STATUS), (STREAMED + b"0\r\n\r\n", records.CLOSED),
    (STREAMED + b"2a\r\n" + b'{"type":"ERROR","object":{"code":410}}'.ljust(41) + b"\n\r\n", records.GONE)])
def test_how_a_watch_ends(head, outcome):
    seen = []
    answer = WatchAnswer(seen.append)
    # In whatever pieces it comes.
    outcomes = [answer.take(head[at:at + 1]) for at in range(len(head))]
    assert next(entry for entry in outcomes if entry) == outcome and seen == []


def test_events_of_a_watch_in_any_pieces():
    events = b'{"type":"ADDED","object":{"a":1}}\n{"type":"MODIFIED","object":{"a":2}}\n'
    data = STREAMED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (events[:50], events[50:]))
    seen = []
    answer = WatchAnswer(seen.append)
    assert {answer.take(data[at:at + 3]) for at in range(0, len(data), 3)} == {""}
    assert seen == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("data, outcome", [
    (PLAIN, "."), (PLAIN[:-1], ""), (PLAIN[:20], ""), (STREAMED + b"2\r\nok\r\n0\r\n\r\n", "."), (STREAMED, ""), (b"HTTP/1.1 404 x\r\n\r\n", "S")])
def test_answers_of_http(data, outcome):
    assert HttpAnswer().take(data) == outcome


@pytest.mark.parametrize("data, outcome", [(b'{}\n{"data":"7"}\n', "."), (b"{}\n{", ""), (b'{}\n{"data":"6"}\n', "E")])
def test_answers_of_echo(data, outcome):
    assert EchoAnswer("7", 1).take(data) == outcome


def test_a_request_has_what_the_server_needs():
    assert get("h", "/p", {"X": "y"}) == b"GET /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: y\r\n\r\n"


def test_the_program_tells_its_time_and_when_all_is_calm():
    with Server(web(PLAIN)) as place:
        plan = {"seconds": 30.0, "timeout": 1.0, "probers": [
            {"name": "http", "kind": "http", "places": [place], "host": "a", "path": "/", "interval": 0.02}]}
        process = subprocess.Popen(
            [sys.executable, "-m", "traffic.probes", json.dumps(plan)], cwd=LAB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(LAB)})
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("now\nsettled\n")
        process.stdin.flush()
        (*now, began), (*settled, ended) = (process.stdout.readline().split() for _ in range(2))
        output, _ = process.communicate(timeout=20)
    assert (now, settled, process.returncode) == (["said", "now"], ["said", "settled"], 0)
    assert float(ended) > float(began) + probes.CALM
    found, = json.loads(output)["series"]
    assert len(found["starts"]) == len(found["latencies"]) == len(found["outcomes"]) > 20


def test_a_program_whose_prober_never_has_an_answer_names_it():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = "127.0.0.1:{1}".format(*silent.getsockname())
        plan = {"seconds": 30.0, "timeout": 1.0, "probers": [{"name": "one", "kind": "tcp", "places": [place], "interval": 0.1}]}
        found = subprocess.run(
            [sys.executable, "-m", "traffic.probes", json.dumps(plan)], cwd=LAB, input="", capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(LAB)})
    assert (found.returncode, found.stderr) == (1, "no answer to: one\n")
