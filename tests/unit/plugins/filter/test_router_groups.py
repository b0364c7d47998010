# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter router_groups, and what leads from one inventory to the routers of several groups."""
from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.northgate.edge.plugins.filter.bgp_neighbors import bgp_neighbors
from ansible_collections.northgate.edge.plugins.filter.pool_prefixes import pool_prefixes
from ansible_collections.northgate.edge.plugins.filter.router_groups import FilterModule
from northgate_lab import inventory, state, topology

router_groups = FilterModule().filters()["router_groups"]


def test_what_a_group_says_goes_before_what_follows_from_its_vips_and_before_the_defaults():
    vips = {"web": {"addresses": ["192.0.2.80/24", "2001:db8::80/64"]}, "api": {"addresses": ["192.0.2.81"]}}
    groups = {"a": {"vips": vips}, "b": {"vips": vips, "ingress_addresses": []}, "c": {"shares": {"x": 1}}}
    found = router_groups(groups, {"shares": {}, "claim_winner": "oldest"})
    assert found == {
        "a": {"vips": vips, "shares": {}, "claim_winner": "oldest", "ingress_addresses": ["192.0.2.80", "2001:db8::80", "192.0.2.81"]},
        "b": {"vips": vips, "shares": {}, "claim_winner": "oldest", "ingress_addresses": []},
        "c": {"shares": {"x": 1}, "claim_winner": "oldest"},
    }


@pytest.mark.parametrize(("groups", "message"), [
    (["edge"], "variable northgate_router_groups is no dictionary"),
    ({"edge": None}, "variable northgate_router_groups.edge is no dictionary"),
    ({"edge": {"vips": ["192.0.2.80"]}}, "variable northgate_router_groups.edge.vips is no dictionary"),
    ({"edge": {"vips": {"web": {}}}}, "northgate_router_groups.edge.vips.web.addresses is no list of addresses"),
    ({"edge": {"vips": {"web": {"addresses": ["192.0.2.300"]}}}}, "northgate_router_groups.edge.vips.web.addresses: '192.0.2.300'"),
])
def test_mistakes_are_named(groups, message):
    with pytest.raises(AnsibleFilterError, match=message):
        router_groups(groups)


@pytest.fixture(name="shared")
def _shared():
    """What Ansible knows in the lab's topology of that name: the variables of all, and those of each host by inventory group."""
    found = inventory.inventory(state.Lab(topology.parse(topology.find("shared").read_text()), Path("/nowhere"), {}))["all"]
    guests = found["children"]["guests"]["children"]
    hosts = {name: {host: values for child in guests[name]["children"].values() for host, values in child["hosts"].items()} for name in ("routers", "workers")}
    return found["vars"], hosts


def test_every_router_of_a_group_routes_all_prefixes_of_its_clusters_and_none_of_others(shared):
    variables, hosts = shared
    clusters, groups = variables["northgate_clusters"], variables["northgate_router_groups"]
    hostvars = {**hosts["routers"], **hosts["workers"]}
    names = {group: sorted(found) for group, found in hosts.items()}
    for router, of_router in hosts["routers"].items():
        served = groups[of_router["northgate_router_group"]]["clusters"]
        found = bgp_neighbors(router, hostvars, names, clusters, groups)
        expected = sorted(host.replace("-", "_") for host, values in hosts["workers"].items() if values["northgate_cluster"] in served)
        assert [neighbor["name"] for neighbor in found] == expected
        imported = {pattern.partition("{")[0] for neighbor in found for pattern in neighbor["import_prefixes"]}
        assert imported == {prefix for name in served for key in ("pod_prefixes", "service_prefixes") for prefix in clusters[name][key]}
    of_worker = {worker: {neighbor["name"] for neighbor in bgp_neighbors(worker, hostvars, names, clusters, groups)} for worker in ("alpha-w1", "beta-w1")}
    assert of_worker == {"alpha-w1": {"r1", "r2", "alpha_w2"}, "beta-w1": {"r1", "r2", "r3"}}


def test_each_group_has_pools_of_its_own(shared):
    variables, _hosts = shared
    of_group = {name: pool_prefixes(variables["northgate_address_pools"], group["address_pools"], group["clusters"])
                for name, group in variables["northgate_router_groups"].items()}
    assert of_group == {"edge-a": ["203.0.113.0/26", "2001:db8:100::/72"], "edge-b": ["203.0.113.64/26", "2001:db8:100:0:100::/72"]}
