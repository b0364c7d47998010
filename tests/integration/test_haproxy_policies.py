# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ingresses ask for by annotations, as the real haproxy does it; and none of it by a reload."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Rule
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, Policy

HOST = "shop.example.test"
ROOT = Rule(HOST, "/", "Prefix")


@pytest.fixture
def shop(haproxy, pods, cluster):
    """Gives an ingress a policy without a reload, and returns haproxy."""
    pod = pods("a1")
    haproxy.bring(cluster("alpha", [ROOT], [pod.port]))

    def shop(policy, rules=(ROOT,), pems=None, **choices):
        outcome = haproxy.bring(cluster("alpha", rules, [pod.port], policy=policy), pems=pems, **choices)
        assert outcome.reload_reason == ""
        return haproxy

    return shop


def authorization(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest().upper()


def test_what_can_t_be_understood_is_closed(shop):
    assert shop(CLOSED).get(HOST)[0] == 403
    assert shop(Policy()).get(HOST)[0] == 200


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (Policy(allow=("127.0.0.0/8",)), 200),
        (Policy(allow=("127.0.0.1/32",)), 200),
        (Policy(allow=("126.0.0.0/7",)), 200),
        (Policy(allow=("0.0.0.0/0",)), 200),
        (Policy(allow=("10.0.0.0/8", "2001:db8::/32")), 403),
        (Policy(allow=("::/0",)), 403),
        (Policy(deny=("127.0.0.0/9",)), 403),
        (Policy(deny=("127.128.0.0/9",)), 200),
        (Policy(allow=("127.0.0.0/8",), deny=("127.0.0.1/32",)), 403),
    ],
)
def test_client_networks(shop, policy, status):
    assert shop(policy).get(HOST)[0] == status


def test_ipv4_clients_of_a_listener_of_both_families(shop, haproxy):
    port = haproxy.http
    haproxy.options = replace(haproxy.options, http_bind=(f":::{port} v4v6",))
    with pytest.raises(AssertionError):
        shop(Policy(allow=("127.0.0.0/8",)))  # The listener changes by a reload.
    assert haproxy.get(HOST)[0] == 200
    assert shop(Policy(deny=("127.0.0.0/8",))).get(HOST)[0] == 403


def test_requests_of_one_client_in_a_second_and_in_a_minute(shop):
    haproxy = shop(Policy(rate_limit=5, rate_unit="m"))
    statuses = [haproxy.get(HOST)[0] for number in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    haproxy = shop(Policy(rate_limit=1_000_000, rate_unit="s"))
    assert [haproxy.get(HOST)[0] for number in range(8)] == [200] * 8


def test_bodies(shop):
    haproxy = shop(Policy(max_body=10))
    assert haproxy.ask(HOST, method="POST", body=b"x" * 10).status == 200
    assert haproxy.ask(HOST, method="POST", body=b"x" * 11).status == 413
    assert haproxy.ask(HOST, method="POST", body=iter([b"x"])).status == 411
    assert haproxy.ask(HOST).status == 200


def test_users(shop):
    haproxy = shop(Policy(users=(digest("ann:secret"), digest("bob:other"))))
    assert haproxy.ask(HOST).status == 401
    assert haproxy.ask(HOST).getheader("WWW-Authenticate").startswith("Basic realm=")
    for text, status in (("ann:secret", 200), ("bob:other", 200), ("ann:other", 401), ("", 401)):
        assert haproxy.get(HOST, headers=authorization(text))[0] == status
    assert haproxy.get(HOST, headers={"Authorization": "Basic"})[0] == 401
    haproxy = shop(Policy(users=(digest("ann:new"),)))
    assert [haproxy.get(HOST, headers=authorization(text))[0] for text in ("ann:secret", "ann:new")] == [401, 200]


def test_digests_of_users_are_not_shown(shop, haproxy, pods, cluster):
    user = digest("ann:secret")
    outcome = haproxy.bring(cluster("alpha", [ROOT], [], policy=Policy(users=(user,))), check_mode=True)
    shown = repr(outcome.plan.diff()) + repr(outcome.plan) + "".join(map(str, outcome.plan.steps))
    assert "/u/(secret)" in shown and user not in shown


@pytest.mark.parametrize(
    ("rule", "rewrite", "asked", "seen"),
    [
        ("/", "/new", "/a?q=1", "/new/a?q=1"),
        ("/shop", "/", "/shop/cart?q=%2F", "/cart?q=%2F"),
        ("/shop", "/", "/shop", "/"),
        ("/shop", "/new/home", "/shop/cart/", "/new/home/cart/"),
        ("/a/b/c/d/e/f/g/h", "/deep", "/a/b/c/d/e/f/g/h/i", "/deep/i"),
        ("/a-b", "/x%20y", "/a-b/c", "/x%20y/c"),
    ],
)
def test_the_path_of_the_rule_is_replaced(shop, rule, rewrite, asked, seen):
    haproxy = shop(Policy(rewrite=rewrite), [Rule(HOST, rule, "Prefix"), Rule(HOST, "/exact", "Exact")])
    assert haproxy.get(HOST, asked)[1]["path"] == seen
    assert haproxy.get(HOST, "/exact")[1]["path"] in (rewrite, rewrite + "/exact")


def test_a_session_stays_with_its_pod_also_after_a_reload(haproxy, pods, cluster):
    ports = [pods(f"a{number}").port for number in range(4)]
    asked = Policy(affinity=True)
    haproxy.bring(cluster("alpha", [ROOT], ports[:1]))
    assert haproxy.bring(cluster("alpha", [ROOT], ports, policy=asked)).reload_reason == ""
    cookies = {}
    for number in range(12):
        answer = haproxy.ask(HOST)
        cookie = answer.getheader("Set-Cookie").split(";")[0]
        assert cookies.setdefault(cookie, answer.text) == answer.text or number == 0
        pod = haproxy.get(HOST, headers={"Cookie": cookie})[1]
        assert pod["pod"] in answer.text and "NORTHGATE" not in str(pod["headers"])
    assert len(cookies) == 4
    haproxy.stop()
    haproxy.start()
    for cookie, text in cookies.items():
        assert haproxy.get(HOST, headers={"Cookie": cookie})[1]["pod"] in text
    haproxy.bring(cluster("alpha", [ROOT], ports))
    assert haproxy.ask(HOST).getheader("Set-Cookie") is None


def test_a_slow_answer_is_waited_for_as_long_as_the_ingress_says(haproxy, cluster, silent):
    haproxy.bring(cluster("alpha", [ROOT], [silent]))
    assert haproxy.bring(cluster("alpha", [ROOT], [silent], policy=Policy(timeout_server=300))).reload_reason == ""
    began = time.monotonic()
    assert haproxy.get(HOST)[0] == 504
    assert time.monotonic() - began < 5  # The default of this haproxy is 10 s.


def test_https_redirect_and_strict_transport_security(shop, pem):
    pems = {"shop.pem": pem(HOST)}
    haproxy = shop(Policy(), pems=pems)
    answer = haproxy.ask(HOST + ":8080", "/a%2Fb?q=1")
    assert (answer.status, answer.getheader("Location")) == (308, f"https://{HOST}/a%2Fb?q=1")
    assert haproxy.ask(HOST, sni=HOST).getheader("Strict-Transport-Security") is None
    assert shop(Policy(redirect=False), pems=pems).get(HOST)[0] == 200
    assert shop(Policy(), pems=pems, redirect=False).get(HOST)[0] == 200
    assert shop(Policy(redirect=True), pems=pems, redirect=False).get(HOST)[0] == 308
    # Without a certificate nobody is sent to where nothing is.
    assert shop(Policy(redirect=True)).get(HOST)[0] == 200
    haproxy = shop(Policy(hsts="max-age=300; includeSubDomains"), pems=pems)
    assert haproxy.ask(HOST, sni=HOST).getheader("Strict-Transport-Security") == "max-age=300; includeSubDomains"
    assert haproxy.ask(HOST).getheader("Strict-Transport-Security") is None


def test_strict_transport_security_for_all_but_who_says_off(haproxy, pods, cluster, pem):
    haproxy.options = replace(haproxy.options, hsts="max-age=100")
    pod, pems = pods("a1").port, {"shop.pem": pem(HOST)}
    for asked, seen in (("", "max-age=100"), ("off", None), ("max-age=5", "max-age=5")):
        haproxy.bring(cluster("alpha", [ROOT], [pod], policy=Policy(hsts=asked)), pems=pems)
        assert haproxy.ask(HOST, sni=HOST).getheader("Strict-Transport-Security") == seen


def test_what_a_named_proxy_says_of_the_client_is_believed(haproxy, pods, cluster):
    haproxy.options = replace(haproxy.options, trusted_proxies=("127.0.0.0/8",))
    told = {"X-Forwarded-For": "198.51.100.9, 192.0.2.7", "X-Forwarded-Proto": "https"}
    haproxy.bring(cluster("alpha", [ROOT], [pods("a1").port], policy=Policy(allow=("192.0.2.0/24",))))
    status, body = haproxy.get(HOST, headers=told)
    seen = {name.lower(): value for name, value in body["headers"].items()}
    assert (status, seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (200, "198.51.100.9, 192.0.2.7, 127.0.0.1", "https")
    assert seen["x-real-ip"] == "192.0.2.7"
    assert haproxy.get(HOST)[0] == 403
