# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's workloads: Traefik and the applications, applied and waited for."""
from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from string import Template

from . import binaries, cache, control_plane, credentials

MANIFESTS = cache.LAB / "manifests"
READY_SECONDS = 300


def admin_kubeconfig(topology, state: Path, cluster: str) -> Path:
    """Return the administrator's kubeconfig for the first API server of the cluster that answers."""
    hosts = control_plane.servers(topology, cluster)
    for host in hosts:
        if control_plane.is_ready(topology, state, host):
            return control_plane.directory(state, cluster) / f"{host}-admin.kubeconfig"
    raise ConnectionError(f"no API server of {cluster} answers: {', '.join(hosts)}")


def kubectl(topology, state: Path, cluster: str, *arguments: str, data: str | None = None) -> str:
    """Run kubectl as administrator in the lab's network; return its output, raise CalledProcessError."""
    program = binaries.path(binaries.ensure(print), "kubectl")
    return subprocess.run(
        [program, f"--kubeconfig={admin_kubeconfig(topology, state, cluster)}", *arguments],
        check=True, input=data, stdout=subprocess.PIPE, text=True).stdout


def apply(topology, state: Path, cluster: str) -> None:
    """Apply the manifests to a cluster whose API server is ready."""
    # The first node to be ready would get all pods otherwise, and nothing would be left when it is lost.
    values = {"cluster": cluster, "spread": str(max(1, min(2, len(topology.members(cluster, "worker")))))}
    documents = [Template(file.read_text()).safe_substitute(values) for file in sorted(MANIFESTS.glob("*.yaml"))]
    for host in credentials.SECRET_HOSTS:
        certificate, key = (state / "secrets" / f"{host}.{end}" for end in ("pem", "key"))
        documents.append(json.dumps(credentials.tls_secret("demo", host, certificate.read_bytes(), key.read_bytes())))
    kubectl(topology, state, cluster, "apply", "--server-side", "--force-conflicts", "-f", "-", data="\n---\n".join(documents))


def wait_ready(topology, state: Path, cluster: str, progress: binaries.Progress) -> None:
    """Wait until all nodes are ready and all Deployments complete; raise TimeoutError with what is missing."""
    deadline, told = time.monotonic() + READY_SECONDS, ""
    while missing := _missing(topology, state, cluster):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{cluster} is not ready: {missing}")
        if missing != told:
            progress(f"{cluster}: waiting for {missing}")
            told = missing
        time.sleep(1)


def _missing(topology, state: Path, cluster: str) -> str:
    """Return what is not ready yet, in words; empty when everything is."""
    found = json.loads(kubectl(topology, state, cluster, "get", "nodes,deployments", "-A", "-o", "json"))["items"]
    nodes = {item["metadata"]["name"] for item in found if item["kind"] == "Node" and _is_true(item, "Ready")}
    names = [f"node {name}" for name in topology.members(cluster, "worker") if name not in nodes]
    for item in found:
        if item["kind"] == "Deployment" and item["status"].get("readyReplicas", 0) < item["spec"]["replicas"]:
            names.append(f"deployment {item['metadata']['name']}")
    return ", ".join(names)


def _is_true(item: dict, condition: str) -> bool:
    return any(entry["type"] == condition and entry["status"] == "True"
               for entry in item.get("status", {}).get("conditions", []))
