# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests read from a run of ansible-playbook."""
from __future__ import annotations

import json

import pytest
from driver import client, clusters, command, program, services, streams
from traffic import neighbours

OUTPUT = """\
PLAY [Converge the routers] ****************************************************

TASK [Observe the clusters] ****************************************************
[WARNING]: cluster beta is not observed: reason
ok: [r1 -> localhost] => {"changed": false, "clusters": {"alpha": {"observed": true}}}

TASK [Converge HTTP and HTTPS ingress] *****************************************
changed: [r1] => {"changed": true, "clusters": {"alpha": "observed"}, "reload_reason": "new backend"}
ok: [r2] => {"changed": false, "clusters": {"alpha": "last-known-good"}, "reload_reason": ""}

PLAY RECAP *********************************************************************
r1                         : ok=2    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
"""


def test_results_by_task_and_host():
    run = command.Run(command.results(OUTPUT))
    assert run.results["Observe the clusters"]["r1"]["clusters"]["alpha"]["observed"] is True
    assert run.reload_reasons == {"new backend"}
    assert run.served_from == {"alpha": {"observed", "last-known-good"}}
    assert run.ingress("r2")["changed"] is False


def reply(status, body=""):
    return client.Reply(status, {}, body, "SSLError: x", [], "", [])


@pytest.mark.parametrize("seen, outcome", [
    (reply(200, '{"app": "a"}\n'), "a"), (reply(200, 'data: {"app": "a"}\ndata: {}\n'), "a"), (reply(200, "hello"), "200 of somebody else"),
    (reply(404, f"<p>{client.EDGE_PAGE}</p>"), client.NO_RULE), (reply(404, "404 page not found\n"), client.NO_RULE_IN_TRAEFIK),
    (reply(404), "404"), (reply(503), "503"), (reply(0), "SSLError: x")])
def test_outcomes(seen, outcome):
    assert seen.outcome == outcome


def test_an_ingress_is_what_a_user_would_write():
    found = clusters.ingress("a", "direct", {"h.test": [("/x", "Exact", "s")], "": [("/", "Prefix", "t")]}, default="d", secret="c", ssl_redirect="false")
    assert found["metadata"]["annotations"] == {"northgate.edge/ssl-redirect": "false"}
    assert [rule.get("host") for rule in found["spec"]["rules"]] == ["h.test", None]
    assert found["spec"]["rules"][0]["http"]["paths"] == [
        {"path": "/x", "pathType": "Exact", "backend": {"service": {"name": "s", "port": {"name": "http"}}}}]
    assert found["spec"]["tls"] == [{"hosts": ["h.test", ""], "secretName": "c"}]
    assert json.dumps(found)
    assert set(clusters.ingress("a", None, {}, default="d")["spec"]) == {"defaultBackend"}


def test_variables_of_hosts_come_from_all_their_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "STATE", tmp_path)
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"vars": {"x": 0}, "children": {
        "guests": {"vars": {"x": 1, "y": 1}, "children": {"routers": {"vars": {"y": 2}, "hosts": {"r1": {"z": 3}}}}},
        "other": {"hosts": {"r1": None, "o": None}}}}}))
    assert command.hosts() == {"r1": {"x": 1, "y": 2, "z": 3}, "o": {}}
    assert command.inventory() == {"x": 0}


def result(protocol, why, changes=0):
    return {"target": f"{protocol}:192.0.2.1:80", "ended": why, "pod_changes": changes}


def test_streams_that_ended_are_counted_by_protocol_and_reason():
    results = [result("tcp", ""), result("tcp", "closed"), result("tcp", "closed"), result("sctp", "timeout"), result("udp", "", 2)]
    assert streams.ended(results) == {"tcp: closed": 2, "sctp: timeout": 1}
    assert streams.moved(results) == 1
    assert streams.ended(results[:1]) == {}


def test_a_service_is_what_a_user_would_write():
    found = services.load_balancer("a", ports=(1, 2), annotations={"address_pool": "narrow"}, externalTrafficPolicy="Local")
    assert found["metadata"]["annotations"] == {"northgate.edge/address-pool": "narrow"}
    assert [(port["name"], port["port"], port["targetPort"]) for port in found["spec"]["ports"]][:2] == [("tcp-1", 1, 7000), ("tcp-2", 2, 7000)]
    assert len({port["name"] for port in found["spec"]["ports"]}) == 6
    assert (found["spec"]["type"], found["spec"]["externalTrafficPolicy"]) == ("LoadBalancer", "Local")


def run_program(monkeypatch, script):
    monkeypatch.setattr(program, "argv", lambda *arguments: ["sh", "-c", arguments[-1]])
    return program.Program([script], ready_seconds=20)


def test_a_program_on_the_client_says_when_it_is_ready_and_answers(monkeypatch):
    with run_program(monkeypatch, "echo ready a b; while read word; do echo said $word yes; done; echo '{\"x\": 1}'") as running:
        assert running.said == "a b"
        assert running.tell("go", 20) == "yes"
    assert running.summary == {"x": 1}


@pytest.mark.parametrize("script, message", [("echo no >&2; exit 3", "no"), ("echo hello; cat", "hello")])
def test_a_program_that_does_not_begin_says_why(monkeypatch, script, message):
    with pytest.raises(command.LabFailed, match=message), run_program(monkeypatch, script):
        pass


def test_neighbours_are_told_by_frames_that_are_right():
    mac = bytes.fromhex("525400900011")
    arp = neighbours.frame(mac, "10.0.0.9")
    assert (len(arp), arp[:6], arp[12:14].hex(), arp[28:32], arp[38:42]) == (42, b"\xff" * 6, "0806", bytes([10, 0, 0, 9]), bytes([10, 0, 0, 9]))
    told = neighbours.frame(mac, "fd90::9")
    length = int.from_bytes(told[18:20], "big")
    assert (len(told), told[20], told[21], told[54], told[-6:]) == (54 + length, 58, 255, 136, mac)
    # The sum over all with its checksum is zero, as a receiver verifies it.
    pseudo = told[22:54] + length.to_bytes(4, "big") + (58).to_bytes(4, "big") + told[54:]
    assert sum(int.from_bytes(pseudo[at:at + 2], "big") for at in range(0, len(pseudo), 2)) % 0xFFFF == 0
