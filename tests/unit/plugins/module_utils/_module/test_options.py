# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator chose, from parameters."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions, Share
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import Options
from ansible_collections.northgate.edge.plugins.module_utils._module.options import edge_options, haproxy_options
from ansible_collections.northgate.edge.plugins.modules import haproxy_ingress

DEFAULTS = {name: option.get("default") for name, option in yaml.safe_load(haproxy_ingress.DOCUMENTATION)["options"].items()}


def test_the_documented_defaults_are_those_of_the_collection():
    assert edge_options(DEFAULTS, 7) == EdgeOptions(now=7)
    assert haproxy_options(DEFAULTS) == Options()


def test_each_choice_arrives():
    chosen = {
        "shares": {"alpha": {"weight": 3}, "beta": {"mode": "standby"}}, "claim_winner": "nobody", "claim_scope": "host",
        "https_redirect": False, "tls_passthrough": True, "expiry_warning": 2,
        "router_group": "edge-a",
    }  # fmt: skip
    assert edge_options({**DEFAULTS, **chosen}, 7) == EdgeOptions(
        {"alpha": Share(3), "beta": Share(mode="standby")}, "nobody", "host", redirect=False, passthrough=True, now=7, expiry_warning=172800, group="edge-a"
    )
    chosen = {
        "http_bind": ["192.0.2.1:80"], "https_bind": ["192.0.2.1:443"], "hsts": "max-age=1", "trusted_proxies": ["192.0.2.2"],
        "proxy_protocol_from": ["192.0.2.3"], "tls_passthrough": True, "affinity_cookie": "A", "spare_backends": 1,
    }  # fmt: skip
    assert haproxy_options({**DEFAULTS, **chosen}) == Options(
        ("192.0.2.1:80",), ("192.0.2.1:443",), "max-age=1", ("192.0.2.2",), ("192.0.2.3",), True, "A", 1
    )


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"Not a name": {}}, "shares: 'Not a name'"),
        ({"alpha": {"wieght": 3}}, "shares.alpha: is no dictionary of weight and mode"),
        ({"alpha": 3}, "shares.alpha: is no dictionary of weight and mode"),
        ({"alpha": {"weight": 0}}, "shares.alpha.weight: 0 is not within 1 and 1000"),
        ({"alpha": {"mode": "off"}}, "shares.alpha.mode: 'off' is not one of active, standby, drain"),
    ],
)
def test_a_share_that_can_not_be_meant_is_named(shares, message):
    with pytest.raises(InvalidValue, match=re.escape(message)):
        edge_options({**DEFAULTS, "shares": shares}, 0)


def test_a_header_that_can_not_be_meant_is_named():
    with pytest.raises(InvalidValue, match="hsts: .* is no value of Strict-Transport-Security"):
        haproxy_options({**DEFAULTS, "hsts": "max-age=1\nbad"})
