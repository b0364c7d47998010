# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks and what is drained while the client's long streams go on, and runs that are killed.

Each test leaves the lab as it found it.
"""
from __future__ import annotations

import pytest
from driver import clusters, services
from driver.clusters import NAMESPACE, eventually, kubectl
from driver.command import CONFIRMED, ROUTERS, LabFailed, converge, lab
from driver.killed import module_killed
from driver.routing import forget, next_hops, remember, through
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, Streams, ended, outcomes, target

APP = "l4-long"
# Who learns from routers where clients and pools are.
AROUND = ("client", "alpha-w1", "alpha-w2")
BOOT_SECONDS = 150.0
# Until the cluster calls a node that is gone not ready.
NODE_SECONDS = 120.0
EACH = 8


@pytest.fixture(scope="module")
def addresses():
    """A service of alpha whose pods, one on each node, answer for long after they were told to go."""
    clusters.apply("alpha", services.application("alpha", APP), load_balancer("long", APP, externalTrafficPolicy="Local"))
    clusters.wait_deployed("alpha", APP)
    converge()
    yield services.addresses("alpha", "long")["long"]
    clusters.delete("alpha", "service", "long")
    clusters.delete("alpha", "deployment", APP, wait=False)
    converge(*CONFIRMED)


@pytest.fixture(scope="module")
def targets(addresses):
    """Targets of each protocol and family."""
    return [target(protocol, address, PORT) for address in addresses for protocol in PROTOCOLS]


def connections(results):
    """The pod of each stream that is no datagrams'."""
    return [entry["pod"] for entry in results if not entry["target"].startswith("udp")]


def test_endpoints_are_drained_while_long_connections_stay(targets):
    before = services.nodes_of("alpha", APP)
    with Streams(dict.fromkeys(targets, EACH)) as streams:
        assert set(connections(streams.first)) == set(before), streams.first
        kubectl("alpha", "-n", NAMESPACE, "scale", f"deployment/{APP}", "--replicas=1")
        try:
            eventually(lambda: len(services.nodes_of("alpha", APP)) == 1, what="only one pod ready")
            left = set(services.nodes_of("alpha", APP))
            converge()
            new = outcomes(*targets, times=10, what="pod")
            settled = streams.settled()
        finally:
            kubectl("alpha", "-n", NAMESPACE, "scale", f"deployment/{APP}", "--replicas=2")
            clusters.wait_ready("alpha", APP, 2)
            converge()
    assert ended(settled) == {}
    assert connections(settled) == connections(streams.first)
    assert new == dict.fromkeys(targets, left)


def test_a_node_is_drained_while_long_connections_stay(targets):
    there = {pod for pod, node in services.nodes_of("alpha", APP).items() if node == "alpha-w2"}
    with Streams(dict.fromkeys(targets, EACH)) as streams:
        assert set(connections(streams.first)) > there, streams.first
        services.exclude("alpha", "alpha-w2", True)
        try:
            converge()
            new = outcomes(*targets, times=10, what="pod")
            settled = streams.settled()
        finally:
            services.exclude("alpha", "alpha-w2", False)
            converge()
        after = streams.settled()
    assert ended(settled) == ended(after) == {}
    assert not any(pods & there for pods in new.values()), new
    assert connections(after) == connections(streams.first)


def test_a_worker_dies_and_the_others_serve_on(targets):
    nodes = services.nodes_of("alpha", APP)
    there = {pod for pod, node in nodes.items() if node == "alpha-w2"}
    try:
        with Streams(dict.fromkeys(targets, EACH)) as streams:
            elsewhere = [entry["stream"] for entry in streams.first if entry["pod"] not in there]
            assert 0 < len(elsewhere) < len(streams.first)
            lab("kill", "alpha-w2")
            eventually(lambda: not clusters.node_is_ready("alpha", "alpha-w2"), NODE_SECONDS, "alpha-w2 not ready")
            converge()
            new = outcomes(*targets, times=10, what="pod")
            settled = streams.settled()
    finally:
        lab("start", "alpha-w2", timeout=BOOT_SECONDS)
        eventually(lambda: clusters.node_is_ready("alpha", "alpha-w2"), NODE_SECONDS, "alpha-w2 ready")
        clusters.wait_deployed("alpha", APP)
        eventually(lambda: len(services.nodes_of("alpha", APP)) == 2, 90, f"both pods of {APP}")
        converge()
    assert ended([entry for entry in settled if entry["stream"] in elsewhere]) == {}
    assert new == dict.fromkeys(targets, set(nodes) - there)


@pytest.fixture
def apis_down():
    with clusters.apis_down():
        yield


def test_a_router_boots_while_every_api_is_down_and_forwards_before_any_run(addresses, targets, apis_down):
    rules = lab("exec", "r1", "--", "ipvsadm", "-Sn")
    lab("kill", "r1")
    # Nobody waits for the hold time.
    forget("r1", *AROUND)
    try:
        with_one = outcomes(*targets, times=4)
        lab("start", "r1", timeout=BOOT_SECONDS)
    finally:
        remember("r1", *AROUND)
    eventually(lambda: next_hops("client", addresses[0]) == len(ROUTERS), 60, "r1's announcement")
    with through("r1", *addresses):
        eventually(lambda: set.union(*outcomes(*targets, times=4).values()) == {"alpha"}, 60, "services through r1")
    assert state("r1")["kernel"] == sorted(rules.splitlines())
    assert with_one == dict.fromkeys(targets, {"alpha"})
    converge()
    # What had been draining has no connections since the boot; all else is as it was.
    assert state("r1")["kernel"] == sorted(rule for rule in rules.splitlines() if not rule.endswith("-w 0"))


@pytest.fixture(scope="module")
def killed_services():
    """Gives the names of services that tests make, all with one address, which go at the end."""
    names = []
    yield names
    clusters.delete("alpha", "service", *names)
    converge(*CONFIRMED)
    assert state("r1") == state("r2")


def converge_killed(seconds):
    """A run whose module on r1 is killed so long after it began; False when it had ended before."""
    with module_killed("r1", seconds) as killed:
        try:
            converge()
        except LabFailed as error:
            assert "r1" in str(error)
    return bool(killed.output)


# After Python's start on the router: while the module reads, plans or writes, or what ships snapshots runs. How fast the router is nobody knows.
@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.1])
def test_a_run_that_is_killed_is_repaired_by_the_next_one(killed_services, seconds):
    killed = False
    while not killed:
        ports = range(10_000 + len(killed_services), 10_012 + len(killed_services))
        names = [f"killed-{port}" for port in ports]
        killed_services += names
        clusters.apply("alpha", *(
            load_balancer(name, annotations={"allow_shared_ip": "killed"}, ports=(port,)) for name, port in zip(names, ports, strict=True)))
        killed = converge_killed(seconds)
        seconds /= 1.5
    converge()
    assert state("r1") == state("r2")
    added = [line for line in state("r1")["kernel"] if line.startswith("-A ") and any(f":{port} " in line for port in ports)]
    # Three protocols, two families.
    assert len(added) == 6 * len(ports)


def state(router):
    """What the module keeps on a router: rules of the kernel and of the next boot, and the sources that may come in."""
    script = "ipvsadm -Sn; echo ====; cat /etc/ipvsadm.rules; echo ====; nft list table inet northgate_sources 2>&1 || true"
    kernel, boot, sources = lab("exec", router, "--", "sh", "-c", script).split("====\n")
    return {"kernel": sorted(kernel.splitlines()), "boot": sorted(boot.splitlines()), "sources": sources}
