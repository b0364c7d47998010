# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layout of API servers and its plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.api_servers import api_state, parse_all
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import steps as s
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api import ApiAdapter, _binds
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api_layout import CONFIG, is_api, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api_planning import ApiCurrent, ApiRunning, ApiWanted, plan
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.parse import RunningServer, health, server_lines

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NOTHING = ApiCurrent({}, frozenset(), None)


def wanted(observed=(), **apis):
    """With ``apis`` by cluster, and ports of servers on 10.0.0.1 that each of them names."""
    options = parse_all({name: {"bind": ["192.0.2.50:6443"], "ca": PEM, "servers": ["10.0.0.9:6443"], **of} for name, of in apis.items()}, list(apis))
    snapshots = {name: Snapshot(name, api_servers=tuple(Endpoint("10.0.0.1", port) for port in observed)) for name in apis}
    found = layout(api_state(options, snapshots), "/certs")
    return ApiWanted(found, render(found))


def loaded(of):
    """What haproxy runs after it has read the files."""
    servers = {b: {n: RunningServer(x.address, x.port, x.weight, False) for n, x in named.items()} for b, named in of.layout.servers.items()}
    backends = {*of.layout.servers, of.layout.fingerprint, "theirs"}
    return ApiRunning(frozenset(backends), servers)


def as_if(of):
    return ApiCurrent(of.files, frozenset(of.layout.pems), loaded(of))


def section(of, head):
    (found,) = (block for block in of.files[CONFIG].split("\n\n") if block.startswith(head + " "))
    return [line.strip() for line in found.splitlines()[1:]]


def test_a_cluster_has_a_frontend_and_a_backend_in_which_each_server_is_twice():
    of = wanted([6443], alpha={"bind": ["192.0.2.50:6443", "[2001:db8::50]:6443", "0.0.0.0:7443", "[::]:7443"], "allow": ["10.0.0.0/8", "fd00::/8"]})
    frontend = section(of, "frontend ng_apis_alpha")
    assert [line for line in frontend if line.startswith("bind")] == [
        "bind 0.0.0.0:7443", "bind 192.0.2.50:6443 transparent", "bind [2001:db8::50]:6443 transparent v6only", "bind [::]:7443 v6only"
    ]  # fmt: skip
    assert frontend[-3:] == ["acl from_alpha src 10.0.0.0/8 fd00::/8", "tcp-request connection reject unless from_alpha", "default_backend ng_api_alpha"]
    checked, unchecked = [line for line in section(of, "backend ng_api_alpha") if line.startswith("server ")]
    assert checked.startswith("server alpha_10.0.0.1_6443 10.0.0.1:6443 check check-ssl inter 1s ") and "on-marked-down shutdown-sessions" in checked
    (name,) = of.layout.pems
    assert checked.endswith(f"check-sni kubernetes.default.svc verify required verifyhost kubernetes.default.svc ca-file /certs/{name}")
    assert unchecked == "server alpha_10.0.0.1_6443_unchecked 10.0.0.1:6443 backup no-check"
    assert set(server_lines(of.files[CONFIG])["ng_api_alpha"]) == set(of.layout.servers["ng_api_alpha"])


def test_clusters_that_share_a_bind_are_told_apart_before_they_are_let_in():
    apis = {"alpha": {"names": [f"n{n}.example" for n in range(9)], "allow": ["10.0.0.0/8"]}, "beta": {"names": ["beta.example"]}}
    (head,) = (head for head in wanted(**apis).layout.sections if head.startswith("frontend "))
    lines = section(wanted(**apis), head.removesuffix(" from ng_defaults"))
    names = [f"n{n}.example" for n in range(9)]
    assert lines[lines.index("tcp-request inspect-delay 5s") + 1 :] == [
        f"acl to_alpha req.ssl_sni -i {' '.join(names[:7])}", f"acl to_alpha req.ssl_sni -i {' '.join(names[7:])}", "acl to_beta req.ssl_sni -i beta.example",
        "tcp-request content reject if to_alpha !from_alpha", "tcp-request content accept if to_alpha", "tcp-request content accept if to_beta",
        "tcp-request content reject", "use_backend ng_api_alpha if to_alpha", "use_backend ng_api_beta if to_beta",
    ]  # fmt: skip


def test_lines_are_as_long_as_haproxy_takes_them():
    longest = ".".join(["a" * 63] * 3 + ["b" * 50])
    names = [f"n{number:03}{longest[4:]}" for number in range(100)]
    text = wanted(alpha={"names": names, "allow": [f"10.{n}.0.0/16" for n in range(200)]}, beta={"names": ["b"]}).files[CONFIG]
    assert max(map(len, text.splitlines())) < 2048 and max(len(line.split()) for line in text.splitlines()) <= 64


def test_health_and_verification_are_the_operators():
    without = section(wanted(alpha={"health": "tls", "verify": False}), "backend ng_api_alpha")
    assert not [line for line in without if "httpchk" in line or "http-check" in line or "ca-file" in line]
    assert wanted(alpha={"verify": False}).layout.pems == {}
    usual = section(wanted(alpha={"server_name": "api.example"}), "backend ng_api_alpha")
    assert "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host api.example" in usual


def test_backends_of_clusters_are_told_from_all_others():
    assert [is_api(name) for name in ("ng_api_alpha", "ng_api_a-b", "ng_api_layout_0123", "ng_h00001", "ng_apis_alpha", "theirs")] == [True] * 2 + [False] * 4


def test_servers_change_at_run_time_and_all_else_reloads_with_its_reason():
    first = wanted(alpha={})
    assert plan(NOTHING, first).reload_reason == "" and plan(NOTHING, first).files
    assert plan(replace(NOTHING, running=ApiRunning(frozenset({"theirs"}), {})), first).reload_reason == "haproxy has not loaded API servers yet"
    assert not plan(as_if(first), first)
    seed, new = "alpha_10.0.0.9_6443", "alpha_10.0.0.1_1"
    moved = plan(as_if(first), wanted([1], alpha={}))
    assert moved.reload_reason == "" and list(map(str, moved.steps)) == [
        f"add server ng_api_alpha/{new}", f"add server ng_api_alpha/{new}_unchecked", f"retire server ng_api_alpha/{seed}",
        f"retire server ng_api_alpha/{seed}_unchecked",
    ]  # fmt: skip
    for changes, reason in (
        ({"allow": ["10.0.0.0/8"]}, "changed: frontend ng_apis_alpha"),
        ({"bind": ["192.0.2.51:6443"]}, "changed: frontend ng_apis_alpha"),
        ({"ca": PEM.replace("AAAA", "BBBB")}, "changed: backend ng_api_alpha"),
        ({"server_name": "a"}, "changed: backend ng_api_alpha"),
    ):
        assert plan(as_if(first), wanted(alpha=changes)).reload_reason == reason
    assert plan(as_if(first), wanted(alpha={}, beta={"bind": ["192.0.2.9:1"]})).reload_reason == "changed: backend ng_api_beta, frontend ng_apis_beta"
    stale = replace(as_if(first), running=ApiRunning(frozenset({"ng_api_layout_other"}), {}))
    assert plan(stale, first).reload_reason == "haproxy runs with other API servers than the files have"


def test_nothing_is_planned_where_nothing_is_served_and_what_was_served_goes():
    assert not plan(replace(NOTHING, running=ApiRunning(frozenset(), {})), wanted())
    gone = plan(as_if(wanted(alpha={})), wanted())
    assert gone.reload_reason == "changed: backend ng_api_alpha, frontend ng_apis_alpha" and "ng_api_alpha" not in gone.files[0].after


def test_before_haproxy_is_installed_a_plan_says_what_a_run_will_write(tmp_path):
    state = api_state(parse_all({"alpha": {"bind": ["192.0.2.50:6443"], "servers": ["10.0.0.9:6443"], "ca": PEM}}, ["alpha"]), {})
    adapter = ApiAdapter(str(tmp_path), str(tmp_path / "none"), str(tmp_path / "none"))
    found = adapter.plan(adapter.read(), adapter.wanted(state))
    assert [file.name for file in found.files] == [CONFIG] and list(map(str, found.steps)) == [f"store certificate {next(iter(wanted(alpha={}).layout.pems))}"]


PORTS = st.sets(st.integers(1, 4), min_size=1)


@given(PORTS, PORTS, st.sets(st.integers(1, 4)), st.sets(st.integers(1, 4)))
def test_a_plan_leads_to_the_wanted_servers_whatever_is_leaving(before, after, retired, in_maintenance):
    of, current = wanted(after, alpha={}), as_if(wanted(before, alpha={}))
    servers = {
        name: replace(server, retired=server.port in retired, draining=server.port in in_maintenance)
        for name, server in current.running.servers["ng_api_alpha"].items()
    }
    found = plan(replace(current, running=replace(current.running, servers={"ng_api_alpha": servers})), of)
    assert found.reload_reason == ""
    for step in found.steps:
        match step:
            case s.AddServer(_, name, server):
                assert name not in servers
                servers[name] = RunningServer(server.address, server.port, 1, False)
            case s.EnableServer(_, name, checked):
                assert checked != name.endswith("_unchecked")
                servers[name] = replace(servers[name], retired=False, draining=False)
            case s.RetireServer(_, name):
                servers[name] = replace(servers[name], retired=True)
            case _:
                raise AssertionError(step)
    assert {name for name, one in servers.items() if not one.retired and not one.draining} == set(of.layout.servers["ng_api_alpha"])
    assert not plan(ApiCurrent(of.files, frozenset(of.layout.pems), replace(loaded(of), servers={"ng_api_alpha": servers})), of)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("    bind :443 ssl crt x", {"0.0.0.0:443"}),
        ("    bind *:443,[::]:444", {"0.0.0.0:443", "[::]:444"}),
        ("    bind :::443 v6only", {"[::]:443"}),
        ("    bind ipv4@192.0.2.1:80 transparent", {"192.0.2.1:80"}),
        ("    bind 192.0.2.1:80-90", set()),
        ("    bind abns@northgate-1 accept-proxy", set()),
        ("    bind ${ADDRESS}:80", set()),
        ("    bind-process all", set()),
    ],
)
def test_where_others_bind(line, found):
    assert _binds(f"frontend a\n{line}\n") == found


def test_health_is_read_from_the_statistics():
    answer = '# pxname,svname,qcur,scur,check_status,check_code,last_chk,\nng_api_alpha,a,0,3,L7STS,500,"said ""no"", twice",\nng_api_alpha,b,0,0,,,,\n\n'
    assert health(answer) == {"a": (3, 'L7STS 500 said "no", twice'), "b": (0, "")}
