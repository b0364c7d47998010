# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter pool_prefixes: what routers make local and announce."""
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.northgate.edge.plugins.filter.pool_prefixes import FilterModule

pool_prefixes = FilterModule().filters()["pool_prefixes"]

POOLS = {
    "public": {"addresses": ["2001:db8:100::/64", "203.0.113.0/25"], "clusters": ["alpha"]},
    "mail": {"addresses": ["203.0.113.128/25"]},
    "narrow": {"addresses": ["198.51.100.10-198.51.100.13"], "clusters": ["beta"]},
}


def test_all_pools_ipv4_first_and_neighbours_as_one():
    assert pool_prefixes(POOLS) == ["198.51.100.10/31", "198.51.100.12/31", "203.0.113.0/24", "2001:db8:100::/64"]


def test_a_range_is_covered_and_nothing_beside_it():
    assert pool_prefixes({"odd": {"addresses": ["192.0.2.7-192.0.2.9"]}}) == ["192.0.2.7/32", "192.0.2.8/31"]


def test_the_pools_that_services_of_the_clusters_may_have_addresses_in():
    assert pool_prefixes(POOLS, clusters=["alpha"]) == ["203.0.113.0/24", "2001:db8:100::/64"]
    assert pool_prefixes(POOLS, clusters=["beta", "gamma"]) == ["198.51.100.10/31", "198.51.100.12/31", "203.0.113.128/25"]


def test_named_pools_go_before_the_clusters_and_no_name_is_no_pool():
    assert pool_prefixes(POOLS, ["narrow"], ["alpha"]) == ["198.51.100.10/31", "198.51.100.12/31"]
    assert pool_prefixes(POOLS, []) == []


@pytest.mark.parametrize(("pools", "names", "message"), [
    ({"public": {"addresses": ["203.0.113.1/24"]}}, None, "variable northgate_address_pools.public.addresses"),
    ({"public": ["203.0.113.0/24"]}, None, "variable northgate_address_pools.public"),
    (POOLS, ["pubilc"], "variable northgate_address_pools has no pubilc"),
], ids=["host bits", "no dictionary", "unknown name"])
def test_errors_name_the_variable(pools, names, message):
    with pytest.raises(AnsibleFilterError, match=message):
        pool_prefixes(pools, names)
