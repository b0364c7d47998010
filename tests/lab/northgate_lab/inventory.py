# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible needs: the inventory as a user would write it by hand, and its configuration."""
from __future__ import annotations

import ipaddress
from typing import Any

import yaml

from . import control_plane, credentials, guests
from .state import Lab
from .topology import Host, nat_addresses, pools_of

# Every cluster of the lab has Traefik, and a class without an ingress controller.
INGRESS_CLASSES = {
    "traefik": {"service": "traefik/traefik", "port": "web", "tls_port": "websecure"},
    "direct": {"mode": "direct"},
}
# In IPVS mode kube-proxy keeps a worker's one core busy for longer than BFD usually waits.
BUSY_SESSIONS = {"bfd_multiplier": 5}
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
            name: {"hosts": {host: _router(topology.hosts[host]) for host in topology.having("router") if topology.hosts[host].group == name},
                   "vars": {"bird_unreachable_prefixes": [prefix for cluster in spec.clusters for prefix in topology.clusters[cluster].pod_prefixes]}}
            for name, spec in topology.router_groups.items()}},
        "workers": {"children": {
            f"{cluster}_workers": {"hosts": {host: _worker(topology.hosts[host]) for host in topology.members(cluster, "worker")}}
            | {"vars": {"bird_unreachable_prefixes": spec.pod_prefixes, **({"ipvs_node_tunnel": True} if spec.tunnels else {})}}
            for cluster, spec in topology.clusters.items()}},
        "upstream": {"hosts": {host: _upstream(lab, topology.hosts[host]) for host in topology.having("client")}},
    }
    groups["routers"]["vars"] = {"ipvs_wheels": WHEELS, "ipvs_sync_interface": "fabric"}
    if clients := [_neighbor(lab, topology.hosts[host], topology.hosts[host].asn) for host in topology.having("client")]:
        groups["routers"]["vars"]["bird_neighbors_extra"] = clients
        for name, group in groups["routers"]["children"].items():
            group["vars"]["bird_export_upstream"] = _announced(lab, name)
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
            **_api(lab, name),
            **({"bgp": BUSY_SESSIONS} if cluster.kube_proxy_mode == "ipvs" else {}),
        }
        for name, cluster in lab.topology.clusters.items()
    }
    return {
        "northgate_clusters": clusters,
        "northgate_router_groups": {name: _router_group(lab, name) for name in lab.topology.router_groups},
        "northgate_address_pools": lab.topology.address_pools,
        "northgate_snapshots": f"{lab.state}/snapshots",
        "northgate_certificates": f"{lab.state}/certificates",
        "bird_bfd_interval": lab.topology.bfd[0],
        "bird_bfd_multiplier": lab.topology.bfd[1],
        # For certificates that ingresses have in Secrets.
        "cluster_access_secrets": True,
    }


def _api(lab: Lab, cluster: str) -> dict[str, Any]:
    """How routers reach a cluster's API servers, where it has some."""
    servers = control_plane.servers(lab.topology, cluster)
    if not servers:
        return {}
    seeds = [f"{lab.topology.hosts[host].addresses[0]}:{control_plane.API_PORT}" for host in servers]
    return {"api": {"servers": seeds, "ca": str(control_plane.directory(lab.state, cluster) / "ca.pem")}}


def _router_group(lab: Lab, name: str) -> dict[str, Any]:
    group = lab.topology.router_groups[name]
    found = {
        "asn": group.asn, "clusters": group.clusters, "client_prefixes": lab.topology.segments["outside"],
        "vips": group.vips or None, "address_pools": group.address_pools, "nat_addresses": nat_addresses(lab.topology, group) or None,
        "api": group.api or None,
        "ingress_addresses": _ingress_addresses(lab, name),
        "certificates": str(credentials.certificate_directory(lab.state, name)) if group.certificates else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _router(host: Host) -> dict[str, Any]:
    return {"ansible_host": guests.management(host), "northgate_router_group": host.group, "northgate_addresses": host.addresses}


def _worker(host: Host) -> dict[str, Any]:
    return {"ansible_host": guests.management(host), "northgate_cluster": host.cluster, "northgate_addresses": host.addresses,
            "northgate_pod_prefixes": host.pod_prefixes}


def _upstream(lab: Lab, host: Host) -> dict[str, Any]:
    topology = lab.topology
    neighbors = [
        _neighbor(lab, router, topology.router_groups[router.group].asn) | {"import_prefixes": _announced(lab, router.group)}
        for router in (topology.hosts[name] for name in topology.having("router"))
    ]
    return {"ansible_host": guests.management(host), "bird_asn": host.asn, "bird_router_id": host.addresses[0],
            "bird_neighbors": neighbors}


def _neighbor(lab: Lab, host: Host, asn: int | None) -> dict[str, Any]:
    return {"name": host.name.replace("-", "_"), "addresses": host.addresses_in("outside"), "asn": asn}


def _ingress_addresses(lab: Lab, group: str) -> list[str] | None:
    """By which the client reaches ingresses: those of the routers themselves, where there are no VIPs."""
    spec = lab.topology.router_groups[group]
    if spec.ingress_addresses or spec.vips:
        return spec.ingress_addresses
    routers = [host for host in lab.topology.hosts.values() if host.group == group]
    return [address for host in routers for address in host.addresses_in("outside")]


def _announced(lab: Lab, group: str) -> list[str]:
    """What the routers of a group announce outside: its clusters' prefixes, the pods' also in parts, and its pools of addresses."""
    found = []
    for cluster in (lab.topology.clusters[name] for name in lab.topology.router_groups[group].clusters):
        for prefix in cluster.pod_prefixes:
            network = ipaddress.ip_network(prefix)
            found.append(f"{prefix}{{{network.prefixlen},{28 if network.version == 4 else 124}}}")
        found += cluster.service_prefixes
    return found + _pool_prefixes(lab, group)


def _pool_prefixes(lab: Lab, group: str) -> list[str]:
    networks = []
    for text in (text for name in pools_of(lab.topology, group) for text in lab.topology.address_pools[name]["addresses"]):
        first, _, last = text.partition("-")
        networks += ipaddress.summarize_address_range(*map(ipaddress.ip_address, (first, last))) if last else [ipaddress.ip_network(text)]
    return [str(network) for version in (4, 6)
            for network in ipaddress.collapse_addresses(network for network in networks if network.version == version)]
