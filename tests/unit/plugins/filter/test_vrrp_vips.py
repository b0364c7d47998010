# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter vrrp_vips: a router's part in the VIPs of its group, and errors that name variable and host."""
from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.northgate.edge.plugins.filter.vrrp_vips import FilterModule

vrrp_vips = FilterModule().filters()["vrrp_vips"]
POOLS = {"office": {"addresses": ["192.0.2.128/30"]}, "large": {"addresses": ["198.51.96.0/20"]}}


def interface(name, *addresses):
    return {"ifname": name, "addr_info": [
        {"local": text.partition("/")[0], "prefixlen": int(text.partition("/")[2]), "scope": "link" if text.startswith("fe80") else "global"}
        for text in addresses]}


@pytest.fixture(name="inventory")
def _inventory():
    """Two groups on one segment; each test changes what it is about. ``interfaces`` are those of r1, which holds a VIP at the moment."""
    hosts = {"r1": "edge", "r2": "edge", "r3": "edge", "s1": "other"}
    return {
        "hostvars": {name: {"northgate_router_group": group, "northgate_addresses": [f"10.0.0.{number}", f"fd00::{number}"]}
                     for number, (name, group) in enumerate(hosts.items(), 11)},
        "groups": {"routers": list(hosts)},
        "router_groups": {
            "edge": {
                "vips": {"web": {"addresses": ["192.0.2.50/24", "2001:db8::50/64"]}, "api": {"addresses": ["192.0.2.51"]}}, "nat_addresses": ["10.0.0.90"]},
            "other": {"vips": {"web": {"addresses": ["192.0.2.60"]}}}, "plain": {}},
        "pools": POOLS,
        "interfaces": [
            interface("lo", "127.0.0.1/8", "192.0.2.50/32"), interface("wan", "192.0.2.11/24", "192.0.2.50/32", "2001:db8::11/64", "fe80::1/64"),
            interface("lan", "10.0.0.11/24", "fd00::11/64")],
    }


def test_a_router_has_an_instance_for_each_family_and_what_moves_with_it(inventory):
    web, api = vrrp_vips("r1", **inventory)
    assert (web["name"], web["priority"], web["nopreempt"], web["advert_interval"]) == ("edge_web", 200, False, 0.1)
    assert web["mates"] == ["10.0.0.12", "fd00::12", "10.0.0.13", "fd00::13"]
    assert web["instances"] == [
        {"name": "edge_web_v4", "family": 4, "interface": "wan", "source": "192.0.2.11", "peers": [], "vips": ["192.0.2.50"],
         "others": [{"address": "10.0.0.90", "interface": "lan"}]},
        {"name": "edge_web_v6", "family": 6, "interface": "wan", "source": "2001:db8::11", "peers": [], "vips": ["2001:db8::50"], "others": []}]
    assert [entry["name"] for entry in api["instances"]] == ["edge_api_v4"]
    assert api["instances"][0]["others"] == []


def test_the_vips_of_a_group_begin_with_different_routers_and_no_two_have_one_priority(inventory):
    priorities = {router: [vip["priority"] for vip in vrrp_vips(router, **inventory)] for router in ("r1", "r2", "r3")}
    assert priorities == {"r1": [200, 198], "r2": [199, 200], "r3": [198, 199]}


def test_preferred_routers_come_first(inventory):
    inventory["router_groups"]["edge"]["vips"]["web"]["preferred"] = ["r3"]
    assert [vrrp_vips(router, **inventory)[0]["priority"] for router in ("r1", "r2", "r3")] == [199, 198, 200]


def test_router_ids_are_the_same_on_every_router_and_differ_among_all_groups(inventory):
    found = {router: [vip["router_id"] for vip in vrrp_vips(router, **inventory)] for router in ("r1", "r2")}
    assert found["r1"] == found["r2"]
    inventory["interfaces"] = [interface("wan", "192.0.2.14/24"), interface("lan", "10.0.0.14/24")]
    other = vrrp_vips("s1", **inventory)[0]["router_id"]
    assert len({*found["r1"], other}) == 3
    assert all(1 <= number <= 255 for number in (*found["r1"], other))


def test_a_router_id_that_is_written_down_is_left_alone_by_the_others(inventory):
    derived = vrrp_vips("r1", **inventory)[0]["router_id"]
    inventory["router_groups"]["other"]["vips"]["web"]["router_id"] = derived
    assert vrrp_vips("r1", **inventory)[0]["router_id"] != derived


def test_as_many_vips_as_there_are_router_ids(inventory):
    inventory["router_groups"]["other"]["vips"] = {f"v{number}": {"addresses": ["192.0.2.60"]} for number in range(253)}
    found = [vip["router_id"] for vip in vrrp_vips("r1", **inventory)]
    inventory["interfaces"] = [interface("wan", "192.0.2.14/24"), interface("lan", "10.0.0.14/24")]
    assert sorted(found + [vip["router_id"] for vip in vrrp_vips("s1", **inventory)]) == list(range(1, 256))
    inventory["router_groups"]["other"]["vips"]["one-more"] = {"addresses": ["192.0.2.60"]}
    with pytest.raises(AnsibleFilterError, match="more than 255 VIPs"):
        vrrp_vips("s1", **inventory)


def test_unicast_names_the_other_routers_on_the_segment(inventory):
    inventory["router_groups"]["edge"]["vips"] = {"web": {"addresses": ["10.0.0.50"], "unicast": True}}
    assert vrrp_vips("r1", **inventory)[0]["instances"][0]["peers"] == ["10.0.0.12", "10.0.0.13"]


def test_unicast_takes_the_addresses_that_a_router_says_it_has_there(inventory):
    inventory["router_groups"]["edge"]["vips"] = {"web": {"addresses": ["192.0.2.50"], "unicast": True}}
    for number in (2, 3):
        inventory["hostvars"][f"r{number}"]["northgate_vrrp_addresses"] = [f"192.0.2.1{number}"]
    assert vrrp_vips("r1", **inventory)[0]["instances"][0]["peers"] == ["192.0.2.12", "192.0.2.13"]


def test_pools_of_the_segment_move_with_the_vip(inventory):
    inventory["router_groups"]["edge"]["vips"]["web"]["pools"] = ["office"]
    others = vrrp_vips("r1", **inventory)[0]["instances"][0]["others"]
    assert [entry["address"] for entry in others if entry["interface"] == "wan"] == ["192.0.2.128", "192.0.2.129", "192.0.2.130", "192.0.2.131"]


def test_an_interface_that_is_named_is_taken_though_the_vip_is_in_none_of_its_networks(inventory):
    inventory["router_groups"]["edge"]["vips"] = {"web": {"addresses": ["203.0.113.7"], "interface": "lan"}}
    entry = vrrp_vips("r1", **inventory)[0]["instances"][0]
    assert (entry["interface"], entry["source"]) == ("lan", "10.0.0.11")


def test_a_group_without_vips_has_none(inventory):
    inventory["hostvars"]["r1"]["northgate_router_group"] = "plain"
    assert vrrp_vips("r1", **inventory) == []


@pytest.mark.parametrize(("vip", "message"), [
    ({"addresses": ["203.0.113.7"]}, "northgate_router_groups.edge.vips.web: 203.0.113.7 is in no network of r1 (192.0.2.11/24 on wan,"),
    ({"addresses": ["203.0.113.7"], "interface": "dmz"}, "northgate_router_groups.edge.vips.web: interface dmz of r1 has no IPv4 address"),
    ({"addresses": []}, "variable northgate_router_groups.edge.vips.web.addresses: is no list of addresses, or is empty"),
    ({"addresses": ["192.0.2.300"]}, "variable northgate_router_groups.edge.vips.web.addresses: '192.0.2.300'"),
    ({"addresses": ["192.0.2.50"], "vrid": 3}, "variable northgate_router_groups.edge.vips.web: has no setting 'vrid'; there are addresses,"),
    ({"addresses": ["192.0.2.50"], "router_id": 256}, "variable northgate_router_groups.edge.vips.web.router_id: 256 is no number from 1 to 255"),
    ({"addresses": ["192.0.2.50"], "advert_interval": 0}, "variable northgate_router_groups.edge.vips.web.advert_interval: 0 is no number of seconds"),
    ({"addresses": ["192.0.2.50"], "preferred": ["s1"]}, "variable northgate_router_groups.edge.vips.web.preferred: 's1' is no router of the group;"),
    ({"addresses": ["192.0.2.50"], "pools": ["attic"]}, "variable northgate_router_groups.edge.vips.web.pools: there is no pool 'attic'"),
    ({"addresses": ["192.0.2.50"], "pools": ["large"]}, "variable northgate_router_groups.edge.vips.web.pools: has more than 1024 addresses"),
    ({"addresses": ["192.0.2.50"], "unicast": True},
     "northgate_router_groups.edge.vips.web: unicast: northgate_addresses of r2 has no address in 192.0.2.0/24"),
    ("192.0.2.50", "variable northgate_router_groups.edge.vips.web: is no dictionary"),
])
def test_what_can_not_be_meant_is_named(inventory, vip, message):
    inventory["router_groups"]["edge"]["vips"] = {"web": vip}
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        vrrp_vips("r1", **inventory)


def test_two_vips_with_one_router_id_are_named(inventory):
    for vips in ("edge", "other"):
        inventory["router_groups"][vips]["vips"] = {"web": {"addresses": ["192.0.2.50"], "router_id": 9}}
    message = "northgate_router_groups.other.vips.web.router_id: 9 is that of northgate_router_groups.edge.vips.web as well"
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        vrrp_vips("r1", **inventory)


def test_a_router_without_a_variable_is_named(inventory):
    del inventory["hostvars"]["r2"]["northgate_addresses"]
    with pytest.raises(AnsibleFilterError, match="host r2: variable northgate_addresses is not set"):
        vrrp_vips("r1", **inventory)
