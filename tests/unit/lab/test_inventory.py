# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab writes for Ansible, ssh and the guests."""
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from northgate_lab import cache, guests, image, inventory, state, topology


def make(name: str, path: Path) -> state.Lab:
    return state.Lab(topology.parse(topology.find(name).read_text()), path, {"kernel": "/k", "image": "/i", "programs": "/a path"})


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> state.Lab:
    return make("default", tmp_path)


@pytest.fixture(name="shared")
def _shared(tmp_path: Path) -> state.Lab:
    return make("shared", tmp_path)


def test_routers_and_workers_have_what_a_user_would_write(lab):
    groups = inventory.inventory(lab)["all"]["children"]["guests"]["children"]
    assert groups["routers"]["children"]["edge"]["hosts"]["r2"] == {
        "ansible_host": "10.99.0.12", "northgate_router_group": "edge", "northgate_addresses": ["10.90.0.12", "fd90::12"]}
    assert groups["workers"]["children"]["beta_workers"]["hosts"]["beta-w1"] == {
        "ansible_host": "10.99.0.31", "northgate_cluster": "beta", "northgate_addresses": ["10.90.0.31", "fd90::31"],
        "northgate_pod_prefixes": ["10.110.1.0/24", "fd64:110:0:1::/64"]}


def test_the_client_accepts_what_the_routers_announce(lab):
    groups = inventory.inventory(lab)["all"]["children"]["guests"]["children"]
    announced = groups["routers"]["children"]["edge"]["vars"]["bird_export_upstream"]
    client = groups["upstream"]["hosts"]["client"]
    assert "10.100.0.0/16{16,28}" in announced and "fd64:111::/112" in announced
    assert [(entry["name"], entry["addresses"], entry["asn"]) for entry in client["bird_neighbors"]] == [
        ("r1", ["10.91.0.11", "fd91::11"], 64500), ("r2", ["10.91.0.12", "fd91::12"], 64500)]
    assert all(entry["import_prefixes"] == announced for entry in client["bird_neighbors"])


def test_services_have_pools_that_the_client_is_routed_to_and_a_forwarding_for_each_cluster(lab):
    found = inventory.inventory(lab)["all"]
    groups, variables = found["children"]["guests"]["children"], found["vars"]
    pools = ["203.0.113.0/25", "203.0.113.128/26", "203.0.113.200/31", "203.0.113.202/32",
             "2001:db8:100::/71", "2001:db8:100:0:200::1/128", "2001:db8:100:0:200::2/127"]
    assert groups["routers"]["children"]["edge"]["vars"]["bird_export_upstream"][-7:] == pools
    assert groups["upstream"]["hosts"]["client"]["bird_neighbors"][1]["import_prefixes"][-7:] == pools
    assert {name: cluster["forwarding"] for name, cluster in variables["northgate_clusters"].items()} == {"alpha": "direct", "beta": "masquerade"}
    assert variables["northgate_router_groups"]["edge"]["client_prefixes"] == ["10.91.0.0/24", "fd91::/64"]
    assert {name: group.get("vars") for name, group in groups["workers"]["children"].items()} == {
        "alpha_workers": {"bird_unreachable_prefixes": ["10.100.0.0/16", "fd64:100::/48"], "ipvs_node_tunnel": True},
        "beta_workers": {"bird_unreachable_prefixes": ["10.110.0.0/16", "fd64:110::/48"]}}
    assert groups["routers"]["children"]["edge"]["vars"]["bird_unreachable_prefixes"] == [
        "10.100.0.0/16", "fd64:100::/48", "10.110.0.0/16", "fd64:110::/48"]


def test_the_wheels_of_the_image_are_those_that_the_role_asks_for():
    lines = (image.DIRECTORY / "wheels.txt").read_text().splitlines()
    defaults = yaml.safe_load((cache.CHECKOUT / "roles" / "ipvs" / "defaults" / "main.yml").read_text())
    assert f"pyroute2=={defaults['ipvs_pyroute2_version']}" in lines


def test_ingress_has_a_class_for_each_mode_and_addresses_of_the_routers(lab):
    variables = inventory.inventory(lab)["all"]["vars"]
    assert variables["northgate_clusters"]["beta"]["ingress_classes"] == {
        "traefik": {"service": "traefik/traefik", "port": "web", "tls_port": "websecure"}, "direct": {"mode": "direct"}}
    assert variables["northgate_router_groups"]["edge"]["ingress_addresses"] == ["10.91.0.11", "fd91::11", "10.91.0.12", "fd91::12"]


def test_groups_have_vips_pools_certificates_and_frontends_of_the_api_of_their_own(shared):
    variables = inventory.inventory(shared)["all"]["vars"]
    first, second = (variables["northgate_router_groups"][name] for name in ("edge-a", "edge-b"))
    assert (first["clusters"], second["clusters"]) == (["alpha", "beta"], ["beta"])
    assert first["vips"]["web"]["addresses"] == ["10.91.0.50/24", "fd91::50/64"]
    assert first["ingress_addresses"] == ["10.91.0.50", "fd91::50"] and "ingress_addresses" not in second
    assert (first["address_pools"], second["address_pools"]) == (["public-a"], ["public-b"])
    assert "nat_addresses" not in first
    assert first["certificates"] == f"{shared.state}/certificates/edge-a" != second["certificates"]
    assert first["api"]["alpha"]["bind"] == ["0.0.0.0:6443", "[::]:6443"] and set(second["api"]) == {"beta"}
    assert variables["northgate_clusters"]["alpha"]["api"] == {
        "servers": ["10.90.0.41:6443", "10.90.0.42:6443"], "ca": f"{shared.state}/clusters/alpha/ca.pem"}


def test_a_group_announces_nothing_of_clusters_and_pools_that_are_anothers(shared):
    groups = inventory.inventory(shared)["all"]["children"]["guests"]["children"]
    announced = {name: group["vars"]["bird_export_upstream"] for name, group in groups["routers"]["children"].items()}
    assert announced["edge-b"] == ["10.110.0.0/16{16,28}", "fd64:110::/48{48,124}", "10.111.0.0/16", "fd64:111::/112",
                                   "203.0.113.64/26", "2001:db8:100:0:100::/72"]
    assert "10.100.0.0/16{16,28}" in announced["edge-a"] and "203.0.113.64/26" not in announced["edge-a"]
    accepted = {entry["name"]: entry["import_prefixes"] for entry in groups["upstream"]["hosts"]["client"]["bird_neighbors"]}
    assert accepted == {"r1": announced["edge-a"], "r2": announced["edge-a"], "r3": announced["edge-b"]}


def test_numbers_of_a_group_become_the_addresses_under_which_it_masquerades(tmp_path):
    text = topology.find("shared").read_text().replace("    address_pools: [public-b]\n", "    address_pools: [public-b]\n    nat_addresses: [201]\n")
    groups = inventory.inventory(state.Lab(topology.parse(text), tmp_path, {}))["all"]["vars"]["northgate_router_groups"]
    assert groups["edge-b"]["nat_addresses"] == ["10.90.0.201", "fd90::201"]


def test_without_vips_the_client_finds_ingresses_under_the_addresses_of_the_routers(tmp_path):
    groups = inventory.inventory(make("routers", tmp_path))["all"]["vars"]["northgate_router_groups"]
    assert groups["edge"]["ingress_addresses"] == ["10.91.0.11", "fd91::11", "10.91.0.12", "fd91::12", "10.91.0.13", "fd91::13"]


def test_the_controller_keeps_its_own_python(lab):
    assert "ansible_python_interpreter" not in inventory.inventory(lab)["all"]["vars"]


def test_files_are_yaml_without_aliases_and_an_ini(lab):
    inventory.write(lab)
    text = (lab.state / "inventory.yml").read_text()
    assert yaml.safe_load(text) == inventory.inventory(lab)
    assert "&id" not in text
    assert f"inventory = {lab.state}/inventory.yml" in (lab.state / "ansible.cfg").read_text()


def test_names_resolve_to_a_segment_that_the_reader_is_in(lab):
    on_worker = guests.hosts_file(lab, lab.topology.hosts["alpha-w1"]).splitlines()
    on_client = guests.hosts_file(lab, lab.topology.hosts["client"]).splitlines()
    assert "10.90.0.11 r1" in on_worker and "fd91::100 client" in on_worker
    assert "10.91.0.11 r1" in on_client and "10.90.0.11 r1" not in on_client
    assert "10.90.0.21 alpha-w1" in on_client
    assert on_worker[0] == "127.0.0.1 localhost"


def test_a_guests_command_line_survives_blanks_in_paths(lab):
    command = guests.command(lab, lab.topology.hosts["r1"])
    assert "lab.programs=/a%20path" in command
    assert "mem=384M" in command
    assert "vec1:transport=tap,ifname=r1-o,mac=52:54:00:90:01:0b,depth=128,gro=1" in command


def test_each_guest_keeps_to_one_core_and_all_cores_have_guests(lab, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {5, 2})
    assert {name: guests.core(lab, name) for name in ("r1", "r2", "client", "alpha-w1", "alpha-w2", "beta-w1")} == {
        "r1": 2, "r2": 2, "client": 2, "alpha-w1": 5, "alpha-w2": 2, "beta-w1": 5}
    command = guests.command(lab, lab.topology.hosts["alpha-w1"])
    assert command[command.index("taskset"):][:3] == ["taskset", "--cpu-list", "5"]


def test_differences_are_named(lab, monkeypatch):
    monkeypatch.setenv("NORTHGATE_LAB_STATE", str(lab.state))
    text = topology.find("default").read_text()
    assert state.differences(text, lab.parts) == []
    state.write(text, lab.parts)
    assert state.differences(text, lab.parts) == []
    assert state.differences(text + "\n", lab.parts | {"image": "/j"}) == ["image", "topology"]
    assert state.read().topology == lab.topology
