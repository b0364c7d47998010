# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw objects to the model: hostile input costs the object that it came in, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Rule
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import decode


def raw_ingress(*paths, host="shop.example", **metadata):
    return {
        "metadata": {"namespace": "demo", "name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata},
        "spec": {
            "ingressClassName": "traefik",
            "rules": [{"host": host, "http": {"paths": [{"path": p, "pathType": kind} for p, kind in paths]}}],
        },
    }


@pytest.mark.parametrize(
    ("path", "path_type", "rule"),
    [
        ("/foo", "Exact", Rule("shop.example", "/foo", "Exact")),
        ("/foo/", "Exact", Rule("shop.example", "/foo/", "Exact")),
        ("/foo", "Prefix", Rule("shop.example", "/foo", "Prefix")),
        ("/foo/", "Prefix", Rule("shop.example", "/foo", "Prefix")),
        ("/", "Prefix", Rule("shop.example", "/", "Prefix")),
        (None, "ImplementationSpecific", Rule("shop.example", "/", "Prefix")),
    ],
)
def test_paths(path, path_type, rule):
    ingress, quarantined = decode.ingress("alpha", raw_ingress((path, path_type)))
    assert (ingress.rules, quarantined) == ((rule,), [])


def test_one_bad_rule_is_quarantined_with_its_field_and_the_others_are_served():
    ingress, quarantined = decode.ingress("alpha", raw_ingress(("/good", "Prefix"), ("/bad path", "Prefix")))
    assert [rule.path for rule in ingress.rules] == ["/good"]
    assert str(quarantined[0]) == (
        "cluster alpha: Ingress demo/shop: spec.rules[0].http.paths[1].path: "
        "'/bad path' is no absolute path of RFC 3986 characters"
    )


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (raw_ingress(("/", "Prefix"), host="*.example"), "spec.rules[0].host"),
        (raw_ingress(("/", "Prefix"), host="x\nbackend evil"), "spec.rules[0].host"),
        (raw_ingress(("/", "Regex")), "spec.rules[0].http.paths[0].pathType"),
        (raw_ingress(("/", "Prefix"), namespace="../etc"), "metadata.namespace"),
    ],
)
def test_an_ingress_of_which_nothing_is_left_is_named(raw, field):
    ingress, quarantined = decode.ingress("alpha", raw)
    assert ingress is None
    assert [q.field for q in quarantined] == [field]


def raw_slice(family="IPv4", **endpoint):
    return {
        "metadata": {"namespace": "traefik", "name": "traefik-x"},
        "addressType": family,
        "ports": [{"name": "web", "port": 8000}, {"name": "websecure", "port": 8443}],
        "endpoints": [endpoint],
    }


def test_conditions_of_endpoints_are_told_apart_and_absent_ones_mean_ready():
    slices = [
        raw_slice(addresses=["10.0.0.1"]),
        raw_slice(addresses=["10.0.0.2"], conditions={"ready": False, "serving": True, "terminating": True}),
    ]
    found, quarantined = decode.endpoints("alpha", slices, "web")
    assert found == (
        Endpoint("10.0.0.1", 8000),
        Endpoint("10.0.0.2", 8000, ready=False, serving=True, terminating=True),
    )
    assert not quarantined


def test_ipv4_is_taken_of_a_dual_stack_service_and_ipv6_of_an_ipv6_service():
    v4, v6 = raw_slice(addresses=["10.0.0.1"]), raw_slice("IPv6", addresses=["FD00::1"])
    assert [e.address for e in decode.endpoints("alpha", [v6, v4], "web")[0]] == ["10.0.0.1"]
    assert [e.address for e in decode.endpoints("alpha", [v6], "web")[0]] == ["fd00::1"]


def test_a_bad_address_costs_one_endpoint():
    found, quarantined = decode.endpoints("alpha", [raw_slice(addresses=["1.2.3.4 evil"])], "web")
    assert not found
    assert quarantined[0].object == "EndpointSlice traefik/traefik-x"


@pytest.mark.parametrize(("wanted", "name"), [("web", "web"), ("443", "websecure")])
def test_a_port_is_found_by_name_and_by_number(wanted, name):
    service = {"spec": {"ports": [{"name": "web", "port": 80}, {"name": "websecure", "port": 443}]}}
    assert decode.service_port_name(service, wanted) == name


def test_a_port_that_is_not_there_is_named_with_what_is():
    with pytest.raises(InvalidValue, match="'admin' is no port of the Service; its ports are web/80"):
        decode.service_port_name({"spec": {"ports": [{"name": "web", "port": 80}]}}, "admin")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JUNK, JUNK, JUNK, JUNK)
def test_strange_fields_raise_nothing_and_pass_nothing_strange(name, host, path, path_type):
    raw = raw_ingress((path, path_type), ("/good", "Exact"), host=host, name=name)
    ingress, quarantined = decode.ingress("alpha", raw)
    assert ingress or quarantined
