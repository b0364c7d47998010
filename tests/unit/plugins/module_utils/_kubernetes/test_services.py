# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a Service's port to the pods behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import services as subject
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.hostile import Quarantine
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ServicePort

ECHO = ("demo", "echo")
PORTS = [{"name": "web", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "grpc", "port": 81, "appProtocol": "grpc"}]


def service(name="echo", ports=..., **spec):
    return {"metadata": {"namespace": "demo", "name": name}, "spec": {"ports": PORTS if ports is ... else ports, **spec}}


def endpoint_slice(*endpoints, family="IPv4", service_name="echo", ports=({"name": "web", "port": 8000},)):
    metadata = {"namespace": "demo", "name": "echo-x", "labels": {"kubernetes.io/service-name": service_name}}
    return {"metadata": metadata, "addressType": family, "ports": list(ports), "endpoints": list(endpoints)}


def found(*slices, port="web", raw=None):
    """The endpoints at ``port``, and what is quarantined."""
    services, quarantine = subject.Services(), Quarantine("alpha")
    subject.take_services(services, [raw or service()], {ECHO})
    subject.take_slices(services, slices, quarantine)
    return services.port(ServicePort(*ECHO, port)).endpoints, sorted(map(str, quarantine.found))


def test_conditions_of_endpoints_are_told_apart_and_absent_ones_mean_ready():
    terminating = {"ready": False, "serving": True, "terminating": True}
    endpoints, quarantined = found(
        endpoint_slice({"addresses": ["10.0.0.2"], "conditions": terminating}),
        endpoint_slice({"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.3"], "conditions": {"ready": None, "serving": False}}),
    )
    assert endpoints == (
        Endpoint("10.0.0.1", 8000),
        Endpoint("10.0.0.2", 8000, ready=False, serving=True, terminating=True),
        Endpoint("10.0.0.3", 8000, serving=False),
    )
    assert not quarantined


def test_ipv4_is_taken_of_a_dual_stack_service_and_ipv6_of_an_ipv6_service():
    v4, v6 = endpoint_slice({"addresses": ["10.0.0.1"]}), endpoint_slice({"addresses": ["FD00::1"]}, family="IPv6")
    assert [e.address for e in found(v6, v4)[0]] == ["10.0.0.1"]
    assert [e.address for e in found(v6, endpoint_slice())[0]] == ["fd00::1"]
    assert found(endpoint_slice({"addresses": ["host.example"]}, family="FQDN"))[0] == ()


def test_the_port_of_pods_is_that_of_each_slice():
    one = endpoint_slice({"addresses": ["10.0.0.1"]}, ports=[{"name": "web", "port": 8000}, {"name": "grpc", "port": 9000}])
    two = endpoint_slice({"addresses": ["10.0.0.2"]}, ports=[{"name": "web", "port": 8001}, {"name": "web", "port": 1, "protocol": "UDP"}])
    assert found(one, two)[0] == (Endpoint("10.0.0.1", 8000), Endpoint("10.0.0.2", 8001))
    assert found(one, two, port="80")[0] == found(one, two, port="web")[0]
    assert found(one, two, port="81")[0] == (Endpoint("10.0.0.1", 9000),)
    unnamed = endpoint_slice({"addresses": ["10.0.0.1"]}, ports=[{"name": "", "port": 7}])
    assert found(unnamed, port="80", raw=service(ports=[{"port": 80}]))[0] == (Endpoint("10.0.0.1", 7),)


def test_an_endpoint_that_moves_between_slices_counts_once_in_its_better_state():
    old = endpoint_slice({"addresses": ["10.0.0.1"], "conditions": {"ready": False, "serving": False, "terminating": True}})
    new = endpoint_slice({"addresses": ["10.0.0.1"]})
    assert found(old, new)[0] == found(new, old)[0] == (Endpoint("10.0.0.1", 8000),)


@pytest.mark.parametrize(
    "address",
    [
        "1.2.3.4 evil", "127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "ff02::1",
        "::ffff:127.0.0.1", None, 7,
    ],
)
def test_an_address_that_no_pod_has_costs_one_endpoint(address):
    endpoints, quarantined = found(endpoint_slice({"addresses": [address]}, {"addresses": ["10.0.0.1"]}))
    assert endpoints == (Endpoint("10.0.0.1", 8000),)
    assert "EndpointSlice demo/echo-x: endpoints[0].addresses[0]" in quarantined[0]


def test_slices_of_other_services_do_not_count():
    assert found(endpoint_slice({"addresses": ["10.0.0.1"]}, service_name="other"))[0] == ()


@pytest.mark.parametrize(
    ("application", "protocol"),
    [
        (None, "http"), ("http", "http"), ("kubernetes.io/ws", "http"), ("kubernetes.io/h2c", "h2c"), ("grpc", "h2c"), ("https", "https"),
        ("kubernetes.io/wss", "https"), (["https"], "http"),
    ],
)
def test_the_protocol_is_said_by_the_service(application, protocol):
    services = subject.Services()
    subject.take_services(services, [service(ports=[{"name": "web", "port": 80, "appProtocol": application}])], {ECHO})
    assert services.port(ServicePort(*ECHO, "80")).protocol == protocol


@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        (ServicePort("demo", "none", "80"), "service: there is no Service demo/none"),
        (ServicePort("demo", "external", "80"), "service: Service demo/external is an ExternalName: it has no pods"),
        (ServicePort("demo", "echo", "admin"), "port: 'admin' is no port of Service demo/echo; its ports are web/80, grpc/81"),
        (ServicePort("demo", "echo", "53"), "port: '53' is no port"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(wanted, cause):
    services = subject.Services()
    subject.take_services(services, [service(), service("external", type="ExternalName")], {ECHO, ("demo", "external")})
    with pytest.raises(InvalidValue, match=cause):
        services.port(wanted)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "port", "addresses", "conditions", "protocol"]), inner, max_size=3),
    max_leaves=8,
)


@given(JUNK, JUNK, JUNK, JUNK, JUNK)
def test_strange_objects_raise_nothing_and_cost_nothing_else(ports, endpoints, slice_ports, metadata, anything):
    services, quarantine = subject.Services(), Quarantine("alpha")
    good, bad = service(), service()
    bad["spec"]["ports"], bad["metadata"]["name"] = ports, "bad"
    subject.take_services(services, [anything, {"metadata": metadata, "spec": anything}, bad, good], {ECHO, ("demo", "bad")})
    strange, stranger = endpoint_slice(), endpoint_slice({"addresses": ["10.0.0.9"]})
    strange["endpoints"], stranger["ports"] = endpoints, slice_ports
    good_slice = endpoint_slice({"addresses": ["10.0.0.1"]})
    subject.take_slices(services, [anything, {"metadata": metadata}, strange, stranger, good_slice, endpoint_slice(service_name="bad")], quarantine)
    assert Endpoint("10.0.0.1", 8000) in services.port(ServicePort(*ECHO, "80")).endpoints
