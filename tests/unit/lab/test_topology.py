# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topologies of the lab."""
from __future__ import annotations

import pytest
import yaml
from northgate_lab import topology


def default() -> dict:
    return yaml.safe_load(topology.find("default").read_text())


def parse(data: dict) -> topology.Topology:
    return topology.parse(yaml.safe_dump(data, sort_keys=False))


def test_the_default_topology():
    found = parse(default())
    assert found.guests == ["r1", "r2", "alpha-w1", "alpha-w2", "beta-w1", "client"]
    assert found.hosted == ["alpha-etcd", "alpha-cp1", "alpha-cp2", "beta-etcd", "beta-cp1"]
    assert found.members("alpha", "control_plane") == ["alpha-cp1", "alpha-cp2"]
    assert found.having("router") == ["r1", "r2"]
    assert found.clusters["beta"].kube_proxy_mode == "ipvs"


def test_addresses_follow_from_numbers():
    found = parse(default())
    assert found.hosts["r1"].addresses == ["10.90.0.11", "fd90::11"]
    assert found.hosts["client"].addresses == ["10.91.0.100", "fd91::100"]
    assert found.hosts["client"].addresses_in("fabric") == []
    assert found.hosts["alpha-w1"].interfaces == {"fabric": ["10.90.0.21/24", "fd90::21/64"], "mgmt": ["10.99.0.21/24"]}
    assert found.controller("fabric") == ["10.90.0.1/24", "fd90::1/64"]


def test_macs_are_fixed_and_differ():
    found = parse(default())
    macs = [host.mac(segment) for host in found.hosts.values() for segment in host.interfaces]
    assert found.hosts["r1"].mac("mgmt") == "52:54:00:90:02:0b"
    assert len(set(macs)) == len(macs)


@pytest.mark.parametrize(("host", "change", "message"), [
    ("r2", {"number": 11}, "that of r1"),
    ("r2", {"number": 1}, "the controller"),
    ("r2", {"group": "none"}, "no router group none"),
    ("r2", {"memory": 64}, "128 MiB"),
    ("r2", {"role": "switch"}, "role switch"),
    ("r2", {"colour": "red"}, "colour"),
    ("alpha-w1", {"cluster": "gamma"}, "no cluster gamma"),
    ("alpha-w1", {"cluster": None}, "belongs to a cluster"),
])
def test_mistakes_are_named(host, change, message):
    data = default()
    data["hosts"][host] |= change
    with pytest.raises(topology.TopologyError, match=message):
        parse(data)


def test_names_must_fit_an_interface():
    data = default()
    data["hosts"]["a-very-long-host-name"] = data["hosts"].pop("client")
    with pytest.raises(topology.TopologyError, match="at most 13"):
        parse(data)


def test_router_groups_serve_known_clusters():
    data = default()
    data["router_groups"]["edge"]["clusters"] = ["alpha", "gamma"]
    with pytest.raises(topology.TopologyError, match="no cluster gamma"):
        parse(data)


@pytest.mark.parametrize(("change", "message"), [
    ({"address_pools": ["nowhere"]}, "router group edge-b: there is no pool nowhere"),
    ({"api": {"gamma": {"bind": ["10.91.0.60:6443"]}}}, "no cluster gamma"),
    ({"vips": {"main": {"addresses": ["10.91.0.50/24"]}}}, "edge-a: 10.91.0.50 is that of router group edge-b"),
    ({"vips": {"main": {"addresses": ["10.91.0.11/24"]}}}, "10.91.0.11 is that of host r1"),
    ({"nat_addresses": [21]}, "10.90.0.21 is that of host alpha-w1"),
    ({"vips": {"main": {"addresses": ["10.91.0.60/24"]}}, "nat_addresses": [100, 21]}, "10.90.0.21 is"),
])
def test_what_a_group_has_is_there_and_nobody_elses(change, message):
    data = yaml.safe_load(topology.find("shared").read_text())
    data["router_groups"]["edge-b"] |= change
    with pytest.raises(topology.TopologyError, match=message):
        parse(data)


def test_a_group_without_pools_has_all_from_which_its_clusters_have_addresses():
    data = yaml.safe_load(topology.find("shared").read_text())
    del data["router_groups"]["edge-b"]["address_pools"]
    data["address_pools"]["public-a"]["clusters"] = ["alpha"]
    assert topology.pools_of(parse(data), "edge-b") == ["public-b"]


@pytest.mark.parametrize("text", ["", "[]", "segments: {", "segments: {fabric: [nonsense]}\nhosts: {r1: {role: etcd, number: 3}}"])
def test_what_is_no_topology(text):
    with pytest.raises(topology.TopologyError):
        topology.parse(text)


def test_an_unknown_topology_names_the_known_ones():
    with pytest.raises(topology.TopologyError, match="there are: .*default"):
        topology.find("nowhere")


def test_a_prober_is_behind_the_client_and_nothing_runs_of_it():
    found = topology.parse(topology.find("shared").read_text())
    assert found.hosts["prober"].interfaces == {"outside": ["10.91.0.101/24", "fd91::101/64"]}
    assert "prober" in found.hosted and "prober" not in found.running
    assert (found.gateways("prober"), found.gateways("alpha-cp1")) == (["10.91.0.100", "fd91::100"], [])
