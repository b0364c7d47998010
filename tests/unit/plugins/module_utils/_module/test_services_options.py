# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of all pools, those that lead to the router."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._module.services_options import balance_options, pool_prefixes

POOLS = {"a": {"addresses": ["203.0.113.0/26"]}, "b": {"addresses": ["203.0.113.64/26", "2001:db8::/64"]}}
OF_A, OF_B = "203.0.113.1", "203.0.113.65"


def options(served):
    pools = pool_prefixes(POOLS)
    return balance_options({"pools": POOLS, "address_pools": served, "forwarding": {}, "shares": {}}, pools, frozenset())


def test_what_leads_elsewhere_is_of_the_pools_and_not_carried():
    found = options(["a"])
    assert OF_A in found.pools and OF_B in found.pools
    assert OF_A in found.carried and OF_B not in found.carried
    assert options(None).carried is None and OF_A not in options([]).carried


def test_a_pool_that_there_is_not_is_named():
    with pytest.raises(InvalidValue, match="address_pools: there is no pool 'c'; there are a, b"):
        options(["c"])
