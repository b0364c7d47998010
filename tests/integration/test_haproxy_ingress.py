# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converging a real haproxy: what it answers, what changes without a reload, and what a mistake leaves."""

from __future__ import annotations

import re
import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
    Endpoint,
    Ingress,
    IngressController,
    Rule,
    Snapshot,
)
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import layout
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.pem import file_name, normalise
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Outcome, converge

ROOT = Rule("shop.example.test", "/", "Prefix")


def cluster(name: str, rules: t.Iterable[Rule], ports: t.Iterable[int]) -> Snapshot:
    ingress = Ingress("demo", "shop", "2026-01-01T00:00:00Z", "traefik", tuple(rules))
    endpoints = tuple(Endpoint("127.0.0.1", port) for port in ports)
    return Snapshot(name, (ingress,), (IngressController("traefik", endpoints),))


def bring(haproxy: t.Any, *snapshots: Snapshot, pems: dict[str, str] | None = None, check_mode: bool = False) -> Outcome:
    named = {file_name(name, normalise(text, name)): normalise(text, name) for name, text in (pems or {}).items()}
    adapter = haproxy.adapter
    wanted = adapter.wanted(ingress_state(snapshots), haproxy.options, named)
    outcome = converge(adapter, wanted, check_mode)
    if not check_mode:
        adapter.delete_drained(wanted)
    return outcome


def answered(haproxy: t.Any, host: str, path: str = "/", times: int = 12) -> set[str]:
    replies = [haproxy.get(host, path) for attempt in range(times)]
    assert {status for status, body in replies} == {200}
    return {body["pod"] for status, body in replies}


def test_first_run_reloads_once_with_its_reason_and_the_second_does_nothing(haproxy, pods):
    a = pods("alpha-1")
    first = bring(haproxy, cluster("alpha", [ROOT], [a.port]))
    assert first.reload_reason == "haproxy has not loaded our configuration yet"
    assert answered(haproxy, "shop.example.test") == {"alpha-1"}
    again = bring(haproxy, cluster("alpha", [ROOT], [a.port]))
    assert not again.plan


def test_every_cluster_that_offers_a_host_and_path_gets_its_requests(haproxy, pods):
    a, b = pods("alpha-1"), pods("beta-1")
    only_alpha = Rule("shop.example.test", "/alpha", "Prefix")
    bring(haproxy, cluster("alpha", [ROOT, only_alpha], [a.port]), cluster("beta", [ROOT], [b.port]))
    assert answered(haproxy, "shop.example.test") == {"alpha-1", "beta-1"}
    assert answered(haproxy, "shop.example.test", "/alpha/x") == {"alpha-1"}
    assert haproxy.get("other.example.test")[0] == 404


@pytest.mark.parametrize(
    ("host", "path", "served"),
    [
        ("Shop.Example.TEST", "/", "root"),
        ("shop.example.test:8080", "/", "root"),
        ("shop.example.test.", "/", "root"),
        ("shop.example.test", "/foo", "exact"),
        ("shop.example.test", "/foo?q=1", "exact"),
        ("shop.example.test", "/foo/", "prefix"),
        ("shop.example.test", "/foo/bar", "prefix"),
        ("shop.example.test", "/foo/?", "prefix"),
        ("shop.example.test", "/foobar", "root"),
        ("shop.example.test", "/foo/bar/baz", "longer"),
    ],
)
def test_longest_path_by_segment_wins_and_exact_first(haproxy, pods, host, path, served):
    rules = {
        "root": ROOT,
        "prefix": Rule("shop.example.test", "/foo", "Prefix"),
        "exact": Rule("shop.example.test", "/foo", "Exact"),
        "longer": Rule("shop.example.test", "/foo/bar/baz", "Prefix"),
    }
    bring(haproxy, *(cluster(name, [rule], [pods(name).port]) for name, rule in rules.items()))
    assert answered(haproxy, host, path, times=3) == {served}


def test_hosts_pods_and_certificates_change_without_a_reload(haproxy, pods, pem):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]), pems={"shop.pem": pem("shop.example.test")})
    worker = haproxy.worker()
    new_host = Rule("new.example.test", "/", "Prefix")
    outcome = bring(
        haproxy,
        cluster("alpha", [ROOT, new_host], [a1.port, a2.port]),
        pems={"shop.pem": pem("shop.example.test"), "new.pem": pem("new.example.test")},
    )
    assert outcome.reload_reason == ""
    assert answered(haproxy, "new.example.test") == {"a1", "a2"}
    assert haproxy.certificate("new.example.test") and haproxy.certificate("shop.example.test")
    bring(haproxy, cluster("alpha", [ROOT], [a2.port]))
    assert haproxy.get("new.example.test")[0] == 404
    assert answered(haproxy, "shop.example.test") == {"a2"}
    assert haproxy.certificate("shop.example.test") is None
    assert haproxy.worker() == worker


def test_a_renewed_certificate_is_served_without_a_reload(haproxy, pods, pem):
    snapshot = cluster("alpha", [ROOT], [pods("a1").port])
    bring(haproxy, snapshot, pems={"shop.pem": pem("shop.example.test")})
    before, worker = haproxy.certificate("shop.example.test"), haproxy.worker()
    bring(haproxy, snapshot, pems={"shop.pem": pem("shop.example.test", days=60)})
    after = haproxy.certificate("shop.example.test")
    assert after.serial_number != before.serial_number
    assert haproxy.worker() == worker
    assert len(list((haproxy.config_dir / "northgate" / "certs").iterdir())) == 1


def test_a_restart_gives_the_state_that_run_time_changes_made(haproxy, pods, pem):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]))
    wanted = cluster("alpha", [ROOT, Rule("new.example.test", "/", "Prefix")], [a2.port])
    pems = {"new.pem": pem("new.example.test")}
    bring(haproxy, wanted, pems=pems)
    live = haproxy.adapter.read()
    haproxy.stop()
    haproxy.start()
    assert haproxy.adapter.read() == live
    assert not bring(haproxy, wanted, pems=pems).plan
    assert answered(haproxy, "new.example.test") == {"a2"}


def test_check_mode_says_what_the_run_does_and_changes_nothing(haproxy, pods, pem):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]))
    live = haproxy.adapter.read()
    pems = {"shop.pem": pem("shop.example.test")}
    wanted = cluster("alpha", [ROOT, Rule("new.example.test", "/", "Exact")], [a2.port])
    foretold = bring(haproxy, wanted, pems=pems, check_mode=True)
    assert haproxy.adapter.read() == live
    assert bring(haproxy, wanted, pems=pems).plan == foretold.plan
    assert "PRIVATE KEY" not in repr(foretold.plan.diff()) and "PRIVATE KEY" not in repr(foretold.plan)


def test_nothing_is_lost_while_pods_and_routes_change(haproxy, pods):
    a1, a2 = pods("a1"), pods("a2")
    extra = [Rule(f"host-{number}.example.test", "/", "Prefix") for number in range(300)]
    states = [cluster("alpha", [ROOT], [a1.port]), cluster("alpha", [ROOT, *extra], [a1.port, a2.port])]
    bring(haproxy, states[0])
    bring(haproxy, states[1])
    with ThreadPoolExecutor(4) as clients:
        replies = [clients.submit(haproxy.get, "shop.example.test") for number in range(600)]
        for number in range(10):
            assert bring(haproxy, states[number % 2]).reload_reason == ""
    assert {reply.result()[0] for reply in replies} == {200}


def test_servers_that_were_drained_are_deleted(haproxy, pods):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port, a2.port]))
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]))
    assert list(haproxy.runtime.servers()["ng:alpha:traefik"]) == [f"alpha_traefik_127.0.0.1_{a1.port}"]


def test_a_server_left_in_maintenance_serves_again(haproxy, pods):
    a1 = pods("a1")
    wanted = cluster("alpha", [ROOT], [a1.port])
    bring(haproxy, wanted)
    server = f"ng:alpha:traefik/alpha_traefik_127.0.0.1_{a1.port}"
    haproxy.runtime.expect(r"\A\n", f"set server {server} state maint")
    assert haproxy.get("shop.example.test")[0] == 503
    outcome = bring(haproxy, wanted)
    assert [str(step) for step in outcome.plan.steps] == [f"enable server {server}"]
    assert answered(haproxy, "shop.example.test") == {"a1"}


def test_a_dead_pod_that_came_at_run_time_is_noticed_and_costs_no_request(haproxy, pods, wait):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]))
    bring(haproxy, cluster("alpha", [ROOT], [a1.port, a2.port]))
    a2.stop()
    assert answered(haproxy, "shop.example.test") == {"a1"}
    state = rf"(?m)^\d+ \S+ \d+ alpha_traefik_127.0.0.1_{a2.port} \S+ 0 "  # srv_op_state 0: stopped
    wait(lambda: re.search(state, haproxy.runtime.ask("show servers state")), "the health check")


def test_a_backend_without_ready_pods_answers_503(haproxy):
    bring(haproxy, cluster("alpha", [ROOT], []))
    assert haproxy.get("shop.example.test")[0] == 503


def test_the_client_does_not_choose_what_the_application_is_told_of_it(haproxy, pods):
    bring(haproxy, cluster("alpha", [ROOT], [pods("a1").port]))
    lies = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Forwarded": "for=192.0.2.1"}
    status, body = haproxy.get("shop.example.test", headers=lies)
    told = {name.lower(): value for name, value in body["headers"].items()}
    assert (status, told["x-forwarded-for"], told["x-forwarded-proto"]) == (200, "127.0.0.1", "http")
    assert "forwarded" not in told


def test_a_candidate_that_haproxy_refuses_changes_nothing(haproxy, pods):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    bring(haproxy, wanted)
    live, worker = haproxy.adapter.read(), haproxy.worker()
    haproxy.options = layout.Options(("127.0.0.1:notaport",), haproxy.options.https_bind)
    with pytest.raises(ConvergeError, match="refuses the candidate.*notaport"):
        bring(haproxy, wanted)
    assert (haproxy.adapter.read(), haproxy.worker()) == (live, worker)


def test_a_reload_that_fails_puts_the_files_of_before_back(haproxy, pods):
    alpha, beta = (cluster(name, [ROOT], [pods(name).port]) for name in ("alpha", "beta"))
    bring(haproxy, alpha)
    live = haproxy.adapter.read()
    taken = pods("somebody else")  # The check can't see that an address is in use; only the reload does.
    options, haproxy.options = haproxy.options, layout.Options((f"127.0.0.1:{taken.port}",), haproxy.options.https_bind)
    with pytest.raises(ConvergeError, match="files of before are back"):
        bring(haproxy, alpha, beta)
    assert haproxy.adapter.read().files == live.files
    assert answered(haproxy, "shop.example.test") == {"alpha"}
    haproxy.options = options
    bring(haproxy, alpha, beta)
    assert answered(haproxy, "shop.example.test") == {"alpha", "beta"}


def test_a_refused_change_at_run_time_is_made_by_a_reload(haproxy, pods, monkeypatch):
    a1, a2 = pods("a1"), pods("a2")
    bring(haproxy, cluster("alpha", [ROOT], [a1.port]))
    monkeypatch.setattr(
        "ansible_collections.northgate.edge.plugins.module_utils._haproxy.steps.SERVER_OPTIONS", "no-such-option"
    )
    outcome = bring(haproxy, cluster("alpha", [ROOT], [a1.port, a2.port]))
    assert "failed" in outcome.reload_reason and "no-such-option" in outcome.reload_reason
    assert answered(haproxy, "shop.example.test") == {"a1", "a2"}


def test_with_haproxy_down_the_files_are_right_and_the_error_says_so(haproxy, pods):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    haproxy.stop()
    with pytest.raises(ConvergeError, match="serve from its next start"):
        bring(haproxy, wanted)
    haproxy.start()
    assert answered(haproxy, "shop.example.test") == {"a1"}
    assert not bring(haproxy, wanted).plan


def test_a_host_without_the_role_is_told_to_run_it(haproxy, pods):
    shutil.rmtree(haproxy.config_dir / "conf.d")
    with pytest.raises(ConvergeError, match="conf.d can't be read.*Run the role haproxy"):
        bring(haproxy, cluster("alpha", [ROOT], [pods("a1").port]))


def test_lines_added_to_our_files_are_removed(haproxy, pods):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    bring(haproxy, wanted)
    with open(haproxy.config_dir / "northgate" / "current" / "routes.map", "a", encoding="utf-8") as file:
        file.write("stolen.example.test/ ng:alpha:traefik\n")
    outcome = bring(haproxy, wanted)
    assert [file.name for file in outcome.plan.files] == ["routes.map"]
    assert outcome.reload_reason == ""
    assert not bring(haproxy, wanted).plan
