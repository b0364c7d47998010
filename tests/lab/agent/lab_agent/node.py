# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own object and its lease."""
from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from . import status
from .api import FAILURES, Api, ApiError
from .container import timestamp

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_SECONDS, RENEW_SECONDS = 40, 10


@dataclass(frozen=True)
class Node:
    """What the agent's configuration says of its node, and the directories that it works in."""

    name: str
    zone: str
    addresses: list[str]
    pod_prefixes: list[str]
    service_host: str
    ca_file: str
    logs: Path
    state: Path = Path("/run/lab-agent")


def register(api: Api, node: Node) -> None:
    """Create or refresh the Node object with its prefixes, addresses and a true Ready condition."""
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
              "topology.kubernetes.io/zone": node.zone}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels},
            "spec": {"podCIDR": node.pod_prefixes[0], "podCIDRs": node.pod_prefixes}}
    try:
        api.request("POST", "/api/v1/nodes", body)
    except ApiError as error:
        if error.code != 409:
            raise
        api.merge(f"/api/v1/nodes/{node.name}", {"metadata": {"labels": labels}})
    api.merge(f"/api/v1/nodes/{node.name}/status",
              {"status": status.node_status(node.addresses, node.name, _facts(), timestamp())})


def renew_lease(api: Api, node: Node) -> None:
    """Say that the node lives; without it the controller manager calls the node's pods not ready."""
    spec = {"holderIdentity": node.name, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    try:
        api.merge(f"{LEASES}/{node.name}", {"spec": spec})
    except ApiError as error:
        if error.code != 404:
            raise
        api.request("POST", LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                                     "metadata": {"name": node.name}, "spec": spec})


def keep_alive(api: Api, node: Node) -> None:
    """Renew the lease for ever, and refresh a Node that was called dead or was deleted meanwhile."""
    while True:
        time.sleep(RENEW_SECONDS)
        try:
            renew_lease(api, node)
            if not _is_ready(api, node):
                register(api, node)
        except (ApiError, *FAILURES) as error:
            print(f"lease: {error}", file=sys.stderr)


def _is_ready(api: Api, node: Node) -> bool:
    try:
        found = api.request("GET", f"/api/v1/nodes/{node.name}")
    except ApiError as error:
        if error.code != 404:
            raise
        return False
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in found["status"]["conditions"])


def _facts() -> dict:
    memory = Path("/proc/meminfo").read_text().split(maxsplit=2)[1]
    machine = Path("/etc/machine-id")
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "memory": memory,
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "machine": machine.read_text().strip() if machine.exists() else "",
            "os": release.get("PRETTY_NAME", "Linux").strip('"')}
