# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clusters' control planes: what they need on disk, their command lines, and when they are ready."""
from __future__ import annotations

import ipaddress
import json
import os
import secrets
import ssl
import time
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from . import binaries, credentials, workers

API_PORT, ETCD_PORT = 6443, 2379
# User name and group of each token; RBAC knows the system: names from its own start.
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}
CONTROLLERS = (
    "clusterrole-aggregation", "cronjob", "daemonset", "deployment", "disruption", "endpoints", "endpointslice",
    "endpointslice-mirroring", "garbage-collector", "job", "namespace", "node-lifecycle", "pod-garbage-collector",
    "replicaset", "root-ca-certificate-publisher", "serviceaccount", "serviceaccount-token", "statefulset",
    "taint-eviction", "ttl-after-finished",
)
# Components end when they lose their lease or their API server; systemd or kubelet would start them again.
# Each host has a name of its own, for API servers tell one another apart by it.
SUPERVISE = 'echo "$0" >/proc/sys/kernel/hostname; while :; do "$@"; sleep 1; done'
READY_SECONDS = 180


def prepare(topology, state: Path) -> None:
    """Write credentials and configuration of every cluster, of its workers, and the demo's certificates.

    What exists stays, so that a lab can be started again with the same identities.
    """
    demo_ca = credentials.ensure_demo(state, {name: group.certificates for name, group in topology.router_groups.items()})
    for name in topology.clusters:
        _prepare_cluster(topology, state, name)
        workers.prepare(topology, state, name)
    for guest in topology.guests:
        share = state / "hosts" / guest / "share"
        share.mkdir(parents=True, exist_ok=True)
        (share / "ca.pem").write_bytes(demo_ca.read_bytes())


def servers(topology, cluster: str) -> list[str]:
    """Return the names of the cluster's API server hosts."""
    return topology.members(cluster, "control_plane")


def directory(state: Path, cluster: str) -> Path:
    """Return where the cluster's credentials are."""
    return state / "clusters" / cluster


def commands(topology, state: Path, host: str) -> list[tuple[str, list[str], dict[str, str]]]:
    """Return (name, argv, environment) of each process of a control-plane host; each supervises its component."""
    spec = topology.hosts[host]
    pki, programs = directory(state, spec.cluster), binaries.ensure(print)
    if spec.role == "etcd":
        work = state / "hosts" / host / "etcd"
        found = [("etcd", _etcd(host, spec.addresses, pki, work))]
    else:
        # Alone, a component need not wait for the lease of its own earlier life.
        elect = "true" if len(servers(topology, spec.cluster)) > 1 else "false"
        config = [f"--kubeconfig={pki}/{host}-%s.kubeconfig", f"--leader-elect={elect}", "--bind-address=127.0.0.1"]
        found = [
            ("kube-apiserver", _apiserver(topology, host, pki)),
            ("kube-controller-manager", [option.replace("%s", "kube-controller-manager") for option in config] + [
                "--controllers=" + ",".join(f"{name}-controller" for name in CONTROLLERS),
                "--use-service-account-credentials=true",
                f"--root-ca-file={pki}/ca.pem", f"--service-account-private-key-file={pki}/service-accounts.key",
            ]),
            ("kube-scheduler", [option.replace("%s", "kube-scheduler") for option in config]),
        ]
    # The lab has more memory than time of its cores.
    environment = {"PATH": os.environ["PATH"], "HOME": str(state / "hosts" / host), "GOGC": "200"}
    supervise = ["unshare", "--uts", "sh", "-c", "; ".join([*_routes(topology, spec.cluster), SUPERVISE]), host]
    return [(name, [*supervise, str(binaries.path(programs, name)), *options], environment) for name, options in found]


def wait_ready(topology, state: Path, cluster: str, progress: binaries.Progress) -> None:
    """Wait until every API server of the cluster is ready; raise TimeoutError naming the ones that are not.

    Runs in the lab's network.
    """
    deadline, waiting = time.monotonic() + READY_SECONDS, servers(topology, cluster)
    while waiting := [host for host in waiting if not is_ready(topology, state, host)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"API servers are not ready: {', '.join(waiting)}")
        progress(f"waiting for API server {', '.join(waiting)}")
        time.sleep(0.5)


def is_ready(topology, state: Path, host: str) -> bool:
    """Return whether the API server of a host says that it is ready."""
    spec = topology.hosts[host]
    context = ssl.create_default_context(cafile=str(directory(state, spec.cluster) / "ca.pem"))
    url = f"https://{spec.addresses[0]}:{API_PORT}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return answer.status == 200
    except OSError:
        return False


def kubeconfig(topology, state: Path, cluster: str, user: str, host: str, server: str) -> dict:
    """Return a kubeconfig with the user's token, for the API server at URL `server`; `host` names the context."""
    pki = directory(state, cluster)
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": host,
        "clusters": [{"name": host, "cluster": {
            "server": server, "certificate-authority-data": workers.base64_text(pki / "ca.pem")}}],
        "users": [{"name": user, "user": {"token": (pki / "tokens" / user).read_text()}}],
        "contexts": [{"name": host, "context": {"cluster": host, "user": user}}],
    }


def _prepare_cluster(topology, state: Path, cluster: str) -> None:
    pki, spec = directory(state, cluster), topology.clusters[cluster]
    authority = credentials.Authority(pki, f"{cluster} Kubernetes CA")
    services = [str(ipaddress.ip_network(prefix)[1]) for prefix in spec.service_prefixes]
    names = ["localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
             "kubernetes.default.svc.cluster.local", *services, *_vips(topology, cluster)]
    for host in servers(topology, cluster):
        credentials.ensure_pair(authority, pki / host, [host, *topology.hosts[host].addresses, *names])
    for host in topology.members(cluster, "etcd"):
        credentials.ensure_pair(authority, pki / host, [host, *topology.hosts[host].addresses],
                                client=True)  # etcd connects to itself with it
    credentials.ensure_pair(authority, pki / "etcd-client", ["etcd-client"], client=True)
    if not (pki / "service-accounts.key").exists():
        key = credentials.new_key()
        credentials.write_private(pki / "service-accounts.key", credentials.key_pem(key))
        (pki / "service-accounts.pub").write_bytes(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    _write_tokens(topology, cluster, pki)
    for host in servers(topology, cluster):
        server = f"https://{topology.hosts[host].addresses[0]}:{API_PORT}"
        for user in USERS:
            config = kubeconfig(topology, state, cluster, user, host, server)
            credentials.write_private(pki / f"{host}-{user}.kubeconfig", json.dumps(config, indent=1).encode())
    first = pki / f"{servers(topology, cluster)[0]}-admin.kubeconfig"
    credentials.write_private(pki / "admin.kubeconfig", first.read_bytes())


def _vips(topology, cluster: str) -> list[str]:
    """Return the addresses by which routers lead clients to the cluster's API servers."""
    return [address for group in topology.router_groups.values() if cluster in group.clusters for address in group.vip_addresses]


def _write_tokens(topology, cluster: str, pki: Path) -> None:
    """Make a token for each user and node, and the API servers' file of all of them."""
    users = USERS | {node: (f"system:node:{node}", "system:nodes") for node in topology.members(cluster, "worker")}
    lines = []
    for user, (name, group) in users.items():
        file = pki / "tokens" / user
        if not file.exists():
            credentials.write_private(file, secrets.token_hex(16).encode())
        lines.append(f'{file.read_text()},{name},{user},"{group}"\n')
    credentials.write_private(pki / "tokens.csv", "".join(lines).encode())


def _routes(topology, cluster: str) -> list[str]:
    """Return commands for routes to the pods, who reach the API servers by their service and want answers."""
    workers_of_cluster = [topology.hosts[name] for name in topology.members(cluster, "worker")]
    return [f"ip route replace {prefix} via {address}" for worker in workers_of_cluster
            for prefix, address in zip(worker.pod_prefixes, worker.addresses, strict=True)]


def _etcd(host: str, addresses: list[str], pki: Path, work: Path) -> list[str]:
    urls = ",".join(f"https://{address}:{ETCD_PORT}" for address in addresses[:1])
    return [
        f"--name={host}", f"--data-dir={work}", f"--listen-client-urls={urls}", f"--advertise-client-urls={urls}",
        # A single member has no peers.
        "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        f"--initial-cluster={host}=http://127.0.0.1:2380",
        f"--cert-file={pki}/{host}.pem", f"--key-file={pki}/{host}.key", f"--trusted-ca-file={pki}/ca.pem",
        "--client-cert-auth", "--log-level=warn",
        # The machine's own crash ends the lab anyway.
        "--unsafe-no-fsync",
    ]


def _apiserver(topology, host: str, pki: Path) -> list[str]:
    spec = topology.hosts[host]
    etcd = [f"https://{topology.hosts[name].addresses[0]}:{ETCD_PORT}" for name in topology.members(spec.cluster, "etcd")]
    return [
        f"--etcd-servers={','.join(etcd)}", f"--etcd-cafile={pki}/ca.pem",
        f"--etcd-certfile={pki}/etcd-client.pem", f"--etcd-keyfile={pki}/etcd-client.key",
        f"--secure-port={API_PORT}", "--bind-address=::", f"--advertise-address={spec.addresses[0]}",
        f"--tls-cert-file={pki}/{host}.pem", f"--tls-private-key-file={pki}/{host}.key",
        "--authorization-mode=RBAC", f"--token-auth-file={pki}/tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--service-cluster-ip-range={','.join(topology.clusters[spec.cluster].service_prefixes)}",
        "--profiling=false",
    ]
