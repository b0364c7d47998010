# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses services get."""

from __future__ import annotations


import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import assign as module
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.assign import assign
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Service, ServicePort

V4 = [f"192.0.2.{last}" for last in range(8)]
V6 = ["2001:db8::", *(f"2001:db8::{last:x}" for last in range(1, 8))]
BOTH = {"addresses": ["192.0.2.0/29", "2001:db8::/125"]}
PREFER, REQUIRE = "PreferDualStack", "RequireDualStack"


def service(name, *addresses, namespace="mail", ports=(80,), age=0, labels=(), **request):
    numbers = tuple(port if isinstance(port, ServicePort) else ServicePort("TCP", port) for port in ports)
    created = f"2026-01-01T00:00:{age:02}Z"
    return Service(namespace, name, created, numbers, addresses=addresses, request=AddressRequest(**request), labels=labels)


def run(pools, clusters=("alpha",), others=None, **services):
    """The addresses by name (with the cluster when there are several), and the problems. ``services`` by cluster."""
    snapshots = [Snapshot(cluster, services=tuple(found)) for cluster, found in services.items()]
    found = assign(snapshots, AddressPools.parse(pools), clusters, others)
    names = {owner: (owner[1] if len(clusters) == 1 else ":".join(owner)).replace("mail/", "") for owner in found.addresses}
    return {names[owner]: list(addresses) for owner, addresses in found.addresses.items()}, found.problems


def reasons(problems):
    return {problem.name.removeprefix("mail/"): problem.reason for problem in problems}


def test_what_a_service_holds_stays_and_new_ones_get_the_first_that_is_free():
    found, problems = run({"public": BOTH}, alpha=[service("new", age=1), service("old", V4[1], age=2), service("newer", age=3)])
    assert found == {"new": [V4[2]], "old": [V4[1]], "newer": [V4[3]]} and problems == ()


def test_the_older_of_two_that_hold_an_address_keeps_it():
    found, problems = run({"public": BOTH}, alpha=[service("younger", V4[3], age=2), service("older", V4[3], age=1)])
    assert found == {"older": [V4[3]], "younger": [V4[1]]} and problems == ()


@pytest.mark.parametrize(
    "held, options",
    [("198.51.100.1", {}), (V4[0], {}), (V4[7], {}), (V4[3], {"namespaces": ["web"]}), (V4[3], {"clusters": ["beta"]}), (V4[3], {"selector": {"a": "b"}})],
)
def test_an_address_of_no_pool_that_gives_it_to_the_service_does_not_stay(held, options):
    found, problems = run({"public": {**BOTH, **options}, "spare": {"addresses": ["203.0.113.5"]}}, ("alpha", "beta"), alpha=[service("s", held)], beta=[])
    assert found == {"alpha:s": ["203.0.113.5" if options else V4[1]]} and problems == ()


def test_an_address_that_somebody_lets_go_of_is_free_in_the_next_run():
    one = {"public": {"addresses": [V4[1]]}}
    movers = [service("old", V4[1], families=(6,)), service("new", age=1)]
    assert run(one, alpha=movers)[0] == {"old": [], "new": []}
    assert run(one, alpha=[service("new")], others={"alpha": [V4[1]]})[0] == {"new": []}
    assert run(one, alpha=[service("new")])[0] == {"new": [V4[1]]}


def test_a_service_in_which_something_is_mistaken_is_left_alone_and_nobody_gets_what_it_has():
    held = service("held", V4[1], V4[0], "198.51.100.1", ports=(), addresses=(V4[5],))
    services = [held, service("new", age=1), service("asks", age=2, addresses=(V4[1],)), service("shares", V4[1], age=3)]
    pools = {"public": BOTH}
    found, problems = run(pools, alpha=services[:3])
    assert found == {"new": [V4[2]], "asks": []} and reasons(problems) == {"asks": "AddressNotAvailable"}
    assert run(pools, alpha=services[:2] + services[3:])[0] == {"new": [V4[2]], "shares": [V4[1]]}
    assert run({"public": {**BOTH, "quota": 2}}, alpha=services[:2])[0] == {"new": []}
    assert assign([Snapshot("alpha", services=(held,))], AddressPools.parse(pools), ["alpha"]).used == {"public": 2}


@pytest.mark.parametrize("others", [None, {"alpha": [V4[1]]}])
def test_pools_are_asked_in_the_order_of_their_names_and_those_without_auto_assign_only_by_name(others):
    pools = {"z": {"addresses": [V4[1]]}, "m": {"addresses": [V4[2]]}, "a": {"addresses": [V4[3]], "auto_assign": False}}
    services = [service("one"), service("two", age=1), service("three", age=2), service("named", age=3, pool="a")]
    found, problems = run(pools, alpha=services, others=others)
    assert found == {"one": [V4[2]], "two": [] if others else [V4[1]], "three": [], "named": [V4[3]]}
    assert reasons(problems) == {"three": "AddressPoolExhausted", **({"two": "AddressPoolExhausted"} if others else {})}
    assert "the pool m has no free IPv4 address; the pool z has no free IPv4 address" in str(problems[0])


def test_a_service_moves_to_the_pool_that_it_names_when_that_can_give():
    pools = {"a": {"addresses": [V4[1]]}, "b": {"addresses": [V4[2]], "auto_assign": False}}
    assert run(pools, alpha=[service("s", V4[1], pool="b")]) == ({"s": [V4[2]]}, ())
    found, problems = run(pools, alpha=[service("s", V4[1], pool="b"), service("t", V4[2], age=1)])
    assert found["s"] == [V4[1]] and reasons(problems) == {"s": "AddressPoolExhausted"}
    found, problems = run(pools, alpha=[service("s", V4[1], pool="c")])
    assert found["s"] == [V4[1]] and problems[0].message == "there is no pool c"
    found, problems = run({**pools, "c": {**BOTH, "addresses": [V4[5]], "namespaces": ["web"]}}, alpha=[service("s", pool="c")])
    assert found["s"] == [] and problems[0].message == "the pool c does not admit it"


def test_a_service_gets_the_address_that_it_asks_for_before_others_get_any():
    services = [service("any"), service("asks", age=1, addresses=(V4[1],)), service("moves", V4[2], age=2, addresses=(V4[5],))]
    found, problems = run({"public": BOTH}, alpha=services)
    assert found == {"any": [V4[3]], "asks": [V4[1]], "moves": [V4[5]]} and problems == ()


@pytest.mark.parametrize("held", [(), (V4[2],)])
@pytest.mark.parametrize("asked", ["198.51.100.1", V4[0], V4[3], V4[4]])
def test_who_asks_in_vain_keeps_what_it_has_and_gets_no_other(asked, held):
    pools = {"public": {"addresses": ["192.0.2.0-192.0.2.3"]}, "web": {"addresses": [V4[4]], "namespaces": ["web"]}}
    pools["public"]["addresses"] = ["192.0.2.0/30", V4[3]]
    found, problems = run(pools, alpha=[service("asks", *held, addresses=(asked,)), service("holds", V4[3], age=1)])
    assert found["asks"] == list(held) and reasons(problems) == {"asks": "AddressNotAvailable"}
    if asked == V4[3]:
        assert problems[0].message == f"{asked} is held by another service"
        assert str(problems[0]).endswith("(Service mail/holds of cluster alpha)")


def test_a_request_that_does_not_fit_the_families_is_named():
    found, problems = run({"public": BOTH}, alpha=[service("s", addresses=(V4[2], V6[1]))])
    assert found == {"s": [V4[2]]}
    assert [problem.message for problem in problems] == ["asks for an IPv6 address, and IPv6 is not in its spec.ipFamilies"]


def test_the_named_pool_and_the_address_must_agree():
    pools = {"a": {"addresses": [V4[1]]}, "b": {"addresses": [V4[2]]}}
    assert run(pools, alpha=[service("s", pool="a", addresses=(V4[1],))])[0] == {"s": [V4[1]]}
    assert reasons(run(pools, alpha=[service("s", pool="a", addresses=(V4[2],))])[1]) == {"s": "AddressNotAvailable"}


@pytest.mark.parametrize("families, addresses", [((4, 6), [V4[1], V6[1]]), ((6, 4), [V6[1], V4[1]]), ((6,), [V6[1]])])
@pytest.mark.parametrize("policy", [PREFER, REQUIRE])
def test_addresses_are_in_the_order_of_the_families(families, addresses, policy):
    assert run({"public": BOTH}, alpha=[service("s", families=families, policy=policy)]) == ({"s": addresses}, ())


def test_dual_stack_where_a_family_lacks():
    four = {"public": {"addresses": ["192.0.2.0/29"]}}
    dual = {"families": (4, 6)}
    assert run(four, alpha=[service("s", policy=PREFER, **dual)]) == ({"s": [V4[1]]}, ())
    found, problems = run(four, alpha=[service("s", policy=REQUIRE, **dual), service("t", V4[3], age=1, policy=REQUIRE, **dual)])
    assert found == {"s": [], "t": [V4[3]]} and reasons(problems) == {"s": "AddressNotAvailable", "t": "AddressNotAvailable"}
    full = {"public": {"addresses": ["192.0.2.0/29", V6[1]]}}
    services = [service("six", V6[1], families=(6,)), service("s", policy=PREFER, age=1, **dual), service("r", policy=REQUIRE, age=2, **dual)]
    found, problems = run(full, alpha=services)
    assert found == {"six": [V6[1]], "s": [V4[1]], "r": []}
    assert reasons(problems) == {"s": "AddressPoolExhausted", "r": "AddressPoolExhausted"}
    found, problems = run(full, alpha=[services[0], service("only", families=(6,), policy=PREFER)])
    assert found["only"] == [] and reasons(problems) == {"only": "AddressPoolExhausted"}
    assert reasons(run(four, alpha=[service("only", families=(6,), policy=PREFER)])[1]) == {"only": "AddressNotAvailable"}


def test_what_a_required_family_did_not_get_is_free_for_others():
    pools = {"public": {"addresses": [V4[1]]}}
    assert run(pools, alpha=[service("s", policy=REQUIRE, families=(4, 6)), service("t", age=1)])[0] == {"s": [], "t": [V4[1]]}


def test_services_of_a_key_share_an_address_on_different_ports():
    both = (ServicePort("TCP", 25), ServicePort("UDP", 80))
    services = [
        service("smtp", ports=both, sharing_key="k"), service("imap", age=1, ports=(993, 80), sharing_key="k"), service("other", age=2, sharing_key="o"),
        service("clash", age=3, ports=(25,), sharing_key="k"), service("alone", age=4, ports=(1,)),
    ]  # fmt: skip
    found, problems = run({"public": BOTH}, alpha=services)
    assert found == {"smtp": [V4[1]], "imap": [V4[1]], "other": [V4[2]], "clash": [V4[3]], "alone": [V4[4]]} and problems == ()


def test_a_shared_address_is_not_for_who_has_no_key_and_asks_for_it():
    services = [service("smtp", V4[1], ports=(25,), sharing_key="k"), service("asks", age=1, addresses=(V4[1],))]
    assert reasons(run({"public": BOTH}, alpha=services)[1]) == {"asks": "AddressNotAvailable"}
    services = [service("alone", V4[1], ports=(25,)), service("asks", age=1, addresses=(V4[1],), sharing_key="k")]
    assert reasons(run({"public": BOTH}, alpha=services)[1]) == {"asks": "AddressNotAvailable"}


@pytest.mark.parametrize("key, other", [("", ""), ("k", ""), ("", "k"), ("k", "m")])
def test_who_holds_an_address_together_without_a_common_key_is_parted(key, other):
    services = [service("a", V4[1], ports=(1,), sharing_key=key), service("b", V4[1], ports=(2,), sharing_key=other, age=1)]
    assert run({"public": BOTH}, alpha=services) == ({"a": [V4[1]], "b": [V4[2]]}, ())


@pytest.mark.parametrize("held", [(), (V4[1],)])
@pytest.mark.parametrize("share", [False, True])
def test_a_key_is_for_one_namespace_unless_the_pool_says_more(share, held):
    services = [service("a", *held, sharing_key="k", ports=(1,)), service("b", *held, sharing_key="k", ports=(2,), namespace="web", age=1)]
    found, _problems = run({"public": {**BOTH, "share_between_namespaces": share}}, alpha=services)
    assert (found["a"] == found["web/b"]) is share


def test_clusters_share_an_address_and_its_ports_under_one_name_and_key():
    services = {
        "alpha": [service("web", sharing_key="k"), service("mine", ports=(25,))],
        "beta": [service("web", sharing_key="k", age=1), service("other", sharing_key="k", age=2), service("more", ports=(443,), sharing_key="k", age=3)],
    }
    found, problems = run({"public": BOTH}, ("alpha", "beta"), **services)
    web = found["alpha:web"]
    assert found == {"alpha:web": web, "beta:web": web, "beta:more": web, "alpha:mine": [V4[1]], "beta:other": [V4[3]]} and web == [V4[2]] and problems == ()


def test_a_quota_counts_the_addresses_of_a_namespace_and_not_its_services():
    quota = {"public": {**BOTH, "quota": 1}}
    services = [
        service("a", sharing_key="k", ports=(1,)), service("b", sharing_key="k", ports=(2,), age=1), service("c", age=2),
        service("six", families=(6,), age=3), service("d", namespace="web"),
    ]  # fmt: skip
    found, problems = run(quota, ("alpha", "beta"), alpha=services, beta=[service("c", age=2)])
    assert found == {"alpha:a": [V4[1]], "alpha:b": [V4[1]], "alpha:c": [], "alpha:six": [V6[1]], "alpha:web/d": [V4[2]], "beta:c": [V4[3]]}
    assert reasons(problems) == {"c": "AddressQuotaExceeded"}
    held = [service("a", V4[1]), service("b", V4[2], age=1), service("c", age=2)]
    assert run(quota, alpha=held)[0] == {"a": [V4[1]], "b": [V4[2]], "c": []}
    assert run(quota, alpha=[service("a", V4[1], addresses=(V4[4],))])[0] == {"a": [V4[4]]}


def test_a_pool_that_a_cluster_shares_of_which_we_know_nothing_gives_nothing_new():
    pools = {"all": BOTH, "ours": {"addresses": ["198.51.100.1"], "clusters": ["alpha"]}}
    services = [
        service("held", V4[1]), service("new", age=1), service("asks", age=2, addresses=(V4[2],)), service("key", age=3, sharing_key="k", ports=(1,)),
        service("holds", V4[4], age=4, sharing_key="k"),
    ]  # fmt: skip
    found, problems = run(pools, ("alpha", "beta"), alpha=services)
    assert found == {"alpha:held": [V4[1]], "alpha:new": ["198.51.100.1"], "alpha:asks": [], "alpha:key": [], "alpha:holds": [V4[4]]}
    assert reasons(problems) == {"asks": "ClusterNotObserved", "key": "ClusterNotObserved"}
    assert "cluster beta is not observed" in problems[0].message
    assert reasons(run({"all": {**BOTH, "clusters": ["alpha", "gone"]}}, alpha=[service("new")])[1]) == {"new": "ClusterNotObserved"}


def test_ten_thousand_colliding_services_of_one_key_do_not_look_at_each_other(monkeypatch):
    looks = []
    monkeypatch.setattr(module._Use, "takes", lambda use, claim, pool, takes=module._Use.takes: looks.append(1) or takes(use, claim, pool))
    services = [service(f"s{number}", sharing_key="k") for number in range(10_000)]
    found = assign([Snapshot("alpha", services=tuple(services))], AddressPools.parse({"p": {"addresses": ["10.0.0.0/8"]}}), ["alpha"])
    assert len(set(found.addresses.values())) == found.used["p"] == 10_000
    assert len(looks) < 40 * len(services)
