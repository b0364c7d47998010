# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module bird_info on real BIRDs: it tells what is there, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from northgate_bird import POOL, until

import ansible_collections.northgate.edge

MODULE = Path(ansible_collections.northgate.edge.__path__[0]) / "plugins" / "modules" / "bird_info.py"


def info(host, **arguments):
    """The module's result."""
    given = {"ANSIBLE_MODULE_ARGS": {"socket": host.socket, "_ansible_check_mode": True, **arguments}}
    done = subprocess.run([sys.executable, str(MODULE)], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout)


def test_it_tells_what_routers_exchange_and_that_one_is_gone(birds):
    r1, _r2, out = birds
    shown = info(out)
    assert (shown["changed"], shown["running"], shown["status"]["router_id"]) == (False, True, "10.0.0.9")
    sessions = {entry["name"]: entry for entry in shown["protocols"] if entry["type"] == "BGP"}
    assert {(name, entry["bgp_state"], entry["bfd"], entry["imported"]) for name, entry in sessions.items()} == {
        (name, "Established", "Up", 1) for name in ("r1_v4", "r1_v6", "r2_v4", "r2_v6")}
    assert {(route["protocol"], route["best"], tuple(route["as_path"])) for route in shown["routes"] if route["prefix"] == POOL} == {
        ("r1_v4", shown["routes"][0]["protocol"] == "r1_v4", (64500,)), ("r2_v4", shown["routes"][0]["protocol"] == "r2_v4", (64500,))}
    assert len(shown["bfd"]) == 4
    one = info(out, gather=["routes"], protocol="r1_v4", limit=1)
    assert (len(one["routes"]), one["routes_left_off"], "bfd" in one) == (1, False, False)
    assert r1.info("protocols")["protocols"][0]["name"] == "device1"
    r1.kill()
    until(lambda: info(out, gather=["protocols"])["protocols"] and out.sessions()["r1_v4"]["bfd"] == "Down", "r1 is gone")
    assert info(r1)["running"] is False


def test_what_it_can_not_ask_is_an_error_that_says_why(birds):
    out = birds[2]
    assert "prefix: " in info(out, prefix="10.0.0.1/8")["msg"]
    assert "BIRD answers: " in info(out, table="nosuch")["msg"]
