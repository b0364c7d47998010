# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two routers and somebody outside, real BIRDs with the role's configuration: what they accept, and what they notice."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from northgate_bird import POOL, POOL6, R1, R2, ROLE, SEGMENT, Host, neighbors, run, until

OTHER = "198.51.100.0/24"


def test_sessions_come_up_with_passwords_and_bfd_and_routes_have_global_next_hops(bird_lab):
    r1, r2, out = bird_lab
    r1.start(bird_password="one for all")
    r2.start(bird_neighbors=neighbors(r2, password="only r2's; with a # in it"))
    out.start(bird_password="one for all", bird_neighbors=neighbors(out, {}, {"password": "only r2's; with a # in it"}))
    until(lambda: out.up("r1_v4", "r1_v6", "r2_v4", "r2_v6"), "all sessions with their passwords")
    assert "one for all" not in out.config.read_text()
    until(lambda: out.routes().get(POOL) == R1 | R2, "both routers")
    until(lambda: out.routes(6).get(POOL6) == {"fd00::1", "fd00::2"}, "global next hops")
    assert {(entry["interval"], entry["timeout"]) for entry in out.info("bfd")["bfd"]} == {(0.1, 0.3)}


def test_a_wrong_password_is_no_session(bird_lab):
    r1, _r2, out = bird_lab
    r1.start(bird_password="right")
    out.start(bird_password="wrong")
    until(lambda: r1.sessions()["out_v4"]["bfd"] == "Up", "BFD, which has no password")
    assert r1.sessions()["out_v4"]["bgp_state"] != "Established" and not out.routes()


def test_only_what_is_declared_and_by_whom_it_is_declared_is_accepted(bird_lab):
    r1, r2, out = bird_lab
    # r1 announces what out does not expect, a default route and a part of what out itself announces; r2 pretends to have it from others.
    r1.start(bird_announce=[POOL, OTHER, "192.0.2.128/25", "0.0.0.0/0"],
             bird_neighbors=neighbors(r1, export_prefixes=[POOL, OTHER, "192.0.2.0/24+", "0.0.0.0/0"]))
    r2.write()
    detour = r2.config.read_text().replace("if ng_drain then", "bgp_path.prepend(64999); if ng_drain then")
    r2.config.write_text(detour.replace("neighbor 10", "rs client; neighbor 10"))
    r2.start("-f")
    out.start(bird_announce=["192.0.2.0/24"], bird_neighbors=neighbors(out, import_prefixes=[POOL, "0.0.0.0/0+", "192.0.2.0/24+"]))
    until(lambda: out.sessions()["r1_v4"]["filtered"] == 2 and out.sessions()["r2_v4"]["filtered"] == 1, "what was refused")
    assert {(route["prefix"], route["protocol"]) for route in out.info("routes")["routes"]} == {
        (POOL, "r1_v4"), (OTHER, "r1_v4"), ("192.0.2.0/24", "ng_announce_v4")}
    # A worker's path is the worker alone; the default route has to be declared by its own name.
    r2.config.write_text(detour)
    assert r2.take_over().returncode == 0
    until(lambda: POOL in {route["prefix"] for route in out.info("routes", protocol="r2_v4")["routes"]}, "a path that begins with the neighbour")
    out.write(bird_neighbors=neighbors(out, import_prefixes=["0.0.0.0/0", POOL], transit=False))
    assert out.take_over().stdout == "reconfigured\n"
    until(lambda: set(out.routes()) == {"default", POOL} and out.routes()[POOL] == R1, "a path that is the neighbour alone")


def test_a_limit_blocks_and_the_session_stays(bird_lab):
    r1, _r2, out = bird_lab
    prefixes = [f"10.1.{number}.0/24" for number in range(5)]
    r1.start(bird_announce=prefixes, bird_neighbors=neighbors(r1, export_prefixes=["10.1.0.0/16+"]))
    out.start(bird_import_limit=3, bird_neighbors=neighbors(out, import_prefixes=["10.1.0.0/16+"]))
    until(lambda: len(out.routes()) == 3, "as many routes as the limit allows")
    session = out.sessions()["r1_v4"]
    assert (session["bgp_state"], session["imported"]) == ("Established", 3)
    assert (session["channels"][0]["import_limit"], session["channels"][0]["limit_hit"], session["channels"][0]["limit_action"]) == (3, True, "block")


def test_a_limit_may_end_the_session(bird_lab):
    r1, _r2, out = bird_lab
    r1.start(bird_announce=["10.1.1.0/24", "10.1.2.0/24"], bird_neighbors=neighbors(r1, export_prefixes=["10.1.0.0/16+"]))
    out.start(bird_neighbors=neighbors(out, import_prefixes=["10.1.0.0/16+"], import_limit=1, import_limit_action="disable"))
    until(lambda: "limit" in out.sessions()["r1_v4"]["last_error"].lower(), "the session's end")
    assert out.sessions()["r1_v4"]["state"] == "down" and not out.routes()


@pytest.mark.parametrize("how", ["killed", "cable"])
def test_bfd_notices_a_router_that_is_gone_long_before_the_hold_time(birds, how):
    r1, _r2, out = birds
    if how == "killed":
        r1.kill()
    else:
        out.network.cut("r1", SEGMENT)
    # The hold time is 9 s; less than that is BFD's doing.
    until(lambda: out.routes()[POOL] == R2 and out.routes(6)[POOL6] == {"fd00::2"}, "r1's routes are withdrawn", timeout=6)
    assert out.sessions()["r2_v4"]["bgp_state"] == "Established"


def go_straight(router: Host) -> None:
    """As role ipvs has it: what the router itself sends does not go by way of who stands in, or it would never see the other again."""
    for family, address, network in (("-4", "10.0.0.9", "10.0.0.0/24"), ("-6", "fd00::9", "fd00::/64")):
        router.host.run("ip", family, "rule", "add", "pref", "120", "from", address, "lookup", "121")
        router.host.run("ip", family, "route", "add", network, "dev", "eth0", "table", "121")


@pytest.mark.parametrize("how", ["killed", "cable"])
def test_the_workers_of_a_cluster_stand_in_for_one_that_is_gone_until_it_is_back(bird_lab, how):
    w1, w2, router = bird_lab
    go_straight(router)
    for host in bird_lab:
        host.start(**({"bird_stand_in_clusters": ["alpha"], "bird_neighbors": neighbors(router, cluster="alpha")} if host is router else {}))
    until(lambda: router.up("r1_v4", "r1_v6", "r2_v4", "r2_v6"), "all sessions")
    nodes = {"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"}
    until(lambda: not nodes & {*router.routes(), *router.routes(6)}, "every worker for itself")
    if how == "killed":
        w1.kill()
    else:
        router.network.cut("r1", SEGMENT)
    until(lambda: router.routes().get("10.0.0.1") == R2 and router.routes(6).get("fd00::1") == {"fd00::2"}, "w2 stands in for w1")
    assert not {"10.0.0.2", "fd00::2"} & {*router.routes(), *router.routes(6)}
    if how == "killed":
        w1.start()
    else:
        router.network.mend("r1", SEGMENT)
    until(lambda: router.up("r1_v4", "r1_v6") and not nodes & {*router.routes(), *router.routes(6)}, "every worker for itself again")
    # Where all are gone nobody stands in.
    w1.kill()
    w2.kill()
    until(lambda: not router.routes() and not router.routes(6), "nobody stands in for anybody")


def test_nobody_stands_in_for_a_worker_that_a_router_which_starts_has_not_seen_yet(bird_lab, tmp_path):
    w1, w2, router = bird_lab
    client = tmp_path / "birdc"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("birdc")} -s {router.socket} "$@"\n')
    client.chmod(0o755)

    def started() -> subprocess.Popen[bytes]:
        """The router's BIRD and what systemd runs after it."""
        router.start(bird_stand_in_clusters=["alpha"], bird_neighbors=neighbors(router, cluster="alpha"))
        return subprocess.Popen(["sh", ROLE / "files/northgate-bird", "started"], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})

    def stands_in() -> bool:
        return router.routes().get("10.0.0.1") == R2

    go_straight(router)
    w2.start()
    with started() as script:
        until(lambda: router.up("r2_v4", "r2_v6"), "the sessions to w2")
        assert script.poll() is None and not stands_in()
    until(stands_in, "w2 stands in for a worker that is not seen for so long")
    w1.start()
    router.kill()
    with started() as script:
        until(lambda: router.up("r1_v4", "r1_v6", "r2_v4", "r2_v6") or stands_in(), "all sessions")
        assert not stands_in()
        until(lambda: script.poll() is not None, "the script's end")
    w1.kill()
    until(stands_in, "w2 stands in for w1")


def test_a_bird_that_is_stopped_properly_is_left_at_once(birds):
    r1, _r2, out = birds
    r1.ask("down")
    until(lambda: out.routes()[POOL] == R2, "r1's routes are withdrawn", timeout=6)


def test_draining_makes_a_router_the_last_and_keeps_its_sessions(birds):
    r1, r2, out = birds
    since = {name: session["since"] for name, session in out.sessions().items()}
    r1.drain(True)
    assert r1.take_over().stdout == "reconfigured\n"
    until(lambda: out.routes()[POOL] == R2 and out.routes(6)[POOL6] == {"fd00::2"}, "r1 is not used")
    drained = {route["protocol"]: (route["local_pref"], route["communities"]) for route in out.info("routes", prefix=POOL)["routes"]}
    assert drained == {"r1_v4": (0, ["65535:0"]), "r2_v4": (100, [])}
    assert r1.info()["status"]["draining"] and not r2.info()["status"]["draining"]
    # Where there is nobody else it is used nevertheless.
    r2.kill()
    until(lambda: out.routes()[POOL] == R1, "r1 is used")
    r1.drain(False)
    r1.take_over()
    until(lambda: out.info("routes", prefix=POOL)["routes"][0]["local_pref"] == 100, "r1 is as before")
    assert {name: session["since"] for name, session in out.sessions().items() if name.startswith("r1")} == {
        name: value for name, value in since.items() if name.startswith("r1")}
    # The second step: nothing is announced, the sessions still stay.
    r1.ask('disable "ng_announce_v?"')
    until(lambda: not out.routes(), "nothing is announced")
    assert out.up("r1_v4", "r1_v6")


def test_a_route_that_is_learned_goes_before_what_the_router_is_a_way_to(bird_lab):
    r1, _r2, out = bird_lab
    r1.start(bird_gateway_prefixes=["0.0.0.0/0", OTHER], bird_neighbors=neighbors(r1, import_prefixes=[OTHER], export_prefixes=["0.0.0.0/0", OTHER]))
    out.start(bird_neighbors=neighbors(out, import_prefixes=["0.0.0.0/0", OTHER]))
    until(lambda: set(out.routes()) == {"default", OTHER}, "what r1 is a way to")
    out.write(bird_announce=[OTHER], bird_neighbors=neighbors(out, import_prefixes=["0.0.0.0/0"], export_prefixes=[OTHER]))
    assert out.take_over().returncode == 0
    until(lambda: r1.routes().get(OTHER) == {"10.0.0.9"}, "what r1 learned")


def test_what_nobody_announces_is_unreachable_at_once_and_never_announced(bird_lab):
    r1, r2, out = bird_lab
    covered, part = "10.1.0.0/16", "10.1.2.0/24"
    # The default route leads to somebody who answers nothing.
    r1.host.run("ip", "route", "add", "default", "via", "10.0.0.77", "dev", SEGMENT)
    r1.start(bird_unreachable_prefixes=[covered], bird_neighbors=neighbors(r1, import_prefixes=[f"{covered}+"], export_prefixes=[POOL, f"{covered}+"]))
    r2.start()
    out.start(bird_announce=[part], bird_neighbors=neighbors(out, import_prefixes=[POOL, f"{covered}+"], export_prefixes=[part]))
    until(lambda: r1.routes().get(part) == {"10.0.0.9"} and covered in r1.routes(), "the part that is announced goes before")

    def asked(address: str) -> str:
        return run(*r1.host.command("ip", "route", "get", address), check=False).stderr
    assert "No route to host" in asked("10.1.3.1") and not asked("10.1.2.1") and not asked("10.2.0.1")
    until(lambda: out.routes().get(POOL) == R1 | R2, "what r1 announces")
    assert covered not in {route["prefix"] for route in out.info("routes")["routes"]}
    # Who announces all of it goes before, too.
    out.write(bird_announce=[covered], bird_neighbors=neighbors(out, import_prefixes=[POOL], export_prefixes=[covered]))
    assert out.take_over().returncode == 0
    until(lambda: r1.routes().get(covered) == {"10.0.0.9"}, "all of it")
    out.kill()
    until(lambda: "No route to host" in asked("10.1.2.1"), "refused when its only neighbour is gone")


def test_ipv4_over_ipv6_has_next_hops_that_work(bird_lab):
    r1, _r2, out = bird_lab
    r1.start(bird_neighbors=neighbors(r1, extended_next_hop=True))
    out.start(bird_neighbors=neighbors(out, extended_next_hop=True))
    until(lambda: out.routes().get(POOL) == {"fd00::1"} and out.routes(6).get(POOL6) == {"fd00::1"}, "both families over one session")
    assert set(out.sessions()) == {"r1_v6", "r2_v6"} and set(r1.sessions()) == {"out_v6"}
