# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools lead to router groups, and a service gets only addresses that lead to routers which serve its cluster."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.assign import assign
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.router_groups import RouterGroups
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Service, ServicePort

A, B, BOTH = "192.0.2.1", "192.0.2.65", "192.0.2.129"
POOLS = {"a": {"addresses": [A, "192.0.2.2"]}, "b": {"addresses": [B, "192.0.2.66"]}, "both": {"addresses": [BOTH], "auto_assign": False}}
GROUPS = {
    "edge-a": {"clusters": ["alpha", "beta"], "address_pools": ["a", "both"]},
    "edge-b": {"clusters": ["beta"], "address_pools": ["b", "both"]},
    "idle": {"clusters": ["gamma"], "address_pools": [], "asn": 64500},
}


def service(name, *addresses, age=0, **request):
    port = ServicePort("TCP", 80)
    return Service("web", name, f"2026-01-01T00:00:{age:02}Z", (port,), addresses=addresses, request=AddressRequest(**request))


def run(groups=None, pools=None, **services):
    """The addresses by name of the service, and the problems. ``services`` by cluster. By default with the groups and pools above."""
    parsed = AddressPools.parse(pools or POOLS)
    snapshots = [Snapshot(cluster, services=tuple(found)) for cluster, found in services.items()]
    found = assign(snapshots, parsed, ("alpha", "beta"), groups=RouterGroups.parse(groups or GROUPS, parsed))
    return {name.removeprefix("web/"): list(addresses) for (_cluster, name), addresses in found.addresses.items()}, found.problems


def test_a_cluster_gets_no_address_that_leads_only_to_routers_which_do_not_serve_it():
    only_b = {"b": POOLS["b"]}
    found, problems = run({"edge-b": {"clusters": ["beta"]}}, pools=only_b, alpha=[service("one")], beta=[service("two")])
    assert found == {"one": [], "two": [B]}
    assert [str(problem) for problem in problems] == ["cluster alpha: Service web/one: no pool admits it without being named"]


def test_where_nothing_is_known_of_groups_every_pool_is_for_everybody():
    snapshots = [Snapshot("alpha", services=(service("one", groups=("edge-x",)),))]
    found = assign(snapshots, AddressPools.parse({"b": POOLS["b"]}), ["alpha"])
    assert found.addresses == {("alpha", "web/one"): (B,)} and found.problems == ()


def test_an_address_that_no_longer_leads_to_routers_of_the_cluster_is_replaced():
    found, problems = run(alpha=[service("moves", B)], beta=[service("stays", "192.0.2.66")])
    assert found == {"moves": [A], "stays": ["192.0.2.66"]} and problems == ()


@pytest.mark.parametrize("request_", [{"pool": "b"}, {"addresses": (B,)}])
def test_who_asks_for_a_pool_or_an_address_elsewhere_is_told(request_):
    found, [problem] = run(alpha=[service("asks", **request_)], beta=[])
    assert found == {"asks": []} and problem.reason == "AddressNotAvailable"


def test_a_service_that_asks_for_a_group_gets_addresses_that_lead_to_it_alone():
    services = [service("any"), service("of-b", groups=("edge-b",), age=1), service("of-two", groups=("edge-a", "edge-b"), pool="both", age=2)]
    assert run(alpha=[], beta=services) == ({"any": [A], "of-b": [B], "of-two": [BOTH]}, ())


def test_a_pool_that_also_leads_elsewhere_is_refused_and_the_operator_told_where_to():
    found, [problem] = run(alpha=[], beta=[service("one", groups=("edge-b",), pool="both")])
    assert found == {"one": []}
    assert (problem.reason, problem.message) == ("RouterGroupNotAvailable", "no pool that admits it leads to edge-b alone")
    assert problem.holder == "both leads to edge-a, edge-b"


def test_a_group_that_is_unknown_or_does_not_serve_the_cluster_is_named():
    found, problems = run(alpha=[service("far", groups=("edge-b",)), service("lost", groups=("edge-x",), age=1)], beta=[])
    assert found == {"far": [], "lost": []}
    assert {(problem.name, problem.message) for problem in problems} == {
        ("web/far", "no router group that it asks for (edge-b) serves its cluster"),
        ("web/lost", "there is no router group edge-x"),
        ("web/lost", "no router group that it asks for (edge-x) serves its cluster"),
    }
    # One that is known is enough.
    found, [problem] = run(alpha=[service("part", groups=("edge-a", "edge-x"))], beta=[])
    assert found == {"part": [A]} and problem.message == "there is no router group edge-x"


def test_a_service_moves_to_the_group_that_it_asks_for_when_that_can_give_and_keeps_what_it_has_until_then():
    assert run(alpha=[], beta=[service("one", A, groups=("edge-b",))]) == ({"one": [B]}, ())
    taken = [service("old", B), service("older", "192.0.2.66"), service("one", A, groups=("edge-b",), age=1)]
    found, [problem] = run(alpha=[], beta=taken)
    assert found["one"] == [A] and problem.reason == "AddressPoolExhausted"
    found, [problem] = run(alpha=[], beta=[service("one", A, addresses=(A,), groups=("edge-b",))])
    assert found == {"one": [A]} and problem.reason == "RouterGroupNotAvailable"
    found, problems = run(alpha=[], beta=[service("one", A, groups=("edge-x",))])
    assert found == {"one": [A]} and {problem.reason for problem in problems} == {"RouterGroupNotAvailable"}


def test_a_pool_waits_only_for_clusters_that_its_groups_serve():
    assert run(beta=[service("one", groups=("edge-b",))])[0] == {"one": [B]}
    found, [problem] = run(beta=[service("one", groups=("edge-a",))])
    assert found == {"one": []} and problem.reason == "ClusterNotObserved"
    # What the pool names and nobody configured may be anywhere.
    pools = {**POOLS, "b": {**POOLS["b"], "clusters": ["beta", "delta"]}}
    assert run(pools=pools, alpha=[], beta=[service("one", groups=("edge-b",))])[0] == {"one": []}


def test_pools_that_lead_to_routers_which_refuse_are_named():
    pools = AddressPools.parse(POOLS)
    [one] = RouterGroups.parse(GROUPS, pools).dead_ends(pools, ["beta", "alpha"])
    assert one.startswith("the pool both has addresses for services of the cluster alpha, and also leads to the router group edge-b, which does not")
    apart = {**GROUPS, "edge-b": {"clusters": ["beta"], "address_pools": ["b"]}}
    assert RouterGroups.parse(apart, pools).dead_ends(pools, ["alpha", "beta"]) == []
    # A pool leads to a group that names none only where it is for one of its clusters.
    of_all = {"edge-a": {"clusters": ["alpha"]}, "edge-b": {"clusters": ["beta"]}}
    own = AddressPools.parse({"a": {**POOLS["a"], "clusters": ["alpha"]}, "b": {**POOLS["b"], "clusters": ["beta"]}})
    assert RouterGroups.parse(of_all, own).dead_ends(own, ["alpha", "beta"]) == []
    assert len(RouterGroups.parse(of_all, pools).dead_ends(pools, ["alpha", "beta"])) == 6


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], r"groups: \[\] is no dictionary"),
        ({"edge": None}, "groups.edge: None is no dictionary"),
        ({"edge": {"clusters": "alpha"}}, "groups.edge.clusters: 'alpha' is no list of names"),
        ({"edge": {"address_pools": [1]}}, "groups.edge.address_pools"),
        ({"edge": {"address_pools": ["c"]}}, "groups.edge.address_pools: there is no pool 'c'; there are a, b, both"),
    ],
)
def test_mistakes_of_the_operator_are_named(groups, message):
    with pytest.raises(InvalidValue, match=message):
        RouterGroups.parse(groups, AddressPools.parse(POOLS))


@pytest.mark.parametrize("groups", [("b", "a"), ("a", "a"), ("a b",), ("",)])
def test_a_snapshot_has_names_of_groups_in_canonical_form(groups):
    with pytest.raises(InvalidValue, match="router-group"):
        AddressRequest(groups=groups)


_some = st.lists(st.sampled_from(["alpha", "beta"]), max_size=2, unique=True)
_pools = st.one_of(st.none(), st.lists(st.sampled_from(["a", "b", "both"]), max_size=3, unique=True))
_groups = st.dictionaries(st.sampled_from(["edge-a", "edge-b", "edge-c"]), st.fixed_dictionaries({"clusters": _some, "address_pools": _pools}), max_size=3)
_services = st.lists(
    st.builds(
        service,
        st.sampled_from(["one", "two", "three", "four"]),
        age=st.integers(0, 3),
        groups=st.sampled_from([(), (), ("edge-a",), ("edge-b",), ("edge-a", "edge-b")]),
        pool=st.sampled_from(["", "", "a", "both"]),
    ),
    max_size=4,
    unique_by=lambda found: found.name,
)


@settings(deadline=None)
@given(_groups, _services, _services, st.randoms(use_true_random=False))
def test_whatever_is_given_leads_to_routers_of_the_cluster_and_to_no_others_than_wanted(groups, alpha, beta, order: random.Random):
    pools = AddressPools.parse(POOLS)
    parsed = RouterGroups.parse(groups, pools)
    snapshots = [Snapshot("alpha", services=tuple(alpha)), Snapshot("beta", services=tuple(beta))]
    found = assign(snapshots, pools, ["alpha", "beta"], groups=parsed)
    of = {("alpha", s.full_name): s for s in alpha} | {("beta", s.full_name): s for s in beta}
    for (cluster, name), addresses in found.addresses.items():
        wanted = of[(cluster, name)].request.groups
        for address in addresses:
            pool = pools.find(address).name
            leading = {n for n, group in groups.items() if cluster in group["clusters"] and (group["address_pools"] is None or pool in group["address_pools"])}
            assert leading and (not wanted or leading <= set(wanted))
    shuffled = RouterGroups.parse(dict(order.sample(list(groups.items()), len(groups))), pools)
    assert assign(reversed(snapshots), pools, ["beta", "alpha"], groups=shuffled) == found
