# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of type LoadBalancer: what a user would write, and what became of it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import clusters
from .clusters import NAMESPACE
from .command import inventory

PORT = 7000
ALL = ("TCP", "UDP", "SCTP")
# How long a pod that was told to go answers on, while it is not ready any more.
DRAIN_SECONDS = 90


def load_balancer(name: str, app: str = "echo-l4", ports: tuple[int, ...] = (PORT,), protocols: tuple[str, ...] = ALL,
                  annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a Service for port 7000 of an application's pods; annotations are given without prefix, with underscores for hyphens."""
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": name, "annotations": {
            f"northgate.edge/{key.replace('_', '-')}": value for key, value in (annotations or {}).items()}},
        "spec": {
            "type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack", "selector": {"app": app},
            "ports": [{"name": f"{protocol.lower()}-{port}", "protocol": protocol, "port": port, "targetPort": PORT}
                      for protocol in protocols for port in ports],
            **spec,
        },
    }


def application(cluster: str, name: str, replicas: int = 2) -> dict[str, Any]:
    """Return a Deployment of the application echo-l4 that is spread over the nodes, and whose pods answer for long after they were told to go."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "automountServiceAccountToken": False, "terminationGracePeriodSeconds": DRAIN_SECONDS + 10,
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                                               "labelSelector": {"matchLabels": {"app": name}}}],
                "containers": [{
                    "name": "echo", "image": "lab/echo",
                    "command": ["/opt/lab/echo", f"-drain={DRAIN_SECONDS}s", f"-port={PORT}", "-health-port=8081", "echo-l4"],
                    "env": [{"name": "CLUSTER", "value": cluster}, {"name": "APP", "value": name},
                            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8081}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 1},
                }]}}},
    }


def addresses(cluster: str, *names: str) -> dict[str, list[str]]:
    """Return the addresses in the status of services, by name, IPv4 first; a service that is gone has none."""
    items = clusters.get(cluster, "-n", NAMESPACE, "services")["items"]
    found = {item["metadata"]["name"]: [entry["ip"] for entry in item["status"]["loadBalancer"].get("ingress", [])] for item in items}
    return {name: sorted(found.get(name, []), key=lambda address: (":" in address, address)) for name in names}


def events(cluster: str, name: str) -> list[str]:
    """Return what events say about a service: ``REASON: MESSAGE``."""
    items = clusters.get(cluster, "-n", NAMESPACE, "events", f"--field-selector=involvedObject.kind=Service,involvedObject.name={name}")["items"]
    return [f"{item.get('reason', '')}: {item.get('message', '')}" for item in items]


def nodes_of(cluster: str, app: str) -> dict[str, str]:
    """Return the node of each pod of an application that is ready, by the pod's name."""
    ready = clusters.pods(cluster, NAMESPACE, app)
    items = clusters.get(cluster, "-n", NAMESPACE, "pods", "-l", f"app={app}")["items"]
    return {item["metadata"]["name"]: item["spec"]["nodeName"] for item in items if item["metadata"]["name"] in ready}


def with_settings(cluster: str, **settings: str) -> dict[str, Any]:
    """Return the inventory's clusters, of which one has other settings."""
    known = inventory()["northgate_clusters"]
    return {**known, cluster: {**known[cluster], **settings}}


def changed(file: Path, cluster: str, **settings: str) -> tuple[str, str]:
    """Write a file in which a cluster has other settings than in the inventory; returns the options that make a playbook read it."""
    file.write_text(json.dumps({"northgate_clusters": with_settings(cluster, **settings)}), encoding="utf-8")
    return "-e", f"@{file}"


def exclude(cluster: str, node: str, excluded: bool) -> None:
    """Label a node so that load balancers no longer send it anything new, or remove the label."""
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    clusters.kubectl(cluster, "label", "--overwrite", "node", node, f"{label}=true" if excluded else f"{label}-")
