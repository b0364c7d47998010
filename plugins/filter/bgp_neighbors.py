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
    C(client_prefixes) of its router group, default routes where the group has C(default_route), and nothing else.
  - A worker (host of the group C(workers)) gets every router that serves its cluster, to which it announces its own pod prefixes and the cluster's
    service prefixes and from which it accepts what the router's group announces to workers. With O(mesh) it also gets its fellow workers, to
    exchange pod prefixes.
  - Two hosts are neighbours for each pair of their C(northgate_addresses) that are in the same network. An address without a prefix length, of which
    a host can have one of each family, is taken to be on one segment with those of all others.
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
    description:
      - The clusters, C(northgate_clusters). Of each C(asn), C(pod_prefixes), C(service_prefixes) and C(bgp) are read.
      - C(bgp) has options of the sessions of the cluster's workers, at both ends, that go before the variables of the role P(northgate.edge.bird#role).
        They are C(bfd), C(bfd_interval), C(bfd_multiplier), C(password), C(import_limit), C(import_limit_action), C(extended_next_hop) and
        C(long_lived_stale_time).
    type: dict
    required: true
  router_groups:
    description: The router groups, C(northgate_router_groups). Of each C(asn), C(clusters), C(client_prefixes) and C(default_route) are read.
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
    - The neighbours, sorted by name. Each has C(name), C(addresses), C(asn), C(import_prefixes), C(export_prefixes), C(transit) and the options
      of its cluster, and on a router C(cluster). Prefixes are patterns as BIRD writes them, for example V(10.100.0.0/16{16,28}).
  type: list
  elements: dict
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple

from ansible.errors import AnsibleFilterError


DEFAULT_ROUTES = ["0.0.0.0/0", "::/0"]
OPTIONS = ("bfd", "bfd_interval", "bfd_multiplier", "password", "import_limit", "import_limit_action", "extended_next_hop", "long_lived_stale_time")


class _Address(NamedTuple):
    """An address of a host, and its network where the inventory says how long the prefix is."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None

    def meets(self, other):
        """Whether two addresses are on one segment, as far as is known."""
        if self.address.version != other.address.version:
            return False
        if self.network and other.network:
            return self.network == other.network
        return all(one.network is None or another.address in one.network for one, another in ((self, other), (other, self)))


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
        """The addresses of a host, in the order of the inventory, IPv4 first."""
        where, found = f"host {host}: variable northgate_addresses", []
        for text in self.host_value(host, "northgate_addresses"):
            try:
                address = ipaddress.ip_interface(text)
            except ValueError as error:
                raise AnsibleFilterError(f"{where}: {error}") from error
            found.append(_Address(address.ip, address.network if "/" in text else None))
        for version in (4, 6):
            networks = [address.network for address in found if address.address.version == version]
            if len(networks) > 1 and None in networks:
                raise AnsibleFilterError(f"{where} has more than one IPv{version} address, so each needs its prefix length, as in 192.0.2.11/24")
            if len(networks) > len(set(networks)):
                raise AnsibleFilterError(f"{where} has two IPv{version} addresses in one network; BGP needs one of them")
        return sorted(found, key=lambda address: address.address.version)

    def options(self, cluster):
        """What the cluster says of the sessions of its workers."""
        options = self.clusters[cluster].get("bgp") or {}
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise AnsibleFilterError(f"variable northgate_clusters.{cluster}.bgp: there is no {', '.join(unknown)}; known are {', '.join(OPTIONS)}")
        return dict(options)

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

    def offered(self, group):
        """What the routers of a group announce to workers; often nothing."""
        return self.client_prefixes(group) + (DEFAULT_ROUTES if self.router_groups[group].get("default_route") else [])

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
    """Yields the neighbours of a router: host, whether it has to have an address in common, and what is said of it."""
    group = inventory.host_value(host, "northgate_router_group")
    clusters, exported = inventory.setting("router_groups", group, "clusters"), inventory.offered(group)
    for worker in inventory.hosts("workers", "northgate_cluster", clusters):
        cluster = inventory.host_value(worker, "northgate_cluster")
        yield worker, True, {
            "cluster": cluster, "asn": inventory.setting("clusters", cluster, "asn"),
            "import_prefixes": inventory.pod_patterns(cluster) + inventory.service_prefixes(cluster),
            "export_prefixes": exported, "transit": False, **inventory.options(cluster)}


def _of_worker(host, inventory, mesh):
    """Yields the neighbours of a worker, as _of_router does. Routers may pass on what they learned outside, so they are transit."""
    cluster = inventory.host_value(host, "northgate_cluster")
    pods, options = inventory.own_pod_prefixes(host), inventory.options(cluster)
    serving = [name for name in inventory.router_groups if cluster in inventory.setting("router_groups", name, "clusters")]
    for router in inventory.hosts("routers", "northgate_router_group", serving):
        group = inventory.host_value(router, "northgate_router_group")
        yield router, True, {
            "asn": inventory.setting("router_groups", group, "asn"), "import_prefixes": inventory.offered(group),
            "export_prefixes": pods + inventory.service_prefixes(cluster), "transit": True, **options}
    if mesh:
        for fellow in inventory.hosts("workers", "northgate_cluster", [cluster]):
            if fellow != host:
                yield fellow, False, {
                    "asn": inventory.setting("clusters", cluster, "asn"), "import_prefixes": inventory.pod_patterns(cluster), "export_prefixes": pods,
                    "transit": False, **options}


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
    for host, required, said in found:
        symbol = re.sub(r"\W", "_", host, flags=re.ASCII)
        symbol = symbol if symbol[0].isalpha() else f"host_{symbol}"
        if symbol in neighbors:
            raise AnsibleFilterError(f"host {host}: would be called {symbol} in BIRD, as another neighbour of {name} already is")
        addresses = [str(theirs.address) for theirs in inventory.addresses(host) if any(theirs.meets(mine) for mine in own)]
        if not addresses and required:
            raise AnsibleFilterError(f"host {host}: variable northgate_addresses has no address on a segment of {name}, which has to be its neighbour")
        if addresses:
            neighbors[symbol] = {"name": symbol, "addresses": addresses, **said}
    return [neighbors[symbol] for symbol in sorted(neighbors)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        return {"bgp_neighbors": bgp_neighbors}
