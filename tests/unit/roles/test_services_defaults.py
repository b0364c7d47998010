# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles bird, ipvs and ipvs_node take from the inventory for LoadBalancer services, as Ansible evaluates it."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROLES = Path(__file__).parents[3] / "roles"
# Which variables are looked at on which hosts.
SHOWN = {
    "bird": (["bird_announce", "bird_gateway_prefixes", "bird_export_upstream", "bird_router_id", "bird_stand_in_clusters"],
             ["r1", "r2", "a1", "b1", "outside"]),
    "ipvs": (["ipvs_pools", "ipvs_addresses", "ipvs_direct_return", "ipvs_masquerade", "ipvs_nat_addresses", "ipvs_timeout_tcp", "ipvs_sync_id"], ["r1", "r2"]),
    "ipvs_node": (["ipvs_node_direct", "ipvs_node_tunnel", "ipvs_node_tunnel_type", "ipvs_node_tunnel_port", "ipvs_node_tunnel_sources", "ipvs_node_pools"],
                  ["a1", "b1", "c1"]),
}
POOLS = {
    "public": {"addresses": ["203.0.113.0/24", "2001:db8:100::/64"], "clusters": ["alpha", "beta"]},
    "far": {"addresses": ["198.51.100.0/25"], "clusters": ["gamma"]},
    "range": {"addresses": ["192.0.2.4-192.0.2.6"]},
}
PUBLIC, RANGE = ["203.0.113.0/24", "2001:db8:100::/64"], ["192.0.2.4/31", "192.0.2.6/32"]


def inventory(pools):
    prefixes = {"asn": 64601, "pod_prefixes": ["10.1.0.0/16"], "service_prefixes": ["10.2.0.0/16"]}
    variables = {
        "northgate_clusters": {
            "alpha": prefixes | {"forwarding": "direct"}, "beta": prefixes, "gamma": prefixes | {"forwarding": "tunnel", "tunnel": "gue", "tunnel_port": 7000}},
        "northgate_router_groups": {
            "edge": {"asn": 64500, "clusters": ["alpha", "beta"], "client_prefixes": ["198.18.0.0/15"], "nat_addresses": ["10.0.0.100"],
                     "default_route": True},
            "far": {"asn": 64501, "clusters": ["gamma"]} | ({"address_pools": ["range"]} if pools else {})},
    } | ({"northgate_address_pools": pools} if pools else {})
    routers = {"r1": {"northgate_router_group": "edge", "northgate_addresses": ["10.0.0.1/24", "10.0.1.1/24", "fd00::1"]},
               "r2": {"northgate_router_group": "far", "northgate_addresses": ["10.0.0.2"]}}
    workers = {"a1": {"northgate_cluster": "alpha", "northgate_addresses": ["10.0.0.11"], "northgate_pod_prefixes": ["10.1.1.0/24"]},
               "b1": {"northgate_cluster": "beta", "northgate_addresses": ["10.0.0.12"]}, "c1": {"northgate_cluster": "gamma"}}
    outside = {"outside": {"northgate_addresses": ["10.0.9.9"]}}
    return {"all": {"vars": variables, "hosts": outside, "children": {"routers": {"hosts": routers}, "workers": {"hosts": workers}}}}


@pytest.fixture(name="defaults", scope="module")
def _defaults(tmp_path_factory):
    """Returns the variables of SHOWN by host, for an inventory with these pools."""
    def defaults(pools=None):
        directory = tmp_path_factory.mktemp("defaults")
        plays = []
        for role, (names, hosts) in SHOWN.items():
            content = "{{ {%s} | to_json }}" % ", ".join(f"'{name}': {name}" for name in names)
            show = {"ansible.builtin.copy": {"content": content, "dest": f"{directory}/{{{{ inventory_hostname }}}}.{role}"}, "delegate_to": "localhost"}
            plays.append({"hosts": ":".join(hosts), "gather_facts": False, "connection": "local", "tasks": [
                {"ansible.builtin.include_vars": str(ROLES / role / "defaults/main.yml")}, show]})
        (directory / "inventory.json").write_text(json.dumps(inventory(pools)))
        (directory / "play.json").write_text(json.dumps(plays))
        subprocess.run(["ansible-playbook", "-i", directory / "inventory.json", directory / "play.json"], check=True, stdin=subprocess.DEVNULL)
        found = {}
        for role, (_names, hosts) in SHOWN.items():
            for host in hosts:
                found.setdefault(host, {}).update(json.loads((directory / f"{host}.{role}").read_text()))
        return found
    return defaults


@pytest.fixture(name="found", scope="module")
def _found(defaults):
    return defaults(POOLS)


def test_routers_announce_the_pools_of_their_group_and_workers_and_strangers_as_before(found):
    assert (found["r1"]["bird_announce"], found["r1"]["bird_gateway_prefixes"]) == ([*RANGE, *PUBLIC], ["198.18.0.0/15", "0.0.0.0/0", "::/0"])
    assert found["r1"]["bird_export_upstream"] == found["r1"]["ipvs_pools"] == [*RANGE, *PUBLIC]
    assert found["r2"]["bird_announce"] == found["r2"]["bird_export_upstream"] == found["r2"]["ipvs_pools"] == RANGE
    assert [found[name]["bird_stand_in_clusters"] for name in ("r1", "r2", "a1")] == [["alpha"], [], []]
    assert found["r2"]["bird_gateway_prefixes"] == found["a1"]["bird_gateway_prefixes"] == []
    assert (found["a1"]["bird_announce"], found["a1"]["bird_export_upstream"]) == (["10.1.1.0/24", "10.2.0.0/16"], [])
    assert (found["outside"]["bird_announce"], found["outside"]["bird_export_upstream"]) == ([], [])


def test_addresses_with_the_length_of_their_prefix_are_addresses_everywhere(found):
    assert found["r1"]["ipvs_addresses"] == ["10.0.0.1", "10.0.1.1", "fd00::1"]
    assert (found["r1"]["bird_router_id"], found["a1"]["bird_router_id"]) == ("10.0.0.1", "10.0.0.11")


def test_routers_do_what_the_forwarding_of_their_clusters_needs(found):
    assert (found["r1"]["ipvs_direct_return"], found["r1"]["ipvs_masquerade"], found["r1"]["ipvs_timeout_tcp"]) == (True, True, 900)
    assert (found["r2"]["ipvs_direct_return"], found["r2"]["ipvs_masquerade"], found["r2"]["ipvs_timeout_tcp"]) == (True, False, 300)
    assert (found["r1"]["ipvs_nat_addresses"], found["r2"]["ipvs_nat_addresses"]) == (["10.0.0.100"], [])
    assert 1 <= found["r1"]["ipvs_sync_id"] <= 255 and found["r1"]["ipvs_sync_id"] != found["r2"]["ipvs_sync_id"]


def test_workers_do_what_the_forwarding_of_their_cluster_needs(found):
    assert {host: (found[host]["ipvs_node_direct"], found[host]["ipvs_node_tunnel"]) for host in ("a1", "b1", "c1")} == {
        "a1": (True, False), "b1": (False, False), "c1": (True, True)}
    assert (found["a1"]["ipvs_node_tunnel_type"], found["c1"]["ipvs_node_tunnel_type"], found["c1"]["ipvs_node_tunnel_port"]) == ("ipip", "gue", 7000)
    assert found["a1"]["ipvs_node_tunnel_sources"] == ["10.0.0.1", "10.0.1.1", "fd00::1", "10.0.0.2", "10.0.0.11", "10.0.0.12"]
    assert found["c1"]["ipvs_node_pools"] == [*RANGE, "198.51.100.0/25"]


def test_without_pools_all_is_as_it_was_before_there_were_services(defaults):
    found = defaults()
    assert (found["r1"]["bird_announce"], found["r1"]["bird_export_upstream"], found["r1"]["ipvs_pools"]) == ([], [], [])
    assert found["r2"]["bird_announce"] == []
