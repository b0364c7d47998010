# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions: who serves what."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
    Endpoint,
    Ingress,
    IngressController,
    PoolName,
    Rule,
    Snapshot,
)

ROOT = Rule("shop.example", "/", "Prefix")
POD = Endpoint("10.0.0.1", 8000)


def ingress(name, rules=(ROOT,), ingress_class="traefik", created="2026-01-01T00:00:00Z"):
    return Ingress("demo", name, created, ingress_class, tuple(rules))


def snapshot(cluster, *ingresses, classes=("traefik",), pods=(POD,)):
    return Snapshot(cluster, ingresses, tuple(IngressController(name, tuple(pods)) for name in classes))


def test_a_route_goes_to_every_cluster_that_offers_it():
    state = ingress_state([snapshot("beta", ingress("shop")), snapshot("alpha", ingress("shop"))])
    assert state.routes == {ROOT: (PoolName("alpha", "traefik"), PoolName("beta", "traefik"))}


def test_only_ready_pods_that_do_not_terminate_are_served():
    pods = [POD, Endpoint("10.0.0.2", 8000, ready=False), Endpoint("10.0.0.3", 8000, terminating=True)]
    state = ingress_state([snapshot("alpha", ingress("shop"), pods=pods)])
    assert state.pools == {PoolName("alpha", "traefik"): (POD,)}


def test_a_class_without_a_controller_is_not_ours():
    state = ingress_state([snapshot("alpha", ingress("shop", ingress_class="foreign"))])
    assert not state.routes and not state.quarantined


def test_two_ingresses_of_one_class_share_a_route_once():
    state = ingress_state([snapshot("alpha", ingress("one"), ingress("two"))])
    assert state.routes == {ROOT: (PoolName("alpha", "traefik"),)}
    assert not state.quarantined


def test_between_classes_the_older_claim_keeps_the_route_and_the_other_is_named():
    other = Rule("shop.example", "/other", "Prefix")
    older = ingress("z-older", ingress_class="nginx", created="2026-01-01T00:00:00Z")
    younger = ingress("a-younger", [ROOT, other], created="2026-01-02T00:00:00Z")
    state = ingress_state([snapshot("alpha", younger, older, classes=("nginx", "traefik"))])
    assert state.routes == {ROOT: (PoolName("alpha", "nginx"),), other: (PoolName("alpha", "traefik"),)}
    (conflict,) = state.quarantined
    assert str(conflict) == (
        "cluster alpha: Ingress demo/a-younger: spec.rules: shop.example/ (Prefix) "
        "is claimed by the older Ingress demo/z-older of class nginx"
    )


def test_the_order_of_input_never_matters(snapshot_lists):
    @given(snapshot_lists, st.randoms(use_true_random=False))
    def check(snapshots, dice: random.Random):
        def shuffled(items):
            return tuple(dice.sample(list(items), len(items)))

        turned = [
            Snapshot(
                s.cluster,
                shuffled(s.ingresses),
                tuple(IngressController(c.ingress_class, shuffled(c.endpoints)) for c in shuffled(s.controllers)),
                s.quarantined,
            )
            for s in shuffled(snapshots)
        ]
        assert ingress_state(turned) == ingress_state(snapshots)

    check()
