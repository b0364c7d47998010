# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kube-apiserver with many ingresses."""

from __future__ import annotations

import http.client
import itertools
import json
import pathlib
import ssl
import typing as t
from concurrent.futures import ThreadPoolExecutor

import edge
from figure import CouldNotMeasure

_WRITERS = 8
_INGRESSES = "/apis/networking.k8s.io/v1/namespaces/bench/ingresses"


class Cluster:
    """An API server of which an ingress controller's pods are known, though none runs."""

    def __init__(self, root: pathlib.Path, name: str) -> None:
        root.mkdir(parents=True)
        self.name = name
        self._api = edge.KubernetesAPI(root, edge.programs())
        self._filled = 0
        self._changes = itertools.count(1)

    def options(self) -> dict[str, t.Any]:
        """Its entry in northgate_clusters."""
        classes = {"traefik": {"service": "traefik/traefik", "port": "web"}}
        return {"kubeconfig": str(self._api.kubeconfig), "ingress_classes": classes}

    def start(self) -> None:
        self._api.start()
        controller = {"name": "traefik", "namespace": "traefik"}
        addresses = [f"192.0.2.{number}" for number in (1, 2, 3)]
        self._api.apply(
            *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("bench", "traefik")),
            {
                "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "traefik"},
                "spec": {"controller": "traefik.io/ingress-controller"},
            },
            {"apiVersion": "v1", "kind": "Service", "metadata": controller, "spec": {"ports": [{"name": "web", "port": 80, "targetPort": 8000}]}},
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**controller, "labels": {"kubernetes.io/service-name": "traefik"}},
                "addressType": "IPv4",
                "ports": [{"name": "web", "port": 8000, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
            },
        )

    def stop(self) -> None:
        self._api.stop()

    def fill(self, ingresses: int) -> None:
        """Creates as many as are missing."""
        numbers = list(range(self._filled, ingresses))
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self._create, (numbers[of::_WRITERS] for of in range(_WRITERS))))
        self._filled = ingresses

    def _create(self, numbers: t.Iterable[int]) -> None:
        connection = self._connection()
        for number in numbers:
            _send(connection, "POST", _INGRESSES, _ingress(self.name, number), "application/json")
        connection.close()

    def change_one(self) -> None:
        """Gives one ingress another path."""
        path = {"op": "replace", "path": "/spec/rules/0/http/paths/0/path", "value": f"/changed-{next(self._changes)}"}
        connection = self._connection()
        _send(connection, "PATCH", f"{_INGRESSES}/ingress-7", [path], "application/json-patch+json")
        connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self._api.root / "apiserver.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self._api.port, timeout=60, context=context)


def _send(connection: http.client.HTTPSConnection, method: str, path: str, body: t.Any, kind: str) -> None:
    connection.request(method, path, json.dumps(body), {"Authorization": "Bearer admin-token", "Content-Type": kind})
    response = connection.getresponse()
    text = response.read()
    if response.status not in (200, 201):
        raise CouldNotMeasure(f"the API server refuses {method} {path}: {text[:500]!r}")


def _ingress(cluster: str, number: int) -> dict[str, t.Any]:
    backend = {"service": {"name": "echo", "port": {"number": 80}}}
    rule = {"host": f"host-{number}.{cluster}.example.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    annotations = {"northgate.edge/hsts": "max-age=3600", "northgate.edge/timeout-server": "30s"} if number % 10 == 0 else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"ingress-{number}", "namespace": "bench", "annotations": annotations},
        "spec": {"ingressClassName": "traefik", "rules": [rule]},
    }
