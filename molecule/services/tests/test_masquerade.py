# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masquerading to pods and to NodePorts, which no cluster of the lab is set to otherwise."""
from __future__ import annotations

import pytest
from driver import clusters, services
from driver.command import CONFIRMED, ROUTERS, converge, lab
from driver.routing import through
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, host, outcomes, target

NAME = "ways"


@pytest.fixture(scope="module")
def addresses():
    """A service of beta."""
    clusters.apply("beta", load_balancer(NAME))
    converge()
    yield services.addresses("beta", NAME)[NAME]
    clusters.delete("beta", "service", NAME)
    converge(*CONFIRMED)


@pytest.fixture(params=["pods", "node_ports"])
def way(request, addresses, tmp_path):
    """Where beta's services are masqueraded to, for one test."""
    converge(*services.changed(tmp_path / "clusters.json", "beta", forwarding="masquerade", masquerade_to=request.param))
    return request.param


def wanted(way, family):
    """Where the rules for TCP go to, by the cluster's word."""
    if way == "pods":
        items = clusters.get("beta", "-n", clusters.NAMESPACE, "pods", "-l", "app=echo-l4")["items"]
        return {(entry["ip"], PORT) for item in items for entry in item["status"]["podIPs"] if (":" in entry["ip"]) == (family == 6)}
    ports = clusters.get("beta", "-n", clusters.NAMESPACE, "service", NAME)["spec"]["ports"]
    node_port, = (port["nodePort"] for port in ports if port["protocol"] == "TCP")
    nodes = clusters.get("beta", "nodes")["items"]
    return {(entry["address"], node_port) for node in nodes for entry in node["status"]["addresses"]
            if entry["type"] == "InternalIP" and (":" in entry["address"]) == (family == 6)}


def test_every_protocol_and_family_through_each_router(way, addresses):
    targets = [target(protocol, address, PORT) for address in addresses for protocol in PROTOCOLS]
    seen, rules = {}, {}
    for router in ROUTERS:
        with through(router, *addresses):
            seen[router] = outcomes(*targets, times=3)
        # Those of the other way that still have connections have no weight.
        lines = [line.split() for line in lab("exec", router, "--", "ipvsadm", "-Sn").splitlines() if line.startswith("-a -t ") and not line.endswith("-w 0")]
        rules[router] = {
            family: {tuple(words[4].rpartition(":")[::2]) for words in lines if host(words[2]) == address}
            for family, address in zip((4, 6), addresses, strict=True)}
    assert seen == dict.fromkeys(ROUTERS, dict.fromkeys(targets, {"beta"}))
    expected = {family: {(f"[{address}]" if family == 6 else address, str(port)) for address, port in wanted(way, family)} for family in (4, 6)}
    assert rules == dict.fromkeys(ROUTERS, expected)
