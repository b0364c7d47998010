# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker finds in its share: the node agent, kube-proxy's configuration and their credentials."""
from __future__ import annotations

import base64
import ipaddress
import json
import shutil
from pathlib import Path

from . import cache, control_plane, credentials

# The agent relays this port of the worker's loopback to whichever API server answers.
LOCAL_PORT = 6443
# Where the share is in the guest.
GUEST = "/lab/kubernetes"


def prepare(topology, state: Path, cluster: str) -> None:
    """Write STATE/hosts/WORKER/share/kubernetes of every worker of the cluster."""
    for node in topology.members(cluster, "worker"):
        share = state / "hosts" / node / "share" / "kubernetes"
        # In place, for the worker may be running.
        shutil.copytree(cache.LAB / "agent" / "lab_agent", share / "agent" / "lab_agent", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(control_plane.directory(state, cluster) / "ca.pem", share / "ca.pem")
        _write(share / "agent.json", _agent(topology, state, cluster, node))
        _write(share / "kube-proxy.yaml", _kube_proxy(topology, cluster, node))
        _write_path(topology.clusters[cluster].kube_proxy_mode, share)
        server = f"https://127.0.0.1:{LOCAL_PORT}"
        _write(share / "kube-proxy.kubeconfig",
               control_plane.kubeconfig(topology, state, cluster, "kube-proxy", cluster, server))


def base64_text(file: Path) -> str:
    """Return a file's content as kubeconfigs hold it."""
    return base64.b64encode(file.read_bytes()).decode()


def _write(path: Path, data: dict) -> None:
    credentials.write_private(path, json.dumps(data, indent=1).encode())


def _write_path(mode: str, share: Path) -> None:
    """Hide iptables and ipset from kube-proxy in nftables mode.

    It would first clean up after the modes that need them: 50 seconds of a guest's only core, for nothing.
    """
    if mode == "nftables":
        (share / "bin").mkdir(exist_ok=True)
        (share / "bin" / "nft").unlink(missing_ok=True)
        (share / "bin" / "nft").symlink_to("/usr/sbin/nft")
        (share / "kube-proxy.env").write_text(f"PATH={GUEST}/bin\n")


def _agent(topology, state: Path, cluster: str, node: str) -> dict:
    spec, hosts = topology.hosts[node], control_plane.servers(topology, cluster)
    # Nodes start with different servers.
    turn = topology.members(cluster, "worker").index(node) % len(hosts)
    return {
        "node": node, "zone": cluster, "addresses": spec.addresses, "pod_prefixes": spec.pod_prefixes,
        "servers": [{"host": topology.hosts[host].addresses[0], "port": control_plane.API_PORT}
                    for host in hosts[turn:] + hosts[:turn]],
        "port": LOCAL_PORT, "ca_file": f"{GUEST}/ca.pem", "logs": "/lab/pods",
        "token": (control_plane.directory(state, cluster) / "tokens" / node).read_text(),
        "service_prefixes": topology.clusters[cluster].service_prefixes,
        "service_host": str(ipaddress.ip_network(topology.clusters[cluster].service_prefixes[0])[1]),
    }


def _kube_proxy(topology, cluster: str, node: str) -> dict:
    spec = topology.clusters[cluster]
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": spec.kube_proxy_mode, "hostnameOverride": node, "nodePortAddresses": ["primary"],
        "clientConnection": {"kubeconfig": f"{GUEST}/kube-proxy.kubeconfig"},
        "detectLocalMode": "ClusterCIDR", "clusterCIDR": ",".join(spec.pod_prefixes),
        "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "ipvs": {"scheduler": "rr", "syncPeriod": "30s", "minSyncPeriod": "1s", "strictARP": True},
        "nftables": {"syncPeriod": "30s", "minSyncPeriod": "1s"},
    }
