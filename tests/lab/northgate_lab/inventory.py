# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible needs: the inventory as a user would write it by hand, and its configuration."""
from __future__ import annotations

import ipaddress
from typing import Any

import yaml

from . import guests
from .state import Lab
from .topology import Host

# Every cluster of the lab has Traefik, and a class without an ingress controller.
INGRESS_CLASSES = {
    "traefik": {"service": "traefik/traefik", "port": "web", "tls_port": "websecure"},
    "direct": {"mode": "direct"},
}
# Where the image has what routers would take from a package index.
WHEELS = "/var/lib/lab/wheels"
# Classes that are known by their controller alone; tests make some.
INGRESS_CONTROLLERS = {"northgate.edge/lab": {"mode": "direct"}}


class _Plain(yaml.SafeDumper):
    """Writes what is used twice twice, as a human would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(lab: Lab) -> None:
    """Write STATE/inventory.yml and STATE/ansible.cfg."""
    text = yaml.dump(inventory(lab), Dumper=_Plain, sort_keys=False, width=120)
    (lab.state / "inventory.yml").write_text("---\n# Written by `lab up`.\n" + text)
    (lab.state / "ansible.cfg").write_text(configuration(lab))


def inventory(lab: Lab) -> dict[str, Any]:
    """Return the inventory as data. Pure but for the state directory's name."""
    topology = lab.topology
    groups = {
        "routers": {"children": {
            name: {"hosts": {host: _router(topology.hosts[host]) for host in topology.having("router")
                             if topology.hosts[host].group == name}}
            for name in topology.router_groups}},
        "workers": {"children": {
            f"{cluster}_workers": {"hosts": {host: _worker(topology.hosts[host]) for host in topology.members(cluster, "worker")}}
            | ({"vars": {"ipvs_node_tunnel": True}} if spec.tunnels else {})
            for cluster, spec in topology.clusters.items()}},
        "upstream": {"hosts": {host: _upstream(lab, topology.hosts[host]) for host in topology.having("client")}},
    }
    groups["routers"]["vars"] = {"ipvs_wheels": WHEELS, "ipvs_sync_interface": "fabric"}
    if clients := [_neighbor(lab, topology.hosts[host], topology.hosts[host].asn) for host in topology.having("client")]:
        groups["routers"]["vars"] |= {"bird_neighbors_extra": clients, "bird_export_upstream": _announced(lab)}
    # Not in `all`: the controller's own Python has the libraries.
    connection = {"ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3"}
    return {"all": {"vars": _all(lab), "children": {"guests": {"vars": connection, "children": groups}}}}


def configuration(lab: Lab) -> str:
    """Return ansible.cfg. Connections are shared as ssh's configuration says."""
    return "\n".join((
        "[defaults]", f"inventory = {lab.state}/inventory.yml", "forks = 10", "retry_files_enabled = false",
        f"local_tmp = {lab.state}/ansible", "[ssh_connection]", "pipelining = true",
        f'ssh_args = -F "{lab.state}/ssh/config"', ""))


def _all(lab: Lab) -> dict[str, Any]:
    clusters = {
        name: {
            "kubeconfig": f"{lab.state}/access/{name}.kubeconfig",
            "admin_kubeconfig": f"{lab.state}/clusters/{name}/admin.kubeconfig",
            "asn": cluster.asn,
            "pod_prefixes": cluster.pod_prefixes,
            "service_prefixes": cluster.service_prefixes,
            "ingress_classes": INGRESS_CLASSES,
            "ingress_controllers": INGRESS_CONTROLLERS,
            "forwarding": cluster.forwarding,
        }
        for name, cluster in lab.topology.clusters.items()
    }
    return {
        "northgate_clusters": clusters,
        "northgate_router_groups": {
            name: {"asn": group.asn, "clusters": group.clusters, "ingress_addresses": _ingress_addresses(lab, name),
                   "client_prefixes": lab.topology.segments["outside"]}
            for name, group in lab.topology.router_groups.items()},
        "northgate_address_pools": lab.topology.address_pools,
        "northgate_snapshots": f"{lab.state}/snapshots",
        "northgate_certificates": f"{lab.state}/certificates",
        # For certificates that ingresses have in Secrets.
        "cluster_access_secrets": True,
    }


def _router(host: Host) -> dict[str, Any]:
    return {"ansible_host": guests.management(host), "northgate_router_group": host.group, "northgate_addresses": host.addresses}


def _worker(host: Host) -> dict[str, Any]:
    return {"ansible_host": guests.management(host), "northgate_cluster": host.cluster, "northgate_addresses": host.addresses,
            "northgate_pod_prefixes": host.pod_prefixes}


def _upstream(lab: Lab, host: Host) -> dict[str, Any]:
    topology = lab.topology
    neighbors = [
        _neighbor(lab, router, topology.router_groups[router.group].asn) | {"import_prefixes": _announced(lab)}
        for router in (topology.hosts[name] for name in topology.having("router"))
    ]
    return {"ansible_host": guests.management(host), "bird_asn": host.asn, "bird_router_id": host.addresses[0],
            "bird_neighbors": neighbors}


def _neighbor(lab: Lab, host: Host, asn: int | None) -> dict[str, Any]:
    return {"name": host.name.replace("-", "_"), "addresses": host.addresses_in("outside"), "asn": asn}


def _ingress_addresses(lab: Lab, group: str) -> list[str]:
    """By which the client reaches ingresses: those of the routers themselves."""
    routers = [host for host in lab.topology.hosts.values() if host.group == group]
    return [address for host in routers for address in host.addresses_in("outside")]


def _announced(lab: Lab) -> list[str]:
    """What the routers announce outside: the clusters' prefixes, the pods' also in parts, and the pools of addresses."""
    found = []
    for cluster in lab.topology.clusters.values():
        for prefix in cluster.pod_prefixes:
            network = ipaddress.ip_network(prefix)
            found.append(f"{prefix}{{{network.prefixlen},{28 if network.version == 4 else 124}}}")
        found += cluster.service_prefixes
    return found + _pool_prefixes(lab)


def _pool_prefixes(lab: Lab) -> list[str]:
    networks = []
    for text in (text for pool in lab.topology.address_pools.values() for text in pool["addresses"]):
        first, _, last = text.partition("-")
        networks += ipaddress.summarize_address_range(*map(ipaddress.ip_address, (first, last))) if last else [ipaddress.ip_network(text)]
    return [str(network) for version in (4, 6)
            for network in ipaddress.collapse_addresses(network for network in networks if network.version == version)]
