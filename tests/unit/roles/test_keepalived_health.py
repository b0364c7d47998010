# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keepalived role's watcher calls well, with servers on loopback in place of haproxy and BIRD."""
from __future__ import annotations

import http.server
import importlib.util
import socket
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/keepalived/files/northgate_health.py"


@pytest.fixture(name="health")
def _health(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("northgate_health", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    spec.loader.exec_module(module)
    module.FILES, module.BIRD_ENABLED, module.BIRD_SOCKET = tmp_path / "health", tmp_path / "bird.service", str(tmp_path / "bird.ctl")
    module.RULES, module.TABLE = tmp_path / "ipvsadm.rules", tmp_path / "ip_vs"
    return module


@pytest.fixture(name="server")
def _server():
    """A server that answers /healthz with 200 and all else with 404."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(name="bird")
def _bird(health):
    """Has BIRD answer so to `show protocols`."""
    health.BIRD_ENABLED.touch()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(health.BIRD_SOCKET)
    listener.listen()

    def bird(*lines):
        def serve():
            connection, _address = listener.accept()
            with connection, connection.makefile("rw") as stream:
                stream.write("0001 BIRD 2.0.12 ready.\n")
                stream.flush()
                stream.readline()
                stream.write("".join(f"{line}\n" for line in ("2002-Name  Proto  Table  State  Since  Info", *lines, "0000 ")))
                stream.flush()

        threading.Thread(target=serve, daemon=True).start()
    yield bird
    listener.close()


def test_haproxy_is_well_when_it_answers_and_takes_connections(health, server):
    assert health.haproxy(f"127.0.0.1:{server}/healthz", [server]) == ""
    assert "does not answer 200" in health.haproxy(f"127.0.0.1:{server}/other", [])


def test_a_port_or_a_haproxy_that_is_gone_is_named(health, server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    assert f"no connections on port {free}" in health.haproxy(f"127.0.0.1:{server}/healthz", [server, free])
    assert f"does not answer at 127.0.0.1:{free}" in health.haproxy(f"127.0.0.1:{free}/healthz", [])


def test_one_session_is_enough_and_none_is_too_few(health, bird):
    bird(" w1_v4  BGP  ---  up  10:00  Established", " w2_v4  BGP  ---  start  10:00  Active")
    assert health.bgp() == ("", "without BGP: w2_v4")
    bird(" w1_v4  BGP  ---  start  10:00  Active")
    assert health.bgp() == ("no BGP session is up", "")


def test_where_there_are_no_neighbours_there_is_no_session_to_lose(health, bird):
    bird(" device1  Device  ---  up  10:00")
    assert health.bgp() == ("", "")


def test_a_bird_that_is_dead_is_named_and_one_that_is_not_enabled_is_none(health):
    assert health.bgp() == ("", "")
    health.BIRD_ENABLED.touch()
    assert "BIRD does not answer" in health.bgp()[0]


@pytest.mark.parametrize(("rules", "table", "well"), [
    (None, 3, True), ("# no rules\n", 3, True), ("-A -t 203.0.113.1:80 -s mh\n", 3, False), ("-A -t 203.0.113.1:80 -s mh\n", 4, True),
    ("-A -t 203.0.113.1:80 -s mh\n", 0, False)])
def test_rules_that_are_to_be_there_are_missed(health, rules, table, well):
    if rules is not None:
        health.RULES.write_text(rules)
    if table:
        health.TABLE.write_text("line\n" * table)
    assert bool(health.Rules().missing()) != well


@pytest.fixture(name="told")
def _told(health):
    """What keepalived is told after a look at a time, in seconds, at which something is wrong or missing."""
    found = ["", ""]
    verdict = health.Verdict("routes", lambda: tuple(found), fall=3, settle=6, patience=30)

    def told(now, wrong="", missing=""):
        found[:] = [wrong, missing]
        verdict.look(now)
        return (health.FILES / "routes").read_text(encoding="ascii").strip()

    told.doubt = verdict.doubt
    return told


def test_a_router_is_out_until_all_has_been_well_for_a_while(told):
    assert [told(0), told(5.9), told(6)] == ["1", "1", "0"]


def test_one_bad_check_begins_the_wait_anew_and_three_in_a_row_end_what_was_well(told):
    assert [told(0), told(5, "down"), told(6), told(11.5), told(12)] == ["1"] * 4 + ["0"]
    assert [told(13, "down"), told(14, "down"), told(15), told(16, "down"), told(17, "down"), told(18, "down")] == ["0"] * 5 + ["1"]


def test_what_is_missing_is_waited_for_but_not_for_ever_and_moves_nothing(told):
    assert [told(0, missing="w1"), told(20, missing="w1"), told(21), told(26), told(27)] == ["1"] * 4 + ["0"]
    assert told(100, missing="w1") == "0"
    assert [told(time, "down") for time in (101, 102, 103)][-1] == "1"
    assert [told(110, missing="w1"), told(139, missing="w1"), told(140, missing="w1")] == ["1", "1", "0"]


def test_a_router_that_did_not_run_has_to_show_again_that_all_is_well(told):
    assert [told(0), told(6)] == ["1", "0"]
    told.doubt("nothing ran")
    assert [told(20), told(25.9), told(26)] == ["1", "1", "0"]


def test_what_keepalived_was_told_holds_when_the_watcher_starts_anew(health, told):
    assert [told(0), told(6)] == ["1", "0"]
    again = health.Verdict("routes", lambda: ("", "w1"), fall=3, settle=6, patience=30)
    again.look(7)
    assert (health.FILES / "routes").read_text(encoding="ascii") == "0\n"
