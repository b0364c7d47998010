# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cases do to the lab, by the commands that they give."""
from __future__ import annotations

import json
import re

import pytest
from figure import CouldNotMeasure
from northgate_failover import cases, health, world
from northgate_failover.cases import BY_NAME, CASES
from northgate_failover.probing import PROBERS
from northgate_failover.world import DRAIN_SECONDS, World
from northgate_lab.cli import _parser


@pytest.fixture(name="lab_world")
def _lab_world(state, told, monkeypatch):
    """The world of the inventory on paper, in which everything has happened that is waited for."""
    monkeypatch.setattr(World, "wait_healthy", lambda self, seconds=0: told.append(("healthy",)))
    monkeypatch.setattr(world, "converge", lambda *options: told.append(("converge", *options)))
    monkeypatch.setattr(world.clusters, "eventually", lambda condition, seconds=0, what="": told.append(("wait", what)))
    return World()


@pytest.fixture(name="plays")
def _plays(monkeypatch):
    found = []
    monkeypatch.setattr(world, "play", lambda name, variables, *options: found.append((name, variables, *options)))
    return found


def commands(case, lab_world, told):
    told.answers["kubectl alpha -- get -o json -n traefik pods"] = json.dumps({"items": [
        {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        for name, node in (("a", "alpha-w2"), ("b", "alpha-w1"))]})
    for phase in case.phases:
        phase.act(lab_world)
        phase.after(lab_world)
    return [" ".join(arguments) for arguments in told if arguments[0] != "kubectl"]


def test_who_is_who(lab_world):
    assert (lab_world.group, lab_world.routers, lab_world.first) == ("edge-a", ["r2", "r1"], "r2")
    assert (lab_world.worker, lab_world.api_server) == ("alpha-w1", "alpha-cp1")
    assert lab_world.api_servers["alpha-cp2"] == "https://10.90.0.42:6443"


@pytest.mark.parametrize("name, expected", [
    ("control", []),
    ("router_plug", ["kill r2", "start r2", "healthy"]),
    ("router_frozen", ["freeze r2", "thaw r2", "healthy"]),
    ("router_plug_second", ["kill r1", "start r1", "healthy"]),
    ("router_frozen_second", ["freeze r1", "thaw r1", "healthy"]),
    ("router_cut", ["cut r2", "mend r2", "healthy"]),
    ("haproxy_killed", ["exec r2 -- systemctl kill --signal=KILL haproxy", "exec r2 -- systemctl start haproxy", "healthy"]),
    ("worker_plug", ["kill alpha-w1", "wait alpha-w1 not ready", "converge -e northgate_confirm_shrink=alpha,beta --forks=1",
                     "start alpha-w1", "wait alpha complete",
                     "converge -e northgate_confirm_shrink=alpha,beta --forks=1", "healthy"]),
    ("worker_bird", ["exec alpha-w1 -- systemctl kill --signal=KILL bird", "exec alpha-w1 -- systemctl start bird", "healthy"]),
    ("ingress_pod", ["exec alpha-w1 -- pkill -KILL --oldest --exact traefik", "healthy"]),
    ("api_server", ["kill alpha-cp1", "start alpha-cp1", "healthy"]),
    ("haproxy_reload", ["exec r2 -- systemctl reload haproxy"])])
def test_what_is_done(name, expected, lab_world, told):
    assert commands(BY_NAME[name], lab_world, told) == expected


@pytest.mark.parametrize("case, router", [("maintenance", "r2"), ("maintenance_second", "r1")])
def test_maintenance_takes_a_router_out_and_puts_it_back(case, router, lab_world, told, plays):
    commands(BY_NAME[case], lab_world, told)
    assert plays == [("maintenance", {"router": router, "maintenance_drain_time": DRAIN_SECONDS}), ("maintenance", {"router": router, "state": "resume"})]


def test_an_upgrade_is_done_in_maintenance(lab_world, told, plays):
    found = commands(BY_NAME["haproxy_upgrade"], lab_world, told)
    assert [variables.get("state", "out") for _name, variables in plays] == ["out", "resume"]
    assert found[0].endswith("apt-get install --reinstall -qy haproxy")


def test_a_vip_gets_another_address_and_loses_it_again(lab_world, told, plays):
    commands(BY_NAME["changed_vip"], lab_world, told)
    (_first, added, *options), (_second, removed, *others) = plays
    assert options == others == ["--limit=r1,r2", "--forks=1"]
    groups = added["northgate_router_groups"]
    assert groups["edge-a"]["vips"]["a"]["addresses"] == ["10.91.0.50/24", "fd91::50/64", "10.91.0.55/24", "fd91::55/64"]
    assert groups["edge-b"] == {"clusters": ["beta"], "vips": {"b": {"addresses": ["10.91.0.60/24"], "preferred": ["r3"]}}}
    assert removed == {}
    assert sum("addresses" in what for _kind, what in (entry for entry in told if entry[0] == "wait")) == 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_names_are_those_of_figures_and_commands_are_the_labs(case, lab_world, told, plays):
    for phase in case.phases:
        assert re.fullmatch("[a-z_]+", phase.name)
        assert {*phase.short, *phase.whole} <= set(PROBERS)
    commands(case, lab_world, told)
    case.restore(lab_world)
    for arguments in told:
        if arguments[0] not in ("healthy", "wait", "converge"):
            _parser().parse_args(arguments)


def test_an_outage_may_have_a_goal_only_where_one_is_promised():
    goals = {phase.name: (phase.short, phase.whole) for case in CASES for phase in case.phases}
    assert len(goals) == sum(len(case.phases) for case in CASES)
    assert {name for name, (short, _whole) in goals.items() if short} == {
        "router_plug", "router_plug_second", "router_frozen", "router_frozen_second", "worker_plug", "worker_bird"}
    assert goals["router_plug"] == (PROBERS, ("stream",))
    assert {name for name, (_short, whole) in goals.items() if whole == PROBERS} == {
        "control", "router_back", "router_back_second", "api_server_back", "maintenance", "resume", "maintenance_second",
        "resume_second", "haproxy_upgrade", "haproxy_reload"}
    assert (goals["ingress_pod"], goals["api_server"]) == (((), ("http", "ingress")), ((), ("api",)))
    assert cases.QUICK == ("router_plug", "ingress_pod", "api_server", "maintenance")


def test_one_pod_of_an_ingress_controller_is_not_killed_alone(lab_world, told):
    told.answers["kubectl alpha"] = json.dumps({"items": []})
    with pytest.raises(CouldNotMeasure, match="only 0 pods"):
        lab_world.kill_ingress_pod()


def test_all_that_is_not_well_is_told(lab_world, told, monkeypatch):
    monkeypatch.setattr(health, "look", lambda guest, is_router: {
        "addresses": json.dumps([{"addr_info": [{"local": "10.91.0.50"}]}] if guest == "r2" else []), "protocols": "a BGP t up 1 Established\n",
        "bfd": "", "units": "active", "servers": ""})
    monkeypatch.setattr(health, "workloads", lambda cluster: [])
    told.answers["kubectl alpha -- get -o json -n demo services"] = json.dumps({"items": [
        {"metadata": {"name": "l4-local"}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}]})
    told.answers["kubectl alpha -- --server"] = "ok"
    assert sorted(lab_world.problems()) == [
        "client: 0 routes to 203.0.113.1 instead of 2", "r1: VIP api: has [] instead of ['10.91.0.51']",
        "r2: VIP a: has ['10.91.0.50'] instead of ['10.91.0.50', 'fd91::50']",
        "r3: VIP b: has [] instead of ['10.91.0.60']"]


def test_a_service_without_an_address_is_told(lab_world, told):
    told.answers["kubectl alpha"] = json.dumps({"items": []})
    with pytest.raises(CouldNotMeasure, match="l4-local has no address"):
        lab_world.places()
