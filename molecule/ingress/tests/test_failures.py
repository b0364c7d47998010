# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes and failures while the client's requests and websockets go on. Nothing is lost unless a test says what and why.

Each test leaves the lab as it found it. After the first converge nothing here needs a reload.
"""
from __future__ import annotations

import json

import pytest
from driver import clusters
from driver.client import NO_RULE, Traffic, ask, question
from driver.clusters import NAMESPACE, apply, eventually, ingress, kubectl, secret
from driver.command import ROUTERS, STATE, converge, lab, reloads

URLS = ("http://shared.example.test/", "https://direct.example.test/", "https://shared.example.test/b", "https://secret.direct.example.test/")
WEBSOCKETS = ("http://shared.example.test/ws", "https://direct.example.test/ws", "https://secret.direct.example.test/ws")
ACCOUNT = "northgate-edge"
BOOT_SECONDS = 150.0


@pytest.fixture(autouse=True)
def _no_reload(objects):
    """No router is reloaded, by the word of its haproxy; one that booted begins at zero."""
    before = {router: reloads(router) for router in ROUTERS}
    yield
    assert [router for router in ROUTERS if reloads(router) > before[router]] == []


def serials(*hosts):
    """The certificates that each router presents for the hosts."""
    replies = ask(*(question(host, router=router, scheme="https") for router in ROUTERS for host in hosts))
    assert {reply.status for reply in replies} == {200}, replies
    return [reply.serial for reply in replies]


def test_certificates_are_rotated():
    in_secret, in_directory = "secret.direct.example.test", "directory.direct.example.test"
    before = serials(in_secret, in_directory)
    with Traffic([*URLS, f"https://{in_directory}/"], WEBSOCKETS, loops=5) as traffic:
        apply("alpha", secret(in_secret, in_secret))
        certificate, key = clusters.authority().issue(in_directory, [in_directory])
        (STATE / "certificates" / f"{in_directory}.pem").write_bytes(certificate + key)
        run = converge()
        after = serials(in_secret, in_directory)
    assert traffic.lost == {}
    assert run.reload_reasons == set()
    assert len({*before, *after}) == 4 and after[:2] == after[2:]


def test_a_host_comes_and_goes(mode):
    router = {"traefik": "r1", "direct": "r2"}[mode]
    host = f"guest.{mode}.example.test"
    for cluster in clusters.CLUSTERS:
        apply(cluster, ingress(f"guest-{mode}", mode, {host: [("/", "Prefix", "echo")]}))
    assert converge().reload_reasons == set()
    eventually(lambda: {reply.status for reply in ask(question(host, router=router, times=4))} == {200}, what=host)
    # The websocket to the host that goes is open before, and stays.
    with Traffic(URLS, [*WEBSOCKETS, f"http://{host}/ws"], router) as traffic:
        for cluster in clusters.CLUSTERS:
            clusters.delete(cluster, "ingress", f"guest-{mode}")
        run = converge()
        reply, = ask(question(host, router=router))
    assert traffic.lost == {}
    assert run.reload_reasons == set()
    assert reply.outcome == NO_RULE


@pytest.fixture
def rollouts():
    """Deployments whose old pods stay until all new ones have been ready for as long as ``patch`` says."""
    deployments = [("alpha", NAMESPACE, "echo"), ("beta", NAMESPACE, "echo"), ("alpha", "traefik", "traefik")]

    def patch(seconds):
        spec = {"minReadySeconds": seconds, "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}
        for cluster, namespace, name in deployments:
            kubectl(cluster, "-n", namespace, "patch", "deployment", name, "-p", json.dumps({"spec": spec}))
    yield deployments, patch
    patch(0)


def test_pods_are_rolled(rollouts):
    """All pods that routers send requests to are replaced: those of echo in mode direct, and Traefik's in alpha.

    How Traefik finds its own new pods is its business, so its requests go to echo-b, which stays. Websockets are on others
    only, for they end with their pods.
    """
    deployments, patch = rollouts
    calm = "https://secret.direct.example.test"
    urls = ("https://direct.example.test/", f"{calm}/", "https://shared.example.test/b", "http://shared.example.test/b")
    with Traffic(urls, [f"{calm}/ws", f"{calm}/x/ws"], loops=5) as traffic:
        old = set().union(*(clusters.pods(*entry) for entry in deployments))
        patch(500)
        for cluster, namespace, name in deployments:
            kubectl(cluster, "-n", namespace, "rollout", "restart", f"deployment/{name}")
        eventually(lambda: all(len(clusters.pods(*entry)) == 4 for entry in deployments), 90, "new pods beside the old ones")
        reasons = converge().reload_reasons
        patch(0)
        for cluster, namespace, name in deployments:
            clusters.wait_deployed(cluster, name, namespace)
        reasons |= converge().reload_reasons
        new = set().union(*(clusters.pods(*entry) for entry in deployments))
        replies = ask(question("direct.example.test", scheme="https", times=60))
    assert traffic.lost == {}
    assert reasons == set()
    assert (len(new), old & new) == (6, set())
    answered = {reply.json["pod"] for reply in replies}
    assert len(answered) == 4 and answered < new


def test_websockets_of_pods_that_go_are_told_so():
    """A websocket can't outlive its pod: it ends with a goodbye, and the next one opens at once."""
    with Traffic(["https://direct.example.test/"], ["https://direct.example.test/ws"] * 4) as traffic:
        gone = traffic.pods[0]
        cluster = next(name for name in clusters.CLUSTERS if gone in clusters.pods(name, NAMESPACE, "echo"))
        kubectl(cluster, "-n", NAMESPACE, "delete", "pod", gone)
        clusters.wait_deployed(cluster, "echo", NAMESPACE)
        run = converge()
    assert (traffic.summary["failed"], traffic.summary["websockets_broken"]) == (0, 0), traffic.summary
    assert traffic.summary["websockets_ended"] >= traffic.pods.count(gone)
    assert traffic.summary["websockets_opened"] == 4 + traffic.summary["websockets_ended"]
    assert run.reload_reasons == set()


@pytest.fixture
def forbidden():
    """The account of the routers' controller may not list alpha's endpoint slices: what it reads of alpha is a part."""
    role = clusters.get("alpha", "clusterrole", ACCOUNT)

    def set_rules(rules):
        kubectl("alpha", "patch", "clusterrole", ACCOUNT, "--type=merge", "-p", json.dumps({"rules": rules}))
    set_rules([rule for rule in role["rules"] if "endpointslices" not in rule.get("resources", ())])
    yield
    set_rules(role["rules"])
    eventually(lambda: converge().served_from["alpha"] == {"observed"}, 60, "an observation of alpha")


def test_a_cluster_that_is_read_in_part_is_served_on(forbidden):
    with Traffic(URLS, WEBSOCKETS) as traffic:
        eventually(lambda: converge().served_from["alpha"] == {"last-known-good"}, 60, "an incomplete observation")
        # What it offers meanwhile can wait, what beta offers can't.
        apply("alpha", ingress("late", "direct", {"late-alpha.example.test": [("/", "Prefix", "echo")]}))
        apply("beta", ingress("late", "direct", {"late-beta.example.test": [("/", "Prefix", "echo")]}))
        run = converge()
        replies = ask(*(question(f"{host}.example.test") for host in ("late-alpha", "late-beta", "mydomain")))
    for cluster in clusters.CLUSTERS:
        clusters.delete(cluster, "ingress", "late")
    assert traffic.lost == {}
    assert run.reload_reasons == set()
    assert [reply.outcome for reply in replies] == [NO_RULE, "echo", "echo"]


@pytest.fixture(scope="module")
def apis_down():
    with clusters.apis_down():
        yield


def test_clusters_whose_apis_are_down_are_served_on(apis_down):
    with Traffic(URLS, WEBSOCKETS) as traffic:
        run = converge()
        replies = ask(question("shared.example.test", times=12), question("mydomain.example.test", "/app1", times=12))
    assert traffic.lost == {}
    assert run.served_from == {"alpha": {"last-known-good"}, "beta": {"last-known-good"}}
    assert (run.reload_reasons, [run.ingress(name)["changed"] for name in ROUTERS]) == (set(), [False, False])
    assert {reply.json["cluster"] for reply in replies[:12]} == {reply.json["cluster"] for reply in replies[12:]} == {"alpha", "beta"}


def test_a_router_boots_while_every_api_is_down(apis_down):
    hosts = ("shared.example.test", "direct.example.test", "mydomain.example.test")
    questions = [question(host, router="r1") for host in hosts] + [question("secret.direct.example.test", router="r1", scheme="https")]
    with Traffic(URLS, WEBSOCKETS, router="r2") as traffic:
        lab("kill", "r1")
        lab("start", "r1", timeout=BOOT_SECONDS)
        # From its own disk: nothing has converged it since.
        eventually(lambda: [reply.status for reply in ask(*questions)] == [200, 308, 200, 200], 60, "r1 as it was")
        run = converge()
    assert traffic.lost == {}
    assert run.ingress("r1")["changed"] is False
