# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API servers: what the operator may say, and which servers a cluster is served by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.api_servers import KEYS, ApiOptions, Socket, api_state, parse_all, sharing
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Quarantined, Snapshot

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
OTHER = PEM.replace("AAAA", "BBBB")
VIP = {"bind": ["192.0.2.50:6443"]}


def options(**chosen):
    return parse_all({"alpha": {**VIP, "ca": PEM, **chosen}}, ["alpha"])


def snapshot(*addresses, ca="", **conditions):
    return {"alpha": Snapshot("alpha", api_servers=tuple(Endpoint(address, 6443, **conditions) for address in addresses), api_authority=ca)}


def served(state):
    return [str(server) for server in state.clusters["alpha"].servers]


@pytest.mark.parametrize("text", ["192.0.2.1:1", "0.0.0.0:65535", "[2001:db8::1]:6443", "[::]:443"])
def test_a_socket_is_an_address_and_a_port(text):
    assert str(Socket.parse(text, "bind")) == text


def test_ipv6_is_canonical_and_every_address_is_known():
    assert Socket.parse("[2001:DB8:0:0::1]:1", "bind") == Socket("2001:db8::1", 1)
    assert [Socket.parse(text, "bind").is_every_address for text in ("0.0.0.0:1", "[::]:1", "10.0.0.0:1", "[::1]:1")] == [True, True, False, False]


@pytest.mark.parametrize(
    "value",
    [
        None, 6443, "", ":6443", "*:6443", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:6443 ssl",
        "192.0.2.1:6443\n    server x 1.1.1.1:1", "192.0.2.1:٦", "2001:db8::1:6443", "[192.0.2.1]:6443", "[fe80::1%eth0]:1", "[::ffff:10.0.0.1]:1",
        "api.example:6443", "/run/x.sock:1", "[2001:db8::1:6443", ["192.0.2.1:6443"],
    ],
)  # fmt: skip
def test_what_is_no_socket_is_refused(value):
    with pytest.raises(InvalidValue):
        Socket.parse(value, "bind")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"bind": None}, "api.alpha.bind: is missing"),
        ({"bind": []}, "api.alpha.bind: is missing"),
        ({"bind": "192.0.2.1:1"}, "api.alpha.bind: '192.0.2.1:1' is no list"),
        ({"names": ["a}\nb"]}, "api.alpha.names: "),
        ({"names": ["*.example"]}, "api.alpha.names: "),
        ({"allow": ["10.0.0.1/8"]}, "api.alpha.allow: '10.0.0.1/8' is no network"),
        ({"servers": ["a:1"]}, "api.alpha.servers: "),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n\n-----END CERTIFICATE-----\n"}, "api.alpha.ca: is no PEM text of certificates alone"),
        ({"ca": PEM.replace("CERTIFICATE", "PRIVATE KEY")}, "api.alpha.ca: is no PEM text of certificates alone"),
        ({"ca": 7}, "api.alpha.ca: is no PEM"),
        ({"server_name": "a b"}, "api.alpha.server_name: "),
        ({"verify": "false"}, "api.alpha.verify: 'false' is not one of true, false"),
        ({"verify": 1}, "api.alpha.verify: "),
        ({"health": "none"}, "api.alpha.health: 'none' is not one of readyz, tls"),
        ({"alow": []}, f"api.alpha.'alow': is no option; they are {', '.join(KEYS)}"),
    ],
)
def test_mistakes_are_named(chosen, message):
    with pytest.raises(InvalidValue) as caught:
        options(**chosen)
    assert message in str(caught.value)


def test_clusters_are_those_of_the_group_and_told_apart_where_they_share_a_bind():
    alpha, beta = {**VIP, "names": ["A.example", "b.example"]}, {"bind": [*VIP["bind"], "[::1]:1"], "names": ["c.example"]}
    found = parse_all({"alpha": alpha, "beta": beta}, ["alpha", "beta", "gamma"])
    assert found["alpha"].names == ("a.example", "b.example")
    assert sharing(found) == {("alpha", "beta"): (Socket("192.0.2.50", 6443),), ("beta",): (Socket("::1", 1),)}
    for broken, message in (
        ({"alpha": alpha, "delta": VIP}, "api.delta: is no cluster of this router group; they are alpha, beta"),
        ({"alpha": alpha, "beta": {**beta, "names": []}}, "api.beta.names: is missing: alpha and beta share a bind"),
        ({"alpha": alpha, "beta": {**beta, "names": ["a.example"]}}, "api.beta.names: a.example is a name of cluster alpha, too"),
        ({"alpha": None}, "api.alpha: None is no dictionary"),
        ({"Alpha": VIP}, "api: 'Alpha' is no DNS label"),
    ):
        with pytest.raises(InvalidValue) as caught:
            parse_all(broken, ["alpha", "beta"])
        assert message in str(caught.value)
    # Names have no meaning where nothing is shared.
    assert parse_all({"alpha": {**VIP, "names": ["a.example"]}, "beta": {"bind": ["192.0.2.50:1"], "names": ["a.example"]}}, ["alpha", "beta"])


def test_seeds_serve_as_long_as_no_api_server_was_observed():
    chosen = options(servers=["192.0.2.1:6443"])
    for known in ({}, snapshot()):
        state = api_state(chosen, known)
        assert (served(state), state.clusters["alpha"].from_seeds) == (["192.0.2.1:6443"], True)
    state = api_state(chosen, snapshot("10.0.0.2", "10.0.0.1", "2001:db8::1"))
    assert (served(state), state.clusters["alpha"].from_seeds) == (["10.0.0.1:6443", "10.0.0.2:6443", "[2001:db8::1]:6443"], False)
    with pytest.raises(InvalidValue, match="api.alpha.servers: is missing: no API server of this cluster was ever observed"):
        api_state(options(), snapshot())


def test_ready_servers_serve_and_all_of_them_where_none_is():
    ready, not_ready, ending = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 1, ready=False), Endpoint("10.0.0.3", 1, terminating=True)
    for endpoints, expected in (((ready, not_ready, ending), ["10.0.0.1:1"]), ((not_ready, ending), ["10.0.0.2:1", "10.0.0.3:1"])):
        assert served(api_state(options(), {"alpha": Snapshot("alpha", api_servers=endpoints)})) == expected


def test_the_authority_is_the_operators_then_the_snapshots_and_never_none_by_chance():
    known = snapshot("10.0.0.1", ca=OTHER)
    assert api_state(options(), known).clusters["alpha"].authority == PEM
    assert api_state(options(ca=None), known).clusters["alpha"].authority == OTHER
    assert api_state(options(ca=None, verify=False), known).clusters["alpha"].authority == ""
    with pytest.raises(InvalidValue, match="api.alpha.ca: is missing: .* or say verify: false"):
        api_state(options(ca=None), snapshot("10.0.0.1"))


def test_a_router_is_no_api_server_of_its_own():
    chosen = parse_all({"alpha": {"bind": ["192.0.2.50:6443", "0.0.0.0:7443"], "servers": ["10.0.0.9:6443"], "ca": PEM}}, ["alpha"])
    ours = (Endpoint("192.0.2.50", 6443), Endpoint("192.0.2.7", 7443))
    others = (Endpoint("192.0.2.50", 443), Endpoint("192.0.2.7", 6443))
    state = api_state(chosen, {"alpha": Snapshot("alpha", api_servers=(*ours, *others))}, {"192.0.2.7"})
    assert served(state) == ["192.0.2.7:6443", "192.0.2.50:443"] or served(state) == ["192.0.2.50:443", "192.0.2.7:6443"]
    assert {q.cause for q in state.quarantined} == {f"{one.address}:{one.port} is an address of this frontend itself" for one in ours}
    only_ours = api_state(chosen, {"alpha": Snapshot("alpha", api_servers=ours)}, {"192.0.2.7"})
    assert served(only_ours) == ["10.0.0.9:6443"] and only_ours.clusters["alpha"].from_seeds
    with pytest.raises(InvalidValue, match="api.alpha.servers: 192.0.2.50:6443 is an address of this frontend itself"):
        api_state(options(servers=["192.0.2.50:6443"]), {})


def test_what_the_observation_skipped_is_told():
    skipped = Quarantined("alpha", "EndpointSlice default/kubernetes", "endpoints[0].addresses[0]", "no address")
    assert api_state(options(servers=["10.0.0.1:1"]), {"alpha": Snapshot("alpha", quarantined=(skipped,))}).quarantined == (skipped,)


VALUES = st.one_of(st.none(), st.booleans(), st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3))


@given(st.dictionaries(st.sampled_from([*KEYS, "other", 7]), VALUES))
def test_anything_is_taken_or_refused_by_name(given_):
    try:
        assert isinstance(ApiOptions.parse(given_, "api.alpha"), ApiOptions)
    except InvalidValue as error:
        assert error.field.startswith("api.alpha")
