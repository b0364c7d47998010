# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from BIRD: replies are what daemons of these versions said, and a server says them again."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._bird.control import Control, NotRunning, Refused
from ansible_collections.northgate.edge.plugins.module_utils._bird.info import gather, route_command
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue

VERSIONS = ["2.0.12", "2.17.1"]
SUBSETS = ["protocols", "routes", "bfd"]
LIMITED = "show route for 203.0.113.7 table master4 protocol r1_v4 all"


def replies(version):
    text = (Path(__file__).parent / "replies" / f"{version}.txt").read_text("utf-8")
    found = dict(part.split("\n", 1) for part in text.split("### ")[1:])
    return {**found, "": f"0001 BIRD {version} ready.\n", "restrict": "0016 Access restricted\n"}


@pytest.fixture
def server(tmp_path):
    """Starts a server that has these replies; `asked` is what it was asked."""
    listeners = []

    def server(said):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "bird.ctl"))
        listener.listen()
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, said), daemon=True).start()
        return str(tmp_path / "bird.ctl")

    def serve(listener, said):
        connection, _address = listener.accept()
        with connection, connection.makefile("rw") as stream:
            stream.write(said[""])
            stream.flush()
            for command in stream:
                server.asked.append(command.strip())
                if command.strip() not in said:
                    return
                stream.write(said[command.strip()])
                stream.flush()

    server.asked = []
    yield server
    for listener in listeners:
        listener.close()


@pytest.fixture(params=VERSIONS)
def shown(request, server):
    return gather(server(replies(request.param)), SUBSETS, None, None, None, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_asks_to_be_restricted_before_anything_else(server, version):
    path = server(replies(version))
    shown = gather(path, [], None, None, None, 0)
    assert server.asked[0] == "restrict" and shown["running"]
    assert (shown["status"]["version"], shown["status"]["router_id"], shown["status"]["state"]) == (version, "10.0.0.9", "Daemon is up and running")
    assert (shown["status"]["draining"], shown["status"]["unconfirmed"]) == (False, False)


def test_sessions_with_what_they_exchanged_and_why_they_are_down(shown):
    found = {entry["name"]: entry for entry in shown["protocols"]}
    up, gone, never = found["r1_v4"], found["r2_v4"], found["r3_v4"]
    assert (up["type"], up["state"], up["bgp_state"], up["bfd"], up["info"]) == ("BGP", "up", "Established", "Up", "Established")
    assert (up["neighbor_address"], up["neighbor_as"], up["local_as"], up["hold_timer"]["time"]) == ("10.0.0.1", 64500, 64700, 9)
    assert (up["imported"], up["exported"], up["filtered"], up["last_error"]) == (3, 0, 0, "")
    channel = up["channels"][0]
    assert (channel["name"], channel["table"], channel["import_limit"], channel["limit_hit"], channel["limit_action"]) == ("ipv4", "master4", 3, True, "block")
    assert not found["r1_v6"]["channels"][0]["limit_hit"]
    assert (gone["state"], gone["bgp_state"], gone["graceful_restart"], gone["bfd"]) == ("start", "Active", True, "Down")
    assert gone["last_error"] == "Socket: Connection refused"
    assert (never["state"], never["neighbor_as"], never["hold_timer"], never["graceful_restart"], never["imported"]) == ("start", 64501, None, False, 0)


def test_protocols_without_neighbours(shown):
    found = {entry["name"]: entry for entry in shown["protocols"]}
    assert {name: (entry["type"], entry["table"]) for name, entry in found.items() if entry["type"] != "BGP"} == {
        "device1": ("Device", ""), "ng_bfd": ("BFD", ""), "ng_announce_v4": ("Static", "master4"), "ng_announce_v6": ("Static", "master6"),
        "ng_gateway_v4": ("Static", "master4"), "ng_gateway_v6": ("Static", "master6"), "ng_kernel_v4": ("Kernel", "master4"),
        "ng_kernel_v6": ("Kernel", "master6")}
    assert (found["ng_announce_v4"]["imported"], found["ng_announce_v4"]["neighbor_as"], found["ng_announce_v4"]["bgp_state"]) == (1, None, "")
    assert found["ng_kernel_v4"]["filtered"] == 0


def test_routes_with_their_attributes(shown):
    found = {(route["prefix"], route["protocol"]): route for route in shown["routes"]}
    own, limited = found[("198.51.100.0/24", "ng_announce_v4")], found[("10.1.0.0/24", "r1_v4")]
    assert (own["type"], own["preference"], own["table"], own["next_hops"], own["as_path"]) == ("unreachable", 200, "master4", [], [])
    assert limited["next_hops"] == [{"address": "10.0.0.1", "interface": "eth0", "weight": 1}]
    assert (limited["as_path"], limited["local_pref"], limited["med"], limited["stale"]) == ([64999, 64500], 0, 5, False)
    assert (limited["communities"], limited["large_communities"]) == (["65535:0", "64700:7"], ["64700:1:2"])
    # The best of a prefix, and the one without the prefix in its line.
    best, other = found[("2001:db8:100::/64", "r1_v6")], found[("2001:db8:100::/64", "r2_v6")]
    assert (best["best"], best["stale"], best["table"], other["best"], other["stale"]) == (True, False, "master6", False, True)
    assert not shown["routes_left_off"]


def test_bfd_sessions_in_seconds(shown):
    found = {session["address"]: session for session in shown["bfd"]}
    assert (found["fd00::1"]["state"], found["fd00::1"]["interval"], found["fd00::1"]["timeout"], found["fd00::1"]["protocol"]) == ("Up", 0.1, 0.3, "ng_bfd")
    assert (found["10.0.0.3"]["state"], found["10.0.0.3"]["interface"]) == ("Down", "eth0")


def test_no_more_routes_are_read_than_the_limit(server):
    shown = gather(server(replies("2.0.12")), ["routes"], None, None, None, 2)
    assert ([route["prefix"] for route in shown["routes"]], shown["routes_left_off"]) == (["198.51.100.0/24", "10.1.0.0/24"], True)


def test_exactly_as_many_routes_as_the_limit_leave_nothing_off(server):
    assert not gather(server(replies("2.0.12")), ["routes"], None, None, None, 7)["routes_left_off"]


def test_no_route_is_no_error_and_no_table_is_one(server):
    path = server(replies("2.0.12"))
    assert gather(path, ["routes"], "203.0.113.7", "r1_v4", "master4", 0)["routes"] == []
    assert server.asked[-1] == LIMITED


def test_what_bird_does_not_know_is_its_answer(server):
    with pytest.raises(Refused, match="BIRD answers: syntax error"):
        gather(server(replies("2.0.12")), ["routes"], None, None, "nosuch", 0)


def test_a_configuration_of_somebody_else_has_neither_bfd_nor_a_switch(server):
    none = {"show bfd sessions": "9001 There is no BFD protocol running\n", "eval ng_drain": "9001 syntax error\n"}
    shown = gather(server({**replies("2.0.12"), **none}), ["protocols", "bfd"], None, None, None, 0)
    assert (shown["bfd"], shown["status"]["draining"]) == ([], None)


def test_a_configuration_that_waits_to_be_confirmed_is_shown(server):
    waiting = {"configure status": "0003-Daemon is up and running\n0022-Configuration unconfirmed, undo in 27.5 s\n0000 \n"}
    assert gather(server({**replies("2.0.12"), **waiting}), [], None, None, None, 0)["status"]["unconfirmed"]


def test_without_a_bird_there_is_a_reason(tmp_path, server):
    shown = gather(str(tmp_path / "nobody"), SUBSETS, None, None, None, 0)
    assert (shown["running"], shown["status"], shown["protocols"], shown["routes"], shown["bfd"]) == (False, {}, [], [], [])
    assert shown["reason"].startswith(f"BIRD does not answer on {tmp_path}/nobody: ")
    # One that goes away in the middle is none either.
    said = replies("2.0.12")
    del said["show protocols all"]
    shown = gather(server(said), SUBSETS, None, None, None, 0)
    assert (shown["running"], shown["bfd"]) == (False, []) and "went away while it was asked to show protocols all" in shown["reason"]


def test_messages_of_a_log_are_no_part_of_a_reply(server):
    with Control(server({**replies("2.0.12"), "show memory": "1018-one\n+a message\n two\n0000 \n"})) as control:
        assert control.ask("show memory") == ["one", "two"]


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "silent"))
    listener.listen()
    with listener, pytest.raises(NotRunning, match="does not answer"):
        Control(str(tmp_path / "silent"), timeout=0.1)


@pytest.mark.parametrize(("given", "command"), [
    ((None, None, None), "show route all"), (("10.0.0.0/8", None, "master4"), "show route 10.0.0.0/8 table master4 all"),
    (("fd00::1", "r1_v6", None), "show route for fd00::1 protocol r1_v6 all")])
def test_commands_for_routes(given, command):
    assert route_command(*given) == command


@pytest.mark.parametrize(("given", "field"), [
    (("10.0.0.1/8", None, None), "prefix"), (("all\nconfigure", None, None), "prefix"), ((None, "r1 all", None), "protocol"),
    ((None, None, "x\nconfigure"), "table"), ((None, "r1\n", None), "protocol")])
def test_arguments_that_are_no_names_get_nowhere(given, field):
    with pytest.raises(InvalidValue, match=f"^{field}: "):
        route_command(*given)
