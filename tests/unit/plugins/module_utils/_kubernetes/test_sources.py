# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operator's configuration of clusters, and which ingresses are theirs by it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.classes import Classes
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClassSource, ClusterSource, ServicePort

CONTROLLER = {"service": "traefik/traefik", "port": "web"}


def parse(**options):
    return ClusterSource.parse("alpha", {"kubeconfig": "/k", **options})


def test_everything_that_can_be_said():
    full = {**CONTROLLER, "tls_port": 8443, "protocol": "https", "proxy_protocol": True, "tls": {"server_name": "pods.example", "verify": False}}
    found = parse(
        context="c",
        ingress_classes={"full": full, "direct": {"mode": "direct", "tls": {"server_name": "x.example"}}},
        ingress_controllers={"example.com/controller": CONTROLLER},
        default_backend={"service": "demo/sorry", "port": 80},
        bgp="is another's key",
    )
    assert (found.name, found.kubeconfig, found.context) == ("alpha", "/k", "c")
    one = found.classes["full"]
    assert (one.backend, one.tls_port, one.protocol, one.proxy_protocol) == (ServicePort("traefik", "traefik", "web"), "8443", "https", True)
    assert (one.tls.server_name, one.tls.verify, one.direct) == ("pods.example", False, False)
    assert found.classes["direct"].direct and found.classes["direct"].tls.server_name == "x.example"
    assert found.controllers == {"example.com/controller": ClassSource(ServicePort("traefik", "traefik", "web"))}
    assert found.default_backend == ServicePort("demo", "sorry", "80")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kubeconfig": None}, r"clusters.alpha.kubeconfig: is missing"),
        ({"kubeconfig": ["/k"]}, r"clusters.alpha.kubeconfig: \['/k'\] is no str"),
        ({"ingress_classes": ["x"]}, "clusters.alpha.ingress_classes: .* is no dict"),
        ({"ingress_classes": {"a b": CONTROLLER}}, "clusters.alpha.ingress_classes: 'a b' is no DNS name"),
        ({"ingress_classes": {"x": None}}, "clusters.alpha.ingress_classes.x: None is no dictionary"),
        ({"ingress_classes": {"x": {"service": "a/b"}}}, "clusters.alpha.ingress_classes.x.port: is missing"),
        ({"ingress_classes": {"x": {**CONTROLLER, "service": "traefik"}}}, "'traefik' is not of the form namespace/name"),
        ({"ingress_classes": {"x": {**CONTROLLER, "service": "../x"}}}, "x.service: '..' is no DNS label"),
        ({"ingress_classes": {"x": {**CONTROLLER, "port": "a b"}}}, "x.port: 'a b' is no DNS label"),
        ({"ingress_classes": {"x": {**CONTROLLER, "mode": "magic"}}}, "x.mode: 'magic' is not one of controller, direct"),
        ({"ingress_classes": {"x": {**CONTROLLER, "tlsport": 1}}}, "x.tlsport: is no option in mode controller; they are mode, port"),
        ({"ingress_classes": {"x": {**CONTROLLER, "mode": "direct"}}}, "x.port: is no option in mode direct; they are mode, tls"),
        ({"ingress_classes": {"x": {**CONTROLLER, "protocol": "h3"}}}, "x.protocol: 'h3' is not one of http, h2c, https"),
        ({"ingress_classes": {"x": {**CONTROLLER, "proxy_protocol": "yes"}}}, "x.proxy_protocol: 'yes' is no bool"),
        ({"ingress_classes": {"x": {**CONTROLLER, "tls": {"verify": True}}}}, "x.tls: is for protocol https only"),
        ({"ingress_classes": {"x": {"mode": "direct", "tls": {"ca": "x"}}}}, "x.tls.ca: is no option"),
        ({"ingress_classes": {"x": {"mode": "direct", "tls": {"ca_file": "/does/not/exist"}}}}, "x.tls.ca_file: /does/not/exist can't be read: No such file"),
        ({"ingress_classes": {"x": {"mode": "direct", "tls": {"server_name": "a b"}}}}, "server_name"),
        ({"ingress_controllers": {"x": {}}}, "clusters.alpha.ingress_controllers.x.service: is missing"),
        ({"load_balancer_class": "a b"}, "clusters.alpha.load_balancer_class: 'a b' is no qualified name"),
        ({"load_balancer_class": True}, "clusters.alpha.load_balancer_class: True is no str"),
        ({"load_balancer_default": "yes"}, "clusters.alpha.load_balancer_default: 'yes' is no bool"),
        ({"default_backend": "demo/sorry"}, "clusters.alpha.default_backend: 'demo/sorry' is no dictionary"),
    ],
)
def test_mistakes_name_cluster_option_and_cause(options, message):
    with pytest.raises(InvalidValue, match=message):
        parse(**options)


@pytest.mark.parametrize(
    ("pools", "services"),
    [
        ({}, False),
        ({"public": {}}, True),
        ({"public": {"clusters": ["beta"]}, "other": {"clusters": ["beta", "alpha"]}}, True),
        ({"public": {"clusters": ["beta"]}}, False),
    ],
)
def test_services_are_looked_for_where_a_pool_has_addresses_for_them(pools, services):
    parsed = [AddressPool.parse(name, {"addresses": ["203.0.113.0/24"], **options}) for name, options in pools.items()]
    assert ClusterSource.parse("alpha", {"kubeconfig": "/k"}, parsed).services == services


def test_classes_of_services():
    assert (parse().load_balancer_class, parse().load_balancer_default) == ("northgate.edge/edge", True)
    found = parse(load_balancer_class="example.com/lb", load_balancer_default=False)
    assert (found.load_balancer_class, found.load_balancer_default) == ("example.com/lb", False)


def test_names_of_clusters_are_dns_labels():
    with pytest.raises(InvalidValue, match="'a/b' is no DNS label"):
        ClusterSource.parse("a/b", {"kubeconfig": "/k"})


def test_files_of_tls_are_read_and_checked(tmp_path):
    (tmp_path / "ca.pem").write_text("junk")
    with pytest.raises(InvalidValue, match="x.tls.ca_file: holds no certificate"):
        parse(ingress_classes={"x": {"mode": "direct", "tls": {"ca_file": str(tmp_path / "ca.pem")}}})


def ingress_class(name, controller="example.com/a", created="2026-01-01T00:00:00Z", default=None):
    annotations = {} if default is None else {"ingressclass.kubernetes.io/is-default-class": default}
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}, "spec": {"controller": controller}}


def ingress(name=None, legacy=None):
    annotations = {} if legacy is None else {"kubernetes.io/ingress.class": legacy}
    return {"metadata": {"annotations": annotations}, "spec": {} if name is None else {"ingressClassName": name}}


SOURCE = parse(ingress_classes={"named": CONTROLLER}, ingress_controllers={"example.com/a": {"mode": "direct"}})


def test_a_class_is_configured_by_its_name_or_else_by_its_controller():
    classes = Classes(SOURCE, [ingress_class("named"), ingress_class("other"), ingress_class("foreign", "example.com/b")])
    assert {name: source.direct for name, source in classes.sources.items()} == {"named": False, "other": True}
    assert [classes.of(ingress(name)) for name in ("named", "other", "foreign", "gone")] == ["named", "other", None, None]
    assert Classes(SOURCE, []).of(ingress("named")) == "named"


def test_the_spec_counts_before_the_annotation_and_that_before_the_default_class():
    classes = Classes(SOURCE, [ingress_class("other", default="true"), ingress_class("foreign", "example.com/b")])
    assert classes.of(ingress("named", "other")) == "named"
    assert classes.of(ingress("foreign", "other")) is None
    assert classes.of(ingress(None, "named")) == "named"
    assert classes.of(ingress(None, "foreign")) is None
    assert classes.of(ingress()) == "other"
    assert Classes(SOURCE, [ingress_class("other", default="false")]).of(ingress()) is None
    assert classes.of(ingress(["named"])) is None and classes.of({"spec": 7, "metadata": 8}) == "other"


def test_of_several_default_classes_the_newest_is_taken_and_the_first_by_name_of_equals():
    items = [
        ingress_class("old", created="2026-01-01T00:00:00Z", default="true"),
        ingress_class("new-b", created="2026-01-02T00:00:00Z", default="true"),
        ingress_class("new-a", created="2026-01-02T00:00:00Z", default="true"),
    ]
    for seed in range(6):
        assert Classes(SOURCE, random.Random(seed).sample(items, 3)).default == "new-a"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(["metadata", "spec", "name"]), inner, max_size=3),
    max_leaves=8,
)


@given(JUNK, JUNK, JUNK)
def test_strange_classes_and_ingresses_raise_nothing(one, name, controller):
    classes = Classes(SOURCE, [one, ingress_class(name, controller, created=one, default=name)])
    assert classes.of({"metadata": one, "spec": name}) in (None, *classes.sources)


@given(JUNK, JUNK)
def test_strange_configuration_raises_nothing_else(name, options):
    for given_options in (options, {"kubeconfig": "/k", "ingress_classes": {"x": options}}, {"kubeconfig": "/k", "default_backend": options}):
        try:
            ClusterSource.parse(name if isinstance(name, str) else "alpha", given_options)
        except InvalidValue:
            pass
