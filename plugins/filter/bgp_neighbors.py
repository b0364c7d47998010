# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BGP neighbours of a router or a worker, from the inventory alone: the one place that reads other hosts' variables."""
from __future__ import annotations

DOCUMENTATION = r"""
name: bgp_neighbors
author: northgate.edge contributors
version_added: 0.1.0
short_description: The BGP neighbours of a router or a worker, from the inventory
description:
  - A router (host of the group C(routers)) gets every worker of the clusters that its router group serves. It accepts from each only what that
    worker's cluster declares, which is its pod prefixes, also in parts, and its service prefixes as they are, and announces to it the
    C(client_prefixes) of its router group and nothing else.
  - A worker (host of the group C(workers)) gets every router that serves its cluster, to which it announces its own pod prefixes and the cluster's
    service prefixes and from which it accepts the C(client_prefixes) of the router's group and nothing else. With O(mesh) it also gets its fellow
    workers, to exchange pod prefixes.
  - Reads the variables C(northgate_addresses), C(northgate_router_group), C(northgate_cluster) and C(northgate_pod_prefixes) of the hosts, never facts.
positional: hostvars, groups, clusters, router_groups
options:
  _input:
    description: Name of the router or worker.
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
  clusters:
    description: The clusters, C(northgate_clusters). Of each C(asn), C(pod_prefixes) and C(service_prefixes) are read.
    type: dict
    required: true
  router_groups:
    description: The router groups, C(northgate_router_groups). Of each C(asn), C(clusters) and C(client_prefixes) are read.
    type: dict
    required: true
  mesh:
    description: Whether the workers of a cluster exchange their pod prefixes.
    type: bool
    default: true
  max_length_v4:
    description: The longest part of an IPv4 pod prefix that is accepted.
    type: int
    default: 28
  max_length_v6:
    description: The longest part of an IPv6 pod prefix that is accepted.
    type: int
    default: 124
"""

EXAMPLES = r"""
- name: Show the neighbours of each router
  ansible.builtin.debug:
    msg: "{{ inventory_hostname | northgate.edge.bgp_neighbors(hostvars, groups, northgate_clusters, northgate_router_groups) }}"
"""

RETURN = r"""
_value:
  description:
    - The neighbours, sorted by name. Each has C(name), C(addresses), C(asn), C(import_prefixes) and C(export_prefixes), the last two as
      BIRD writes prefix patterns, for example V(10.100.0.0/16{16,28}).
  type: list
  elements: dict
"""

import ipaddress
import re
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError


class _Inventory:
    """Read access to what hosts and clusters declare; every error names the host or cluster and the variable."""

    def __init__(self, hostvars, groups, clusters, router_groups, lengths):
        self.hostvars, self.groups, self.clusters, self.router_groups = hostvars, groups, clusters, router_groups
        self.lengths = lengths
        for group in router_groups:
            self._check_overlaps(group)

    def hosts(self, group, variable, values):
        """Names of the hosts of an inventory group whose variable has one of the values."""
        return [host for host in sorted(self.groups.get(group, [])) if self.host_value(host, variable) in values]

    def host_value(self, host, variable):
        value = self.hostvars[host].get(variable)
        if not value:
            raise AnsibleFilterError(f"host {host}: variable {variable} is not set")
        return value

    def setting(self, kind, name, key):
        """One key of northgate_clusters.NAME or northgate_router_groups.NAME."""
        variable = f"northgate_{kind}"
        entry = (self.clusters if kind == "clusters" else self.router_groups).get(name)
        if not isinstance(entry, Mapping):
            raise AnsibleFilterError(f"variable {variable} has no {name}, which a host or a router group refers to")
        if not entry.get(key):
            raise AnsibleFilterError(f"variable {variable}.{name}.{key} is not set")
        return entry[key]

    def addresses(self, host):
        """Addresses of a host by version, one of each at most."""
        found = {}
        for text in self.host_value(host, "northgate_addresses"):
            try:
                address = ipaddress.ip_address(text)
            except ValueError as error:
                raise AnsibleFilterError(f"host {host}: variable northgate_addresses: {error}") from error
            if address.version in found:
                raise AnsibleFilterError(f"host {host}: variable northgate_addresses has more than one IPv{address.version} address")
            found[address.version] = str(address)
        return found

    def own_pod_prefixes(self, host):
        """A worker's own pod prefixes, each of which must lie within its cluster's."""
        prefixes = _networks(self.hostvars[host].get("northgate_pod_prefixes", []), f"host {host}: variable northgate_pod_prefixes")
        cluster = self.host_value(host, "northgate_cluster")
        for prefix in prefixes:
            if not any(prefix.version == whole.version and prefix.subnet_of(whole) for whole in self.networks(cluster, "pod_prefixes")):
                raise AnsibleFilterError(
                    f"host {host}: variable northgate_pod_prefixes: {prefix} is outside northgate_clusters.{cluster}.pod_prefixes")
        return [str(prefix) for prefix in prefixes]

    def networks(self, cluster, key):
        return _networks(self.setting("clusters", cluster, key), f"variable northgate_clusters.{cluster}.{key}")

    def pod_patterns(self, cluster):
        """A cluster's pod prefixes and their parts, as BIRD's patterns."""
        return [f"{prefix}{{{prefix.prefixlen},{max(prefix.prefixlen, self.lengths[prefix.version])}}}"
                for prefix in self.networks(cluster, "pod_prefixes")]

    def service_prefixes(self, cluster):
        return [str(prefix) for prefix in self.networks(cluster, "service_prefixes")]

    def client_prefixes(self, group):
        """Where clients are that workers answer through any router of the group; often none."""
        declared = self.router_groups[group].get("client_prefixes") or []
        return [str(prefix) for prefix in _networks(declared, f"variable northgate_router_groups.{group}.client_prefixes")]

    def _check_overlaps(self, group):
        """Clusters behind one router group need prefixes of their own: a router has one routing table."""
        seen = []
        for cluster in self.setting("router_groups", group, "clusters"):
            for prefix in self.networks(cluster, "pod_prefixes") + self.networks(cluster, "service_prefixes"):
                for other, taken in seen:
                    if prefix.version == taken.version and prefix.overlaps(taken):
                        raise AnsibleFilterError(
                            f"variable northgate_clusters: {prefix} of {cluster} overlaps {taken} of {other}; router group {group} serves both")
                seen.append((cluster, prefix))


def _networks(prefixes, where):
    try:
        return [ipaddress.ip_network(prefix) for prefix in prefixes]
    except ValueError as error:
        raise AnsibleFilterError(f"{where}: {error}") from error


def _of_router(host, inventory):
    group = inventory.host_value(host, "northgate_router_group")
    clusters, exported = inventory.setting("router_groups", group, "clusters"), inventory.client_prefixes(group)
    for worker in inventory.hosts("workers", "northgate_cluster", clusters):
        cluster = inventory.host_value(worker, "northgate_cluster")
        imported = inventory.pod_patterns(cluster) + inventory.service_prefixes(cluster)
        yield worker, inventory.setting("clusters", cluster, "asn"), imported, exported


def _of_worker(host, inventory, mesh):
    cluster = inventory.host_value(host, "northgate_cluster")
    pods = inventory.own_pod_prefixes(host)
    serving = [name for name in inventory.router_groups if cluster in inventory.setting("router_groups", name, "clusters")]
    for router in inventory.hosts("routers", "northgate_router_group", serving):
        group = inventory.host_value(router, "northgate_router_group")
        yield router, inventory.setting("router_groups", group, "asn"), inventory.client_prefixes(group), pods + inventory.service_prefixes(cluster)
    if mesh:
        for fellow in inventory.hosts("workers", "northgate_cluster", [cluster]):
            if fellow != host:
                yield fellow, inventory.setting("clusters", cluster, "asn"), inventory.pod_patterns(cluster), pods


def bgp_neighbors(name, hostvars, groups, clusters, router_groups, mesh=True, max_length_v4=28, max_length_v6=124):
    """The neighbours of the host `name`; DOCUMENTATION says which and how they look. Raises AnsibleFilterError."""
    inventory = _Inventory(hostvars, groups, clusters, router_groups, {4: max_length_v4, 6: max_length_v6})
    if name in groups.get("routers", []):
        found = _of_router(name, inventory)
    elif name in groups.get("workers", []):
        found = _of_worker(name, inventory, mesh)
    else:
        raise AnsibleFilterError(f"host {name}: is in neither of the groups routers and workers; set the variable bird_neighbors")
    own = inventory.addresses(name)
    neighbors = {}
    for host, asn, imported, exported in found:
        symbol = re.sub(r"\W", "_", host, flags=re.ASCII)
        symbol = symbol if symbol[0].isalpha() else f"host_{symbol}"
        if symbol in neighbors:
            raise AnsibleFilterError(f"host {host}: would be called {symbol} in BIRD, as another neighbour of {name} already is")
        addresses = [address for version, address in sorted(inventory.addresses(host).items()) if version in own]
        if not addresses:
            raise AnsibleFilterError(f"host {host}: variable northgate_addresses has no address of a family that {name} has too")
        neighbors[symbol] = {"name": symbol, "addresses": addresses, "asn": asn, "import_prefixes": imported, "export_prefixes": exported}
    return [neighbors[symbol] for symbol in sorted(neighbors)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        return {"bgp_neighbors": bgp_neighbors}
