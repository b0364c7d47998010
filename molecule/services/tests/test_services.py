# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml and converge.yml make of the services in the lab's manifests, and of routers and workers for them."""
from __future__ import annotations

import ipaddress
import json

import pytest
from driver import services
from driver.clusters import CLUSTERS
from driver.routing import next_hops, through
from driver.services import PORT
from driver.streams import PROTOCOLS, ask, client, outcomes, target

NAMES = ("l4", "l4-local")
POOLS = [ipaddress.ip_network(prefix) for prefix in ("203.0.113.0/25", "2001:db8:100::/72")]
CLIENT = ("10.91.0.100", "fd91::100")
# Where nobody has a service.
UNUSED = ("203.0.113.77", "2001:db8:100::77")


@pytest.fixture(scope="module")
def addresses():
    """The addresses in the status of each service, by (cluster, name)."""
    return {(cluster, name): found for cluster in CLUSTERS for name, found in services.addresses(cluster, *NAMES).items()}


def test_each_service_has_an_address_of_its_own_in_each_family(addresses):
    assert {name: [ipaddress.ip_address(text) in pool for text, pool in zip(found, POOLS)] for name, found in addresses.items()} == {
        name: [True, True] for name in addresses}
    given = [address for found in addresses.values() for address in found]
    assert len(given) == len(set(given)) == 8


def test_the_client_reaches_each_of_them_by_every_protocol_through_each_router(addresses, router):
    targets = {target(protocol, address, PORT): {cluster} for (cluster, _name), found in addresses.items() for address in found for protocol in PROTOCOLS}
    with through(router, *(address for found in addresses.values() for address in found)):
        assert outcomes(*targets) == targets


def test_the_client_is_routed_to_the_pools_over_both_routers(eventually):
    eventually(lambda: [next_hops("client", address) for address in UNUSED] == [2, 2])


@pytest.mark.parametrize("name", [("alpha", "l4-local")])
def test_a_pod_sees_the_clients_address(addresses, name):
    answers = ask(*(target(protocol, address, PORT) for address in addresses[name] for protocol in PROTOCOLS))
    seen = [client(answer) for answer in answers]
    assert seen == [address for address in CLIENT for _protocol in PROTOCOLS]


def test_what_is_no_service_is_closed_and_pings_are_answered(lab, addresses, router):
    every = [*UNUSED, *addresses["alpha", "l4"], *addresses["beta", "l4"]]
    with through(router, *every):
        assert outcomes(*(target("tcp", address, 22) for address in every)) == {target("tcp", address, 22): {"refused"} for address in every}
        # The kernel sends only some ICMP errors a second.
        assert {answer.get("error") for answer in ask(*(target("udp", address, 9) for address in every))} <= {"refused", "timeout"}
        for address in UNUSED:
            lab("client").check_output(f"ping -c 1 -W 3 {address}")


def test_routers_have_the_pools_and_nothing_of_it_on_the_wire(lab, router):
    host = lab(router)
    found = {route["dst"] for family in ("-4", "-6") for route in json.loads(host.check_output(f"ip -j {family} route show table local proto 120"))}
    assert found == {"203.0.113.0/25", "203.0.113.128/26", "203.0.113.200/31", "203.0.113.202",
                     "2001:db8:100::/71", "2001:db8:100:0:200::1", "2001:db8:100:0:200::2/127"}
    settings = {"ipv4.conf.fabric.accept_local": "1", "ipv4.conf.outside.accept_local": "0", "ipv4.vs.sloppy_tcp": "1", "ipv4.vs.sloppy_sctp": "1",
                "ipv4.vs.schedule_icmp": "1", "ipv4.vs.expire_nodest_conn": "1", "ipv4.vs.conntrack": "1", "ipv4.conf.all.arp_ignore": "1"}
    assert {name: host.check_output(f"sysctl -n net.{name}") for name in settings} == settings
    synchronisation = host.check_output("ipvsadm -L --daemon")
    assert "master sync daemon (mcast=fabric" in synchronisation and "backup sync daemon (mcast=fabric" in synchronisation


def test_the_program_of_the_role_changes_nothing_that_is_right_and_repairs_the_rest(lab, router):
    host = lab(router)
    assert host.check_output("northgate-services") == ""
    host.check_output("nft delete table inet northgate && ip route delete local 203.0.113.0/25 dev lo table local && "
                      "ip route add local 198.51.100.0/24 dev lo table local proto 120 && sysctl -qw net.ipv4.conf.fabric.accept_local=0")
    assert set(host.check_output("northgate-services").splitlines()) == {
        "guard: loaded", "203.0.113.0/25: local", "198.51.100.0/24: not local any more", "fabric: accepts addresses of the pools"}
    assert host.check_output("northgate-services") == ""


def test_services_are_there_after_a_boot(lab, router):
    for name in ("northgate-services", "ipvsadm", "bird"):
        assert lab(router).service(name).is_enabled, name
    order = lab(router).check_output("systemctl show -p Before --value northgate-services").split()
    assert {"bird.service", "ipvsadm.service"} <= set(order)
    assert lab(router).run("grep -qx 'AUTO=\"true\"' /etc/default/ipvsadm").succeeded


def test_workers_are_silent_about_addresses_of_services_and_have_tunnels_where_they_need_them(lab):
    for worker in ("alpha-w1", "alpha-w2", "beta-w1"):
        assert lab(worker).check_output("sysctl -n net.ipv4.conf.all.arp_ignore net.ipv4.conf.all.arp_announce").split() == ["1", "2"], worker
    assert "10.90.0.21/32" in lab("alpha-w1").check_output("ip -4 address show dev tunl0 up")
    assert lab("alpha-w1").service("northgate-node").is_enabled
    assert lab("alpha-w1").check_output("northgate-node") == ""
    assert not lab("beta-w1").file("/etc/northgate/node.nft").exists
