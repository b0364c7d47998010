# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router groups with what follows from their entries in the inventory."""
from __future__ import annotations

DOCUMENTATION = r"""
name: router_groups
author: northgate.edge contributors
version_added: 0.1.0
short_description: The router groups with what they leave to others
description:
  - Each group gets what it does not decide for itself from O(defaults).
  - A group without C(ingress_addresses) is reached under the addresses of its C(vips), where it has any.
positional: defaults
options:
  _input:
    description: The router groups, C(northgate_router_groups).
    type: dict
    required: true
  defaults:
    description: What is decided for all groups.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show under which addresses clients reach the router groups
  ansible.builtin.debug:
    msg: "{{ (northgate_router_groups | northgate.edge.router_groups)[northgate_router_group].ingress_addresses }}"
"""

RETURN = r"""
_value:
  description: The router groups by name.
  type: dict
"""

import ipaddress
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError


def router_groups(groups, defaults=None):
    """The `groups` with `defaults` and addresses of their own. Raises AnsibleFilterError."""
    if not isinstance(groups, Mapping):
        raise AnsibleFilterError("variable northgate_router_groups is no dictionary")
    return {name: {**(defaults or {}), **_addresses(name, group), **group} for name, group in groups.items()}


def _addresses(name, group):
    where = f"variable northgate_router_groups.{name}"
    if not isinstance(group, Mapping):
        raise AnsibleFilterError(f"{where} is no dictionary")
    vips = group.get("vips") or {}
    if not isinstance(vips, Mapping):
        raise AnsibleFilterError(f"{where}.vips is no dictionary")
    found = [address for vip, options in vips.items() for address in _of_vip(f"{where}.vips.{vip}", options)]
    return {"ingress_addresses": found} if found else {}


def _of_vip(where, options):
    """The addresses of a VIP without the lengths of their prefixes."""
    addresses = options.get("addresses") if isinstance(options, Mapping) else None
    if not isinstance(addresses, list) or not addresses:
        raise AnsibleFilterError(f"{where}.addresses is no list of addresses")
    try:
        return [str(ipaddress.ip_interface(address).ip) for address in addresses]
    except ValueError as error:
        raise AnsibleFilterError(f"{where}.addresses: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        return {"router_groups": router_groups}
