# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layout in haproxy's terms."""

from __future__ import annotations

from hypothesis import given

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, IngressState, PoolName, Rule
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import layout as layouts
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import Options, layout, render

ALPHA, BETA = PoolName("alpha", "traefik"), PoolName("beta", "traefik")
SHOP, NEWS = Rule("shop.example", "/", "Prefix"), Rule("news.example", "/", "Prefix")
PODS = {ALPHA: (Endpoint("10.0.0.1", 8000),), BETA: (Endpoint("fd00::1", 8000),)}


def laid_out(routes, pods=None):
    return layout(IngressState(routes, pods or PODS), Options(), frozenset())


def test_a_new_host_on_known_pools_and_a_new_pod_leave_the_structure_alone():
    one = laid_out({SHOP: (ALPHA,)})
    two = laid_out({SHOP: (ALPHA,), NEWS: (ALPHA,)}, {**PODS, ALPHA: (*PODS[ALPHA], Endpoint("10.0.0.2", 8000))})
    assert one.fingerprint == two.fingerprint
    assert laid_out({SHOP: (ALPHA, BETA)}).fingerprint != one.fingerprint


def test_keys_of_the_map():
    assert layouts.route_key(SHOP) == "shop.example/"
    assert layouts.route_key(Rule("shop.example", "/foo", "Prefix")) == "shop.example/foo/"
    assert layouts.route_key(Rule("shop.example", "/foo", "Exact")) == "shop.example/foo/?"
    assert layouts.route_key(Rule("shop.example", "/", "Exact")) == "shop.example//?"


def test_the_configuration_has_the_servers_of_each_backend_and_tells_its_fingerprint():
    wanted = laid_out({SHOP: (ALPHA, BETA)})
    text = render(wanted, "/etc/haproxy/northgate/current", "/etc/haproxy/northgate/certs")[layouts.CONFIG]
    backend = text.split("backend ng:alpha:traefik:beta:traefik from ng_defaults\n")[1]
    assert "    server alpha_traefik_10.0.0.1_8000 10.0.0.1:8000 check" in backend
    assert "    server beta_traefik_fd00::1_8000 fd00::1:8000 check" in backend
    assert f"backend {wanted.fingerprint} from ng_defaults" in text


def test_names_are_unambiguous_and_every_route_has_a_backend(snapshot_lists):
    @given(snapshot_lists)
    def check(snapshots):
        state = ingress_state(snapshots)
        wanted = layout(state, Options(), frozenset())
        assert len(wanted.servers) == len(set(state.routes.values()))
        assert set(wanted.routes.values()) == set(wanted.servers)
        assert len(wanted.routes) == len(state.routes)
        for pools in state.routes.values():
            targets = {(e.address, e.port, pool) for pool in pools for e in state.pools[pool]}
            assert len(wanted.servers[layouts.backend_name(pools)]) == len(targets)

    check()
