# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New configurations and restarts: what a running BIRD takes over, what it takes back, and which routes stay meanwhile."""

from __future__ import annotations

import os

from northgate_bird import POOL, R1, R2, neighbors, until

OTHER, OUTSIDE = "198.51.100.0/24", "192.0.2.0/24"


def since(host):
    return {name: session["since"] for name, session in host.sessions().items()}


def test_nothing_is_done_where_nothing_changed(birds):
    _r1, _r2, out = birds
    read = out.info()["status"]["last_reconfiguration"]
    assert (out.take_over().stdout, out.info()["status"]["last_reconfiguration"]) == ("unchanged\n", read)


def test_a_file_that_bird_refuses_leaves_the_running_configuration(birds):
    _r1, _r2, out = birds
    before = since(out)
    out.config.write_text(out.config.read_text().replace("hold time 9;", "hold time 9"))
    refused = out.take_over()
    assert (refused.returncode, out.check().returncode) == (1, 1)
    assert refused.stderr.startswith("BIRD refuses to configure check: ") and "bird.conf:" in refused.stderr
    assert (since(out), out.routes()[POOL], out.info()["status"]["unconfirmed"]) == (before, R1 | R2, False)


def test_filters_change_and_sessions_stay(birds):
    r1, _r2, out = birds
    before = since(out)
    r1.write(bird_announce=[POOL, OTHER], bird_neighbors=neighbors(r1, export_prefixes=[OTHER]))
    out.write(bird_neighbors=neighbors(out, import_prefixes=[POOL, OTHER]))
    assert [host.take_over().stdout for host in (r1, out)] == ["reconfigured\n"] * 2
    until(lambda: (out.routes().get(POOL), out.routes().get(OTHER)) == (R2, R1), "other routes")
    assert since(out) == before


def test_sessions_that_start_anew_are_waited_for_and_the_configuration_is_confirmed(birds):
    _r1, _r2, out = birds
    before = since(out)
    out.write(bird_hold_time=12)
    assert out.take_over(20).stdout == "reconfigured\n"
    assert out.up(*before) and not set(since(out).items()) & set(before.items())
    assert not out.info()["status"]["unconfirmed"]


def test_a_configuration_that_loses_a_session_is_taken_back_and_the_session_is_named(birds):
    _r1, _r2, out = birds
    former = out.config.read_text()
    out.write(bird_neighbors=neighbors(out, {}, {"password": "only here"}))
    lost = out.take_over(3)
    assert (lost.returncode, lost.stdout) == (1, "")
    assert "r2_v4 (10.0.0.2)" in lost.stderr and "r2_v6 (fd00::2)" in lost.stderr and "r1_" not in lost.stderr
    # BIRD has its former configuration before the role puts the file back.
    until(lambda: out.up("r1_v4", "r2_v4", "r2_v6"), "the sessions again")
    out.config.write_text(former)
    assert out.take_over(0).stdout == "reconfigured\n" and out.take_over().stdout == "unchanged\n"


def test_a_session_that_is_not_wanted_any_more_is_not_waited_for(birds):
    _r1, _r2, out = birds
    out.write(bird_neighbors=out.variables["bird_neighbors"][:1])
    assert out.take_over(5).stdout == "reconfigured\n"
    until(lambda: out.routes()[POOL] == R1, "one router")


def test_a_run_that_was_interrupted_is_made_good(birds):
    _r1, _r2, out = birds
    # Killed before BIRD was told,
    out.write(bird_hold_time=12)
    assert out.take_over().stdout == "reconfigured\n"
    # after it was told, before it was confirmed,
    out.write(bird_hold_time=15)
    for file in (out.config, out.passwords, out.drain_file):
        os.utime(file, (0, 0))
    out.ask("configure timeout 300")
    assert out.info()["status"]["unconfirmed"]
    assert out.take_over().stdout == "reconfigured\n" and not out.info()["status"]["unconfirmed"]
    # and so late that BIRD took it back.
    out.write(bird_hold_time=18)
    out.ask("configure timeout 1")
    until(lambda: not out.info()["status"]["unconfirmed"], "BIRD takes it back")
    assert out.take_over().stdout == "reconfigured\n"
    until(lambda: out.up("r1_v4"), "a session")
    assert out.sessions()["r1_v4"]["hold_timer"]["time"] == 9


def test_a_planned_restart_keeps_routes_where_stale_ones_are_allowed(bird_lab):
    r1, r2, out = bird_lab
    r1.start(bird_long_lived_stale_time=60, bird_announce=[POOL, OTHER],
             bird_neighbors=neighbors(r1, import_prefixes=[OUTSIDE], export_prefixes=[POOL, OTHER]))
    r2.start(bird_long_lived_stale_time=60)
    out.start(bird_long_lived_stale_time=60, bird_announce=[OUTSIDE], bird_neighbors=neighbors(out, import_prefixes=[POOL, OTHER], export_prefixes=[OUTSIDE]))
    until(lambda: out.routes() == {POOL: R1 | R2, OTHER: R1} and out.up("r1_v4", "r2_v4") and r1.routes(), "routes and sessions")
    r1.ask("graceful restart")
    r1.process.wait(20)
    # What another router has leaves at once, what only this one has stays.
    until(lambda: out.routes() == {POOL: R2, OTHER: R1}, "the other router")
    assert {route["stale"] for route in out.info("routes", protocol="r1_v4")["routes"]} == {True}
    seen = [(out.routes()[OTHER], r1.routes())]
    r1.start("-R")
    until(lambda: seen.append((out.routes().get(OTHER), r1.routes())) or out.routes().get(POOL) == R1 | R2, "both routers")
    # Neither the neighbours nor the router's own kernel were without a route for a moment.
    assert [state for state in seen if state != (R1, {OUTSIDE: {"10.0.0.9"}})] == []


def test_a_router_that_was_killed_is_the_last_to_be_used_where_stale_routes_are_allowed(bird_lab):
    r1, r2, out = bird_lab
    for host in bird_lab:
        host.start(bird_long_lived_stale_time=60)
    until(lambda: out.routes().get(POOL) == R1 | R2 and out.up("r1_v4", "r2_v4"), "routes and sessions")
    r1.kill()
    until(lambda: out.routes()[POOL] == R2, "the other router", timeout=6)
    r2.kill()
    until(lambda: len({route["stale"] for route in out.info("routes", prefix=POOL)["routes"]}) == 1, "both are stale", timeout=6)
    assert out.routes()[POOL]


def test_bfd_ends_a_graceful_restart_where_stale_routes_are_not_allowed(birds):
    r1, _r2, out = birds
    r1.ask("graceful restart")
    r1.process.wait(20)
    until(lambda: out.routes()[POOL] == R2, "r1's routes are withdrawn", timeout=6)


def test_without_bfd_a_planned_restart_keeps_routes(bird_lab):
    r1, _r2, out = bird_lab
    for host in bird_lab:
        host.start(bird_bfd=False)
    until(lambda: out.routes().get(POOL) == R1 | R2, "routes")
    r1.ask("graceful restart")
    r1.process.wait(20)
    until(lambda: out.sessions()["r1_v4"]["graceful_restart"], "a graceful restart")
    seen = []
    r1.start("-R")
    until(lambda: seen.append(out.routes()[POOL]) or (out.up("r1_v4", bfd="") and not out.sessions()["r1_v4"]["graceful_restart"]), "r1 again")
    assert set(map(frozenset, seen)) == {frozenset(R1 | R2)}


def test_a_bird_that_does_not_answer_is_named(bird_lab):
    out = bird_lab[2].start()
    out.kill()
    refused = out.take_over()
    assert refused.returncode == 1 and refused.stderr.startswith(f"BIRD does not answer on {out.socket}: ")
