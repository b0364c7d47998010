# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two router groups (topology `shared`): edge-a serves alpha and beta, edge-b beta alone. What a group does not serve is nowhere on its routers."""
from __future__ import annotations

import ipaddress
import json
import shlex

import pytest
from driver import clusters, services
from driver.client import NO_RULE, ask, question
from driver.command import CONFIRMED, converge, inventory, lab
from driver.routing import next_hops, outside_addresses
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, outcomes, target

VIPS = {"edge-a": ["10.91.0.50", "fd91::50"], "edge-b": ["10.91.0.60", "fd91::60"]}
POOLS = {"edge-a": ["203.0.113.0/26", "2001:db8:100::/72"], "edge-b": ["203.0.113.64/26", "2001:db8:100:0:100::/72"]}
GROUP_OF = {"r1": "edge-a", "r2": "edge-a", "r3": "edge-b"}
# An address among the pods, and one among the services, of each family.
OF_ALPHA = ["10.100.1.1", "10.101.0.1", "fd64:100:0:1::1", "fd64:101::1"]
OF_BETA = ["10.110.1.1", "10.111.0.1", "fd64:110:0:1::1", "fd64:111::1"]
# How anything of alpha looks: what is named after it, its pods, services and workers.
OF_CLUSTER = ("alpha.json", '"alpha"', "alpha:", "alpha_", "alpha-", "10.100.", "10.101.", "fd64:100:", "fd64:101:",
              "10.90.0.21", "10.90.0.22", "fd90::21", "fd90::22")
# And, where only edge-a has it: hosts and certificates with its name, and the pool.
OF_GROUP = (*OF_CLUSTER, "alpha", *(f"203.0.113.{number}:" for number in range(64)))
# Everything that a run of converge.yml leaves on a router, and what haproxy and the kernel hold.
ASK_HAPROXY = (
    "import socket\n"
    "for command in ('show servers state', 'show backend', 'show ssl cert', 'show map'):\n"
    "    s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/northgate.sock'); s.sendall(command.encode() + b'\\n')\n"
    "    print(b''.join(iter(lambda: s.recv(65536), b'')).decode())\n")
CONVERGED = ("grep -rh . /var/lib/northgate /etc/haproxy/northgate /etc/haproxy/conf.d /etc/ipvsadm.rules; ls -R /var/lib/northgate /etc/haproxy/northgate; "
             f"ipvsadm -Sn; python3 -c {shlex.quote(ASK_HAPROXY)}")
# What site.yml leaves beside.
INSTALLED = "grep -rh . /etc/bird /etc/northgate; birdc show protocols; birdc show route all; ip route show table all; ip -6 route show table all"


def traces(router, command, looks=OF_GROUP):
    """The lines of a command's output on a router in which something of alpha is."""
    text = lab("exec", router, "--", "sh", "-c", f"{command}; true")
    return [line for line in text.splitlines() if any(look in line for look in looks)]


def status(cluster):
    """The addresses in the status of each ingress of the demo."""
    items = clusters.get(cluster, "-n", clusters.NAMESPACE, "ingresses")["items"]
    return {item["metadata"]["name"]: sorted(entry["ip"] for entry in item["status"]["loadBalancer"].get("ingress", [])) for item in items}


def in_pools(addresses, group):
    """Whether a service has an address of each family, out of the pools of a group."""
    return [ipaddress.ip_address(address) in ipaddress.ip_network(pool) for address, pool in zip(addresses, POOLS[group], strict=True)] == [True, True]


@pytest.mark.parametrize("command", [CONVERGED, INSTALLED], ids=["converged", "installed"])
def test_nothing_of_alpha_is_on_a_router_that_does_not_serve_it(command):
    assert traces("r3", command) == []
    # The same look finds it where it is served.
    assert traces("r1", command)


@pytest.mark.parametrize("router", GROUP_OF)
def test_each_router_routes_pods_and_services_of_its_clusters_and_no_others(router, eventually):
    # Each worker of alpha, which has two, leads to its services; beta has one.
    alpha = [0] * 4 if GROUP_OF[router] == "edge-b" else [1, 2, 1, 2]
    eventually(lambda: [next_hops(router, address) for address in OF_ALPHA] == alpha)
    eventually(lambda: [next_hops(router, address) for address in OF_BETA] == [1] * 4)


def test_the_client_is_routed_to_each_pool_over_the_routers_of_its_group(eventually):
    for group, routers in (("edge-a", 2), ("edge-b", 1)):
        some = [str(ipaddress.ip_network(pool)[9]) for pool in POOLS[group]]
        eventually(lambda some=some, routers=routers: [next_hops("client", address) for address in some] == [routers, routers])


def test_ingresses_have_the_addresses_of_the_groups_that_serve_their_cluster():
    both = sorted(VIPS["edge-a"] + VIPS["edge-b"])
    assert status("alpha") == dict.fromkeys(status("alpha"), sorted(VIPS["edge-a"]))
    assert status("beta") == dict.fromkeys(status("beta"), both)


def test_the_vips_of_each_group_answer_for_its_clusters():
    hosts = ("alpha.example.test", "beta.example.test")
    # Only where alpha is served is there a certificate for its host, and HTTP is redirected.
    schemes = {"edge-a": ("https", "http"), "edge-b": ("http", "http")}
    answers = ask(*(question(host, scheme=scheme, address=address)
                    for group in VIPS for address in VIPS[group] for host, scheme in zip(hosts, schemes[group], strict=True)))
    assert [reply.outcome for reply in answers] == ["echo", "echo", "echo", "echo", NO_RULE, "echo", NO_RULE, "echo"]
    assert {reply.json["cluster"] for reply in ask(question("shared.example.test", address=VIPS["edge-b"][0], times=12))} == {"beta"}


def test_each_group_has_certificates_of_its_own():
    shown = {router: ask(question("shared.example.test", scheme="https", address=outside_addresses(router)[0]))[0] for router in GROUP_OF}
    assert {router: reply.outcome for router, reply in shown.items()} == dict.fromkeys(GROUP_OF, "echo")
    assert shown["r1"].serial == shown["r2"].serial != shown["r3"].serial
    [refused] = ask(question("alpha.example.test", scheme="https", address=outside_addresses("r3")[0]))
    assert refused.status == 0


@pytest.fixture(scope="module")
def asked():
    """Services and an ingress that ask for edge-b."""
    for cluster in clusters.CLUSTERS:
        names = {"to-b": "edge-b", "to-nobody": "edge-x"}
        clusters.apply(cluster, *(load_balancer(name, annotations={"router_group": group}) for name, group in names.items()))
    clusters.apply("beta", clusters.ingress("to-b", "direct", {"to-b.example.test": [("/", "Prefix", "echo")]}, router_group="edge-b"))
    converge()
    yield {cluster: services.addresses(cluster, "to-b", "to-nobody") for cluster in clusters.CLUSTERS}
    clusters.delete("beta", "ingress", "to-b")
    for cluster in clusters.CLUSTERS:
        clusters.delete(cluster, "service", "to-b", "to-nobody")
    converge(*CONFIRMED)


def test_a_service_that_asks_for_a_group_gets_an_address_there_and_answers(asked, eventually):
    addresses = asked["beta"]["to-b"]
    assert in_pools(addresses, "edge-b")
    eventually(lambda: [next_hops("client", address) for address in addresses] == [1, 1])
    targets = {target(protocol, address, PORT): {"beta"} for address in addresses for protocol in PROTOCOLS}
    assert outcomes(*targets) == targets
    rules = {router: lab("exec", router, "--", "ipvsadm", "-Sn") for router in GROUP_OF}
    assert {router: addresses[0] in text for router, text in rules.items()} == {"r1": False, "r2": False, "r3": True}


def test_a_group_that_does_not_serve_the_cluster_or_is_unknown_is_an_event_and_no_address(asked):
    assert asked["alpha"] == {"to-b": [], "to-nobody": []} and asked["beta"]["to-nobody"] == []
    assert any("RouterGroupNotAvailable: no router group that it asks for (edge-b) serves its cluster" in text for text in services.events("alpha", "to-b"))
    assert any("RouterGroupNotAvailable: there is no router group edge-x" in text for text in services.events("beta", "to-nobody"))


def test_an_ingress_that_asks_for_a_group_is_served_there_alone(asked):
    replies = ask(*(question("to-b.example.test", address=outside_addresses(router)[0]) for router in GROUP_OF))
    assert [reply.outcome for reply in replies] == [NO_RULE, NO_RULE, "echo"]
    assert status("beta")["to-b"] == sorted(VIPS["edge-b"])


def test_services_of_alpha_never_have_addresses_that_lead_to_edge_b():
    assert all(in_pools(found, "edge-a") for found in services.addresses("alpha", "l4", "l4-local").values())


def test_routers_whose_group_no_longer_serves_a_cluster_forget_it_and_serve_it_again_later(tmp_path):
    groups = inventory()["northgate_router_groups"]
    edge = groups["edge-a"]
    less = {**groups, "edge-a": {**edge, "clusters": ["beta"], "api": {name: entry for name, entry in edge["api"].items() if name == "beta"}}}
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"northgate_router_groups": less}), encoding="utf-8")
    try:
        run = converge("-e", f"@{file}", *CONFIRMED)
        told = "forget alpha: it is not served here any more"
        assert all(told in result["changes"] for router in ("r1", "r2") for result in (run.ingress(router), run.services(router)))
        # Servers that still had connections leave with a later run.
        converge("-e", f"@{file}")
        assert {router: traces(router, CONVERGED, OF_CLUSTER) for router in ("r1", "r2")} == {"r1": [], "r2": []}
        # Its certificate is gone, too.
        [refused] = ask(question("alpha.example.test", scheme="https", address=outside_addresses("r1")[0]))
        assert refused.status == 0
        assert services.addresses("alpha", "l4") == {"l4": []}
    finally:
        converge(*CONFIRMED)
    # What was let go of is free in the run after; then everything is as before.
    converge(*CONFIRMED)
    assert in_pools(services.addresses("alpha", "l4")["l4"], "edge-a")
    [reply] = ask(question("alpha.example.test", scheme="https", address=outside_addresses("r1")[0]))
    assert reply.outcome == "echo"
