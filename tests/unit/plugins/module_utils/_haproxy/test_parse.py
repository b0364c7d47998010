# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written for haproxy can be read again, and what is no line of ours does no harm."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, Policy
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import entries, parse
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import CERTIFICATES, CONFIG, PASSTHROUGH, POLICIES, ROUTES, Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import Known, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.planning import ours


def joined(networks):
    """The fewest networks that are the same addresses."""
    parsed = list(map(ipaddress.ip_network, networks))
    families = [[n for n in parsed if n.version == version] for version in (4, 6)]
    return tuple(sorted(str(n) for family in families for n in ipaddress.collapse_addresses(family)))


def test_routes_policies_servers_and_certificates_are_read_as_they_were_written(snapshot_lists, certificate_lists):
    @given(snapshot_lists, certificate_lists, st.booleans())
    def check(snapshots, certificates, passthrough):
        state = ingress_state(snapshots, EdgeOptions(now=1_500_000_000, passthrough=passthrough), certificates)
        wanted = layout(state, Options(passthrough=passthrough, spare_backends=0), Known(), "/certs")
        texts = render(wanted, "/current", "/certs")
        backends = wanted.stocks[0].taken
        policies = parse.policies(wanted.maps[POLICIES])
        found = {(default, rule): target for rule, default, target in parse.routes(wanted.maps[ROUTES])}
        assert {rule for default, rule in found if not default} == set(state.routes)
        assert {rule.host for default, rule in found if default} == set(state.defaults)
        for (default, rule), target in found.items():
            route = state.defaults[rule.host] if default else state.routes[rule]
            assert target.backend == backends.get(entries.pools_name(route.pools), "")
            assert target.redirect == route.redirect
            canary = bool(route.canary and route.canary_weight)
            assert target.canary == (backends[entries.pools_name(route.canary)] if canary else "")
            assert target.canary_weight == (route.canary_weight if canary else 0)
            asked = replace(route.policy, redirect=None, allow=joined(route.policy.allow), deny=joined(route.policy.deny))
            if not asked.rate_limit:
                asked = replace(asked, rate_unit="s")
            assert policies.get(target.policy, Policy()) == asked
        servers = {name: of for name, of in parse.server_lines(texts[CONFIG]).items() if ours(name)}
        assert servers == {name: of for name, of in wanted.servers.items() if of}
        assert parse.certificate_list(texts[CERTIFICATES]) == {f"/certs/{name}": of for name, of in wanted.certificates.items()}
        assert set(wanted.maps.get(PASSTHROUGH, ())) == set(state.passthrough)

    check()


# The model has no IPv4 addresses in IPv6.
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda address: int(address) >> 32 != 0xFFFF))


@given(st.sets(ADDRESSES, min_size=1, max_size=4), st.integers(0, 32))
def test_networks_of_any_length_are_read_as_they_were_written(addresses, length):
    networks = tuple(str(ipaddress.ip_network((int(a), length if a.version == 4 else 4 * length), strict=False)) for a in addresses if a.version == 4)
    networks += tuple(str(ipaddress.IPv6Network((int(a), 3 * length + 1), strict=False)) for a in addresses if a.version == 6)
    identifier, of = entries.policy(Policy(allow=tuple(sorted(set(networks)))), "", 0)
    assert parse.policies(of)[identifier].allow == joined(networks)


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=8), st.text(max_size=200))
def test_what_somebody_wrote_by_hand_does_no_harm(entries_by_hand, text):
    list(parse.routes(entries_by_hand))
    parse.policies(entries_by_hand)
    parse.server_lines(text)
    parse.certificate_list(text)
    parse.processes(text)
    parse.info(text)


def test_a_policy_without_a_record_is_closed_as_haproxy_treats_it():
    assert parse.policies({"0123/u/" + "A" * 64: "1"}) == {"0123": CLOSED}


def test_users_are_counted_and_not_shown():
    policy = Policy(users=("A" * 64, "B" * 64), rate_limit=20, timeout_server=5000, affinity=True)
    assert parse.shown(policy) == {"basic_auth_users": 2, "rate_limit": "20/s", "timeout_server": "5000ms", "affinity": "cookie"}
    assert parse.shown(Policy()) == {}


# Answers of haproxy 2.6.12.
SERVERS = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change and so on
3 b 1 maint 127.0.0.1 0 1 10 10 0 1 0 0 0 0 0 0 - 8404 - 0 0 - - 0
3 b 2 down 127.0.0.1 0 0 256 256 2 8 2 0 6 0 0 0 - 9 - 0 0 - - 0
3 b 3 up 127.0.0.1 2 0 1 1 2 6 3 4 6 0 0 0 - 18443 - 0 0 - - 0
3 b 4 drain ::1 2 0 0 0 2 1 0 2 0 0 0 0 - 80 - 0 0 - - 0
3 b 5 drained 127.0.0.1 2 8 10 10 0 1 0 2 0 0 0 0 - 8404 - 0 0 - - 0
3 b 6 disabled 127.0.0.1 0 4 1 1 0 1 0 2 0 0 0 0 - 9 - 0 0 - - 0

"""


def test_states_of_servers():
    servers = parse.running_servers(SERVERS)["b"]
    states = {name: server.state for name, server in servers.items()}
    assert states == {"maint": "maint", "down": "down", "up": "up", "drain": "drain", "drained": "drain", "disabled": "maint"}
    assert [name for name, server in servers.items() if server.draining] == ["maint"]
    assert servers["drain"] == parse.RunningServer("::1", 80, 0, False)


PROCESSES = """\
#<PID>          <type>          <reloads>       <uptime>        <version>      
17238           master          2 [failed: 1]   1d02h03m04s     2.6.12-1+deb12u4
# workers
17367           worker          1               0d00h00m02s     2.6.12-1+deb12u4
# old workers
17247           worker          2               0d00h10m02s     2.6.12-1+deb12u4
# programs

"""  # noqa: W291


def test_processes_of_the_master():
    assert parse.processes(PROCESSES) == parse.Processes(2, 1, 93784, 1)
    assert parse.processes("Unknown command") is None


CERTIFICATE = """\
Filename: /certs/{0}.pem
Status: Used
Serial: 4E02D299A0AC6BE58658C88B6128E8DB4B0F1EB3
notBefore: Nov 24 11:37:00 2026 GMT
notAfter: Dec  4 11:37:00 2026 GMT
Subject Alternative Name: DNS:a.example, DNS:*.b.example
Algorithm: EC256
Subject: /CN=a.example

"""


def test_certificates_of_many_answers():
    answer = CERTIFICATE.format("a") + CERTIFICATE.format("b") + "Filename: /certs/empty.pem\nStatus: Empty\n\n"
    seen = parse.Presented(1796384220, "EC256")
    assert parse.certificates(answer) == {"/certs/a.pem": seen, "/certs/b.pem": seen, "/certs/empty.pem": parse.Presented(None, "")}


def test_haproxys_answer_is_read_as_a_certificate_list():
    answer = "# /current/certificates.list\n/certs/a.pem a.example *.b.example\n \n"
    assert parse.certificate_list(answer) == {"/certs/a.pem": ("a.example", "*.b.example")}


@pytest.mark.parametrize("name, of_a_stock", [("ng_h00001", True), ("ng_t00064", True), ("ng_tls_1", False), ("ng_tls_here", False), ("ng_http", False)])
def test_backends_of_the_stock_are_told_from_others(name, of_a_stock):
    assert ours(name) is of_a_stock
