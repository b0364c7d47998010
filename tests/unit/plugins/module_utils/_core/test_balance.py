# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which virtual services a router has: forwarding, merging and conflicts, shares, and what no service may take."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.balance import BalanceOptions, balance_state
from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import Destination, Forwarding, Frontend, Prefixes
from ansible_collections.northgate.edge.plugins.module_utils._core.balance_shares import spread
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import Share
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Node, Service, ServiceEndpoint, ServicePort

POOLS = Prefixes(["203.0.113.0/24", "2001:db8:100::/64"])
WEB = Frontend("TCP", "203.0.113.1", 80)
NODES = (Node("w1", ("10.0.0.1", "fd00::1")), Node("w2", ("10.0.0.2", "fd00::2")), Node("w3", ("10.0.0.3", "fd00::3"), ready=False))
ENDPOINTS = (
    ServiceEndpoint("10.1.1.1", 8080, "w1"),
    ServiceEndpoint("10.1.2.1", 8080, "w2", ready=False, serving=True, terminating=True),
    ServiceEndpoint("10.1.2.2", 8080, "w2", ready=False, serving=False),
    ServiceEndpoint("fd01::1", 8080, "w1"),
)


def service(name="web", port=None, **options):
    port = port or ServicePort("TCP", 80, 30080, ENDPOINTS)
    return Service(
        "demo", name, options.pop("created", "2026-01-01T00:00:00Z"), (port,), ("10.96.0.9", "fd96::9"), **{"addresses": ("203.0.113.1",), **options}
    )


def decide(*services, nodes=NODES, forwarding=None, **options):
    """Of cluster alpha."""
    found = BalanceOptions(POOLS, {"alpha": forwarding or Forwarding()}, **options)
    return balance_state([Snapshot("alpha", services=tuple(services), nodes=nodes)], found)


def to(state, frontend=WEB):
    return [str(d) for d in state.services[frontend].destinations]


def test_the_frontends_are_those_in_the_pools_alone():
    state = decide(service(addresses=("203.0.113.1", "2001:db8:100::1")), service("other", addresses=("198.51.100.1",)))
    assert list(state.services) == [Frontend("TCP", "2001:db8:100::1", 80), WEB] or list(state.services) == [WEB, Frontend("TCP", "2001:db8:100::1", 80)]
    assert (state.quarantined, state.warnings) == ((), ())


@pytest.mark.parametrize(
    ("how", "local", "expected"),
    [
        (Forwarding(), False, ["10.96.0.9:80"]),
        (Forwarding(masquerade_to="pods"), False, ["10.1.1.1:8080"]),
        (Forwarding(masquerade_to="node_ports"), False, ["10.0.0.1:30080", "10.0.0.2:30080"]),
        (Forwarding(masquerade_to="node_ports"), True, ["10.0.0.1:30080"]),
        (Forwarding("direct"), False, ["10.0.0.1:80", "10.0.0.2:80"]),
        (Forwarding("direct"), True, ["10.0.0.1:80"]),
        (Forwarding("tunnel"), False, ["10.0.0.1:80", "10.0.0.2:80"]),
    ],
)
def test_destinations_by_forwarding(how, local, expected):
    state = decide(service(local=local), forwarding=how)
    assert to(state) == expected
    assert {(d.method, d.tunnel, d.weight) for d in state.services[WEB].destinations} == {(how.mode, "ipip" if how.mode == "tunnel" else "", 1)}
    assert any("keep the client's address" in warning for warning in state.warnings) == (local and how.mode == "masquerade")


def test_the_family_of_a_frontend_is_that_of_its_destinations():
    six = Frontend("TCP", "2001:db8:100::1", 80)
    for how, expected in (
        (Forwarding(), "[fd96::9]:80"),
        (Forwarding(masquerade_to="pods"), "[fd01::1]:8080"),
        (Forwarding("tunnel", tunnel="gue"), "[fd00::1]:80"),
    ):
        state = decide(service(addresses=("2001:db8:100::1",), local=True), forwarding=how)
        assert to(state, six) == [expected]
    assert state.services[six].destinations == (Destination("fd00::1", 80, "tunnel", 1, "gue", 6080),)


def test_who_gets_new_connections_where_nobody_is_ready():
    only = ServicePort("TCP", 80, 0, ENDPOINTS[1:3])
    assert to(decide(service(port=only), forwarding=Forwarding(masquerade_to="pods"))) == ["10.1.2.1:8080"]
    assert to(decide(service(port=only, local=True), forwarding=Forwarding("direct"))) == ["10.0.0.2:80"]
    nobody = ServicePort("TCP", 80, 0, ENDPOINTS[2:3])
    assert to(decide(service(port=nobody))) == []
    down = tuple(replace(node, ready=False) for node in NODES)
    assert len(to(decide(service(), nodes=down, forwarding=Forwarding("direct")))) == 3


def test_a_service_may_choose_its_forwarding_and_scheduler():
    state = decide(service(forwarding="direct", scheduler="rr", affinity=300))
    assert to(state) == ["10.0.0.1:80", "10.0.0.2:80"]
    found = state.services[WEB]
    assert (found.scheduler, found.flags, found.persistence) == ("rr", (), 300)


def test_affinity_is_a_hash_of_the_address_where_no_router_may_hold_state():
    for how, flags, persistence in (
        (Forwarding("direct"), ("mh-fallback",), 0),
        (Forwarding("tunnel"), ("mh-fallback",), 0),
        (Forwarding(), ("mh-fallback", "mh-port"), 600),
    ):
        found = decide(service(affinity=600), forwarding=how).services[WEB]
        assert (found.flags, found.persistence) == (flags, persistence)
    assert decide(service()).services[WEB].flags == ("mh-fallback", "mh-port")
    assert decide(service(scheduler="sh", affinity=60)).services[WEB].flags == ("sh-fallback", "sh-port")


def test_nothing_of_the_router_or_of_a_pool_can_be_taken_or_reached():
    state = decide(service(), own_addresses=frozenset({"203.0.113.1"}))
    assert state.services == {} and "203.0.113.1 is an address of the router itself" in str(state.quarantined[0])
    hostile = ServicePort("TCP", 80, 0, (ServiceEndpoint("10.9.9.9", 22), ServiceEndpoint("203.0.113.7", 22), ServiceEndpoint("10.1.1.1", 22)))
    state = decide(service(port=hostile), forwarding=Forwarding(masquerade_to="pods"), own_addresses=frozenset({"10.9.9.9"}))
    assert to(state) == ["10.1.1.1:22"]
    assert sorted(q.cause.split()[2] for q in state.quarantined) == ["10.9.9.9", "203.0.113.7"]


def test_a_missing_node_port_is_told():
    state = decide(service(port=ServicePort("TCP", 80, 0, ENDPOINTS)), forwarding=Forwarding(masquerade_to="node_ports"))
    assert to(state) == [] and "has no nodePort" in str(state.quarantined[0])


def test_the_older_claim_gets_a_frontend_and_the_others_port_is_quarantined():
    younger = service("younger", created="2026-02-01T00:00:00Z", scheduler="rr")
    state = decide(younger, service())
    assert state.services[WEB].scheduler == "mh"
    assert [str(q) for q in state.quarantined] == [
        "cluster alpha: Service demo/younger: spec.ports: TCP 203.0.113.1:80 belongs to Service demo/web of cluster alpha, which is older"
    ]


def merged(shares=None, key="mail", other=None):
    one = Snapshot("alpha", services=(service(request=AddressRequest(sharing_key="mail")),), nodes=NODES)
    request = AddressRequest(sharing_key=key)
    nodes = (Node("b1", ("10.5.0.1",)),)
    two = Snapshot("beta", services=(replace(other or service(created="2026-03-01T00:00:00Z"), cluster_ips=("10.97.0.9",), request=request),), nodes=nodes)
    options = BalanceOptions(POOLS, {"alpha": Forwarding("direct"), "beta": Forwarding()}, shares or {})
    return balance_state([two, one], options)


def weights(state):
    return {str(d): d.weight for d in state.services[WEB].destinations}


def test_services_of_one_name_and_key_are_merged_across_clusters():
    assert weights(merged()) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1, "10.97.0.9:80": 1}
    assert weights(merged({"alpha": Share(1), "beta": Share(1)})) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1, "10.97.0.9:80": 2}
    assert weights(merged({"alpha": Share(mode="standby")})) == {"10.97.0.9:80": 1}
    assert weights(merged({"alpha": Share(mode="standby"), "beta": Share(mode="drain")})) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1}
    assert merged().quarantined == ()


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("letters", None),
        ("", None),
        ("mail", service("mail", created="2026-03-01T00:00:00Z")),
        ("mail", service(created="2026-03-01T00:00:00Z", source_ranges=("10.0.0.0/8",))),
    ],
)
def test_what_is_not_the_same_service_is_not_merged(key, other):
    state = merged(key=key, other=other)
    assert weights(state) == {"10.0.0.1:80": 1, "10.0.0.2:80": 1}
    assert [q.cluster for q in state.quarantined] == ["beta"]


def test_the_shares_of_one_cluster_alone_mean_nothing():
    assert to(decide(service(), shares={"alpha": Share(mode="drain")})) == ["10.96.0.9:80"]


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 7), st.integers(1, 1000)), min_size=1))
def test_each_cluster_gets_its_part_whatever_its_number_of_destinations(clusters):
    parts = {name: [Destination(f"10.0.{ord(name)}.{n}", 80, "direct") for n in range(number)] for name, (number, _weight) in clusters.items()}
    found = spread(parts, {name: Share(weight) for name, (_number, weight) in clusters.items()})
    assert list(found) == sorted(found)
    assert all(1 <= d.weight <= 65535 for d in found)
    got = {name: sum(d.weight for d in found if d.address.startswith(f"10.0.{ord(name)}.")) for name in clusters}
    for name, (_number, weight) in clusters.items():
        part = weight / sum(weight for _number, weight in clusters.values())
        assert got[name] / sum(got.values()) == pytest.approx(part, rel=0.02, abs=0.0005)


def test_a_scheduler_without_weights_gives_way_where_there_are_some():
    state = merged({"alpha": Share(1), "beta": Share(1)}, other=service(created="2025-01-01T00:00:00Z", scheduler="rr"))
    assert state.services[WEB].scheduler == "wrr"


def test_source_ranges_count_for_their_own_family():
    both = service(addresses=("203.0.113.1", "2001:db8:100::1"), source_ranges=("10.0.0.0/8", "10.1.0.0/16"))
    assert decide(both).sources == {WEB: ("10.0.0.0/8",), Frontend("TCP", "2001:db8:100::1", 80): ()}
    assert decide(service(source_ranges=("0.0.0.0/0",))).sources == {}
    assert decide(service()).sources == {}


@given(st.randoms(use_true_random=False))
def test_the_order_of_input_never_matters(chance: random.Random):
    endpoints = list(ENDPOINTS)
    ports = [service(name, created=created, scheduler=scheduler) for name in ("a", "b") for created, scheduler in (("2026-01-01T00:00:00Z", "rr"),)]
    snapshots = [Snapshot(cluster, services=tuple(ports), nodes=NODES) for cluster in ("alpha", "beta", "gamma")]
    before = balance_state(snapshots, BalanceOptions(POOLS))
    for found in (endpoints, ports, snapshots):
        chance.shuffle(found)
    shuffled = [replace(s, services=tuple(ports), nodes=tuple(chance.sample(NODES, 3))) for s in snapshots]
    assert balance_state(shuffled, BalanceOptions(POOLS)) == before
    assert list(before.services) == sorted(before.services)


@pytest.mark.parametrize("options", [{"mode": "dsr"}, {"masquerade_to": "x"}, {"tunnel": "gre"}, {"tunnel_port": 0}, {"tunnel_port": "6080"}])
def test_forwarding_that_can_not_be_meant_is_refused(options):
    with pytest.raises(InvalidValue):
        Forwarding(**options)


def test_addresses_that_lead_to_other_routers_are_no_frontends_and_nothing_is_sent_there():
    here = Prefixes(["203.0.113.0/26"])
    elsewhere = ServicePort("TCP", 80, 0, (ServiceEndpoint("203.0.113.99", 80, "w1"), ENDPOINTS[0]))
    state = decide(
        service(addresses=("203.0.113.1", "203.0.113.99")),
        service("round", elsewhere, addresses=("203.0.113.2",)),
        forwarding=Forwarding(masquerade_to="pods"),
        carried=here,
    )
    assert {frontend.address for frontend in state.services} == {"203.0.113.1", "203.0.113.2"}
    assert to(state, Frontend("TCP", "203.0.113.2", 80)) == ["10.1.1.1:8080"]
    assert [q.cause for q in state.quarantined] == ["its destination 203.0.113.99 is an address of the router or of a pool"]
