# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which route the real haproxy takes: hosts, fall-through, default backends, canaries, and odd requests."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.desired import Share
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Ingress, Path, Pool, Rule, Snapshot

EXACT_HOST = Rule("a.shop.example.test", "/", "Prefix")


@pytest.fixture
def world(haproxy, pods):
    """Each route by pods of its own cluster, which are named after the route."""
    rules = {
        "exact host": Rule("a.shop.example.test", "/x", "Prefix"),
        "wildcard": Rule("*.shop.example.test", "/", "Prefix"),
        "wildcard path": Rule("*.shop.example.test", "/only/wild", "Exact"),
        "every host": Rule("", "/everywhere", "Prefix"),
    }
    snapshots = []
    for number, (name, rule) in enumerate(rules.items()):
        ingress = Ingress("demo", f"i{number}", "2026", "traefik", (Path(rule, "class/traefik"),))
        snapshots.append(Snapshot(f"c{number}", (ingress,), (Pool("class/traefik", (Endpoint("127.0.0.1", pods(name).port),)),)))
    defaults = [("default of a host", (Path(Rule("d.example.test", "/rule", "Exact"), "class/traefik"),)), ("default", ())]
    for number, (name, paths) in enumerate(defaults):
        ingress = Ingress("demo", f"d{number}", "2026", "traefik", paths, default_pool="service/demo/default/80")
        pools = tuple(Pool(p, (Endpoint("127.0.0.1", pods(n).port),)) for p, n in (("service/demo/default/80", name), ("class/traefik", "rule")))
        snapshots.append(Snapshot(f"d{number}", (ingress,), pools))
    assert haproxy.bring(*snapshots).reload_reason
    return haproxy


@pytest.mark.parametrize(
    ("host", "path", "served"),
    [
        ("a.shop.example.test", "/x", "exact host"),
        ("a.shop.example.test", "/x/y", "exact host"),
        ("A.Shop.example.test.:80", "/x", "exact host"),
        # Every rule is matched by itself: what the exact host does not offer, the wildcard may.
        ("a.shop.example.test", "/other", "wildcard"),
        ("b.shop.example.test", "/x", "wildcard"),
        ("b.shop.example.test", "/only/wild", "wildcard path"),
        ("b.shop.example.test", "/only/wild/", "wildcard"),
        ("c.b.shop.example.test", "/x", "default"),
        ("shop.example.test", "/x", "default"),
        ("notshop.example.test", "/everywhere/x", "every host"),
        ("d.example.test", "/everywhere", "every host"),
        ("d.example.test", "/rule", "rule"),
        ("d.example.test", "/rule/", "default of a host"),
        ("unknown.example.test", "/", "default"),
        # RFC 3986, section 6.2.2: equivalent paths.
        ("a.shop.example.test", "/%78", "exact host"),
        ("a.shop.example.test", "/x/../other", "wildcard"),
        ("a.shop.example.test", "/other/../x", "exact host"),
        ("a.shop.example.test", "/./x", "exact host"),
        ("a.shop.example.test", "/%2e%2e/x", "exact host"),
        # A slash that is encoded parts no segments, and an empty segment is one.
        ("a.shop.example.test", "/x%2Fy", "wildcard"),
        ("a.shop.example.test", "//x", "wildcard"),
        ("a.shop.example.test", "/X", "wildcard"),
        ("xn--mnchen-3ya.shop.example.test", "/", "wildcard"),
    ],
)
def test_requests_and_their_routes(world, host, path, served):
    status, body = world.get(host, path)
    assert (status, body.get("pod")) == (200, served)


def test_without_a_default_backend_nothing_matches(haproxy, pods, cluster):
    haproxy.bring(cluster("alpha", [EXACT_HOST], [pods("a").port]))
    assert haproxy.get("other.example.test")[0] == 404
    answer = haproxy.ask("a.shop.example.test", "/")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: a.shop.example.test\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://other/ HTTP/1.1\r\nHost: a.shop.example.test\r\nConnection: close\r\n\r\n", 400),
        # Looked up as host and path this would be another route's.
        (b"GET /x HTTP/1.1\r\nHost: a.shop.example.test/foo\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: *.shop.example.test\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: !\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: m\xc3\xbcnchen.example.test\r\nConnection: close\r\n\r\n", 400),
        (b"GET /a%4 HTTP/1.1\r\nHost: a.shop.example.test\r\nConnection: close\r\n\r\n", 400),
        (b"CONNECT a.shop.example.test:80 HTTP/1.1\r\nHost: a.shop.example.test:80\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: a.shop.example.test\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: a.shop.example.test\r\nConnection: close\r\n\r\n", 200),
    ],
)
def test_requests_that_are_not_as_they_should_be(haproxy, pods, cluster, request_text, status):
    haproxy.bring(cluster("alpha", [EXACT_HOST], [pods("a").port]))
    with socket.create_connection(("127.0.0.1", haproxy.http), 10) as connection:
        connection.sendall(request_text)
        assert connection.recv(64).split(b" ")[1] == str(status).encode()


def test_a_canary_gets_its_share_and_its_weight_changes_without_a_reload(haproxy, pods):
    pools = tuple(Pool(f"service/demo/{n}/80", (Endpoint("127.0.0.1", pods(n).port),)) for n in ("main", "canary"))
    main = Ingress("demo", "main", "2026", "direct", (Path(EXACT_HOST, pools[0].name),))
    canary = Ingress("demo", "canary", "2026", "direct", (Path(EXACT_HOST, pools[1].name),), canary_weight=100)
    haproxy.bring(Snapshot("alpha", (main, canary), pools))
    assert haproxy.answered("a.shop.example.test") == {"canary"}
    for weight, expected in ((0, {"main"}), (50, {"main", "canary"})):
        outcome = haproxy.bring(Snapshot("alpha", (main, replace(canary, canary_weight=weight)), pools))
        assert outcome.reload_reason == ""
        assert haproxy.answered("a.shop.example.test", times=30) == expected


def test_clusters_share_by_weight_stand_by_and_drain_without_a_reload(haproxy, pods, cluster):
    a, b = pods("alpha"), pods("beta")
    snapshots = [cluster("alpha", [EXACT_HOST], [a.port]), cluster("beta", [EXACT_HOST], [b.port])]

    def counted(**shares):
        assert haproxy.bring(*snapshots, shares=shares).reload_reason in ("", "haproxy has not loaded our configuration yet")
        pods_seen = [haproxy.get("a.shop.example.test")[1].get("pod") for number in range(40)]
        return {name: pods_seen.count(name) for name in set(pods_seen)}

    assert counted() == {"alpha": 20, "beta": 20}
    assert counted(alpha=Share(weight=3), beta=Share(weight=1)) == {"alpha": 30, "beta": 10}
    assert counted(beta=Share(mode="standby")) == {"alpha": 40}
    assert counted(beta=Share(mode="drain")) == {"alpha": 40}
    assert counted() == {"alpha": 20, "beta": 20}


def test_a_standby_cluster_takes_over_when_no_active_pod_answers(haproxy, pods, cluster, wait):
    a, b = pods("alpha"), pods("beta")
    haproxy.bring(cluster("alpha", [EXACT_HOST], [a.port]), cluster("beta", [EXACT_HOST], [b.port]), shares={"beta": Share(mode="standby")})
    assert haproxy.answered("a.shop.example.test") == {"alpha"}
    a.stop()
    wait(lambda: haproxy.get("a.shop.example.test") == (200, haproxy.get("a.shop.example.test")[1]), "the standby cluster")
    assert haproxy.answered("a.shop.example.test") == {"beta"}


def test_pods_that_end_get_what_is_new_only_when_there_is_no_other(haproxy, pods, cluster):
    a, b = pods("ready"), pods("ending")
    ending = Endpoint("127.0.0.1", b.port, ready=False, serving=True, terminating=True)
    haproxy.bring(cluster("alpha", [EXACT_HOST], [a.port, ending]))
    assert haproxy.answered("a.shop.example.test") == {"ready"}
    assert haproxy.bring(cluster("alpha", [EXACT_HOST], [ending])).reload_reason == ""
    assert haproxy.answered("a.shop.example.test") == {"ending"}


def test_a_used_up_stock_of_backends_grows_by_one_reload(haproxy, pods, cluster):
    haproxy.options = replace(haproxy.options, spare_backends=0)
    a = pods("a")
    pools = tuple(Pool(f"service/demo/s{number}/80", (Endpoint("127.0.0.1", a.port),)) for number in range(40))
    paths = tuple(Path(Rule(f"h{number}.example.test", "/", "Prefix"), pool.name) for number, pool in enumerate(pools))
    haproxy.bring(Snapshot("alpha", (Ingress("demo", "i", "2026", "direct", paths[:16]),), pools))
    assert haproxy.bring(Snapshot("alpha", (Ingress("demo", "i", "2026", "direct", paths[:15]),), pools)).reload_reason == ""
    outcome = haproxy.bring(Snapshot("alpha", (Ingress("demo", "i", "2026", "direct", paths),), pools))
    assert outcome.reload_reason == "the stock of backends grows by 32"
    assert all(haproxy.get(f"h{number}.example.test")[0] == 200 for number in range(40))
    assert not haproxy.bring(Snapshot("alpha", (Ingress("demo", "i", "2026", "direct", paths),), pools)).plan


def test_a_request_without_host_is_refused_even_where_a_rule_is_for_every_host(haproxy, pods, cluster):
    haproxy.bring(cluster("alpha", [Rule("", "/", "Prefix")], [pods("a").port]))
    for version, status in (("1.1", b"400"), ("1.0", b"200")):
        with socket.create_connection(("127.0.0.1", haproxy.http), 10) as connection:
            connection.sendall(f"GET / HTTP/{version}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(64).split(b" ")[1] == status, version
