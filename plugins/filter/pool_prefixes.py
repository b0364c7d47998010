# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prefixes of the address pools that a router group or a cluster has to do with."""
from __future__ import annotations

DOCUMENTATION = r"""
name: pool_prefixes
author: northgate.edge contributors
version_added: 0.1.0
short_description: The prefixes of pools of addresses for LoadBalancer services
description:
  - The networks that cover the pools and nothing else, so a range becomes several. Routers make them local, close them to everything but services,
    and announce them.
positional: names, clusters
options:
  _input:
    description: The pools, C(northgate_address_pools).
    type: dict
    required: true
  names:
    description:
      - The pools to look at, C(address_pools) of a router group.
      - By default all that services of one of the O(clusters) may have addresses in.
    type: list
    elements: str
  clusters:
    description: The clusters to look at where there are no O(names). By default all.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show what a router announces
  ansible.builtin.debug:
    msg: "{{ northgate_address_pools | northgate.edge.pool_prefixes(clusters=northgate_router_groups[northgate_router_group].clusters) }}"
"""

RETURN = r"""
_value:
  description: The prefixes, IPv4 first. None of them overlap, and what can be one prefix is one.
  type: list
  elements: str
"""

import ipaddress

from ansible.errors import AnsibleFilterError

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError


def pool_prefixes(pools, names=None, clusters=None):
    """The prefixes of the pools `names`, else of those that serve one of the `clusters`. Raises AnsibleFilterError."""
    try:
        known = AddressPools.parse(pools, "variable northgate_address_pools")
    except NorthgateError as error:
        raise AnsibleFilterError(str(error)) from error
    if names is not None:
        if missing := sorted(set(names) - set(known.by_name)):
            raise AnsibleFilterError(f"variable northgate_address_pools has no {', '.join(missing)}, which address_pools of a router group names")
        chosen = [pool for pool in known if pool.name in names]
    else:
        chosen = [pool for pool in known if clusters is None or any(pool.serves(cluster) for cluster in clusters)]
    networks = [ipaddress.ip_network(prefix) for pool in chosen for prefix in pool.prefixes]
    return [str(network) for version in (4, 6) for network in ipaddress.collapse_addresses(n for n in networks if n.version == version)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        return {"pool_prefixes": pool_prefixes}
