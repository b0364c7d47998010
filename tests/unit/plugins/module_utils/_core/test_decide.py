# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions: who serves what."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions, PoolName, Share
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Endpoint, Ingress, Path, Pool, Rule, Snapshot, Tls
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, NONE, Policy

ROOT = Rule("shop.example", "/", "Prefix")
CLASS = "class/traefik"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def ingress(name="shop", rules=(ROOT,), pool=CLASS, created="2026-01-01T00:00:00Z", namespace="demo", **values):
    return Ingress(namespace, name, created, "traefik", tuple(Path(rule, pool) for rule in rules), **values)


def snapshot(cluster, *ingresses, **values):
    return Snapshot(cluster, ingresses, (Pool(CLASS, (Endpoint("10.0.0.1", 8000),)),), **values)


def pools(*clusters, pool=CLASS):
    return tuple(PoolName(cluster, pool) for cluster in clusters)


def causes(state):
    return [f"{q.object}: {q.cause}" for q in state.quarantined]


def test_a_route_goes_to_every_cluster_that_offers_it():
    state = ingress_state([snapshot("beta", ingress()), snapshot("alpha", ingress())])
    assert state.routes[ROOT].pools == pools("alpha", "beta")
    assert state.served == {"alpha:demo/shop", "beta:demo/shop"}
    assert set(state.pools) == set(pools("alpha", "beta"))


def test_two_ingresses_that_want_the_same_share_a_route_once():
    state = ingress_state([snapshot("alpha", ingress("one"), ingress("two"))])
    assert state.routes[ROOT].pools == pools("alpha")
    assert not state.quarantined


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "evil"},
        {"pool": "service/demo/other/80"},
        {"policy": Policy(affinity=True)},
        {"policy": CLOSED},
    ],
)
@pytest.mark.parametrize(("winner", "first"), [("oldest", "older"), ("newest", "younger")])
def test_who_wants_it_in_another_way_loses_by_age_and_is_named(other, winner, first):
    older, younger = ingress("older"), ingress("younger", created="2026-01-02T00:00:00Z", **other)
    state = ingress_state([snapshot("alpha", younger, older)], EdgeOptions(claim_winner=winner))
    assert state.routes[ROOT].owner.endswith(f"/{first}")
    (conflict,) = causes(state)
    assert f"shop.example/ (Prefix) is claimed by the {winner} Ingress" in conflict
    loser = younger if first == "older" else older
    assert state.served == {state.routes[ROOT].owner} and f"alpha:{loser.namespace}/{loser.name}" not in state.served


def test_clusters_that_ask_for_different_policies_do_not_share():
    protected = snapshot("alpha", ingress(policy=Policy(allow=("10.0.0.0/8",))))
    open_ = snapshot("beta", ingress(created="2026-01-02T00:00:00Z"))
    state = ingress_state([protected, open_])
    assert state.routes[ROOT].pools == pools("alpha")
    assert causes(state) == ["Ingress demo/shop: shop.example/ (Prefix) is claimed by the oldest Ingress demo/shop of cluster alpha"]


def test_nobody_gets_what_several_claim_and_nothing_broader_takes_over():
    broader = ingress("broad", [Rule("*.example", "/", "Prefix")])
    state = ingress_state([snapshot("alpha", ingress("a"), ingress("b", namespace="evil"), broader)], EdgeOptions(claim_winner="nobody"))
    assert (state.routes[ROOT].pools, state.routes[ROOT].policy) == ((), CLOSED)
    assert len(causes(state)) == 2 and state.served == {"alpha:demo/broad"}


def test_a_whole_host_belongs_to_the_namespace_that_was_first():
    other_path = Rule("shop.example", "/login", "Prefix")
    evil = ingress("evil", [other_path], namespace="evil", created="2027")
    free = ingress_state([snapshot("alpha", ingress(), evil)])
    assert set(free.routes) == {ROOT, other_path}
    state = ingress_state([snapshot("alpha", ingress()), snapshot("beta", evil)], EdgeOptions(claim_scope="host"))
    assert set(state.routes) == {ROOT}
    assert causes(state) == ["Ingress evil/evil: the host shop.example belongs to Ingress demo/shop of cluster alpha"]
    shared = ingress_state([snapshot("alpha", ingress()), snapshot("beta", ingress(namespace="other"))], EdgeOptions(claim_scope="open"))
    assert shared.routes[ROOT].pools == pools("alpha", "beta")


def test_canaries():
    canary = ingress("canary", pool="service/demo/canary/80", canary_weight=20, created="2020")
    state = ingress_state([snapshot("alpha", canary, ingress())])
    route = state.routes[ROOT]
    assert (route.pools, route.canary, route.canary_weight) == (pools("alpha"), pools("alpha", pool="service/demo/canary/80"), 20)
    assert route.owner == "alpha:demo/shop" and not state.quarantined
    assert causes(ingress_state([snapshot("alpha", canary)])) == [
        "Ingress demo/canary: there is no other ingress for shop.example/ (Prefix) to be a canary of"
    ]
    foreign = replace(canary, namespace="evil")
    assert ingress_state([snapshot("alpha", foreign, ingress())]).routes[ROOT].canary == ()
    protected = replace(canary, policy=Policy(allow=("10.0.0.0/8",)))
    state = ingress_state([snapshot("alpha", protected, ingress())])
    assert state.routes[ROOT].canary == () and "a canary has the annotations of Ingress demo/shop" in causes(state)[0]
    second = replace(canary, name="second", canary_weight=30)
    state = ingress_state([snapshot("alpha", canary, second, ingress())])
    assert state.routes[ROOT].canary_weight == 20 and "has a canary already" in causes(state)[0]


def test_default_backends_of_hosts_of_all_hosts_and_of_the_edge():
    of_host = ingress("a", default_pool="service/demo/d/80")
    of_all = ingress("b", [], default_pool="service/demo/all/80")
    state = ingress_state([snapshot("alpha", of_host, of_all, default_pool="service/edge/d/80")])
    assert state.defaults["shop.example"].pools == pools("alpha", pool="service/demo/d/80")
    assert state.defaults[""].pools == pools("alpha", pool="service/demo/all/80")
    edge = ingress_state([snapshot(name, default_pool="service/edge/d/80") for name in ("alpha", "beta")])
    assert edge.defaults[""].pools == pools("alpha", "beta", pool="service/edge/d/80")


def test_passthrough_is_of_a_whole_host_and_has_to_be_allowed():
    through, other = ingress("through", passthrough=True), ingress("late", [Rule("shop.example", "/x", "Prefix")], created="2027")
    assert "TLS passthrough is off" in causes(ingress_state([snapshot("alpha", through)]))[0]
    allowed = EdgeOptions(passthrough=True)
    state = ingress_state([snapshot("alpha", through, other)], allowed)
    assert state.passthrough == {"shop.example": pools("alpha")}
    assert (state.routes[ROOT].pools, state.routes[ROOT].redirect) == ((), True)
    assert "is served by Ingress demo/through of cluster alpha, which passes TLS through" in causes(state)[0]
    early = ingress_state([snapshot("alpha", replace(through, created="2028"), other)], allowed)
    assert not early.passthrough and "does not pass TLS through" in causes(early)[0]
    assert "needs a host" in causes(ingress_state([snapshot("alpha", ingress(rules=[Rule("", "/", "Prefix")], passthrough=True))], allowed))[0]


NOW = 1_000_000


def certificate(source, *names, until=NOW + 10**7, kind="rsa", since=0):
    return Certificate(source, names, kind, since, until, PEM)


def chosen(hosts, certificates, *snapshots, **options):
    offered = snapshots or [snapshot("alpha", ingress(rules=[Rule(host, "/", "Prefix") for host in hosts]))]
    state = ingress_state(offered, EdgeOptions(now=NOW, **options), certificates)
    return {name: s.certificate.source for s in state.certificates for name in s.names}, state


def test_valid_before_expired_then_exact_then_the_latest_expiry():
    expired, later, sooner = certificate("expired", "a.x", until=NOW), certificate("later", "a.x"), certificate("sooner", "a.x", until=NOW + 5)
    wildcard, future = certificate("wildcard", "*.x"), certificate("future", "a.x", since=NOW + 1, until=NOW + 10**8)
    assert chosen(["a.x"], [expired, sooner, later, future])[0] == {"a.x": "later"}
    assert chosen(["a.x", "b.x"], [later, wildcard])[0] == {"a.x": "later", "*.x": "wildcard"}
    assert chosen(["a.x"], [expired, wildcard])[0] == {"*.x": "wildcard"}
    names, state = chosen(["a.x", "b.y"], [expired])
    assert names == {"a.x": "expired"}
    assert state.without_certificate == ("b.y",)
    assert state.expiring == ("expired (a.x) expired on 1970-01-12 13:46 UTC",)


def test_both_kinds_of_keys_and_only_what_known_hosts_need():
    both = [certificate("rsa", "a.x"), certificate("ecdsa", "a.x", kind="ecdsa"), certificate("foreign", "b.y")]
    _names, state = chosen(["a.x"], both)
    assert sorted(s.certificate.source for s in state.certificates) == ["ecdsa", "rsa"]
    assert set(chosen([""], both)[0]) == {"a.x", "b.y"}


def test_a_secret_serves_hosts_that_its_ingress_won_and_that_it_covers():
    secret = certificate("Secret demo/tls", "shop.example", "other.example")
    mine = ingress(tls=(Tls(("shop.example", "other.example", "wrong.example"), "Secret demo/tls"),))
    names, state = chosen([], [], snapshot("alpha", mine, certificates=(secret,)))
    assert names == {"shop.example": "Secret demo/tls"}
    assert causes(state) == ["Ingress demo/shop: Secret demo/tls is not for wrong.example: it is for shop.example, other.example"]
    first = ingress("first", namespace="first", created="2020")
    assert chosen([], [], snapshot("alpha", first, mine, certificates=(secret,)))[0] == {}


def test_redirects_only_where_there_is_a_certificate():
    def redirect(host, certificates, policy=NONE, **options):
        rule = Rule(host, "/", "Prefix")
        return chosen([], certificates, snapshot("alpha", ingress(rules=[rule], policy=policy)), **options)[1].routes[rule].redirect

    one, wild = [certificate("c", "a.x")], [certificate("w", "*.x")]
    assert redirect("a.x", one) and redirect("a.x", wild) and redirect("*.x", wild)
    assert not redirect("b.y", one) and not redirect("", one) and not redirect("*.x", one)
    assert not redirect("a.x", one, Policy(redirect=False)) and not redirect("a.x", one, redirect=False)
    assert redirect("a.x", one, Policy(redirect=True), redirect=False)


def test_what_an_operator_can_get_wrong():
    for wrong in ({"claim_winner": "me"}, {"claim_scope": "all"}):
        with pytest.raises(InvalidValue):
            EdgeOptions(**wrong)
    for wrong in ({"mode": "off"}, {"weight": 0}, {"weight": 1001}):
        with pytest.raises(InvalidValue):
            Share(**wrong)


def test_the_order_of_input_never_matters(snapshot_lists, certificate_lists):
    @given(
        snapshot_lists, certificate_lists, st.randoms(use_true_random=False), st.sampled_from(["oldest", "newest", "nobody"]),
        st.sampled_from(["path", "host", "open"]), st.booleans(),
    )  # fmt: skip
    def check(snapshots, certificates, dice: random.Random, winner, scope, passthrough):
        def shuffled(items):
            return tuple(dice.sample(list(items), len(items)))

        turned = [
            replace(
                s,
                ingresses=tuple(replace(i, paths=shuffled(i.paths), tls=shuffled(i.tls)) for i in shuffled(s.ingresses)),
                pools=tuple(replace(p, endpoints=shuffled(p.endpoints)) for p in shuffled(s.pools)),
                certificates=shuffled(s.certificates),
            )
            for s in shuffled(snapshots)
        ]
        options = EdgeOptions(claim_winner=winner, claim_scope=scope, passthrough=passthrough, now=1_000_000_000)
        one, other = ingress_state(snapshots, options, certificates), ingress_state(turned, options, shuffled(certificates))
        assert replace(one, pools={}) == replace(other, pools={})
        assert {n: sorted(p.endpoints) for n, p in one.pools.items()} == {n: sorted(p.endpoints) for n, p in other.pools.items()}

    check()


def test_an_ingress_that_asks_for_router_groups_is_served_by_those_alone():
    asking, other = ingress("asking", groups=("edge-a",)), ingress("other", created="2026-01-02T00:00:00Z", namespace="evil")
    of_group = {group: ingress_state([snapshot("alpha", asking, other)], EdgeOptions(group=group)) for group in ("edge-a", "edge-b", "")}
    assert {group: state.served for group, state in of_group.items()} == {
        "edge-a": {"alpha:demo/asking"}, "edge-b": {"alpha:evil/other"}, "": {"alpha:demo/asking"}}
    # Elsewhere it claims nothing, and is not told of.
    assert not of_group["edge-b"].quarantined


def test_a_certificate_of_an_ingress_is_only_where_the_ingress_is():
    tls = (Tls(("shop.example",), "Secret demo/cert"),)
    certificate = Certificate("Secret demo/cert", ("shop.example",), "rsa", 0, 2_000_000_000, PEM)
    one = snapshot("alpha", ingress(tls=tls, groups=("edge-a",)), certificates=(certificate,))
    assert ingress_state([one], EdgeOptions(group="edge-a")).certificates
    assert not ingress_state([one], EdgeOptions(group="edge-b")).certificates
