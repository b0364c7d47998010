# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Annotations: each value strictly, and what can't be understood is a mistake."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import annotations


def parse(**values):
    return annotations.parse({f"northgate.edge/{name.replace('_', '-')}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "policy"),
    [
        ({"ssl_redirect": "true"}, Policy(redirect=True)),
        ({"ssl_redirect": "false"}, Policy(redirect=False)),
        ({"hsts": "off"}, Policy(hsts="off")),
        ({"hsts": "max-age=31536000; includeSubDomains; preload"}, Policy(hsts="max-age=31536000; includeSubDomains; preload")),
        ({"allow_networks": "192.0.2.0/24, 2001:DB8::/32,10.0.0.1"}, Policy(allow=("10.0.0.1/32", "192.0.2.0/24", "2001:db8::/32"))),
        ({"deny_networks": "10.0.0.1,10.0.0.1"}, Policy(deny=("10.0.0.1/32",))),
        ({"rate_limit": "20/s"}, Policy(rate_limit=20)),
        ({"rate_limit": "600/m"}, Policy(rate_limit=600, rate_unit="m")),
        ({"max_body": "100"}, Policy(max_body=100)),
        ({"max_body": "8m"}, Policy(max_body=8 << 20)),
        ({"timeout_server": "500ms", "timeout_tunnel": "24h"}, Policy(timeout_server=500, timeout_tunnel=86_400_000)),
        ({"affinity": "cookie"}, Policy(affinity=True)),
        ({"rewrite_path": "/%6eew"}, Policy(rewrite="/new")),
    ],
)
def test_policies(values, policy):
    asked = parse(**values)
    assert (asked.policy, asked.mistakes, asked.unknown) == (policy, (), ())


def test_what_is_no_policy():
    asked = parse(canary_weight="0", backend_protocol="https", basic_auth_secret="b, a")
    assert (asked.canary, asked.canary_weight, asked.protocol, asked.auth, asked.protecting) == (True, 0, "https", ("a", "b"), True)
    assert parse(tls_passthrough="true", timeout_tunnel="1h", ssl_redirect="true").passthrough
    assert parse(router_group="edge-b, Edge_a.1,edge-b").groups == ("Edge_a.1", "edge-b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("router_group", ""),
        ("router_group", "edge,"),
        ("router_group", "edge a"),
        ("router_group", "edge\nb"),
        ("router_group", ",".join(f"g{number}" for number in range(17))),
        ("ssl_redirect", "True"),
        ("ssl_redirect", True),
        ("hsts", ""),
        ("hsts", "max-age=1\r\nx: y"),
        ("hsts", "max-age=\u0661"),
        ("allow_networks", ""),
        ("allow_networks", "10.0.0.0/8,"),
        ("allow_networks", "10.0.0.1/8"),
        ("allow_networks", "10.0.0.0/8 20.0.0.0/8"),
        ("deny_networks", ",".join(["10.0.0.1"] * 257)),
        ("rate_limit", "20"),
        ("rate_limit", "0/s"),
        ("rate_limit", "1/h"),
        ("rate_limit", "\u0661/s"),
        ("rate_limit", "9999999999/s"),
        ("max_body", "0"),
        ("max_body", "8M"),
        ("max_body", "8 m"),
        ("max_body", "999999999999g"),
        ("timeout_server", "30"),
        ("timeout_server", "25h"),
        ("timeout_tunnel", "-1s"),
        ("affinity", "ip"),
        ("basic_auth_secret", ""),
        ("basic_auth_secret", "other/secret"),
        ("rewrite_path", "new"),
        ("rewrite_path", "/new path"),
        ("canary_weight", "101"),
        ("canary_weight", "20%"),
        ("canary_weight", 20),
        ("tls_passthrough", "1"),
        ("backend_protocol", "grpc"),
    ],
)
def test_mistakes_are_named_with_the_annotation(name, value):
    ((field, cause),) = parse(**{name: value}).mistakes
    assert field == f"annotation northgate.edge/{name.replace('_', '-')}"
    assert cause and len(cause) < 300 and "\n" not in cause


@pytest.mark.parametrize("name", sorted(annotations.PROTECTING))
def test_what_protects_does_so_right_or_wrong(name):
    assert annotations.parse({f"northgate.edge/{name}": "?"}).protecting


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_networks", "10.0.0.0/8"),
        ("basic_auth_secret", "users"),
        ("rate_limit", "1/s"),
        ("rewrite_path", "/new"),
        ("canary_weight", "20"),
        ("affinity", "cookie"),
    ],
)
def test_what_needs_the_request_can_not_be_done_to_a_connection_that_is_passed_through(name, value):
    assert "tls-passthrough" in parse(**{name: value, "tls_passthrough": "true"}).mistakes[0][1]
    assert not parse(**{name: value, "tls_passthrough": "false"}).mistakes


def test_others_annotations_are_left_alone_and_unknown_ones_of_ours_are_told():
    assert annotations.parse({"example.com/max-body": "?", "northgate.edgy/x": "1"}) is annotations.NOTHING
    asked = annotations.parse({"northgate.edge/timeout": "1s", "northgate.edge/": "", "northgate.edge/a\nb" + "x" * 500: ""})
    assert len(asked.unknown) == 3 and not asked.mistakes
    assert all(len(field) < 200 and "\n" not in field for field, _cause in asked.unknown)
