# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole snapshots, from an API that is a dictionary."""

from __future__ import annotations

import base64
import copy
import datetime
import functools
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Pool, PoolTls
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Node, ServiceEndpoint, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._core.status import Address
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import observe
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

CLASSES = {"traefik": {"service": "traefik/traefik", "port": "web", "tls_port": "websecure"}, "direct": {"mode": "direct", "tls": {"verify": False}}}


class Api:
    """Lists by kind, Secrets by name or HTTP status; ``asked`` are the paths, in order."""

    authority = ""

    def __init__(self, secrets=(), **lists):
        self.lists = lists
        self.secrets = dict(secrets)
        self.asked = []

    def read(self, path, build, page_size=500, **query):
        self.asked.append(path)
        parts = path.split("/")
        items = self.lists.get(parts[-1], [])
        if "namespaces" in parts:
            items = [item for item in items if item["metadata"]["namespace"] == parts[parts.index("namespaces") + 1]]
        if "fieldSelector" in query:
            items = [item for item in items if f"metadata.name={item['metadata']['name']}" == query["fieldSelector"]]
        if "labelSelector" in query:
            label, _equals, value = query["labelSelector"].partition("=")
            items = [item for item in items if item["metadata"]["labels"].get(label) == value]
        return build(iter(copy.deepcopy(items)))

    def find(self, path):
        self.asked.append(path)
        return self.secrets.get("/".join(path.split("/")[4:7:2]), 404)


def service(name, *ports, **spec):
    namespace, _slash, name = name.partition("/")
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"ports": [{"name": n, "port": number} for n, number in ports], **spec}}


def endpoint_slice(name, address, *ports):
    namespace, _slash, name = name.partition("/")
    metadata = {"namespace": namespace, "name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}
    return {"metadata": metadata, "addressType": "IPv4", "ports": [{"name": n, "port": number} for n, number in ports], "endpoints": [{"addresses": [address]}]}


def ingress(name="shop", ingress_class="traefik", service_name="echo", port=80, tls=(), created="2026-01-01T00:00:00Z", **annotations):
    reference = {"name": port} if isinstance(port, str) else {"number": port}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service_name, "port": reference}}}
    return {
        "metadata": {
            "namespace": "demo",
            "name": name,
            "creationTimestamp": created,
            "annotations": {f"northgate.edge/{key.replace('_', '-')}": value for key, value in annotations.items()},
        },
        "spec": {"ingressClassName": ingress_class, "rules": [{"host": f"{name}.example", "http": {"paths": [path]}}], "tls": list(tls)},
    }


SERVICES = (
    service("traefik/traefik", ("web", 80), ("websecure", 443)),
    service("demo/echo", ("http", 80)),
    service("demo/old", type="ExternalName"),
)
SLICES = (endpoint_slice("traefik/traefik", "10.0.0.1", ("web", 8000), ("websecure", 8443)), endpoint_slice("demo/echo", "10.0.0.2", ("http", 8080)))


def api(*ingresses, secrets=(), services=SERVICES, slices=SLICES, classes=()):
    return Api(secrets, ingresses=ingresses, services=services, endpointslices=slices, ingressclasses=classes)


def snapshot(found, **options):
    source = ClusterSource.parse("alpha", {"kubeconfig": "/k", "ingress_classes": CLASSES, **options})
    return observe.observe(source, found, 500).snapshot


def pools(found):
    return {pool.name: pool for pool in found.pools}


def test_pools_of_controllers_and_of_ingresses():
    found = snapshot(api(ingress("a"), ingress("b", "direct"), ingress("c", "foreign")), default_backend={"service": "demo/echo", "port": "http"})
    assert [i.name for i in found.ingresses] == ["a", "b"]
    assert found.pools == (
        Pool("class/traefik", (Endpoint("10.0.0.1", 8000),), passthrough=(Endpoint("10.0.0.1", 8443),)),
        Pool("service/demo/echo/80", (Endpoint("10.0.0.2", 8080),)),
        Pool("service/demo/echo/http", (Endpoint("10.0.0.2", 8080),)),
    )
    assert found.default_pool == "service/demo/echo/http"
    assert not found.quarantined


def test_a_class_by_its_controller_has_a_pool_of_its_own():
    item = {"metadata": {"name": "other"}, "spec": {"controller": "example.com/c"}}
    found = snapshot(api(ingress("a", "other"), classes=[item]), ingress_controllers={"example.com/c": {"service": "traefik/traefik", "port": 443}})
    assert pools(found)["class/other"].endpoints == (Endpoint("10.0.0.1", 8443),)


def test_few_services_are_asked_for_one_by_one_and_many_by_one_list():
    few = api(*(ingress(f"i{n}", "direct", f"s{n}") for n in range(7)))
    snapshot(few)
    assert len(few.asked) == 2 + 2 * 8 + 1 and not [path for path in few.asked if path.endswith("/v1/services")]
    many = api(*(ingress(f"i{n}", "direct", f"s{n}") for n in range(8)))
    snapshot(many)
    assert many.asked[2:-1] == ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"]


@pytest.mark.parametrize("more", [0, 9])
def test_a_service_that_can_not_be_used_answers_503_and_is_named(more):
    broken = [ingress("none", "direct", "none"), ingress("external", "direct", "old"), ingress("port", "direct", "echo", "admin")]
    found = snapshot(api(*broken, *(ingress(f"i{n}", "direct", f"s{n}") for n in range(more))))
    assert len(found.ingresses) == 3 + more
    assert pools(found)["service/demo/old/80"] == Pool("service/demo/old/80")
    assert [(q.object, q.field, q.cause) for q in found.quarantined if "/i" not in q.object] == [
        ("Ingress demo/external", "backend service", "Service demo/old is an ExternalName: it has no pods"),
        ("Ingress demo/none", "backend service", "there is no Service demo/none"),
        ("Ingress demo/port", "backend port", "'admin' is no port of Service demo/echo; its ports are http/80"),
    ]


def test_a_backend_that_is_no_service_has_an_empty_pool():
    raw = ingress("a", "direct")
    raw["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"resource": {"kind": "Bucket"}}
    found = snapshot(api(raw))
    assert pools(found)["service/demo/unusable/0"] == Pool("service/demo/unusable/0")
    assert [q.field for q in found.quarantined] == ["spec.rules[0].http.paths[0].backend"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ingress_classes": {"x": {"service": "traefik/none", "port": "web"}}}, "ingress class x: there is no Service traefik/none. Check ingress_classes"),
        (
            {"ingress_classes": {"x": {"service": "traefik/traefik", "port": "admin"}}},
            "class x: 'admin' is no port of Service traefik/traefik; its ports are web/80",
        ),
        ({"ingress_classes": {"x": {"service": "traefik/traefik", "port": "web", "tls_port": 1}}}, "class x: '1' is no port"),
        ({"ingress_classes": {"x": {"service": "demo/old", "port": "web"}}}, "class x: Service demo/old is an ExternalName"),
        ({"default_backend": {"service": "demo/none", "port": 80}}, "default_backend: there is no Service demo/none. Check default_backend"),
    ],
)
def test_an_operators_mistake_leaves_the_cluster_as_it_was(options, message):
    with pytest.raises(NotObserved, match=message):
        snapshot(api(ingress()), **options)


def test_protocols_of_pods():
    services = [*SERVICES, service("demo/tls")]
    services[-1]["spec"]["ports"] = [{"name": "https", "port": 443, "appProtocol": "https"}, {"name": "http", "port": 80}]
    items = [
        ingress("said-by-port", "direct", "tls", 443),
        ingress("older", "direct", "tls", 80, backend_protocol="h2c"),
        ingress("younger", "direct", "tls", 80, created="2026-01-02T00:00:00Z", backend_protocol="https"),
    ]
    found = snapshot(api(*items, services=services))
    assert pools(found)["service/demo/tls/443"] == Pool("service/demo/tls/443", protocol="https", tls=PoolTls(verify=False))
    assert pools(found)["service/demo/tls/80"] == Pool("service/demo/tls/80", protocol="h2c")
    assert [str(q) for q in found.quarantined] == [
        "cluster alpha: Ingress demo/younger: annotation northgate.edge/backend-protocol: "
        "has no effect: the older Ingress demo/older names h2c for the same port"
    ]


def test_what_is_passed_through_goes_to_the_same_pods():
    found = snapshot(api(ingress("a", "direct", tls_passthrough="true")))
    assert pools(found)["service/demo/echo/80"].passthrough == (Endpoint("10.0.0.2", 8080),)


def encoded(**data):
    return {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}


@functools.cache
def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=90))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
    text = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    form = serialization.PrivateFormat.PKCS8
    return text, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def tls_secret():
    chain, key = certificate()
    return {"type": "kubernetes.io/tls", "data": encoded(tls_crt=chain, tls_key=key)}


def user(name, password):
    return {"type": "kubernetes.io/basic-auth", "data": encoded(username=name, password=password)}


def test_secrets_are_read_once_and_only_where_referred_to():
    entry = {"hosts": ["shop.example"], "secretName": "cert"}
    items = [ingress("a", tls=[entry, {"secretName": "cert"}]), ingress("b", tls=[entry]), ingress("c", "foreign", tls=[{"secretName": "other"}])]
    reader = api(*items, secrets={"demo/cert": tls_secret(), "demo/other": tls_secret()})
    found = snapshot(reader)
    assert [path for path in reader.asked if "secrets" in path] == ["/api/v1/namespaces/demo/secrets/cert"]
    assert [(c.source, c.names, c.key_type) for c in found.certificates] == [("Secret demo/cert", ("shop.example",), "ecdsa")]
    assert [tls.hosts for tls in found.ingresses[0].tls] == [("a.example",), ("shop.example",)]
    assert not found.quarantined


@pytest.mark.parametrize(
    ("secret", "field", "cause"),
    [
        (404, "metadata.name", "does not exist"),
        (403, "metadata.name", "may not be read (HTTP 403): run playbooks/cluster_access.yml again, with cluster_access_secrets true"),
        ({"type": "Opaque", "data": {}}, "type", "is 'Opaque', neither kubernetes.io/tls nor kubernetes.io/basic-auth"),
        (user("a", "b"), "type", "is not kubernetes.io/tls"),
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": "eA=="}}, "data.tls.key", "is missing"),
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": "?", "tls.key": ""}}, "data.tls.crt", "is no base64"),
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": "eA==", "tls.key": "eA=="}}, "data", "holds no certificate"),
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": "A" * 700_000, "tls.key": "eA=="}}, "data.tls.crt", "is longer than"),
        ({"type": "kubernetes.io/tls"}, "data.tls.crt", "is missing"),
        ({"type": ["x"]}, "type", "neither"),
        ([], "type", "neither"),
    ],
)
def test_a_certificate_that_can_not_be_used_is_named_with_who_wants_it_and_costs_nothing_else(secret, field, cause):
    tls = [{"hosts": ["shop.example"], "secretName": "bad"}, {"hosts": ["shop.example"], "secretName": "good"}]
    younger = ingress("younger", tls=tls, created="2026-02-01T00:00:00Z")
    found = snapshot(api(younger, ingress(tls=tls), secrets={"demo/bad": secret, "demo/good": tls_secret()}))
    assert [c.source for c in found.certificates] == ["Secret demo/good"]
    assert len(found.ingresses) == 2 and found.ingresses[0].policy != CLOSED
    (named,) = found.quarantined
    assert (named.object, named.field) == ("Secret demo/bad", field)
    assert cause in named.cause and named.cause.endswith("(spec.tls of Ingress demo/shop names it)")


def test_users_come_from_secrets_as_digests():
    found = snapshot(api(ingress(basic_auth_secret="b,a"), secrets={"demo/a": user("ann", "x"), "demo/b": user("bob", "pass:word")}))
    expected = {hashlib.sha256(text).hexdigest().upper() for text in (b"ann:x", b"bob:pass:word")}
    assert set(found.ingresses[0].policy.users) == expected
    assert found.ingresses[0].policy.users == tuple(sorted(expected))


@pytest.mark.parametrize(
    ("secret", "cause"),
    [
        (404, "Secret demo/bad: metadata.name: does not exist"),
        (403, "Secret demo/bad: metadata.name: may not be read"),
        (tls_secret(), "Secret demo/bad: type: is not kubernetes.io/basic-auth"),
        (user("", "x"), "Secret demo/bad: data.username: is empty"),
        (user("a:b", "x"), "Secret demo/bad: data.username: is empty or holds a colon"),
        (user("a", ""), "Secret demo/bad: data.password: is empty"),
        ({"type": "kubernetes.io/basic-auth", "data": {"username": "YQ=="}}, "Secret demo/bad: data.password: is missing"),
    ],
)
def test_an_ingress_whose_users_can_not_be_read_is_closed(secret, cause):
    secrets = {"demo/good": user("ann", "x"), "demo/bad": secret}
    found = snapshot(api(ingress(basic_auth_secret="bad,good"), ingress("canary", basic_auth_secret="bad", canary_weight="5"), secrets=secrets))
    assert [(i.name, i.policy) for i in found.ingresses] == [("shop", CLOSED)]
    assert found.ingresses[0].paths
    assert {q.object for q in found.quarantined} == {"Ingress demo/shop", "Ingress demo/canary"}
    assert all(q.cause.startswith(cause) for q in found.quarantined)


def test_no_secret_is_in_what_is_told():
    raw = {"type": "kubernetes.io/tls", "data": encoded(tls_crt=certificate()[0], tls_key="s3cret")}
    reader = api(ingress(tls=[{"secretName": "a"}], basic_auth_secret="b"), secrets={"demo/a": raw, "demo/b": user("s3cret:x", "s3cret")})
    found = snapshot(reader)
    assert len(found.quarantined) == 2 and "s3cret" not in str(found.quarantined)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw, raw):
    """``raw`` with junk somewhere inside."""
    raw = copy.deepcopy(raw)
    place = raw
    while isinstance(place, (dict, list)) and place:
        key = draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else draw(st.integers(0, len(place) - 1))
        if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.booleans()):
            place[key] = draw(JUNK)
            return raw
        place = place[key]
    return raw


RICH = ingress("bad", "direct", tls=[{"hosts": ["bad.example"], "secretName": "bad"}], basic_auth_secret="users", max_body="1m")
CLASS = {"metadata": {"name": "direct", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}, "spec": {"controller": "c"}}


class Strange(Api):
    """Does not look into objects, for they may be anything."""

    def read(self, path, build, page_size=500, **query):
        return build(iter(copy.deepcopy(self.lists.get(path.rpartition("/")[2], []))))


@given(st.data())
def test_no_object_raises_anything_or_costs_another_one(data):
    found = Strange(
        {"demo/bad": data.draw(damaged(tls_secret())), "demo/users": data.draw(damaged(user("a", "b"))), "demo/good": tls_secret()},
        ingresses=[data.draw(damaged(RICH)), data.draw(JUNK), ingress("good", "direct", tls=[{"secretName": "good"}])],
        services=[data.draw(damaged(service("demo/bad", ("http", 80)))), data.draw(JUNK), *SERVICES],
        endpointslices=[data.draw(damaged(endpoint_slice("demo/bad", "10.0.0.3", ("http", 1)))), data.draw(JUNK), *SLICES],
        ingressclasses=[data.draw(damaged(CLASS)), data.draw(JUNK)],
    )
    observed = snapshot(found)
    assert codec.load(codec.dump(observed), "test") == observed
    good = [i for i in observed.ingresses if i.name == "good"]
    assert [i.paths[0].pool for i in good] == ["service/demo/echo/80"]
    assert Endpoint("10.0.0.2", 8080) in pools(observed)["service/demo/echo/80"].endpoints
    assert "Secret demo/good" in [c.source for c in observed.certificates]
    assert all(len(q.object) < 600 and len(q.field) < 300 and len(q.cause) < 500 for q in observed.quarantined)


@given(st.data())
def test_the_order_of_objects_never_changes_the_bytes(data):
    items = [
        ingress("a", "direct", tls=[{"secretName": "cert"}, {"secretName": "none"}]),
        ingress("b", "direct", backend_protocol="h2c", tls=[{"secretName": "none"}]),
        ingress("c", "direct", backend_protocol="https", created="2026-01-02T00:00:00Z"),
        ingress("d", None, basic_auth_secret="users"),
        ingress("e", "traefik", ssl_redirect="?"),
        ingress("f", "direct", "none"),
    ]
    slices = [*SLICES, endpoint_slice("demo/echo", "10.0.0.4", ("http", 8081)), endpoint_slice("demo/echo", "127.0.0.1", ("http", 8081))]
    classes = [CLASS, {"metadata": {"name": "traefik", "annotations": CLASS["metadata"]["annotations"]}, "spec": {}}]
    secrets = {"demo/cert": tls_secret(), "demo/users": user("a", "b")}
    whole = codec.dump(snapshot(api(*items, secrets=secrets, slices=slices, classes=classes)))
    turned = api(
        *data.draw(st.permutations(items)),
        secrets=secrets,
        services=data.draw(st.permutations(SERVICES)),
        slices=data.draw(st.permutations(slices)),
        classes=data.draw(st.permutations(classes)),
    )
    assert codec.dump(snapshot(turned)) == whole


def test_what_the_status_of_our_ingresses_holds_is_told_also_of_those_that_are_skipped():
    told, skipped = ingress("told"), ingress("skipped")
    told["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    skipped["spec"]["rules"] = "none"
    source = ClusterSource.parse("alpha", {"kubeconfig": "/k", "ingress_classes": CLASSES})
    found = observe.observe(source, api(told, skipped, ingress("foreign", "foreign")), 500)
    assert [i.name for i in found.snapshot.ingresses] == ["told"]
    assert found.statuses == {"demo/told": frozenset({Address("ip", "192.0.2.1")}), "demo/skipped": frozenset()}


def balanced(name="demo/mail", **spec):
    found = service(name, ("smtp", 25), type="LoadBalancer", **spec)
    found["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    return found


NODE = {
    "metadata": {"name": "w1"},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.9.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]},
}


def observed_with_pools(found, *pools):
    parsed = [AddressPool.parse(f"p{n}", {"addresses": ["203.0.113.0/24"], "clusters": list(clusters)}) for n, clusters in enumerate(pools)]
    return observe.observe(ClusterSource.parse("alpha", {"kubeconfig": "/k", "ingress_classes": CLASSES}, parsed), found, 500)


def test_services_and_nodes_come_out_of_the_same_lists():
    slices = [*SLICES, endpoint_slice("demo/mail", "10.0.0.5", ("smtp", 2525))]
    foreign = balanced("demo/foreign", loadBalancerClass="example.com/lb")
    objects = api(ingress("a", "direct"), ingress("b", "direct", "mail", 25), services=[*SERVICES, balanced(), foreign], slices=slices)
    objects.lists["nodes"] = [NODE]
    found = observed_with_pools(objects, ["beta"], ["alpha"])
    assert objects.asked[2:-1] == ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/nodes"]
    assert found.snapshot.nodes == (Node("w1", ("10.9.0.1",)),)
    (mail,) = found.snapshot.services
    assert mail.ports == (ServicePort("TCP", 25, endpoints=(ServiceEndpoint("10.0.0.5", 2525),)),)
    assert (mail.full_name, mail.addresses) == ("demo/mail", ("203.0.113.7",))
    assert found.services.ours == {"demo/mail": [{"ip": "203.0.113.7"}]} and set(found.services.released) == {"demo/foreign"}
    assert pools(found.snapshot)["service/demo/mail/25"].endpoints == (Endpoint("10.0.0.5", 2525),)
    assert pools(found.snapshot)["service/demo/echo/80"].endpoints == (Endpoint("10.0.0.2", 8080),)
    assert codec.load(codec.dump(found.snapshot), "test") == found.snapshot


@pytest.mark.parametrize("more", [0, 9])
def test_a_cluster_without_a_pool_costs_nothing_more(more):
    objects = api(*(ingress(f"i{n}", "direct", f"s{n}") for n in range(more)), services=[*SERVICES, balanced()])
    objects.lists["nodes"] = [NODE]
    found = observed_with_pools(objects, ["beta"])
    assert (found.snapshot.services, found.snapshot.nodes, found.services) == ((), (), None)
    assert len(objects.asked) == 5 and "/api/v1/nodes" not in objects.asked


@given(st.data())
def test_the_order_of_services_never_changes_the_bytes(data):
    items = [balanced(), balanced("demo/b"), balanced("mail/c", loadBalancerSourceRanges=["10.0.0.0/8", "192.0.2.0/24"])]
    slices = [endpoint_slice("demo/mail", address, ("smtp", port)) for address, port in (("10.0.0.5", 25), ("10.0.0.5", 26), ("10.0.0.4", 25))]
    slices[0]["endpoints"][0] |= {"nodeName": "w1", "conditions": {"ready": False}}
    slices.append(copy.deepcopy(slices[0]))
    slices[-1]["endpoints"][0] |= {"nodeName": "w2", "conditions": {"ready": True}}
    machines = [{**NODE, "metadata": {"name": name, "creationTimestamp": f"2026-01-0{age}T00:00:00Z"}} for name, age in (("w1", 2), ("w2", 1), ("w3", 1))]

    def snapshot_of(services, pods, nodes):
        objects = api(services=[*SERVICES, *services], slices=[*SLICES, *pods])
        objects.lists["nodes"] = nodes
        return codec.dump(observed_with_pools(objects, ["alpha"]).snapshot)

    turned = snapshot_of(*(data.draw(st.permutations(one)) for one in (items, slices, machines)))
    assert turned == snapshot_of(items, slices, machines)


def test_a_cluster_that_fails_is_told_and_the_others_go_on(monkeypatch):
    class Client(Api):
        def __init__(self, kubeconfig, context, timeout):
            super().__init__(services=SERVICES, endpointslices=SLICES)
            self.kubeconfig = kubeconfig

        def read(self, path, build, page_size=500, **query):
            if self.kubeconfig == "/defect":
                raise RuntimeError("surprise")
            if self.kubeconfig == "/partial" and path.endswith("endpointslices"):
                raise NotObserved("half")
            return super().read(path, build, page_size, **query)

        def close(self):
            pass

    monkeypatch.setattr(observe, "Client", Client)
    sources = [ClusterSource.parse(name, {"kubeconfig": f"/{name}", "ingress_classes": CLASSES}) for name in ("good", "defect", "partial")]
    results = observe.observe_all(sources, 10.0, 500)
    assert results["good"].snapshot.pools
    assert str(results["defect"]) == "RuntimeError: surprise. This is a defect: please report it"
    assert str(results["partial"]) == "half"
    assert observe.observe_all([], 10.0, 500) == {}
