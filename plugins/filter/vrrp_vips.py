# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VIPs of a router's group, and the router's part in each."""
from __future__ import annotations

DOCUMENTATION = r"""
name: vrrp_vips
author: northgate.edge contributors
version_added: 0.1.0
short_description: The VIPs of a router's group, and the router's part in each
description:
  - Derives from C(vips) of the router groups what VRRP needs. Router ids (VRIDs) are unique among all VIPs of the inventory, so that groups may share a
    segment. Priorities are unique in a group, and its VIPs begin with different routers.
  - Reads the variables C(northgate_router_group), C(northgate_addresses) and C(northgate_vrrp_addresses) of the hosts, never facts.
positional: hostvars, groups, router_groups, pools, interfaces
options:
  _input:
    description: Name of the router.
    type: str
    required: true
  hostvars:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  groups:
    description: The groups of the inventory, C(groups).
    type: dict
    required: true
  router_groups:
    description: The router groups, C(northgate_router_groups). Of each C(vips) and C(nat_addresses) are read.
    type: dict
    required: true
  pools:
    description: The pools of addresses, C(northgate_address_pools), of which VIPs may carry some.
    type: dict
    required: true
  interfaces:
    description: What C(ip -json address) says on the router.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Read the router's addresses
  ansible.builtin.command: ip -json address
  register: interfaces
  changed_when: false

- name: Show the router's part in the VIPs of its group
  ansible.builtin.debug:
    msg: "{{ inventory_hostname | northgate.edge.vrrp_vips(hostvars, groups, northgate_router_groups, {}, interfaces.stdout | from_json) }}"
"""

RETURN = r"""
_value:
  description:
    - The VIPs in the order of the inventory. Each has C(name), C(router_id), C(priority), C(nopreempt), C(advert_interval) in seconds, C(unicast),
      C(mates), which are the addresses of the other routers, the most preferred first, and C(instances), one for each family.
    - An instance has C(name), C(family) (4 or 6), C(interface), C(source), C(peers), C(vips) and C(others), the last with C(address) and C(interface) each.
  type: list
  elements: dict
"""

import ipaddress

from ansible.errors import AnsibleFilterError

from ansible_collections.northgate.edge.plugins.module_utils._core import vrrp
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError


class _Interfaces:
    """The networks that a router is in, by what ``ip -json address`` says. VIPs are there without a network, so they are none."""

    def __init__(self, router, entries):
        self._router = router
        self._found = [
            (ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}"), entry["ifname"])
            for entry in entries if entry["ifname"] != "lo"
            for address in entry.get("addr_info", ())
            if address.get("scope") == "global" and address["prefixlen"] not in (32, 128)]

    def of(self, address, where, interface=""):
        """The interface in whose network an address is, and the router's own address there. With ``interface`` only that is looked at."""
        inside = [(own, name) for own, name in self._found if address in own.network and interface in ("", name)]
        if inside:
            own, name = max(inside, key=lambda entry: entry[0].network.prefixlen)
            return name, own
        if interface:
            # Of another network, and on this interface nevertheless: the router's first address of that family stands for it.
            same = [own for own, name in self._found if name == interface and own.version == address.version]
            if same:
                return interface, same[0]
            raise AnsibleFilterError(f"{where}: interface {interface} of {self._router} has no IPv{address.version} address with a network")
        known = ", ".join(f"{own.with_prefixlen} on {name}" for own, name in self._found) or "none"
        raise AnsibleFilterError(f"{where}: {address} is in no network of {self._router} ({known}); set its interface")


class _Router:
    """A router, and what it makes of the VIPs of its group."""

    def __init__(self, name, hostvars, groups, interfaces):
        self.name, self.hostvars = name, hostvars
        self.group = self.value(name, "northgate_router_group")
        self.fellows = [host for host in groups.get("routers", []) if hostvars[host].get("northgate_router_group") == self.group]
        self.interfaces = _Interfaces(name, interfaces)

    def value(self, host, variable):
        found = self.hostvars[host].get(variable)
        if not found:
            raise AnsibleFilterError(f"host {host}: variable {variable} is not set")
        return found

    def addresses(self, host, variable="northgate_addresses"):
        try:
            return [ipaddress.ip_interface(text).ip for text in self.value(host, variable)]
        except ValueError as error:
            raise AnsibleFilterError(f"host {host}: variable {variable}: {error}") from error

    def vip(self, vip, number, router_id, others):
        """``others`` are addresses that move with the VIP, with their interface."""
        order = vrrp.order(vip, number, self.fellows)
        mates = [str(address) for host in order if host != self.name for address in self.addresses(host)]
        families = sorted({address.version for address in vip.addresses})
        instances = [self._instance(vip, family, order) for family in families]
        for address, interface in others:
            same = [entry for entry in instances if entry["family"] == ipaddress.ip_address(address).version]
            (same or instances)[0]["others"].append({"address": address, "interface": interface})
        return {
            "name": vip.label, "router_id": router_id, "priority": vrrp.HIGHEST_PRIORITY - order.index(self.name), "nopreempt": vip.nopreempt,
            "advert_interval": vip.advert_interval, "unicast": vip.unicast, "mates": mates, "instances": instances}

    def _instance(self, vip, family, order):
        addresses = [address for address in vip.addresses if address.version == family]
        interface, own = self.interfaces.of(addresses[0], vip.where, vip.interface)
        peers = [self._peer(vip, host, own.network) for host in order if host != self.name] if vip.unicast else []
        return {"name": f"{vip.label}_v{family}", "family": family, "interface": interface, "source": str(own.ip), "peers": peers,
                "vips": [str(address) for address in addresses], "others": []}

    def _peer(self, vip, host, network):
        variable = "northgate_vrrp_addresses" if self.hostvars[host].get("northgate_vrrp_addresses") else "northgate_addresses"
        for address in self.addresses(host, variable):
            if address in network:
                return str(address)
        raise AnsibleFilterError(f"{vip.where}: unicast: {variable} of {host} has no address in {network}; set northgate_vrrp_addresses there")


def vrrp_vips(name, hostvars, groups, router_groups, pools, interfaces):
    """The part of the router `name` in the VIPs of its group; DOCUMENTATION says how it looks. Raises AnsibleFilterError."""
    router = _Router(name, hostvars, groups, interfaces)
    try:
        vips = {group: vrrp.parse(group, values["vips"]) for group, values in router_groups.items() if (values or {}).get("vips")}
        numbers = vrrp.router_ids(vip for found in vips.values() for vip in found)
        known = AddressPools.parse(pools, "northgate_address_pools")
        found = []
        for number, vip in enumerate(vips.get(router.group, ())):
            others = [(address, router.interfaces.of(vip.addresses[0], vip.where, vip.interface)[0]) for address in vrrp.carried(vip, known)]
            if number == 0:
                others += [_nat(router, text) for text in router_groups[router.group].get("nat_addresses") or ()]
            found.append(router.vip(vip, number, numbers[vip.label], others))
    except NorthgateError as error:
        raise AnsibleFilterError(f"variable {error}") from error
    return found


def _nat(router, text):
    """Where masqueraded packets come from is on the workers' side, where the router has its own address."""
    where = f"variable northgate_router_groups.{router.group}.nat_addresses"
    try:
        address = ipaddress.ip_interface(text).ip
    except ValueError as error:
        raise AnsibleFilterError(f"{where}: {error}") from error
    for own in router.addresses(router.name):
        if own.version == address.version:
            return str(address), router.interfaces.of(own, f"host {router.name}: variable northgate_addresses")[0]
    raise AnsibleFilterError(f"host {router.name}: variable northgate_addresses has no IPv{address.version} address, so nobody knows where {address} belongs")


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        return {"vrrp_vips": vrrp_vips}
