# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converging a real haproxy: what it answers, what changes without a reload, and what a mistake leaves."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Rule
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import steps

ROOT = Rule("shop.example.test", "/", "Prefix")


def test_first_run_reloads_once_with_its_reason_and_the_second_does_nothing(haproxy, pods, cluster):
    a = pods("alpha-1")
    first = haproxy.bring(cluster("alpha", [ROOT], [a.port]))
    assert first.reload_reason == "haproxy has not loaded our configuration yet"
    assert haproxy.answered("shop.example.test") == {"alpha-1"}
    again = haproxy.bring(cluster("alpha", [ROOT], [a.port]))
    assert not again.plan


def test_every_cluster_that_offers_a_host_and_path_gets_its_requests(haproxy, pods, cluster):
    a, b = pods("alpha-1"), pods("beta-1")
    only_alpha = Rule("shop.example.test", "/alpha", "Prefix")
    haproxy.bring(cluster("alpha", [ROOT, only_alpha], [a.port]), cluster("beta", [ROOT], [b.port]))
    assert haproxy.answered("shop.example.test") == {"alpha-1", "beta-1"}
    assert haproxy.answered("shop.example.test", "/alpha/x") == {"alpha-1"}
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
def test_longest_path_by_segment_wins_and_exact_first(haproxy, pods, cluster, host, path, served):
    rules = {
        "root": ROOT,
        "prefix": Rule("shop.example.test", "/foo", "Prefix"),
        "exact": Rule("shop.example.test", "/foo", "Exact"),
        "longer": Rule("shop.example.test", "/foo/bar/baz", "Prefix"),
    }
    haproxy.bring(*(cluster(name, [rule], [pods(name).port]) for name, rule in rules.items()))
    assert haproxy.answered(host, path, times=3) == {served}


def test_hosts_pods_and_certificates_change_without_a_reload(haproxy, pods, cluster, pem):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]), pems={"shop.pem": pem("shop.example.test")})
    worker = haproxy.worker()
    new_host = Rule("new.example.test", "/", "Prefix")
    outcome = haproxy.bring(
        cluster("alpha", [ROOT, new_host], [a1.port, a2.port]),
        pems={"shop.pem": pem("shop.example.test"), "new.pem": pem("new.example.test")},
    )
    assert outcome.reload_reason == ""
    assert haproxy.get("new.example.test", sni="new.example.test")[1]["pod"] in {"a1", "a2"}
    assert haproxy.certificate("new.example.test") and haproxy.certificate("shop.example.test")
    haproxy.bring(cluster("alpha", [ROOT], [a2.port]))
    assert haproxy.get("new.example.test")[0] == 404
    assert haproxy.answered("shop.example.test") == {"a2"}
    assert haproxy.certificate("shop.example.test") is None
    assert haproxy.worker() == worker


def test_a_renewed_certificate_is_served_without_a_reload(haproxy, pods, cluster, pem):
    snapshot = cluster("alpha", [ROOT], [pods("a1").port])
    haproxy.bring(snapshot, pems={"shop.pem": pem("shop.example.test")})
    before, worker = haproxy.certificate("shop.example.test"), haproxy.worker()
    haproxy.bring(snapshot, pems={"shop.pem": pem("shop.example.test", days=60)})
    after = haproxy.certificate("shop.example.test")
    assert after.serial_number != before.serial_number
    assert haproxy.worker() == worker
    assert len(list((haproxy.config_dir / "northgate" / "certs").iterdir())) == 1


def test_a_restart_gives_the_state_that_run_time_changes_made(haproxy, pods, cluster, pem):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    wanted = cluster("alpha", [ROOT, Rule("new.example.test", "/", "Prefix")], [a2.port])
    pems = {"new.pem": pem("new.example.test")}
    haproxy.bring(wanted, pems=pems)
    live = haproxy.adapter.read()
    haproxy.stop()
    haproxy.start()
    assert haproxy.adapter.read() == live
    assert not haproxy.bring(wanted, pems=pems).plan
    assert haproxy.get("new.example.test", sni="new.example.test")[1]["pod"] == "a2"


def test_check_mode_says_what_the_run_does_and_changes_nothing(haproxy, pods, cluster, pem):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    live = haproxy.adapter.read()
    pems = {"shop.pem": pem("shop.example.test")}
    wanted = cluster("alpha", [ROOT, Rule("new.example.test", "/", "Exact")], [a2.port])
    foretold = haproxy.bring(wanted, pems=pems, check_mode=True)
    assert haproxy.adapter.read() == live
    assert haproxy.bring(wanted, pems=pems).plan == foretold.plan
    assert "PRIVATE KEY" not in repr(foretold.plan.diff()) and "PRIVATE KEY" not in repr(foretold.plan)


def test_nothing_is_lost_while_pods_and_routes_change(haproxy, pods, cluster):
    a1, a2 = pods("a1"), pods("a2")
    extra = [Rule(f"host-{number}.example.test", "/", "Prefix") for number in range(300)]
    states = [cluster("alpha", [ROOT], [a1.port]), cluster("alpha", [ROOT, *extra], [a1.port, a2.port])]
    haproxy.bring(states[0])
    haproxy.bring(states[1])
    with ThreadPoolExecutor(4) as clients:
        replies = [clients.submit(haproxy.get, "shop.example.test") for number in range(600)]
        for number in range(10):
            assert haproxy.bring(states[number % 2]).reload_reason == ""
    assert {reply.result()[0] for reply in replies} == {200}


def test_servers_that_were_drained_are_deleted(haproxy, pods, cluster):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port, a2.port]))
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    assert list(haproxy.runtime.servers()["ng_h00001"]) == [f"alpha_127.0.0.1_{a1.port}"]


def test_a_server_left_in_maintenance_serves_again(haproxy, pods, cluster):
    a1 = pods("a1")
    wanted = cluster("alpha", [ROOT], [a1.port])
    haproxy.bring(wanted)
    server = f"ng_h00001/alpha_127.0.0.1_{a1.port}"
    haproxy.runtime.expect(r"\A\n", f"set server {server} state maint")
    assert haproxy.get("shop.example.test")[0] == 503
    outcome = haproxy.bring(wanted)
    assert [str(step) for step in outcome.plan.steps] == [f"enable server {server}"]
    assert haproxy.answered("shop.example.test") == {"a1"}


def test_a_dead_pod_that_came_at_run_time_is_noticed_and_costs_no_request(haproxy, pods, cluster, wait):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    haproxy.bring(cluster("alpha", [ROOT], [a1.port, a2.port]))
    a2.stop()
    assert haproxy.answered("shop.example.test") == {"a1"}
    state = rf"(?m)^\d+ \S+ \d+ alpha_127.0.0.1_{a2.port} \S+ 0 "  # srv_op_state 0: stopped
    wait(lambda: re.search(state, haproxy.runtime.ask("show servers state")), "the health check")


def test_all_pods_of_a_cluster_that_die_at_once_cost_no_request(haproxy, pods, cluster):
    """Servers are asked in turn, so a request meets the dead ones of a cluster one after another."""
    dying = [pods(f"alpha-{number}") for number in range(8)]
    staying = [pods(f"beta-{number}") for number in range(2)]
    haproxy.bring(*(cluster(name, [ROOT], [pod.port for pod in of]) for name, of in (("alpha", dying), ("beta", staying))))
    assert len(haproxy.answered("shop.example.test", times=40)) == 10
    for pod in dying:
        pod.stop()
    assert haproxy.answered("shop.example.test", times=40) == {"beta-0", "beta-1"}


def test_a_backend_without_ready_pods_answers_503(haproxy, cluster):
    haproxy.bring(cluster("alpha", [ROOT], []))
    assert haproxy.get("shop.example.test")[0] == 503


def test_the_client_does_not_choose_what_the_application_is_told_of_it(haproxy, pods, cluster):
    haproxy.bring(cluster("alpha", [ROOT], [pods("a1").port]))
    lies = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Forwarded": "for=192.0.2.1", "X-Forwarded-Client": "me"}
    status, body = haproxy.get("shop.example.test", headers=lies)
    told = {name.lower(): value for name, value in body["headers"].items()}
    assert (status, told["x-forwarded-for"], told["x-forwarded-proto"]) == (200, "127.0.0.1", "http")
    assert told["forwarded"] == 'for=127.0.0.1;host="shop.example.test";proto=http'
    assert told["x-real-ip"] == "127.0.0.1" and "x-forwarded-client" not in told


def test_a_candidate_that_haproxy_refuses_changes_nothing(haproxy, pods, cluster):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    haproxy.bring(wanted)
    live, worker = haproxy.adapter.read(), haproxy.worker()
    haproxy.options = replace(haproxy.options, http_bind=("127.0.0.1:notaport",))
    with pytest.raises(ConvergeError, match="refuses the candidate.*notaport"):
        haproxy.bring(wanted)
    assert (haproxy.adapter.read(), haproxy.worker()) == (live, worker)


def test_a_reload_that_fails_puts_the_files_of_before_back(haproxy, pods, cluster):
    alpha, beta = (cluster(name, [ROOT], [pods(name).port]) for name in ("alpha", "beta"))
    haproxy.bring(alpha)
    live = haproxy.adapter.read()
    taken = pods("somebody else")  # The check can't see that an address is in use; only the reload does.
    options, haproxy.options = haproxy.options, replace(haproxy.options, http_bind=(f"127.0.0.1:{taken.port}",))
    with pytest.raises(ConvergeError, match="files of before are back"):
        haproxy.bring(alpha, beta)
    assert haproxy.adapter.read().files == live.files
    assert haproxy.answered("shop.example.test") == {"alpha"}
    haproxy.options = options
    haproxy.bring(alpha, beta)
    assert haproxy.answered("shop.example.test") == {"alpha", "beta"}


def test_a_refused_change_at_run_time_is_made_by_a_reload(haproxy, pods, cluster, monkeypatch):
    a1, a2 = pods("a1"), pods("a2")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    monkeypatch.setattr(steps, "AFFINITY_KEY", "")
    outcome = haproxy.bring(cluster("alpha", [ROOT], [a1.port, a2.port]))
    assert "failed" in outcome.reload_reason and "dynamic-cookie-key" in outcome.reload_reason
    assert haproxy.answered("shop.example.test") == {"a1", "a2"}


def test_with_haproxy_down_the_files_are_right_and_the_error_says_so(haproxy, pods, cluster):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    haproxy.stop()
    with pytest.raises(ConvergeError, match="serve from its next start"):
        haproxy.bring(wanted)
    # Also in the next run, which has nothing to change.
    with pytest.raises(ConvergeError, match="serve from its next start"):
        haproxy.bring(wanted)
    haproxy.start()
    assert haproxy.answered("shop.example.test") == {"a1"}
    assert not haproxy.bring(wanted).plan


def test_a_host_without_the_role_is_told_to_run_it(haproxy, pods, cluster):
    shutil.rmtree(haproxy.config_dir / "conf.d")
    with pytest.raises(ConvergeError, match="conf.d can't be read.*Run the role haproxy"):
        haproxy.bring(cluster("alpha", [ROOT], [pods("a1").port]))


def test_lines_added_to_our_files_are_removed(haproxy, pods, cluster):
    wanted = cluster("alpha", [ROOT], [pods("a1").port])
    haproxy.bring(wanted)
    with open(haproxy.config_dir / "northgate" / "current" / "routes.map", "a", encoding="utf-8") as file:
        file.write("stolen.example.test/ ng_h00001||\n")
    outcome = haproxy.bring(wanted)
    assert [file.name for file in outcome.plan.files] == ["routes.map"]
    assert outcome.reload_reason == ""
    assert not haproxy.bring(wanted).plan
