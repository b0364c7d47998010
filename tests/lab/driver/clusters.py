# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's clusters: objects, applied and waited for."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from northgate_lab.credentials import Authority, tls_secret

from .command import STATE, LabFailed, converge, lab

NAMESPACE = "demo"
CLUSTERS = ("alpha", "beta")
API_SECONDS = 60.0
APIS = {"alpha": ("alpha-cp1", "alpha-cp2"), "beta": ("beta-cp1",)}


def kubectl(cluster: str, *arguments: str, data: str = "", timeout: float = 60.0) -> str:
    """Return what kubectl says as the cluster's administrator."""
    return lab("kubectl", cluster, "--", *arguments, data=data, timeout=timeout)


def get(cluster: str, *arguments: str) -> dict[str, Any]:
    """Return an object, or a list of them."""
    return json.loads(kubectl(cluster, "get", "-o", "json", *arguments))


def apply(cluster: str, *objects: dict[str, Any]) -> None:
    """Apply objects as they are; they become the way they are given."""
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl(cluster, "apply", "--server-side", "--force-conflicts", "-f", "-", data=data)


def delete(cluster: str, kind: str, *names: str, wait: bool = True) -> None:
    """Delete objects of the tests' namespace, if they are there; without ``wait`` pods may take their time to go."""
    if names:
        kubectl(cluster, "-n", NAMESPACE, "delete", "--ignore-not-found", f"--wait={str(wait).lower()}", kind, *names)


def patch(cluster: str, kind: str, name: str, change: dict[str, Any]) -> None:
    """Change fields of an object of the tests' namespace (a merge patch: null removes one, lists are replaced)."""
    kubectl(cluster, "-n", NAMESPACE, "patch", kind, name, "--type=merge", "-p", json.dumps(change))


def eventually(condition, seconds: float = 30.0, what: str = "the condition") -> Any:
    """Return the first true value of ``condition``; a LabFailed of it is taken for false."""
    deadline, last = time.monotonic() + seconds, ""
    while True:
        try:
            if value := condition():
                return value
        except LabFailed as error:
            last = f": {error}"
        if time.monotonic() > deadline:
            raise LabFailed(f"{what} is not there within {seconds:.0f} s{last}")
        time.sleep(0.3)


def wait_deployed(cluster: str, name: str, namespace: str = NAMESPACE) -> None:
    """Wait until a deployment is complete, with no pod of an older version left."""
    kubectl(cluster, "-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=150s", timeout=160)


def pods(cluster: str, namespace: str, app: str) -> set[str]:
    """Return the names of an application's pods that are ready."""
    items = get(cluster, "-n", namespace, "pods", "-l", f"app={app}")["items"]
    return {item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"] and _is_ready(item)}


def _is_ready(found: dict[str, Any]) -> bool:
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in found.get("status", {}).get("conditions", []))


def wait_ready(cluster: str, app: str, count: int) -> None:
    """Wait until so many pods of an application are ready; those that were told to go and answer on do not count."""
    eventually(lambda: len(pods(cluster, NAMESPACE, app)) == count, 60, f"{count} pods of {app}")


def node_is_ready(cluster: str, name: str) -> bool:
    """Return whether the cluster calls a node ready."""
    return _is_ready(get(cluster, "node", name))


def api_is_up(cluster: str) -> bool:
    """Return whether the cluster's API server is ready."""
    return "ok" in kubectl(cluster, "get", "--raw", "/readyz", timeout=10)


@contextmanager
def apis_down() -> Iterator[None]:
    """No API server of any cluster runs, while the body of ``with`` runs; afterwards they are all observed again."""
    for hosts in APIS.values():
        for host in hosts:
            lab("kill", host)
    try:
        yield
    finally:
        for hosts in APIS.values():
            for host in hosts:
                lab("start", host)
        for cluster in APIS:
            eventually(lambda cluster=cluster: api_is_up(cluster), API_SECONDS, f"API of {cluster}")
        eventually(lambda: set.union(*converge().served_from.values()) == {"observed"}, 60, "an observation of all clusters")


def authority() -> Authority:
    """Return the authority that the client trusts."""
    return Authority(STATE, "northgate lab")


def secret(name: str, *hosts: str) -> dict[str, Any]:
    """Return a Secret with a new certificate for hosts."""
    return tls_secret(NAMESPACE, name, *authority().issue(hosts[0], list(hosts)))


def ingress(name: str, class_name: str | None, rules: dict[str, list[tuple[str, str, str]]], default: str = "",
            secret: str = "", **annotations: str) -> dict[str, Any]:
    """Return an Ingress: ``rules`` are (path, type, service) by host, where "" is every host. ``secret`` is for all hosts.

    Annotations are given without prefix, with underscores for hyphens.
    """
    entries = [
        {**({"host": host} if host else {}), "http": {"paths": [
            {"path": path, "pathType": kind, "backend": backend(service)} for path, kind, service in paths]}}
        for host, paths in rules.items()
    ]
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": NAMESPACE, "name": name, "annotations": {
            f"northgate.edge/{key.replace('_', '-')}": value for key, value in annotations.items()}},
        "spec": {
            **({"ingressClassName": class_name} if class_name else {}),
            **({"rules": entries} if entries else {}),
            **({"defaultBackend": backend(default)} if default else {}),
            **({"tls": [{"hosts": list(rules), "secretName": secret}]} if secret else {}),
        },
    }


def backend(service: str) -> dict[str, Any]:
    """Return the reference to port http of a service."""
    return {"service": {"name": service, "port": {"name": "http"}}}


def ingress_class(name: str, controller: str) -> dict[str, Any]:
    """Return an IngressClass."""
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": controller}}


def application(cluster: str, name: str, apps: dict[str, int], replicas: int = 1) -> list[dict[str, Any]]:
    """Return a Deployment whose pods are several applications, each on a port of its own, and their Services."""
    containers = [
        {
            "name": app, "image": "lab/echo", "command": ["/opt/lab/echo", f"-port={port}"],
            "env": [{"name": "CLUSTER", "value": cluster}, {"name": "APP", "value": app},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 1},
        }
        for app, port in apps.items()
    ]
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"automountServiceAccountToken": False, "containers": containers}}},
    }
    services = [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": NAMESPACE, "name": app},
            "spec": {"ipFamilyPolicy": "RequireDualStack", "selector": {"app": name},
                     "ports": [{"name": "http", "port": 80, "targetPort": port}]},
        }
        for app, port in apps.items()
    ]
    return [deployment, *services]
