# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods as servers: options, names and weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.desired import IngressState, PoolName, Share
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Pool, PoolTls
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.servers import CHECK_OPTIONS, servers

A, B = PoolName("alpha", "class/traefik"), PoolName("beta", "class/traefik")


def of(pools, **shares):
    return servers(sorted(pools), IngressState({}, {}, {}, pools, shares), "/certs")


def pool(*addresses, **values):
    return Pool("class/traefik", tuple(Endpoint(address, 80) for address in addresses), **values)


def weights(pools, **shares):
    return {name: server.weight for name, server in of(pools, **shares).items()}


TWO_AND_ONE = {A: pool("10.0.0.1", "10.0.0.2"), B: pool("10.1.0.1")}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"beta": Share(weight=2)}, [1, 1, 2]),
        ({"alpha": Share(weight=1), "beta": Share(weight=1)}, [1, 1, 2]),
        ({"alpha": Share(weight=2), "beta": Share(weight=1)}, [1, 1, 1]),
        ({"alpha": Share(weight=1), "beta": Share(weight=1000)}, [1, 1, 256]),
        ({"alpha": Share(mode="drain")}, [0, 0, 1]),
        ({"alpha": Share(mode="drain"), "beta": Share(mode="drain")}, [0, 0, 0]),
    ],
)
def test_shares(shares, expected):
    assert list(weights(TWO_AND_ONE, **shares).values()) == expected


def test_pods_that_end_get_no_new_sessions_unless_there_is_no_other():
    ending = Endpoint("10.0.0.9", 80, ready=False, serving=True, terminating=True)
    gone = Endpoint("10.0.0.8", 80, ready=False, serving=False, terminating=True)
    not_ready = Endpoint("10.0.0.7", 80, ready=False, serving=False)
    mixed = replace(pool("10.0.0.1"), endpoints=(Endpoint("10.0.0.1", 80), ending, gone, not_ready))
    assert weights({A: mixed}) == {"alpha_10.0.0.1_80": 1, "alpha_10.0.0.9_80": 0}
    assert weights({A: replace(mixed, endpoints=(ending, gone, not_ready))}) == {"alpha_10.0.0.9_80": 1}


def test_other_options_are_another_server():
    plain = of({A: pool("10.0.0.1")})
    assert list(plain) == ["alpha_10.0.0.1_80"] and plain["alpha_10.0.0.1_80"].options == CHECK_OPTIONS
    names = set(plain)
    for values, option in (
        ({"protocol": "h2c"}, "proto h2"),
        ({"protocol": "https"}, "ssl verify required ca-file @system-ca sni var(txn.ng_host) alpn"),
        ({"protocol": "https", "tls": PoolTls(verify=False)}, "ssl verify none"),
        ({"protocol": "https", "tls": PoolTls(server_name="pods.example")}, "sni str(pods.example) check-sni pods.example"),
        ({"proxy_protocol": True}, "send-proxy-v2 check-send-proxy"),
    ):
        ((name, server),) = of({A: pool("10.0.0.1", **values)}).items()
        assert option in server.options and name not in names
        names.add(name)
    ((name, server),) = of({A: pool("10.0.0.1")}, alpha=Share(mode="standby")).items()
    assert server.options.endswith(" backup") and name not in names
