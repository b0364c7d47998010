# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnels in GUE, which no cluster of the lab is set to otherwise."""
from __future__ import annotations

import json

import pytest
from driver import clusters, services
from driver.command import CONFIRMED, ROUTERS, converge, lab
from driver.routing import through
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, ask, client, outcomes, target

NAME, WORKERS, CLIENT = "gue", ("alpha-w1", "alpha-w2"), ("10.91.0.100", "fd91::100")
UDP_PORT = 6080
SITE_SECONDS = 300.0
SITE = ("--limit", ",".join(WORKERS), "--tags", "ipvs_node", "playbooks/site.yml")


def listening(worker):
    """The ports of GUE that a worker unpacks, with their families."""
    found = json.loads(lab("exec", worker, "--", "ip", "-j", "fou", "show") or "[]")
    return sorted((entry["family"], entry["port"]) for entry in found if "gue" in entry)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """A service of alpha with tunnels, whose workers are set up for GUE, and for IPIP again afterwards."""
    clusters.apply("alpha", load_balancer(NAME, annotations={"forwarding": "tunnel"}, externalTrafficPolicy="Local"))
    gue = services.changed(tmp_path_factory.mktemp("gue") / "clusters.json", "alpha", tunnel="gue")
    lab("ansible", "--", *gue, *SITE, timeout=SITE_SECONDS)
    converge(*gue)
    yield services.addresses("alpha", NAME)[NAME]
    clusters.delete("alpha", "service", NAME)
    lab("ansible", "--", *SITE, timeout=SITE_SECONDS)
    assert {worker: listening(worker) for worker in WORKERS} == dict.fromkeys(WORKERS, [])
    converge(*CONFIRMED)


def test_every_protocol_and_family_through_each_router(addresses):
    targets = [target(protocol, address, PORT) for address in addresses for protocol in PROTOCOLS]
    seen = {}
    for router in ROUTERS:
        with through(router, *addresses):
            seen[router] = outcomes(*targets, times=3)
    assert seen == dict.fromkeys(ROUTERS, dict.fromkeys(targets, {"alpha"}))
    answers = ask(*targets)
    seen = [client(answer) for answer in answers]
    assert seen == [address for address in CLIENT for _protocol in PROTOCOLS]


def test_what_does_not_fit_into_a_packet(addresses):
    wanted = [target(protocol, address, PORT) for address in addresses for protocol in ("tcp", "sctp")]
    answers = ask(*wanted, padding=20_000, timeout=10.0)
    assert [answer.get("error") or len(answer["data"]) > 20_000 for answer in answers] == [True] * len(wanted)


def test_rules_and_workers_are_as_the_cluster_says(addresses):
    assert {worker: listening(worker) for worker in WORKERS} == dict.fromkeys(WORKERS, [("inet", UDP_PORT), ("inet6", UDP_PORT)])
    four, six = addresses
    for router in ROUTERS:
        lines = lab("exec", router, "--", "ipvsadm", "-Sn").splitlines()
        here = [line for line in lines if line.startswith("-a ") and line.split()[2] in (f"{four}:{PORT}", f"[{six}]:{PORT}")]
        assert here and all(f" --tun-type gue --tun-port {UDP_PORT}" in line for line in here), (router, here)
