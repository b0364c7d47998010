# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients get from services of each kind: real TCP, UDP and SCTP, over IPv4 and IPv6, through each router."""
from __future__ import annotations

import pytest
from driver import clusters, services
from driver.clusters import CLUSTERS
from driver.command import CONFIRMED, ROUTERS, converge, lab
from driver.routing import OUTSIDE, give, take, through
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, ask, client, outcomes, target

CLIENT, STRANGER = ("10.91.0.100", "fd91::100"), ("10.91.0.101", "fd91::101")
# Beside those of the manifests, which test_services.py is about.
OFFERED = {
    "alpha": [
        load_balancer("spread", annotations={"allow_shared_ip": "spread"}),
        load_balancer("tunnelled", annotations={"forwarding": "tunnel"}, externalTrafficPolicy="Local"),
        load_balancer("sticky", sessionAffinity="ClientIP"),
        load_balancer("ranged", loadBalancerSourceRanges=[f"{CLIENT[0]}/32", f"{CLIENT[1]}/128"]),
    ],
    "beta": [load_balancer("spread", annotations={"allow_shared_ip": "spread"})],
}
NAMES = {cluster: [entry["metadata"]["name"] for entry in entries] for cluster, entries in OFFERED.items()}


@pytest.fixture(scope="module")
def offered():
    """All services, after one run: the addresses of each by (cluster, name), IPv4 first."""
    for cluster, entries in OFFERED.items():
        clusters.apply(cluster, *entries)
    converge()
    found = {(cluster, name): addresses for cluster, names in NAMES.items() for name, addresses in services.addresses(cluster, *names).items()}
    # kube-proxy on each worker learns of the addresses from the status that was written a moment ago, and takes its time.
    wanted = [text for addresses in found.values() for text in targets(addresses)]
    clusters.eventually(lambda: not {"refused", "timeout"} & set.union(*outcomes(*wanted, times=12).values()), 60, "an answer of every worker")
    yield found
    for cluster, names in NAMES.items():
        clusters.delete(cluster, "service", *names)
    converge(*CONFIRMED)


def targets(addresses):
    return [target(protocol, address, PORT) for address in addresses for protocol in PROTOCOLS]


def test_every_service_has_an_address_of_each_family_and_the_spread_one_the_same_in_both_clusters(offered):
    assert {name: [":" in address for address in found] for name, found in offered.items()} == dict.fromkeys(offered, [False, True])
    assert offered["alpha", "spread"] == offered["beta", "spread"]
    single = [address for name, found in offered.items() if name != ("beta", "spread") for address in found]
    assert len(single) == len(set(single))


def test_every_protocol_and_family_reaches_the_pods_through_each_router(offered, router):
    addresses = [address for name in ("tunnelled", "sticky", "ranged") for address in offered["alpha", name]]
    wanted = targets(addresses)
    with through(router, *addresses):
        assert outcomes(*wanted, times=3) == dict.fromkeys(wanted, {"alpha"})


def test_a_service_of_both_clusters_is_spread_over_their_pods(offered):
    expected = {pod for cluster in CLUSTERS for pod in clusters.pods(cluster, clusters.NAMESPACE, "echo-l4")}
    wanted = targets(offered["alpha", "spread"])
    # Of so many at once a packet may be lost, and SCTP sends a lost INIT again after 3 s.
    assert outcomes(*wanted, times=40, what="pod", timeout=10.0) == dict.fromkeys(wanted, expected)


def test_pods_see_the_clients_address_also_out_of_a_tunnel(offered):
    answers = ask(*targets(offered["alpha", "tunnelled"]))
    seen = [client(answer) for answer in answers]
    assert seen == [address for address in CLIENT for _protocol in PROTOCOLS]


def test_tunnels_carry_what_does_not_fit_into_a_packet(offered):
    wanted = [target(protocol, address, PORT) for address in offered["alpha", "tunnelled"] for protocol in ("tcp", "sctp")]
    answers = ask(*wanted, padding=20_000, timeout=10.0)
    assert [answer.get("error") or len(answer["data"]) > 20_000 for answer in answers] == [True] * len(wanted)


def test_rules_forward_as_clusters_and_services_say(router, offered):
    """``-g`` is direct, ``-i`` a tunnel, and ``-m`` masquerades."""
    lines = [line.split() for line in lab("exec", router, "--", "ipvsadm", "-Sn").splitlines() if line.startswith("-a ")]
    ways = {}
    for cluster, name in [*offered, *((cluster, "l4") for cluster in CLUSTERS)]:
        four, six = offered.get((cluster, name)) or services.addresses(cluster, name)[name]
        here = {f"{four}:{PORT}", f"[{six}]:{PORT}"}
        ways[cluster, name] = {word for words in lines if words[2] in here for word in words if word in ("-g", "-i", "-m")}
    assert ways == {
        ("alpha", "spread"): {"-g", "-m"}, ("beta", "spread"): {"-g", "-m"}, ("alpha", "tunnelled"): {"-i"}, ("alpha", "sticky"): {"-g"},
        ("alpha", "ranged"): {"-g"}, ("alpha", "l4"): {"-g"}, ("beta", "l4"): {"-m"}}


def test_a_client_keeps_its_pod_where_the_service_has_affinity(offered):
    wanted = targets(offered["alpha", "sticky"])
    seen = outcomes(*wanted, times=12, what="pod")
    assert {text: len(pods) for text, pods in seen.items()} == dict.fromkeys(wanted, 1), seen
    assert not any(pod in ("refused", "timeout") for pods in seen.values() for pod in pods)


@pytest.fixture
def stranger():
    """The client has further addresses, from which it may not use the ranged service."""
    give("client", OUTSIDE, *STRANGER)
    yield STRANGER
    take("client", OUTSIDE, *STRANGER)


def test_source_ranges_let_in_whom_they_name_and_nobody_else(offered, stranger):
    seen = {}
    for who, addresses in (("client", CLIENT), ("stranger", stranger)):
        for address, source in zip(offered["alpha", "ranged"], addresses, strict=True):
            for answer in ask(*targets([address]), source=source):
                seen.setdefault(who, []).append("let in" if "pod" in answer else "kept out" if answer["error"] in ("refused", "timeout") else answer["error"])
    assert seen == {"client": ["let in"] * 6, "stranger": ["kept out"] * 6}


def test_a_second_run_changes_nothing(offered):
    run = converge()
    assert {name: run.services(name)["changed"] for name in ROUTERS} == dict.fromkeys(ROUTERS, False)
