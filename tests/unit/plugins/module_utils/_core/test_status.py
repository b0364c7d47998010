# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses an ingress has to have, and whether it has them."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Ingress, Path, Quarantined, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED
from ansible_collections.northgate.edge.plugins.module_utils._core.status import Address, Group, Publication, dump, load, publications, seen, unknown_groups

V4, V6, OTHER = "192.0.2.80", "2001:db8::80", "192.0.2.99"


def group(name="edge", clusters=("alpha",), addresses=(V4,), converged=True, **options):
    told = {} if addresses is None else {"ingress_addresses": list(addresses)}
    return Group.parse(name, {"clusters": list(clusters), "asn": 64500, **told, **options}, converged)


def ingress(name, *hosts, namespace="demo", created="2026-01-01T00:00:00Z", **fields):
    paths = tuple(Path(Rule(host, "/", "Prefix"), "class/traefik") for host in hosts)
    return Ingress(namespace, name, created, "traefik", paths, **fields)


def snapshot(*ingresses, cluster="alpha", quarantined=()):
    return Snapshot(cluster, ingresses, quarantined=tuple(Quarantined(cluster, label, "spec", "cause") for label in quarantined))


def wanted(groups, *snapshots):
    """Texts by cluster and ingress."""
    found = publications(groups, {s.cluster: s for s in snapshots})
    return {p.cluster: {name: sorted(a.value for a in addresses) for name, addresses in p.wanted.items()} for p in found}


def raw(*addresses, name="shop", namespace="demo", **entry):
    entries = [{"ip" if a[0].isdigit() else "hostname": a, **entry} for a in addresses]
    metadata = {"namespace": namespace, "name": name, "resourceVersion": "7"}
    return {"metadata": metadata, "status": {"loadBalancer": {"ingress": entries}}}


def publication(*addresses, kept=()):
    parsed = [frozenset(Address.parse(a, "a") for a in some) for some in (addresses, kept)]
    return Publication("alpha", {"demo/shop": parsed[0]}, parsed[1])


def test_an_ingress_has_the_addresses_of_all_groups_that_serve_it():
    groups = [group(addresses=[V4]), group("outer", addresses=[V6, "edge.example.com"]), group("else", ["beta"], [OTHER])]
    found = wanted(groups, snapshot(ingress("shop", "a.example")), snapshot(ingress("shop", "a.example"), cluster="beta"))
    assert found == {"alpha": {"demo/shop": [V4, V6, "edge.example.com"]}, "beta": {"demo/shop": [OTHER]}}


def test_ingresses_of_which_no_rule_is_served_have_none():
    lost = ingress("lost", "a.example", namespace="other", created="2026-01-02T00:00:00Z")
    part = ingress("part", "a.example", "b.example", namespace="other", created="2026-01-02T00:00:00Z")
    one = snapshot(ingress("shop", "a.example"), lost, part, quarantined=["Ingress demo/broken", "Service demo/echo", "Ingress ../x"])
    assert wanted([group()], one) == {"alpha": {"demo/shop": [V4], "other/lost": [], "other/part": [V4], "demo/broken": []}}


def test_a_closed_ingress_is_served():
    assert wanted([group()], snapshot(ingress("shop", "a.example", policy=CLOSED))) == {"alpha": {"demo/shop": [V4]}}


def test_claims_are_settled_as_on_the_routers_of_each_group():
    one = snapshot(ingress("old", "a.example"), ingress("new", "a.example", namespace="other", created="2026-01-02T00:00:00Z"))
    assert wanted([group()], one)["alpha"] == {"demo/old": [V4], "other/new": []}
    assert wanted([group(claim_winner="newest")], one)["alpha"] == {"demo/old": [], "other/new": [V4]}
    assert wanted([group(claim_scope="open")], one)["alpha"] == {"demo/old": [V4], "other/new": [V4]}
    apart = [group(), group("newer", addresses=[OTHER], claim_winner="newest")]
    assert wanted(apart, one)["alpha"] == {"demo/old": [V4], "other/new": [OTHER]}


def test_a_claim_of_another_cluster_counts_where_a_group_serves_both():
    old = snapshot(ingress("shop", "a.example"))
    new = snapshot(ingress("shop", "a.example", namespace="other", created="2026-01-02T00:00:00Z"), cluster="beta")
    assert wanted([group(clusters=["alpha", "beta"])], old, new)["beta"] == {"other/shop": []}
    assert wanted([group(clusters=["beta"])], old, new) == {"beta": {"other/shop": [V4]}}


def test_passthrough_is_served_where_it_is_on():
    one = snapshot(ingress("shop", "a.example", passthrough=True))
    assert wanted([group()], one)["alpha"] == {"demo/shop": []}
    assert wanted([group(tls_passthrough=True)], one)["alpha"] == {"demo/shop": [V4]}


@pytest.mark.parametrize(
    "groups",
    [[], [group(addresses=None)], [group(converged=False)], [group(clusters=["beta"])], [group(addresses=None), group("b", converged=False)]],
    ids=["no group", "no addresses", "not converged", "not observed", "both"],
)
def test_a_cluster_of_which_nobody_tells_is_left_alone(groups):
    assert wanted(groups, snapshot(ingress("shop", "a.example"))) == {}


def test_a_group_with_an_empty_list_takes_back_what_it_published():
    assert wanted([group(addresses=[])], snapshot(ingress("shop", "a.example"))) == {"alpha": {"demo/shop": []}}


def test_addresses_of_a_group_that_did_not_converge_stay_where_they_are():
    groups = [group(), group("down", addresses=[OTHER], converged=False), group("far", ["beta"], [V6], converged=False)]
    [found] = publications(groups, {"alpha": snapshot(ingress("shop", "a.example"))})
    assert found.compare([raw(V4, OTHER)]) == ([], 1)
    assert found.compare([raw(V4)]) == ([], 1)
    [change], _unchanged = found.compare([raw(OTHER, V6)])
    assert str(change) == f"alpha: demo/shop: {OTHER}, {V6} -> {V4}, {OTHER}"


def test_the_order_and_the_spelling_of_addresses_do_not_matter():
    assert publication(V4, V6).compare([raw("2001:DB8:0::80", V4)]) == ([], 1)
    assert publication(V4).compare([raw(V4, V4)]) == ([], 1)
    assert publication().compare([{"metadata": {"namespace": "demo", "name": "shop"}}]) == ([], 1)


def test_a_change_is_for_the_object_that_was_looked_at():
    [change], unchanged = publication(V4, "edge.example.com").compare([raw(OTHER)])
    assert unchanged == 0
    assert change.patch() == {
        "metadata": {"resourceVersion": "7"},
        "status": {"loadBalancer": {"ingress": [{"hostname": "edge.example.com"}, {"ip": V4}]}},
    }
    [change], _unchanged = publication().compare([raw(V4)])
    assert (str(change), change.patch()["status"]) == (f"alpha: demo/shop: {V4} -> none", {"loadBalancer": {"ingress": []}})


def test_ingresses_that_are_not_ours_are_passed_over():
    assert publication(V4).compare([raw(OTHER, name="foreign"), raw(OTHER, namespace="shop", name="demo")]) == ([], 0)


def test_an_ingress_that_a_list_begun_again_holds_twice_counts_once():
    assert publication(V4).compare([raw(OTHER), raw(V4)]) == ([], 1)


@pytest.mark.parametrize(
    ("of_shop", "of_other", "right"),
    [((V4, OTHER), (V4,), 2), ((V4,), (V4,), 2), ((OTHER,), (V4,), None), ((), (V4,), None), ((V4, V6), (V4,), None)],
)
def test_statuses_that_were_seen_are_right_or_have_to_be_looked_at_again(of_shop, of_other, right):
    found = Publication("alpha", {"demo/shop": frozenset({Address("ip", V4)}), "demo/other": frozenset({Address("ip", V4)})}, frozenset({Address("ip", OTHER)}))
    statuses = dict(map(seen, [raw(*of_shop), raw(*of_other, name="other"), raw(V6, name="foreign")]))
    assert found.fulfilled(load(dump(statuses))) == right
    assert (found.compare([raw(*of_shop), raw(*of_other, name="other")])[0] == []) == bool(right)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 0, "ingresses": {}}', b'{"version": 1, "ingresses": {"demo/shop": 7}}'])
def test_a_file_of_statuses_that_is_damaged_tells_nothing(data):
    assert load(data) == {}
    assert not publication(V4).fulfilled(load(data))


@pytest.mark.parametrize(
    "status",
    [
        {"loadBalancer": {"ingress": [{"ip": V4, "ports": [{"port": 80, "protocol": "TCP"}]}]}},
        {"loadBalancer": {"ingress": [{"hostname": V4}]}},
        {"loadBalancer": {"ingress": [{"ip": "x"}, 1, None, {}]}},
        {"loadBalancer": {"ingress": {"ip": V4}}},
        {"loadBalancer": []},
        [],
        None,
    ],
)
def test_a_status_of_another_form_is_replaced(status):
    [change], _unchanged = publication(V4).compare([{**raw(), "status": status}])
    assert [address.value for address in change.after] == [V4]


def test_what_somebody_else_wrote_is_cut_before_it_is_shown():
    [change], _unchanged = publication(V4).compare([raw("x\n" * 5000)])
    assert "\n" not in str(change) and len(str(change)) < 200


@pytest.mark.parametrize("value", ["192.0.2.300", "192.0.2.80/32", "Edge.example.com", "*.example.com", "fe80::1%eth0", "", None, 80, ["a"]])
def test_what_is_neither_address_nor_name_is_refused(value):
    with pytest.raises(InvalidValue, match=r"groups\.edge\.ingress_addresses\[1\]"):
        group(addresses=[V4, value])


def test_addresses_are_canonical():
    assert [Address.parse(v, "a") for v in ("2001:DB8:0::80", "edge")] == [Address("ip", V6), Address("hostname", "edge")]


@pytest.mark.parametrize(
    "options, field",
    [
        ({"ingress_addresses": V4}, "ingress_addresses"),
        ({"clusters": "alpha"}, "clusters"),
        ({"clusters": ["Alpha"]}, "clusters"),
        ({"claim_winner": "loudest"}, "claim_winner"),
        ({"claim_scope": "world"}, "claim_scope"),
        ({"tls_passthrough": "yes"}, "tls_passthrough"),
    ],
)
def test_mistakes_of_the_operator_name_group_and_key(options, field):
    with pytest.raises(InvalidValue, match=rf"groups\.edge\.{field}"):
        Group.parse("edge", {"clusters": ["alpha"], **options}, True)
    with pytest.raises(InvalidValue, match="groups.edge: 'x' is no dictionary"):
        Group.parse("edge", "x", True)


def test_an_ingress_that_asks_for_groups_has_their_addresses_alone_and_names_of_none_are_told():
    groups = [group("edge-a", addresses=[V4]), group("edge-b", addresses=[V6])]
    one = snapshot(ingress("all", "a.example"), ingress("some", "b.example", groups=("edge-b",)), ingress("none", "c.example", groups=("edge-b", "x", "y")))
    assert wanted(groups, one) == {"alpha": {"demo/all": [V4, V6], "demo/some": [V6], "demo/none": [V6]}}
    [told] = unknown_groups(groups, {"alpha": one})
    assert str(told) == "cluster alpha: Ingress demo/none: annotation northgate.edge/router-group: there is no router group x, y"
