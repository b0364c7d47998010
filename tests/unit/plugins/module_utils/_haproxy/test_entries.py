# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes and policies as entries of maps."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.desired import IngressState, PoolName, Route, Served
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Rule
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import entries

POOL = (PoolName("alpha", "class/traefik"),)
NAMES = {"alpha:class/traefik": "ng_h00001", "alpha:service/demo/canary/80": "ng_h00002"}


def test_keys():
    assert entries.route_key(Rule("shop.example", "/", "Prefix")) == "shop.example/"
    assert entries.route_key(Rule("shop.example", "/foo", "Prefix")) == "shop.example/foo/"
    assert entries.route_key(Rule("shop.example", "/foo", "Exact")) == "shop.example/foo/?"
    assert entries.route_key(Rule("shop.example", "/", "Exact")) == "shop.example//?"
    assert entries.route_key(Rule("*.example", "/foo", "Prefix")) == "*.example/foo/"
    assert entries.route_key(Rule("", "/foo", "Prefix")) == "/foo/"
    assert entries.route_key(Rule("", "/", "Prefix"), default=True) == "!/"


def routes(rule="/", **values):
    state = IngressState({Rule("a.example", rule, "Prefix"): Route(POOL, "alpha:demo/shop", **values)}, {}, {}, {}, {})
    (value,), policies = entries.routes(state, NAMES)[0].values(), entries.routes(state, NAMES)[1]
    return value, policies


def test_values():
    assert routes() == ("ng_h00001||", {})
    assert routes(redirect=True, policy=Policy(redirect=True)) == ("ng_h00001|r|", {})
    canary = (PoolName("alpha", "service/demo/canary/80"),)
    assert routes(canary=canary, canary_weight=20)[0] == "ng_h00001|||ng_h00002|20"
    assert routes(canary=canary, canary_weight=0)[0] == "ng_h00001||"


def test_a_policy_is_known_by_its_content_and_shared():
    value, policies = routes(policy=Policy(max_body=5, affinity=True))
    identifier = value.split("|")[2]
    assert policies == {f"{identifier}/p": "||||||5|||1|||"}
    assert routes(policy=Policy(max_body=6))[0] != value
    assert routes(policy=Policy(redirect=True, max_body=5, affinity=True))[0] == value


def test_rates_and_users_are_each_ingress_own_and_users_are_not_in_the_identifier():
    shape = {"scope": "alpha:demo/shop", "depth": 0}
    one, _entries = entries.policy(Policy(users=("A" * 64,)), **shape)
    two, of_two = entries.policy(Policy(users=("B" * 64,)), **shape)
    assert one == two and f"{two}/u/{'B' * 64}" in of_two
    assert entries.policy(Policy(rate_limit=5), "alpha:demo/a", 0)[0] != entries.policy(Policy(rate_limit=5), "alpha:demo/b", 0)[0]


def test_the_depth_of_the_rule_is_what_a_rewrite_replaces():
    (record,) = routes("/a/b", policy=Policy(rewrite="/new/"))[1].values()
    assert record.endswith("|2|/new")
    (record,) = routes("/", policy=Policy(rewrite="/"))[1].values()
    assert record.endswith("|0|")


@given(st.integers(0, 32), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_network_is_the_addresses_that_begin_as_its_entries_do(length, inside, other):
    network = ipaddress.ip_network((inside, length), strict=False)
    found = entries.policy(Policy(allow=(str(network),)), "", 0)[1]
    heads = [key.split("/a/")[1] for key in found if "/a/" in key]
    for address in (ipaddress.ip_address(inside), ipaddress.ip_address(other)):
        for text in (f"8/{int(address):08X}", f"32/{int(address) + (0xFFFF << 32):032X}"):
            assert any(text.startswith(head) for head in heads) == (address in network)


@pytest.mark.parametrize(("length", "count"), [(0, 1), (1, 8), (4, 1), (47, 2), (128, 1)])
def test_a_network_of_ipv6(length, count):
    found = entries.policy(Policy(deny=(f"::/{length}",)), "", 0)[1]
    heads = [key.split("/d/")[1] for key in found if "/d/" in key]
    assert len(heads) == count and all(head.startswith("32/") and len(head) == 3 + -(-length // 4) for head in heads)


def test_names_that_have_the_same_certificates():
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    one, two = (Certificate(text, ("a",), "rsa", 0, 1, pem.format(text)) for text in ("AAAA", "BBBB"))
    names = entries.certificate_names([Served(("a.x", "b.x"), one), Served(("b.x", "c.x", "d.x"), two)])
    assert names["c.x"] == names["d.x"] and len(set(names.values())) == 3
