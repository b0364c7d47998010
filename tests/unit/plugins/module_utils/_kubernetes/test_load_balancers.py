# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Services of type LoadBalancer to the model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, ServiceEndpoint, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import slices
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.balanced import LoadBalancers
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.hostile import Quarantine
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

POOL = AddressPool.parse("public", {"addresses": ["203.0.113.0/24"]})
PORTS = [{"name": "smtp", "port": 25}, {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}, {"name": "dns", "port": 53}]
LEGACY_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def service(name="mail", status=(), annotations=None, labels=None, others=None, **spec):
    """A raw Service; ``annotations`` are ours, without prefix, ``others`` are not."""
    ours = {f"northgate.edge/{key}": value for key, value in (annotations or {}).items()}
    metadata = {
        "namespace": "demo",
        "name": name,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {**ours, **(others or {})},
        "labels": labels or {},
    }
    return {
        "metadata": metadata,
        "spec": {"type": "LoadBalancer", "ports": PORTS, "clusterIPs": ["10.96.0.1"], **spec},
        "status": {"loadBalancer": {"ingress": list(status)}},
    }


def endpoint_slice(*endpoints, family="IPv4", ports=({"name": "smtp", "port": 2525},), name="mail"):
    metadata = {"namespace": "demo", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}}
    return {"metadata": metadata, "addressType": family, "ports": list(ports), "endpoints": list(endpoints)}


def observed(*items, pods=(), **options):
    """The services, and what is quarantined, and what status holds."""
    quarantine = Quarantine("alpha")
    balancers = LoadBalancers(ClusterSource.parse("alpha", {"kubeconfig": "/k", **options}, [POOL]), quarantine)
    assert list(balancers.passing(items)) == list(items)
    balancers.take(slices.collect(pods, balancers.keys, quarantine))
    return balancers.services(), sorted(map(str, quarantine.found)), balancers.statuses


def one(*args, pods=(), **spec):
    (found,), quarantined, _statuses = observed(service(*args, **spec), pods=pods)
    return found, quarantined


def test_everything_that_a_service_says():
    found, quarantined = one(
        annotations={
            "address-pool": "public",
            "load-balancer-ips": "2001:DB8::7, 203.0.113.7",
            "allow-shared-ip": "mail",
            "forwarding": "direct",
            "scheduler": "mh",
        },
        labels={"tier": "public", "example.com/empty": ""},
        status=[{"ip": "2001:db8::7"}, {"hostname": "x.example"}, {"ip": "203.0.113.7", "ipMode": "VIP"}, {"ip": "127.0.0.1"}, {"ip": 7}, "x"],
        clusterIPs=["10.96.0.1", "FD00::1"],
        ipFamilies=["IPv6", "IPv4"],
        ipFamilyPolicy="RequireDualStack",
        externalTrafficPolicy="Local",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
        loadBalancerSourceRanges=[" 192.0.2.0/24", "10.0.0.0/8"],
        loadBalancerIP="198.51.100.1",
    )
    assert not quarantined
    assert found.request == AddressRequest("public", ("203.0.113.7", "2001:db8::7"), "mail", (6, 4), "RequireDualStack")
    assert found.ports == (ServicePort("TCP", 25), ServicePort("TCP", 53), ServicePort("UDP", 53, 30053))
    assert (found.full_name, found.created, found.held) == ("demo/mail", "2026-01-01T00:00:00Z", False)
    assert found.cluster_ips == ("10.96.0.1", "fd00::1")
    assert found.addresses == ("203.0.113.7", "2001:db8::7")
    assert found.labels == (("example.com/empty", ""), ("tier", "public"))
    assert (found.local, found.affinity, found.source_ranges) == (True, 60, ("10.0.0.0/8", "192.0.2.0/24"))
    assert (found.forwarding, found.scheduler) == ("direct", "mh")


def test_what_is_not_said_has_the_defaults_of_kubernetes():
    found, quarantined = one()
    assert not quarantined
    assert found.request == AddressRequest()
    assert (found.local, found.affinity, found.source_ranges, found.forwarding, found.scheduler, found.labels) == (False, 0, (), "", "", ())
    assert one(sessionAffinity="ClientIP")[0].affinity == 10800
    assert one(clusterIPs=["fd00::1", "10.96.0.1"])[0].request.families == (6, 4)
    assert one(clusterIPs=["None", None], ipFamilies=["IPv6"])[0].cluster_ips == ()
    assert one(clusterIPs=None, clusterIP="10.96.0.9")[0].cluster_ips == ("10.96.0.9",)
    assert one(loadBalancerIP="198.51.100.1")[0].request.addresses == ("198.51.100.1",)
    assert one(loadBalancerSourceRanges=[], others={LEGACY_RANGES: "192.0.2.0/24,10.0.0.0/8"})[0].source_ranges == ("10.0.0.0/8", "192.0.2.0/24")
    assert one(loadBalancerSourceRanges=["10.0.0.0/8"], others={LEGACY_RANGES: "x"})[0].source_ranges == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("options", "name", "ours"),
    [
        ({}, None, True),
        ({}, "northgate.edge/edge", True),
        ({}, "example.com/other", False),
        ({}, "", False),
        ({}, ["northgate.edge/edge"], False),
        ({"load_balancer_default": False}, None, False),
        ({"load_balancer_default": False}, "northgate.edge/edge", True),
        ({"load_balancer_class": "example.com/other"}, "example.com/other", True),
        ({"load_balancer_class": "example.com/other"}, "northgate.edge/edge", False),
    ],
)
def test_the_class_says_whose_a_service_is(options, name, ours):
    status = [{"ip": "203.0.113.7", "ipMode": "VIP"}]
    found, _quarantined, statuses = observed(service(loadBalancerClass=name, status=status), **options)
    assert bool(found) == ours
    assert (statuses.ours, statuses.released) == (({"demo/mail": status}, {}) if ours else ({}, {"demo/mail": status}))


def test_what_is_not_served_any_more_is_told_where_its_status_still_holds_something():
    status = [{"ip": "203.0.113.7"}]
    deleted, plain, silent = service("deleted", status), service("plain", status, type="ClusterIP"), service("silent", type="ClusterIP")
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found, quarantined, statuses = observed(deleted, plain, silent, service("bad/name", status, type="ClusterIP"), service("new"))
    assert [one.name for one in found] == ["new"] and not quarantined
    assert json.loads(statuses.dump()) == {"version": 1, "statuses": {"demo/new": []}, "released": {"demo/deleted": status, "demo/plain": status}}


def test_a_list_that_is_read_again_begins_anew():
    balancers = LoadBalancers(ClusterSource.parse("alpha", {"kubeconfig": "/k"}, [POOL]), Quarantine("alpha"))
    list(balancers.passing([service("old"), service("older", [{"ip": "203.0.113.7"}], type="ClusterIP")]))
    list(balancers.passing([service("new")]))
    assert [one.name for one in balancers.services()] == ["new"]
    assert (set(balancers.statuses.ours), balancers.statuses.released) == ({"demo/new"}, {})


@pytest.mark.parametrize(
    ("annotations", "spec", "field"),
    [
        ({"address-pool": "A"}, {}, "annotation northgate.edge/address-pool: 'A' is no DNS label"),
        ({"address-pool": True}, {}, "annotation northgate.edge/address-pool: True is no text"),
        ({"load-balancer-ips": ""}, {}, "annotation northgate.edge/load-balancer-ips: '' is no IP address"),
        ({"load-balancer-ips": "203.0.113.7,203.0.113.8"}, {}, "are more than one of a family"),
        ({"load-balancer-ips": "203.0.113.7,2001:db8::7,2001:db8::8"}, {}, "has more than 2 values"),
        ({"load-balancer-ips": "127.0.0.1"}, {}, "127.0.0.1 is no address"),
        # Not what spec.loadBalancerIP asks for instead.
        ({"load-balancer-ips": "x"}, {"loadBalancerIP": "203.0.113.7"}, "annotation northgate.edge/load-balancer-ips: 'x' is no IP address"),
        ({"allow-shared-ip": "a b"}, {}, "annotation northgate.edge/allow-shared-ip: 'a b' is no key"),
        ({"forwarding": "magic"}, {}, "annotation northgate.edge/forwarding: 'magic' is not one of direct, tunnel, masquerade"),
        ({"scheduler": "MH"}, {}, "annotation northgate.edge/scheduler: 'MH' is not one of mh, sh"),
        ({}, {"loadBalancerSourceRanges": ["10.0.0.0/8", "10.0.0.1/8"]}, "spec.loadBalancerSourceRanges: '10.0.0.1/8' is no network"),
        ({}, {"loadBalancerSourceRanges": [None]}, "spec.loadBalancerSourceRanges: None is no network"),
        ({}, {"loadBalancerSourceRanges": "10.0.0.0/8"}, "spec.loadBalancerSourceRanges: is no list"),
        ({}, {"loadBalancerSourceRanges": ["10.0.0.1/32"] * 1025}, "at most 1024"),
        ({}, {"loadBalancerIP": "x"}, "spec.loadBalancerIP: 'x' is no IP address"),
        ({}, {"ipFamilies": []}, "spec.ipFamilies: [] are no families"),
        ({}, {"ipFamilies": ["IPv4", "IPv4"]}, "spec.ipFamilies: ['IPv4', 'IPv4'] are no families"),
        ({}, {"ipFamilies": ["IPv4", 6.0]}, "spec.ipFamilies"),
        ({}, {"ipFamilies": "IPv4"}, "spec.ipFamilies"),
        ({}, {"ipFamilyPolicy": "Any"}, "spec.ipFamilyPolicy: 'Any' is not one of SingleStack"),
        ({}, {"externalTrafficPolicy": "Near"}, "spec.externalTrafficPolicy: 'Near' is not one of Cluster, Local"),
        ({}, {"sessionAffinity": ["ClientIP"]}, "spec.sessionAffinity: ['ClientIP'] is not one of None, ClientIP"),
        *(
            ({}, {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}, "timeoutSeconds: ")
            for seconds in (0, 86401, True, 1.5, "60")
        ),
        ({}, {"ports": []}, "spec.ports: has none that can be served"),
        ({}, {"ports": [{"port": 0}]}, "spec.ports: has none that can be served"),
    ],
)
def test_a_service_with_a_mistake_keeps_its_address_and_gets_no_traffic(annotations, spec, field):
    status = [{"ip": "203.0.113.7"}]
    pods = [endpoint_slice({"addresses": ["10.0.0.1"]})]
    found, quarantined, statuses = observed(service(annotations=annotations, status=status, **spec), service("good"), pods=pods)
    held, good = sorted(found, key=lambda one: one.name, reverse=True)
    assert (held.held, held.ports, held.addresses) == (True, (), ("203.0.113.7",))
    assert statuses.ours["demo/mail"] == status
    assert any("Service demo/mail: " in line and field in line for line in quarantined)
    assert good.ports and not any("demo/good" in line for line in quarantined)


def test_ranges_in_the_annotation_of_clouds_protect_too():
    found, quarantined = one(others={LEGACY_RANGES: "everybody"})
    assert found.held and f"annotation {LEGACY_RANGES}" in quarantined[0]
    assert one(others={LEGACY_RANGES: 7})[0].held
    assert not one(others={LEGACY_RANGES: ""})[0].held


def test_what_is_unknown_is_named_and_the_service_served():
    found, quarantined = one(annotations={"sheduler": "rr"})
    assert not found.held
    assert quarantined == [
        "cluster alpha: Service demo/mail: annotation northgate.edge/sheduler: "
        "is unknown; known are address-pool, allow-shared-ip, forwarding, load-balancer-ips, router-group, scheduler"
    ]


def test_a_mistake_in_a_port_costs_that_port():
    ports = [{"port": 25}, {"port": 70000}, {"port": 26, "protocol": "ICMP"}, {"port": 27, "nodePort": "x"}, {"port": 25, "name": "again"}, "x"]
    ports.append({"port": 25, "protocol": "SCTP"})
    found, quarantined = one(ports=ports)
    assert found.ports == (ServicePort("SCTP", 25), ServicePort("TCP", 25))
    fields = ["spec.ports[1].port", "spec.ports[2].protocol", "spec.ports[3].nodePort", "spec.ports[4]", "spec.ports[5].port"]
    assert [line.split(": ")[2] for line in quarantined] == fields


def test_labels_and_cluster_addresses_that_are_none_are_left_out():
    labels = {"good": "x", "a b": "x", "long": "x" * 64, "none": None, "/": "", "a/b/c": "x"}
    found, quarantined = one(labels=labels, clusterIPs=["x", "10.96.0.1", "10.96.0.2"])
    assert (found.labels, found.cluster_ips, found.held) == ((("good", "x"),), ("10.96.0.1",), False)
    assert len(quarantined) == 6
    assert one(labels={f"l{number}": "" for number in range(101)})[0].held


@pytest.mark.parametrize(("key", "value"), [("name", "a/b"), ("namespace", None), ("creationTimestamp", "yesterday"), ("creationTimestamp", None)])
def test_a_service_without_name_or_age_is_skipped(key, value):
    raw = service()
    raw["metadata"][key] = value
    found, quarantined, statuses = observed(raw, service("good"))
    assert [one.name for one in found] == ["good"] and list(statuses.ours) == ["demo/good"]
    assert f"metadata.{key}" in quarantined[0]


def test_pods_of_both_families_and_all_protocols():
    terminating = {"ready": False, "serving": True, "terminating": True}
    ports = [{"name": "smtp", "port": 2525}, {"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns", "port": 5300}, {"name": "other", "port": 1}]
    found, quarantined = one(
        pods=[
            endpoint_slice({"addresses": ["10.0.0.2"], "nodeName": "w1"}, {"addresses": ["10.0.0.1"], "conditions": terminating}, ports=ports[:1]),
            endpoint_slice({"addresses": ["FD00::1"], "nodeName": "w 2"}, family="IPv6", ports=ports[:1]),
            endpoint_slice({"addresses": ["10.0.0.3"]}, ports=ports[1:]),
            endpoint_slice({"addresses": ["10.0.0.9"]}, ports=ports, name="other"),
        ]
    )
    assert {(port.protocol, port.port): port.endpoints for port in found.ports} == {
        ("TCP", 25): (
            ServiceEndpoint("10.0.0.1", 2525, ready=False, terminating=True),
            ServiceEndpoint("10.0.0.2", 2525, "w1"),
            ServiceEndpoint("fd00::1", 2525),
        ),
        ("TCP", 53): (ServiceEndpoint("10.0.0.3", 5300),),
        ("UDP", 53): (ServiceEndpoint("10.0.0.3", 5353),),
    }
    assert quarantined == ["cluster alpha: EndpointSlice demo/mail-x: endpoints[0].nodeName: 'w 2' is no DNS name (a-z, 0-9, '-' and '.', at most 253)"]


def test_of_an_endpoint_in_two_slices_the_better_state_and_its_node_count():
    old = endpoint_slice({"addresses": ["10.0.0.1"], "nodeName": "w2", "conditions": {"ready": False, "serving": False, "terminating": True}})
    new = endpoint_slice({"addresses": ["10.0.0.1"], "nodeName": "w1"})
    for pods in ([old, new], [new, old]):
        assert one(pods=pods)[0].ports[0].endpoints == (ServiceEndpoint("10.0.0.1", 2525, "w1"),)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "port", "ip", "clientIP", "protocol", "namespace"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    "clusterIPs",
    "clusterIP",
    "externalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "ports",
    "sessionAffinity",
    "sessionAffinityConfig",
    "type",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4), st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JUNK), JUNK)
def test_strange_objects_raise_nothing_and_cost_nothing_else(spec, whole, anything):
    strange = service("strange", **spec)
    strange["spec"].setdefault("type", "LoadBalancer")
    found, _quarantined, _statuses = observed(anything, {**service("whole"), **whole}, strange, service("good"))
    assert "good" in [one.name for one in found]
