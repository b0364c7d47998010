# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probers are told to ask."""
from __future__ import annotations

import json

import pytest
from northgate_failover import probing
from northgate_lab.credentials import Authority
from traffic import probes
from traffic.probers import Loop

GROUP = {"vips": {"a": {"addresses": ["10.91.0.50/24", "fd91::50/64"]}}, "api": {"alpha": {"bind": ["10.91.0.51:6443"]}}}


@pytest.mark.parametrize("api, expected, name", [
    ({"bind": ["10.91.0.51:6443", "[fd91::51]:6443"]}, ("10.91.0.51:6443", "[fd91::51]:6443"), "kubernetes"),
    ({"bind": [":6443"], "names": ["alpha.test", "x"]}, ("10.91.0.50:6443", "[fd91::50]:6443"), "alpha.test"),
    ({"bind": ["*:6443", "[::]:6443"]}, ("10.91.0.50:6443", "[fd91::50]:6443"), "kubernetes")])
def test_places(api, expected, name):
    found = probing.places("alpha", GROUP | {"api": {"alpha": api}}, ["203.0.113.1", "2001:db8::1"])
    assert (found.api, found.api_name) == (expected, name)
    assert found.http == ("10.91.0.50:80", "[fd91::50]:80")
    assert found.https == ("10.91.0.50:443", "[fd91::50]:443")
    assert found.service == ("203.0.113.1:7000", "[2001:db8::1]:7000")


@pytest.mark.parametrize("ingress, expected", [
    ({}, ["10.0.0.1", "10.0.0.2"]), ({"ingress_addresses": ["10.0.0.2"]}, ["10.0.0.2"]),
    ({"ingress_addresses": ["www.example.test"]}, ["10.0.0.1", "10.0.0.2"])])
def test_http_is_asked_at_the_vips_that_clients_are_told_of(ingress, expected):
    assert probing.web_addresses({"vips": {"a": {"addresses": ["10.0.0.1/24"]}, "b": {"addresses": ["10.0.0.2/24"]}}, **ingress}) == expected


def test_a_slow_machine_is_asked_less_often():
    found = probing.places("alpha", GROUP, ["203.0.113.1"])
    intervals = {prober["name"]: prober["interval"] for prober in probing.plan("alpha", found, 0.05)["probers"]}
    assert intervals == probing.INTERVALS | {"http": 0.05, "tcp": 0.05, "udp": 0.05}


def test_the_client_understands_the_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "STATE", tmp_path)
    pki = tmp_path / "clusters" / "alpha"
    (pki / "tokens").mkdir(parents=True)
    Authority(pki, "x").certificate_file.rename(pki / "ca.pem")
    (tmp_path / "ca.pem").write_bytes((pki / "ca.pem").read_bytes())
    (pki / "tokens" / "admin").write_text("secret")
    plan = json.loads(json.dumps(probing.plan("alpha", probing.places("alpha", GROUP, ["203.0.113.1"]))))
    loop = Loop()
    for spec in plan["probers"]:
        loop.probers += probes.make(loop, spec, plan["timeout"])
    names = [prober.series.prober for prober in loop.probers]
    assert sorted(set(names)) == sorted(probing.PROBERS)
    assert names.count("stream") == probing.STREAMS and len(names) == len(probing.PROBERS) - 1 + probing.STREAMS


def test_the_token_is_on_no_command_line(state):
    running = probing.Probes("alpha", probing.places("alpha", GROUP, ["203.0.113.1"]))
    assert str(state / "clusters" / "alpha" / "tokens" / "admin") in running._argv[-1]
    assert "secret" not in " ".join(running._argv) and running._argv[1:4] == ["exec", "prober", "--"]


def test_what_the_client_was_late(state):
    running = probing.Probes("alpha", probing.places("alpha", GROUP, ["203.0.113.1"]))
    running.summary = {"late": [[500.0, 90.0], [1500.0, 30.0], [2500.0, 40.0]], "series": [
        {"prober": "http", "interval": 0.02, "in_turn": False, "starts": [1.0], "latencies": [2.0], "outcomes": "."}]}
    assert running.late(1.0, 2.0) == 0.03 and running.late(3.0, 4.0) == 0.0
    assert [len(running.series[name]) for name in probing.PROBERS] == [1, *([0] * (len(probing.PROBERS) - 1))]


def test_changes_are_made_past_every_router(state):
    running = probing.beats("alpha")
    assert running._argv[1:4] == ["exec", "alpha-etcd", "--"]
    assert [entry.rpartition("/")[2] for entry in running._argv[-2:]] == ["alpha-cp1-admin.kubeconfig", "alpha-cp2-admin.kubeconfig"]
