# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken for well, by what guests and clusters say."""
from __future__ import annotations

import json
import os
import socket
import subprocess
import threading

import pytest
from driver.command import LabFailed
from northgate_failover import health

PROTOCOLS = """\
BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     04:05:06.789
client_v4  BGP        ---        up     04:05:06.789  Established
client_v6  BGP        ---        start  04:05:06.789  Active        Socket: Connection refused
old_v4     BGP        ---        down   2026-01-02
"""
BFD = """\
BIRD 2.0.12 ready.
bfd1:
IP address                Interface  State      Since         Interval  Timeout
10.90.0.21                fabric     Up         04:05:06.789    0.050    0.250
fd90::21                  fabric     Down       04:05:06.789    1.000    0.000
"""
SERVERS = "# pxname,svname,status\nweb,alpha-1,UP\nweb,alpha-2,DOWN 1/2\nweb,beta-1,MAINT\nweb,beta-2,no check\n\n"


def said(**parts):
    up = PROTOCOLS.replace("start  04:05:06.789  Active", "up     04:05:06.789  Established").replace("down   2026-01-02", "up     2026-01-02    Established")
    return {"addresses": "[]", "protocols": up,
            "bfd": BFD.replace("Down", "Up  "), "units": "active\nactive\n", "servers": "", **parts}


def test_nothing_is_wrong():
    assert health.problems("r1", said()) == []


@pytest.mark.parametrize("parts, problem", [
    ({"protocols": PROTOCOLS}, ["r1: BGP client_v6 is Active", "r1: BGP old_v4 is down"]), ({"bfd": BFD}, ["r1: BFD with fd90::21 is Down"]),
    ({"protocols": "Unable to connect to server control socket"}, ["r1: BGP  is unknown: Unable to connect to server control socket"]),
    ({"units": "active\nactivating\n"}, ["r1: a unit is activating"]), ({"servers": SERVERS}, ["r1: server web/alpha-2 is DOWN 1/2"]),
    ({"servers": "FileNotFoundError: no such file\n"}, ["r1: server  is DOWN: FileNotFoundError: no such file"])])
def test_what_is_wrong_on_a_guest(parts, problem):
    assert health.problems("r1", said(**parts)) == problem


def test_a_guest_is_asked_once(told):
    told.answers["exec r1"] = "[]\n====\n" + "x\n====\n" * 4
    assert health.look("r1", True) == {"addresses": "[]\n", "protocols": "x\n", "bfd": "x\n", "units": "x\n", "servers": "x\n"}
    assert len(told) == 1 and "haproxy bird keepalived" in told[0][-1]
    told.answers["exec r1"] = "nothing"
    with pytest.raises(LabFailed, match="r1 says only 'nothing'"):
        health.look("r1", True)


def test_what_a_guest_runs_is_understood_by_its_shell(tmp_path):
    path = tmp_path / "s"
    for name, script in (("ip", "echo []"), ("birdc", 'echo "$@"'), ("systemctl", 'echo "$@"; exit 3')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer():
            connection, _peer = server.accept()
            with connection:
                connection.sendall(connection.recv(100) + SERVERS.encode())

        threading.Thread(target=answer, daemon=True).start()
        script = f"UNITS='haproxy bird'; {health.SCRIPT.replace('/run/haproxy/northgate.sock', str(path))}"
        found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=30, check=False)
    assert found.stderr == ""
    assert found.stdout.split("====\n") == [
        "[]\n", "show protocols\n", "show bfd sessions\n", "is-active haproxy bird\n", f"show stat -1 4 -1\n{SERVERS}\n", ""]


def test_addresses_of_a_guest():
    found = json.dumps([{}, {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}, {}]}, {"ifname": "x", "addr_info": [{"local": "fd91::50"}]}])
    assert health.addresses({"addresses": found}) == {"fd91::50"}


GROUP = {"vips": {"a": {"addresses": ["10.0.0.5/24", "fd00::5/64"], "preferred": ["r2", "r1"]}}}
BOTH = {"10.0.0.5", "fd00::5"}


@pytest.mark.parametrize("r1, r2, wrong", [
    (set(), BOTH, 0), (BOTH, set(), 2), (BOTH, BOTH, 1), (set(), {"10.0.0.5"}, 1), ({"10.0.0.11"}, {*BOTH, "10.0.0.12"}, 0)])
def test_vips_are_on_the_preferred_router_and_there_alone(r1, r2, wrong):
    assert len(health.misplaced(GROUP, {"r1": r1, "r2": r2})) == wrong


def test_nodes_and_deployments(told):
    node = {"kind": "Node", "metadata": {"name": "w1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    deployment = {"kind": "Deployment", "metadata": {"name": "echo"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}
    told.answers["kubectl alpha"] = json.dumps({"items": [node, deployment]})
    assert health.workloads("alpha") == []
    told.answers["kubectl alpha"] = json.dumps({"items": [node | {"status": {}}, deployment | {"status": {}}]})
    assert health.workloads("alpha") == ["alpha: node w1 is not ready", "alpha: deployment echo is not complete"]


def test_api_servers_are_asked_each_by_itself(told):
    told.answers["kubectl alpha -- --server=https://a"] = "ok"
    assert health.apis("alpha", ["https://a", "https://b"]) == ["alpha: API server https://b is not ready"]


def test_routes_of_the_client(told):
    told.answers["exec client -- ip -4"] = json.dumps([{"dst": "203.0.113.0/25", "nexthops": [{}, {}]}])
    assert health.routes({"203.0.113.1": 2}) == []
    assert health.routes({"203.0.113.1": 3}) == ["client: 2 routes to 203.0.113.1 instead of 3"]


def test_all_has_to_be_well_twice_in_a_row(monkeypatch):
    monkeypatch.setattr(health, "PAUSE", 0.0)
    answers = [["bad"], [], ["worse"], [], []]
    health.until_none(lambda: answers.pop(0), 60)
    assert answers == []

    def fails():
        raise LabFailed("no answer")
    with pytest.raises(health.NotHealthy, match="not healthy within 0 s: no answer"):
        health.until_none(fails, 0)


def test_checks_run_together_and_all_are_told():
    assert sorted(health.together([lambda: ["a"], lambda: [], lambda: ["b", "c"]])) == ["a", "b", "c"]


def test_checks_and_playbooks_have_the_lowest_priority_and_nobody_else():
    found = []
    health.patiently(lambda: found.append(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout.strip()))
    found += health.together([lambda: [subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout.strip()]])
    assert found == [str(health.LOWEST)] * 2
    assert os.getpriority(os.PRIO_PROCESS, 0) < health.LOWEST


def test_what_goes_wrong_patiently_is_told():
    def fail():
        raise LabFailed("no")
    with pytest.raises(LabFailed, match="no"):
        health.patiently(fail)
