# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter bgp_neighbors: who meets whom, what may pass, and errors that name host and variable."""
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.northgate.edge.plugins.filter.bgp_neighbors import FilterModule

bgp_neighbors = FilterModule().filters()["bgp_neighbors"]


@pytest.fixture
def inventory():
    """Two clusters behind one router group; each test changes what it is about."""
    return {
        "hostvars": {
            "r1": {"northgate_router_group": "edge", "northgate_addresses": ["192.0.2.11", "2001:db8::11"]},
            "r2": {"northgate_router_group": "other", "northgate_addresses": ["192.0.2.12", "2001:db8::12"]},
            "alpha-w1": {"northgate_cluster": "alpha", "northgate_addresses": ["192.0.2.21", "2001:db8::21"],
                         "northgate_pod_prefixes": ["10.100.1.0/24", "fd64:100:0:1::/64"]},
            "alpha-w2": {"northgate_cluster": "alpha", "northgate_addresses": ["192.0.2.22"], "northgate_pod_prefixes": ["10.100.2.0/24"]},
            "beta-w1": {"northgate_cluster": "beta", "northgate_addresses": ["192.0.2.31"]},
            "client": {},
        },
        "groups": {"all": [], "routers": ["r2", "r1"], "workers": ["beta-w1", "alpha-w2", "alpha-w1"]},
        "clusters": {
            "alpha": {"asn": 64601, "pod_prefixes": ["10.100.0.0/16", "fd64:100::/48"], "service_prefixes": ["10.101.0.0/16", "fd64:101::/112"]},
            "beta": {"asn": 64602, "pod_prefixes": ["10.110.0.0/16"], "service_prefixes": ["10.111.0.0/16"]},
        },
        "router_groups": {"edge": {"asn": 64500, "clusters": ["alpha", "beta"]}, "other": {"asn": 64501, "clusters": ["beta"]}},
    }


def by_name(found):
    return {neighbor["name"]: neighbor for neighbor in found}


def test_a_router_meets_the_workers_of_its_clusters_and_accepts_only_what_they_declare(inventory):
    found = bgp_neighbors("r1", **inventory)
    assert [neighbor["name"] for neighbor in found] == ["alpha_w1", "alpha_w2", "beta_w1"]
    assert found[0] == {
        "name": "alpha_w1", "cluster": "alpha", "addresses": ["192.0.2.21", "2001:db8::21"], "asn": 64601, "export_prefixes": [], "transit": False,
        "import_prefixes": ["10.100.0.0/16{16,28}", "fd64:100::/48{48,124}", "10.101.0.0/16", "fd64:101::/112"]}
    assert found[2]["import_prefixes"] == ["10.110.0.0/16{16,28}", "10.111.0.0/16"]


def test_a_router_does_not_meet_workers_of_clusters_that_others_serve(inventory):
    assert list(by_name(bgp_neighbors("r2", **inventory))) == ["beta_w1"]


def test_a_worker_announces_to_its_routers_and_accepts_nothing_from_them(inventory):
    router = by_name(bgp_neighbors("alpha-w1", **inventory))["r1"]
    assert (router["asn"], router["import_prefixes"]) == (64500, [])
    assert router["export_prefixes"] == ["10.100.1.0/24", "fd64:100:0:1::/64", "10.101.0.0/16", "fd64:101::/112"]


def test_a_worker_is_served_by_several_groups_and_needs_no_pod_prefixes(inventory):
    found = by_name(bgp_neighbors("beta-w1", **inventory))
    assert {name: neighbor["asn"] for name, neighbor in found.items()} == {"r1": 64500, "r2": 64501}
    assert found["r1"]["export_prefixes"] == ["10.111.0.0/16"]


def test_fellow_workers_exchange_pod_prefixes_of_their_cluster_only(inventory):
    fellow = by_name(bgp_neighbors("alpha-w1", **inventory))["alpha_w2"]
    assert fellow == {"name": "alpha_w2", "addresses": ["192.0.2.22"], "asn": 64601, "import_prefixes": ["10.100.0.0/16{16,28}", "fd64:100::/48{48,124}"],
                      "export_prefixes": ["10.100.1.0/24", "fd64:100:0:1::/64"], "transit": False}


def test_workers_accept_where_the_clients_of_a_router_group_are_from_its_routers_only(inventory):
    inventory["router_groups"]["edge"]["client_prefixes"] = ["198.51.100.0/24", "2001:db8:2::/64"]
    assert all(neighbor["export_prefixes"] == ["198.51.100.0/24", "2001:db8:2::/64"] for neighbor in bgp_neighbors("r1", **inventory))
    assert bgp_neighbors("r2", **inventory)[0]["export_prefixes"] == []
    found = by_name(bgp_neighbors("beta-w1", **inventory))
    assert (found["r1"]["import_prefixes"], found["r2"]["import_prefixes"]) == (["198.51.100.0/24", "2001:db8:2::/64"], [])
    fellow = by_name(bgp_neighbors("alpha-w1", **inventory))["alpha_w2"]
    assert "198.51.100.0/24" not in fellow["import_prefixes"] + fellow["export_prefixes"]


def test_a_group_may_be_the_workers_way_to_everywhere(inventory):
    inventory["router_groups"]["edge"] |= {"client_prefixes": ["198.51.100.0/24"], "default_route": True}
    offered = ["198.51.100.0/24", "0.0.0.0/0", "::/0"]
    assert bgp_neighbors("r1", **inventory)[0]["export_prefixes"] == offered
    router = by_name(bgp_neighbors("alpha-w1", **inventory))["r1"]
    # What the router has from somebody else does not begin and end with its AS.
    assert (router["import_prefixes"], router["transit"]) == (offered, True)


def test_options_of_a_cluster_are_those_of_both_ends_of_its_sessions(inventory):
    inventory["clusters"]["alpha"]["bgp"] = {"password": "secret", "bfd_interval": 50}
    routers = by_name(bgp_neighbors("r1", **inventory))
    assert [(name, routers[name].get("password"), routers[name].get("bfd_interval")) for name in ("alpha_w1", "beta_w1")] == [
        ("alpha_w1", "secret", 50), ("beta_w1", None, None)]
    assert {neighbor["password"] for neighbor in bgp_neighbors("alpha-w1", **inventory)} == {"secret"}


def addresses(inventory, name, other):
    return by_name(bgp_neighbors(name, **inventory)).get(other, {}).get("addresses")


def test_hosts_on_vlans_meet_on_each_that_they_share(inventory):
    inventory["hostvars"]["r1"]["northgate_addresses"] = ["192.0.2.11/25", "198.51.100.11/24", "2001:db8::11/64", "2001:db8:1::11/64"]
    inventory["hostvars"]["alpha-w1"]["northgate_addresses"] = ["2001:db8:1::21/64", "192.0.2.21/25", "203.0.113.21/24", "198.51.100.21/24"]
    assert addresses(inventory, "r1", "alpha_w1") == ["192.0.2.21", "198.51.100.21", "2001:db8:1::21"]
    assert addresses(inventory, "alpha-w1", "r1") == ["192.0.2.11", "198.51.100.11", "2001:db8:1::11"]


def test_an_address_without_a_length_meets_those_whose_network_has_it(inventory):
    inventory["hostvars"]["r1"]["northgate_addresses"] = ["192.0.2.11/24", "198.51.100.11/24", "2001:db8::11"]
    assert addresses(inventory, "alpha-w1", "r1") == ["192.0.2.11", "2001:db8::11"]
    assert addresses(inventory, "r1", "alpha_w1") == ["192.0.2.21", "2001:db8::21"]


def test_fellow_workers_on_other_segments_are_no_neighbours_but_a_router_has_to_be(inventory):
    inventory["hostvars"]["r1"]["northgate_addresses"] = ["192.0.2.11/24", "198.51.100.11/24"]
    inventory["hostvars"]["alpha-w1"]["northgate_addresses"] = ["192.0.2.21/24"]
    inventory["hostvars"]["alpha-w2"]["northgate_addresses"] = ["198.51.100.22/24"]
    assert list(by_name(bgp_neighbors("alpha-w1", **inventory))) == ["r1"]
    inventory["hostvars"]["alpha-w2"]["northgate_addresses"] = ["203.0.113.22/24"]
    with pytest.raises(AnsibleFilterError, match="host alpha-w2: variable northgate_addresses has no address on a segment of r1"):
        bgp_neighbors("r1", **inventory)


def test_without_mesh_a_worker_meets_routers_only(inventory):
    assert list(by_name(bgp_neighbors("alpha-w1", **inventory, mesh=False))) == ["r1"]


def test_the_maximum_length_is_never_below_the_prefix(inventory):
    imported = bgp_neighbors("r1", **inventory, max_length_v4=12, max_length_v6=64)[0]["import_prefixes"]
    assert imported[:2] == ["10.100.0.0/16{16,16}", "fd64:100::/48{48,64}"]


def test_what_is_a_router_decides_the_group_not_a_stray_variable(inventory):
    inventory["hostvars"]["client"] = {"northgate_router_group": "edge"}
    with pytest.raises(AnsibleFilterError, match="host client: .*set the variable bird_neighbors"):
        bgp_neighbors("client", **inventory)


def test_groups_may_be_missing(inventory):
    inventory["groups"] = {"routers": ["r1"]}
    assert bgp_neighbors("r1", **inventory) == []


ERRORS = {
    "no address": (("hostvars", "alpha-w2", "northgate_addresses"), [], "host alpha-w2: variable northgate_addresses is not set"),
    "bad address": (("hostvars", "alpha-w2", "northgate_addresses"), ["192.0.2.22/33"], "host alpha-w2: variable northgate_addresses: '192.0.2.22/33'"),
    "two addresses": (("hostvars", "r1", "northgate_addresses"), ["192.0.2.1", "192.0.2.2/24"], "host r1: .*more than one IPv4 address, so each needs"),
    "two in one network": (("hostvars", "r1", "northgate_addresses"), ["192.0.2.1/24", "192.0.2.2/24"], "host r1: .*two IPv4 addresses in one network"),
    "unknown option": (("clusters", "alpha", "bgp"), {"bdf": True}, "variable northgate_clusters.alpha.bgp: there is no bdf; known are bfd, "),
    "no common family": (("hostvars", "beta-w1", "northgate_addresses"), ["2001:db8::31"], None),
    "no cluster": (("hostvars", "alpha-w2", "northgate_cluster"), None, "host alpha-w2: variable northgate_cluster is not set"),
    "unknown group": (("hostvars", "r1", "northgate_router_group"), "egde", "variable northgate_router_groups has no egde"),
    "no asn": (("clusters", "alpha", "asn"), None, "variable northgate_clusters.alpha.asn is not set"),
    "no clusters": (("router_groups", "edge", "clusters"), None, "variable northgate_router_groups.edge.clusters is not set"),
    "unknown cluster": (("router_groups", "edge", "clusters"), ["gamma"], "variable northgate_clusters has no gamma"),
    "host bits": (("clusters", "alpha", "pod_prefixes"), ["10.100.0.1/16"], "variable northgate_clusters.alpha.pod_prefixes: 10.100.0.1/16 has host bits"),
    "client prefix": (("router_groups", "edge", "client_prefixes"), ["10.0.0.1/8"],
                      "variable northgate_router_groups.edge.client_prefixes: 10.0.0.1/8 has host bits"),
    "overlap": (("clusters", "beta", "pod_prefixes"), ["10.101.128.0/17"], "10.101.128.0/17 of beta overlaps 10.101.0.0/16 of alpha; router group edge"),
}


@pytest.mark.parametrize("path, value, message", ERRORS.values(), ids=ERRORS)
def test_errors_name_the_host_and_the_variable(inventory, path, value, message):
    first, second, key = path
    inventory[first][second][key] = value
    if message is None:
        inventory["hostvars"]["r1"]["northgate_addresses"] = ["192.0.2.11"]
        message = "host beta-w1: variable northgate_addresses has no address on a segment of r1"
    with pytest.raises(AnsibleFilterError, match=message):
        bgp_neighbors("r1", **inventory)


def test_a_worker_can_not_announce_what_is_not_its_clusters(inventory):
    inventory["hostvars"]["alpha-w1"]["northgate_pod_prefixes"] = ["10.110.1.0/24"]
    with pytest.raises(AnsibleFilterError, match="host alpha-w1: variable northgate_pod_prefixes: 10.110.1.0/24 is outside northgate_clusters.alpha"):
        bgp_neighbors("alpha-w1", **inventory)


def test_names_are_symbols_of_bird_and_do_not_clash(inventory):
    inventory["hostvars"]["10.1"] = dict(inventory["hostvars"]["beta-w1"])
    inventory["groups"]["workers"].append("10.1")
    assert "host_10_1" in by_name(bgp_neighbors("r1", **inventory))
    inventory["hostvars"]["alpha_w1"] = dict(inventory["hostvars"]["alpha-w1"])
    inventory["groups"]["workers"].append("alpha_w1")
    with pytest.raises(AnsibleFilterError, match="alpha_w1: would be called alpha_w1 in BIRD"):
        bgp_neighbors("r1", **inventory)
