# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observing a real kube-apiserver, and one that fails."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import ansible_collections.northgate.edge
import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import codec, status
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Path as IngressPath, Rule
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, Policy
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Node, ServiceEndpoint, ServicePort, family
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import observe_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

MODULE = Path(ansible_collections.northgate.edge.__path__[0]) / "plugins/modules/cluster_snapshot.py"
TRAEFIK = {"service": "ingress/traefik", "port": "web", "tls_port": "websecure"}


def source(kubeconfig, name="alpha", service="ingress/traefik", port="web", pools=(), **options):
    classes = {"traefik": {"service": service, "port": port}}
    return ClusterSource.parse(name, {"kubeconfig": str(kubeconfig), "ingress_classes": classes, **options}, pools)


def observe(*sources, timeout=20.0, page_size=500):
    return observe_all(sources, timeout, page_size)


def ingress(name, host, *paths, ingress_class="traefik", service="echo", tls=(), **annotations):
    backend = {"service": {"name": service, "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": p, "pathType": kind, "backend": backend} for p, kind in paths]}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": "ingress",
            "annotations": {f"northgate.edge/{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {"ingressClassName": ingress_class, "rules": rules, "tls": list(tls)},
    }


def service(name, *ports, **spec):
    ports = [{"name": port, "port": number} for port, number in ports]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "ingress"}, "spec": {"ports": ports, **spec}}


def endpoint_slice(name, *endpoints, ports=(("web", 8000),), family="IPv4", protocol="TCP"):
    suffix = f"{family}-{protocol}".lower()
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{suffix}", "namespace": "ingress", "labels": {"kubernetes.io/service-name": name}},
        "addressType": family,
        "ports": [{"name": port, "port": number, "protocol": protocol} for port, number in ports],
        "endpoints": list(endpoints),
    }


def secret(name, kind, **data):
    encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "ingress"}, "type": kind, "data": encoded}


def ingress_class(name, controller, **annotations):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"controller": controller},
    }


@pytest.fixture(scope="module")
def cluster(kubernetes, pem):
    """A cluster with an ingress controller, a service for mode direct, Secrets, and some ingresses."""
    terminating = {"ready": False, "serving": True, "terminating": True}
    chain, _comment, key = pem("shop.example.test", "*.example.test").partition("\n# the key\n\n")
    kubernetes.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress"}},
        service("traefik", ("web", 80), ("websecure", 443)),
        service("echo", ("http", 80)),
        service("old", type="ExternalName", externalName="example.com"),
        endpoint_slice(
            "traefik",
            {"addresses": ["10.1.0.1"], "conditions": {"ready": True}},
            {"addresses": ["10.1.0.2"], "conditions": terminating},
            ports=[("web", 8000), ("websecure", 8443)],
        ),
        endpoint_slice("echo", {"addresses": ["10.1.0.3"]}, ports=[("http", 8080)]),
        endpoint_slice("other", {"addresses": ["10.1.0.4"]}),
        ingress_class("by-controller", "example.com/controller"),
        ingress_class("foreign", "example.com/foreign"),
        secret("cert", "kubernetes.io/tls", tls_crt=chain, tls_key=key),
        secret("broken", "kubernetes.io/tls", tls_crt=chain, tls_key="s3cret"),
        secret("users", "kubernetes.io/basic-auth", username="ann", password="s3cret"),
        ingress("shop", "shop.example.test", ("/", "Prefix"), ("/exact", "Exact"), tls=[{"hosts": ["shop.example.test"], "secretName": "cert"}]),
        ingress("wild", "*.example.test", ("/", "Prefix")),
        ingress("bad", "bad.example.test", ("/good", "Prefix"), ("/a b", "ImplementationSpecific")),
        ingress("foreign", "foreign.example.test", ("/", "Prefix"), ingress_class="foreign", tls=[{"secretName": "cert"}]),
        ingress("other", "other.example.test", ("/", "Prefix"), ingress_class="by-controller"),
        ingress("direct", "direct.example.test", ("/", "Prefix"), ingress_class="direct"),
        ingress("gone", "gone.example.test", ("/", "Prefix"), ingress_class="direct", service="gone"),
        ingress("external", "external.example.test", ("/", "Prefix"), ingress_class="direct", service="old"),
        ingress("auth", "auth.example.test", ("/", "Prefix"), basic_auth_secret="users"),
        ingress("closed", "closed.example.test", ("/", "Prefix"), basic_auth_secret="none", tls=[{"secretName": "broken"}]),
        *(ingress(f"many-{n}", f"host-{n}.example.test", ("/", "Prefix")) for n in range(12)),
    )
    return kubernetes


def everything(kubeconfig):
    return source(
        kubeconfig,
        ingress_classes={"traefik": TRAEFIK, "direct": {"mode": "direct"}},
        ingress_controllers={"example.com/controller": TRAEFIK},
        default_backend={"service": "ingress/echo", "port": "http"},
    )


def test_a_snapshot_holds_what_the_cluster_offers(cluster):
    snapshot = observe(everything(cluster.kubeconfig))["alpha"].snapshot
    found = {ingress.name: ingress for ingress in snapshot.ingresses}
    assert found["shop"].paths == tuple(IngressPath(Rule("shop.example.test", *rule), "class/traefik") for rule in (("/", "Prefix"), ("/exact", "Exact")))
    assert found["wild"].hosts == ("*.example.test",)
    assert [path.rule.path for path in found["bad"].paths] == ["/good"]
    assert "foreign" not in found
    assert found["other"].paths[0].pool == "class/by-controller"
    assert found["auth"].policy == Policy(users=(hashlib.sha256(b"ann:s3cret").hexdigest().upper(),))
    assert found["closed"].policy == CLOSED
    pools = {pool.name: pool for pool in snapshot.pools}
    assert pools["class/traefik"].endpoints == pools["class/by-controller"].endpoints == (
        Endpoint("10.1.0.1", 8000),
        Endpoint("10.1.0.2", 8000, ready=False, serving=True, terminating=True),
    )
    assert [endpoint.port for endpoint in pools["class/traefik"].passthrough] == [8443, 8443]
    assert pools["service/ingress/echo/80"].endpoints == pools[snapshot.default_pool].endpoints == (Endpoint("10.1.0.3", 8080),)
    assert pools["service/ingress/gone/80"].endpoints == pools["service/ingress/old/80"].endpoints == ()
    assert [(c.source, c.names) for c in snapshot.certificates] == [("Secret ingress/cert", ("*.example.test", "shop.example.test"))]
    assert [(q.object, q.field) for q in snapshot.quarantined] == [
        ("Ingress ingress/bad", "spec.rules[0].http.paths[1].path"),
        ("Ingress ingress/closed", "annotation northgate.edge/basic-auth-secret"),
        ("Ingress ingress/external", "backend service"),
        ("Ingress ingress/gone", "backend service"),
        ("Secret ingress/broken", "data"),
    ]
    assert "s3cret" not in str(snapshot.quarantined)


def test_pages_give_the_same_snapshot_as_one_list(cluster):
    whole = observe(everything(cluster.kubeconfig))
    assert observe(everything(cluster.kubeconfig), page_size=3) == whole


def test_without_the_permission_a_secret_is_named_with_the_way_out_and_the_cluster_is_served(cluster, tmp_path):
    name = "lister"
    rules = [
        {
            "apiGroups": ["networking.k8s.io", "discovery.k8s.io", ""],
            "resources": ["ingresses", "ingressclasses", "services", "endpointslices"],
            "verbs": ["list"],
        }
    ]
    group = "rbac.authorization.k8s.io"
    binding = {"roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name}, "subjects": [{"apiGroup": group, "kind": "User", "name": "nobody"}]}
    cluster.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, **binding},
    )
    try:
        (tmp_path / "lister").write_text(cluster.kubeconfig_for("nobody-token"))
        snapshot = observe(source(tmp_path / "lister"))["alpha"].snapshot
    finally:
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", name)
    causes = {q.object: q.cause for q in snapshot.quarantined}
    assert "HTTP 403" in causes["Secret ingress/cert"] and "cluster_access_secrets" in causes["Secret ingress/cert"]
    assert {i.name: i.policy for i in snapshot.ingresses}["auth"] == CLOSED
    assert {i.name: i.policy for i in snapshot.ingresses}["shop"] == Policy()


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
    assert results.pop("alpha").snapshot.ingresses
    assert all(isinstance(result, NotObserved) for result in results.values())
    reasons = {name: str(result) for name, result in results.items()}
    assert "Is the API server up" in reasons["dead"]
    assert str(tmp_path / "missing") in reasons["missing"]
    assert "HTTP 403" in reasons["nobody"] and "cluster_access.yml" in reasons["nobody"]
    assert "HTTP 401" in reasons["stranger"]
    assert "ingress class traefik: there is no Service ingress/none" in reasons["no-service"]
    assert "'admin' is no port of Service ingress/traefik; its ports are web/80" in reasons["no-port"]


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
    assert results["alpha"].snapshot.ingresses
    assert isinstance(results["silent"], NotObserved)


OURS = "example.com/observed"
POOLS = {"public": {"addresses": ["203.0.113.0/24", "2001:db8:100::/64"], "clusters": ["alpha"]}}


def balanced(name, annotations=(), **spec):
    """A Service of type LoadBalancer for mail, of a class that only these tests have."""
    found = service(name, type="LoadBalancer", loadBalancerClass=OURS, allocateLoadBalancerNodePorts=False, **spec)
    found["metadata"]["annotations"] = {f"northgate.edge/{key}": value for key, value in dict(annotations).items()}
    found["metadata"]["labels"] = {"tier": "public"}
    found["spec"]["ports"] = [
        {"name": "smtp", "port": 25, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "sctp", "port": 25, "protocol": "SCTP"},
    ]
    return found


def node(name, *addresses, ready="True", **labels):
    entries = [{"type": "InternalIP", "address": address} for address in addresses]
    status = {"addresses": entries, "conditions": [{"type": "Ready", "status": ready}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


@pytest.fixture(scope="module")
def balancing(cluster):
    """The cluster with LoadBalancer services, their pods, and nodes."""
    terminating = {"ready": False, "serving": True, "terminating": True}
    both = {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"}
    objects = [
        balanced("mail", {"address-pool": "public", "allow-shared-ip": "mail"}, externalTrafficPolicy="Local", sessionAffinity="ClientIP", **both),
        balanced("wrong", loadBalancerIP="mail.example.test", loadBalancerSourceRanges=["192.0.2.0/24"]),
        balanced("odd", {"forwarding": "teleport"}),
        {**balanced("foreign"), "spec": {**balanced("foreign")["spec"], "loadBalancerClass": "example.com/foreign"}},
        endpoint_slice("mail", {"addresses": ["10.1.0.1"], "nodeName": "w1"}, {"addresses": ["10.1.0.2"], "conditions": terminating}, ports=[("smtp", 2525)]),
        endpoint_slice("mail", {"addresses": ["fd01::1"], "nodeName": "w1"}, ports=[("smtp", 2525)], family="IPv6"),
        endpoint_slice("mail", {"addresses": ["10.1.0.1"]}, ports=[("dns", 5353)], protocol="UDP"),
        endpoint_slice("mail", {"addresses": ["10.1.0.1"]}, ports=[("sctp", 2525)], protocol="SCTP"),
        node("w1", "10.9.0.1", "fd09::1"),
        node("w2", "10.9.0.2", ready="False"),
        node("w3", "10.9.0.3", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""}),
    ]
    cluster.apply(*objects)
    for one in objects:
        if one["kind"] == "Node":
            patch_status(cluster, "node", one["metadata"]["name"], one["status"])
    for name in ("mail", "wrong", "foreign"):
        patch_status(cluster, "service", name, {"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}, {"ip": "2001:db8:100::7"}]}})
    yield cluster
    # Other tests share the API server.
    cluster.kubectl("delete", "node", "w1", "w2", "w3")


def patch_status(cluster, kind, name, status):
    cluster.kubectl("patch", kind, name, "-n", "ingress", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def services_of(cluster, page_size=500):
    pools = [AddressPool.parse(name, options) for name, options in POOLS.items()]
    options = {"load_balancer_class": OURS, "load_balancer_default": False, "pools": pools}
    return observe(source(cluster.kubeconfig, **options), page_size=page_size)["alpha"]


def test_services_and_nodes_are_observed_where_a_pool_has_addresses(balancing):
    found = services_of(balancing)
    services = {one.name: one for one in found.snapshot.services}
    mail = services["mail"]
    assert mail.request == AddressRequest("public", (), "mail", (6, 4), "RequireDualStack")
    assert [family(address) for address in mail.cluster_ips] == [6, 4]
    assert (mail.addresses, mail.local, mail.affinity, mail.labels) == (("203.0.113.7", "2001:db8:100::7"), True, 10800, (("tier", "public"),))
    assert mail.ports == (
        ServicePort("SCTP", 25, endpoints=(ServiceEndpoint("10.1.0.1", 2525),)),
        ServicePort(
            "TCP",
            25,
            endpoints=(
                ServiceEndpoint("10.1.0.1", 2525, "w1"),
                ServiceEndpoint("10.1.0.2", 2525, ready=False, terminating=True),
                ServiceEndpoint("fd01::1", 2525, "w1"),
            ),
        ),
        ServicePort("UDP", 53, endpoints=(ServiceEndpoint("10.1.0.1", 5353),)),
    )
    assert {name: (one.held, one.addresses) for name, one in services.items() if name != "mail"} == {
        "odd": (True, ()), "wrong": (True, ("203.0.113.7", "2001:db8:100::7")),
    }
    assert [(q.object, q.field) for q in found.snapshot.quarantined if q.object.startswith("Service ")] == [
        ("Service ingress/odd", "annotation northgate.edge/forwarding"),
        ("Service ingress/wrong", "spec.loadBalancerIP"),
    ]
    assert [one for one in found.snapshot.nodes if one.name.startswith("w")] == [Node("w1", ("10.9.0.1", "fd09::1")), Node("w2", ("10.9.0.2",), ready=False)]
    assert codec.load(codec.dump(found.snapshot), "alpha") == found.snapshot
    assert services_of(balancing, page_size=2) == found


def test_without_the_permission_to_list_nodes_the_cluster_is_not_observed_and_the_way_out_is_told(balancing, tmp_path):
    resources = ["ingresses", "ingressclasses", "services", "endpointslices"]
    rules = [{"apiGroups": ["networking.k8s.io", "discovery.k8s.io", ""], "resources": resources, "verbs": ["list"]}]
    group = "rbac.authorization.k8s.io"
    binding = {"roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "no-nodes"}, "subjects": [{"apiGroup": group, "kind": "User", "name": "nobody"}]}
    balancing.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "no-nodes"}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "no-nodes"}, **binding},
    )
    try:
        (tmp_path / "nobody").write_text(balancing.kubeconfig_for("nobody-token"))
        result = observe(source(tmp_path / "nobody", pools=[AddressPool.parse("public", POOLS["public"])]))["alpha"]
    finally:
        balancing.kubectl("delete", "clusterrolebinding,clusterrole", "no-nodes")
    assert "/api/v1/nodes: HTTP 403" in str(result) and "cluster_access.yml" in str(result)


def test_the_module_writes_the_status_of_services_beside_the_snapshot(balancing, tmp_path):
    options = {"kubeconfig": str(balancing.kubeconfig), "load_balancer_class": OURS, "load_balancer_default": False}
    file = tmp_path / "snapshots" / "alpha.services.json"
    parameters = {"clusters": {"alpha": options}, "pools": POOLS}
    assert run_module(tmp_path, _ansible_check_mode=True, **parameters)["clusters"]["alpha"]["services"] == 3
    assert not file.exists()
    result = run_module(tmp_path, **parameters)["clusters"]["alpha"]
    assert result["services"] == 3 and result["nodes"] >= 2
    seen = json.loads(file.read_text())
    assert seen["version"] == 1 and set(seen["statuses"]) == {"ingress/mail", "ingress/wrong", "ingress/odd"}
    assert seen["statuses"]["ingress/mail"] == [{"ip": "203.0.113.7", "ipMode": "VIP"}, {"ip": "2001:db8:100::7", "ipMode": "VIP"}]
    assert seen["statuses"]["ingress/odd"] == [] and seen["released"]["ingress/foreign"] == seen["statuses"]["ingress/mail"]
    assert not run_module(tmp_path, **parameters)["changed"]
    # Another cluster's pool is none of alpha's.
    none = run_module(tmp_path, clusters={"alpha": options}, pools={"public": {**POOLS["public"], "clusters": ["beta"]}})["clusters"]["alpha"]
    assert (none["services"], none["nodes"]) == (0, 0) and not file.exists()
    wrong = run_module(tmp_path, clusters={"alpha": options}, pools={"public": {"addresses": ["x"]}})
    assert wrong["failed"] and wrong["msg"].startswith("pools.public.addresses[0]")


def run_module(tmp_path, program=None, **parameters):
    """The result of the module cluster_snapshot, run as Ansible runs it; or as ``program`` runs it."""
    arguments = {"ANSIBLE_MODULE_ARGS": {"path": str(tmp_path / "snapshots"), "_ansible_remote_tmp": str(tmp_path), **parameters}}
    command = [sys.executable, *(["-c", program] if program else [str(MODULE)])]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_module_writes_a_secret_file_and_tells_no_secret(cluster, tmp_path):
    options = {"kubeconfig": str(cluster.kubeconfig), "ingress_classes": {"traefik": TRAEFIK}}
    missing = {"kubeconfig": str(tmp_path / "missing"), "ingress_classes": {}}
    clusters = {"alpha": options, "beta": missing}
    file = tmp_path / "snapshots" / "alpha.json"

    assert run_module(tmp_path, clusters=clusters, _ansible_check_mode=True)["changed"]
    assert not file.exists()
    first = run_module(tmp_path, clusters=clusters, _ansible_diff=True)
    assert first["changed"] and not run_module(tmp_path, clusters=clusters)["changed"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    snapshot = codec.load(file.read_bytes(), "alpha")
    seen = status.load((tmp_path / "snapshots" / "alpha.status.json").read_bytes())
    assert {f"{ingress.namespace}/{ingress.name}" for ingress in snapshot.ingresses} <= set(seen)
    assert {key: first["clusters"]["alpha"][key] for key in ("observed", "ingresses", "routes", "pools", "certificates")} == {
        "observed": True,
        "ingresses": len(snapshot.ingresses),
        "routes": len(snapshot.ingresses) + 1,
        "pools": 1,
        "certificates": 1,
    }
    assert str(tmp_path / "missing") in first["clusters"]["beta"]["reason"]
    assert "BEGIN PRIVATE KEY" in file.read_text() and "BEGIN PRIVATE KEY" not in json.dumps(first)
    assert "(secret " in first["diff"][0]["after"] and first["diff"][0]["before"] == ""

    cluster_gone = run_module(tmp_path, clusters={"alpha": {**options, "kubeconfig": str(tmp_path / "missing")}}, _ansible_diff=True)
    assert cluster_gone["changed"] and not list(file.parent.iterdir())
    assert cluster_gone["diff"][0]["before"] == first["diff"][0]["after"]


def test_the_module_says_which_library_or_option_is_wrong(tmp_path):
    result = run_module(tmp_path, clusters={"alpha": {"kubeconfig": "/k", "ingress_classes": {"x": {}}}})
    assert result["failed"] and result["msg"] == "clusters.alpha.ingress_classes.x.service: is missing"
    hidden = (
        "import importlib.util as util, runpy; real = util.find_spec; "
        "util.find_spec = lambda name, *rest: None if name == 'kubernetes' else real(name, *rest); "
        f"runpy.run_path({str(MODULE)!r}, run_name='__main__')"
    )
    result = run_module(tmp_path, program=hidden, clusters={})
    assert result["failed"] and "Failed to import the required Python library (kubernetes)" in result["msg"]
