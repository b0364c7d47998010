# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observing a real kube-apiserver, and one that fails."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Rule
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import ClusterSource, observe_all


def source(kubeconfig, name="alpha", service="ingress/traefik", port="web", ingress_class="traefik"):
    classes = {ingress_class: {"service": service, "port": port}}
    return ClusterSource.parse(name, {"kubeconfig": str(kubeconfig), "ingress_classes": classes})


def observe(*sources, timeout=20.0, page_size=500):
    return observe_all(sources, timeout, page_size)


def ingress(name, host, *paths, ingress_class="traefik"):
    backend = {"service": {"name": "echo", "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": p, "pathType": kind, "backend": backend} for p, kind in paths]}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "ingress"},
        "spec": {"ingressClassName": ingress_class, "rules": rules},
    }


@pytest.fixture(scope="module")
def cluster(kubernetes):
    """A cluster with an ingress controller's Service, its EndpointSlices and some ingresses."""
    port = {"name": "web", "port": 8000, "protocol": "TCP"}
    terminating = {"ready": False, "serving": True, "terminating": True}
    service_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "traefik-1", "namespace": "ingress", "labels": {"kubernetes.io/service-name": "traefik"}},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [
            {"addresses": ["10.1.0.1"], "conditions": {"ready": True}},
            {"addresses": ["10.1.0.2"], "conditions": terminating},
        ],
    }
    other = {**service_slice, "metadata": {"name": "other-1", "namespace": "ingress", "labels": {"kubernetes.io/service-name": "other"}}}
    kubernetes.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "traefik", "namespace": "ingress"},
            "spec": {"ports": [{"name": "web", "port": 80, "targetPort": 8000}]},
        },
        service_slice,
        other,
        ingress("shop", "shop.example.test", ("/", "Prefix"), ("/exact", "Exact")),
        ingress("wild", "*.example.test", ("/", "Prefix")),
        ingress("foreign", "foreign.example.test", ("/", "Prefix"), ingress_class="foreign"),
        *(ingress(f"many-{n}", f"host-{n}.example.test", ("/", "Prefix")) for n in range(12)),
    )
    return kubernetes


def test_a_snapshot_holds_what_the_cluster_offers(cluster):
    snapshot = observe(source(cluster.kubeconfig))["alpha"]
    found = {ingress.name: ingress.rules for ingress in snapshot.ingresses}
    assert found["shop"] == (Rule("shop.example.test", "/", "Prefix"), Rule("shop.example.test", "/exact", "Exact"))
    assert "foreign" not in found and "wild" not in found
    assert snapshot.controllers[0].endpoints == (
        Endpoint("10.1.0.1", 8000),
        Endpoint("10.1.0.2", 8000, ready=False, serving=True, terminating=True),
    )
    assert ["Ingress ingress/wild"] == [q.object for q in snapshot.quarantined]


def test_pages_give_the_same_snapshot_as_one_list(cluster):
    whole = observe(source(cluster.kubeconfig))
    assert observe(source(cluster.kubeconfig), page_size=3) == whole


def test_a_cluster_that_fails_is_told_with_its_reason_and_the_others_go_on(cluster, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = cluster.kubeconfig.read_text().replace(f":{cluster.port}", f":{closed.getsockname()[1]}")
    (tmp_path / "dead").write_text(dead)
    (tmp_path / "nobody").write_text(cluster.kubeconfig_for("nobody-token"))
    (tmp_path / "stranger").write_text(cluster.kubeconfig_for("no-such-token"))
    results = observe(
        source(cluster.kubeconfig),
        source(tmp_path / "dead", "dead"),
        source(tmp_path / "missing", "missing"),
        source(tmp_path / "nobody", "nobody"),
        source(tmp_path / "stranger", "stranger"),
        source(cluster.kubeconfig, "no-service", service="ingress/none"),
        source(cluster.kubeconfig, "no-port", port="admin"),
    )
    assert results.pop("alpha").ingresses
    assert all(isinstance(result, NotObserved) for result in results.values())
    reasons = {name: str(result) for name, result in results.items()}
    assert "Is the API server up" in reasons["dead"]
    assert str(tmp_path / "missing") in reasons["missing"]
    assert "HTTP 403" in reasons["nobody"] and "cluster_access.yml" in reasons["nobody"]
    assert "HTTP 401" in reasons["stranger"]
    assert "Service ingress/none of ingress class traefik" in reasons["no-service"]
    assert "'admin' is no port of the Service; its ports are web/80" in reasons["no-port"]


def test_a_cluster_that_does_not_answer_is_given_up_after_its_time(cluster, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        text = cluster.kubeconfig.read_text().replace(f":{cluster.port}", f":{silent.getsockname()[1]}")
        (tmp_path / "silent").write_text(text)
        results = observe(source(cluster.kubeconfig), source(tmp_path / "silent", "silent"), timeout=2.0)
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # It was tried once: another try would take the same time again.
            silent.accept()
    assert results["alpha"].ingresses
    assert isinstance(results["silent"], NotObserved)
