# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes' ingress conformance asks for, in both modes and on both routers.

With an ingress controller the router decides first, and then the controller does by its own reading. Where Traefik 2
reads the specification in another way, the expectation says so: it prefers longer rules, and its prefixes are not by segment.
"""
from __future__ import annotations

import json

import pytest
from driver import clusters
from driver.client import NO_RULE, NO_RULE_IN_TRAEFIK, everywhere, outcomes, question

EXACT = {
    "/foo": "app-1", "/foo?query=1": "app-1", "/foo/": NO_RULE, "/foo/bar": NO_RULE, "/foobar": NO_RULE, "/FOO": NO_RULE, "/bar/": "app-2",
    "/bar": NO_RULE, "/": NO_RULE,
}
PREFIX = {
    "/foo": "app-1", "/foo/": "app-1", "/foo/x/y": "app-1", "/foo?x=/aaa": "app-1", "/foobar": NO_RULE, "/Foo": NO_RULE, "/": NO_RULE,
    "/aaa": "app-2", "/aaa/x": "app-2", "/aaa/bbb": "app-3", "/aaa/bbb/ccc": "app-3", "/aaa/bbbccc": "app-2", "/aaa/BBB": "app-2",
    "/slash/": "app-4", "/slash": "app-4", "/slash/x": "app-4", "/slashes": NO_RULE, "/either": "app-5", "/either/x": "app-5",
    # A path of more, or of encoded, slashes is another one.
    "//foo": NO_RULE, "/foo%2Fx": NO_RULE, "/foo//x": "app-1", "/foo/%2F": "app-1",
}
PREFIX_IN_TRAEFIK = {"/aaa/bbbccc": "app-3", "/slash": NO_RULE_IN_TRAEFIK}
MIXED = {"/foo": "app-3", "/foo/": "app-2", "/foo/bar": "app-4", "/foo/bar/": "app-2", "/foo/barx": "app-2", "/foox": "app-1", "/": "app-1"}
MIXED_IN_TRAEFIK = {"/foo": "app-2", "/foo/bar": "app-2", "/foox": "app-2"}


@pytest.fixture(autouse=True)
def _objects(objects):
    """Every test needs them."""


def seen(host, paths):
    """The outcome of each path of a host."""
    return dict(zip(paths, outcomes(*(question(host, path) for path in paths)), strict=True))


@pytest.mark.parametrize("name, rules, in_traefik", [
    ("exact", EXACT, {}), ("prefix", PREFIX, PREFIX_IN_TRAEFIK), ("mixed", MIXED, MIXED_IN_TRAEFIK)])
def test_paths(mode, name, rules, in_traefik):
    expected = rules | (in_traefik if mode == "traefik" else {})
    assert seen(f"{name}.{mode}.example.test", rules) == expected


def test_hosts(mode):
    wildcard = f"wildcard.{mode}.example.test"
    expected = {
        f"host.{mode}.example.test": "app-1", f"HOST.{mode}.Example.Test": "app-1", f"host.{mode}.example.test:80": "app-1",
        f"host.{mode}.example.test.": "app-1", f"x.host.{mode}.example.test": NO_RULE, f"nohost.{mode}.example.test": NO_RULE,
        f"a.{wildcard}": "app-2", f"A.{wildcard}:80": "app-2", f"a.b.{wildcard}": NO_RULE, wildcard: NO_RULE,
        # Traefik prefers the wildcard, whose rule is longer.
        f"own.{wildcard}": "app-2" if mode == "traefik" else "app-3",
    }
    assert dict(zip(expected, outcomes(*(question(host) for host in expected)), strict=True)) == expected


def test_a_rule_without_a_host_is_for_every_host(mode):
    path = f"/any-host-{mode}"
    assert seen("whatever.example.test", [path, f"{path}/x", "/"]) == {path: "app-4", f"{path}/x": "app-4", "/": NO_RULE}
    # Also for one that has rules of its own, where they say nothing of the path.
    assert seen(f"exact.{mode}.example.test", [path, "/foo"]) == {path: "app-4", "/foo": "app-1"}


def test_the_default_backend_of_an_ingress_gets_what_its_rules_do_not(mode):
    # Traefik has default backends of ingresses without rules only.
    other = NO_RULE_IN_TRAEFIK if mode == "traefik" else "app-6"
    assert seen(f"default.{mode}.example.test", ["/rule", "/rule/x", "/", "/other"]) == {
        "/rule": "app-5", "/rule/x": "app-5", "/": other, "/other": other}


def test_classes():
    questions = (question(f"{name}.example.test") for name in ("by-controller", "no-class", "foreign"))
    assert outcomes(*questions) == ["app-1", "app-1", NO_RULE]


@pytest.mark.parametrize("host", ["shared.example.test", "direct.example.test"])
def test_all_pods_of_both_clusters_get_requests(host):
    expected = {(cluster, pod) for cluster in clusters.CLUSTERS for pod in clusters.pods(cluster, clusters.NAMESPACE, "echo")}
    assert len(expected) == 4
    for replies in everywhere(question(host, scheme="https", times=60)).values():
        assert {reply.status for reply in replies} == {200}
        assert {(reply.json["cluster"], reply.json["pod"]) for reply in replies} == expected


def test_a_request_goes_to_the_clusters_that_have_its_host_and_path():
    both = {"alpha", "beta"}
    expected = {
        ("mydomain", "/"): {"beta"}, ("mydomain", "/other"): {"beta"}, ("mydomain", "/app1"): both, ("mydomain", "/app1/x"): both,
        ("mydomain", "/app2"): {"alpha"}, ("mydomain", "/app10"): {"beta"}, ("sub1", "/app1"): both, ("sub1", "/app2"): {"beta"},
        ("sub1", "/"): {NO_RULE},
    }
    times = 12
    for replies in everywhere(*(question(f"{host}.example.test", path, times=times) for host, path in expected)).values():
        answered = [reply.json.get("cluster", reply.outcome) for reply in replies]
        assert {key: set(answered[times * number:times * (number + 1)]) for number, key in enumerate(expected)} == expected


def test_each_host_has_its_own_certificate(mode):
    hosts = {name: f"{name}.{mode}.example.test" for name in ("secret", "directory")}
    for replies in everywhere(*(question(host, scheme="https") for host in hosts.values())).values():
        assert [(reply.outcome, reply.names) for reply in replies] == [("app-1", [hosts["secret"]]), ("app-2", [hosts["directory"]])]


def test_an_exact_certificate_comes_before_a_wildcard():
    for replies in everywhere(*(question(f"{name}.wild.example.test", scheme="https") for name in ("exact", "secure"))).values():
        assert [reply.names for reply in replies] == [["exact.wild.example.test"], ["*.wild.example.test"]]


def test_a_host_without_a_certificate_is_served_by_http_and_refused_by_https(mode):
    for plain, refused in everywhere(*(question(f"host.{mode}.example.test", scheme=scheme) for scheme in ("http", "https"))).values():
        assert plain.outcome == "app-1"
        assert refused.status == 0 and "UNRECOGNIZED_NAME" in refused.error


def test_http_leads_to_https_where_there_is_a_certificate(mode):
    host = f"secret.{mode}.example.test"
    for reply, in everywhere(question(host, "/a/b?c=d")).values():
        assert (reply.status, reply.headers["location"]) == (308, f"https://{host}/a/b?c=d")


def test_a_connection_is_not_used_for_a_host_that_its_certificate_does_not_cover():
    questions = [question(f"{host}.example.test", scheme="https", sni="secure.wild.example.test") for host in ("secure.wild", "alpha", "secret.direct")]
    for replies in everywhere(*questions).values():
        assert [reply.status for reply in replies] == [200, 421, 421]


def test_websockets_and_event_streams(mode):
    host = f"secret.{mode}.example.test"
    questions = question(host, "/ws", scheme="https", websocket=True), question(host, "/events", scheme="https", lines=2)
    for opened, told in everywhere(*questions).values():
        assert (opened.status, opened.outcome) == (101, "app-1")
        assert (told.outcome, told.headers["content-type"]) == ("app-1", "text/event-stream")
        # Each event comes when it is sent, a second after the other.
        assert 0.5 < told.times[1] - told.times[0] < 2.5


def test_http2_without_tls_to_pods():
    for reply, in everywhere(question("h2c.example.test")).values():
        assert (reply.outcome, reply.json["proto"]) == ("app-2", "HTTP/2.0")


def test_the_application_learns_who_the_client_is_and_not_what_it_claims(mode):
    host = f"secret.{mode}.example.test"
    lies = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "other.example.test", "X-Forwarded-Port": "1",
            "Forwarded": "for=192.0.2.1"}
    for reply, in everywhere(question(host, scheme="https", headers=lies)).values():
        told = reply.json["headers"]
        assert told["X-Forwarded-For"].split(", ")[0] == "10.91.0.100"
        assert [told[f"X-Forwarded-{name}"] for name in ("Proto", "Host", "Port")] == ["https", host, "443"]
        assert "192.0.2.1" not in json.dumps(told)
