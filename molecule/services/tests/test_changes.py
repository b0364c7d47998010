# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that go, change, or claim what others have: two runs, before and after all changes at once."""
from __future__ import annotations

import ipaddress

import pytest
from driver import clusters, services
from driver.command import CONFIRMED, ROUTERS, converge, inventory, lab
from driver.services import PORT, load_balancer
from driver.streams import PROTOCOLS, outcomes, target

SHARED = {"allow_shared_ip": "claims"}
NARROW = "narrow"
CHANGED = ("deleted", "demoted", "moved", "first", "second")
FOREIGN = "-A -t 192.0.2.77:80 -s rr", "-a -t 192.0.2.77:80 -r 10.90.0.99:80 -m -w 7"


def capacity(family):
    """How many addresses of a family the pool ``narrow`` has, by the inventory."""
    pool = inventory()["northgate_address_pools"][NARROW]
    count = 0
    for text in pool["addresses"]:
        first, _hyphen, last = text.partition("-")
        if last:
            ends = [ipaddress.ip_address(end) for end in (first, last)]
            count += int(ends[1]) - int(ends[0]) + 1 if ends[0].version == family else 0
        else:
            network = ipaddress.ip_network(first)
            count += network.num_addresses if network.version == family else 0
    return count


def targets(addresses, port=PORT):
    return [target(protocol, address, port) for address in addresses for protocol in PROTOCOLS]


@pytest.fixture(scope="module")
def foreign():
    """Somebody's own virtual service on both routers."""
    for router in ROUTERS:
        lab("exec", router, "--", "ipvsadm", "-R", data="".join(f"{rule}\n" for rule in FOREIGN))
    yield
    for router in ROUTERS:
        lab("exec", router, "--", "ipvsadm", "-D", "-t", "192.0.2.77:80")


@pytest.fixture(scope="module")
def crowd():
    """One service more than the pool ``narrow`` can give addresses to."""
    names = [f"narrow-{number}" for number in range(capacity(4) + 1)]
    assert len(names) < 20, "the pool narrow is meant to be narrow"
    return names


@pytest.fixture(scope="module")
def before(foreign, crowd):
    """The addresses of all services after the first run."""
    clusters.apply("alpha", *(load_balancer(name) for name in CHANGED[:3]), load_balancer("first", annotations=SHARED), *(
        load_balancer(name, annotations={"address_pool": NARROW}, protocols=("TCP",), ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"]) for name in crowd))
    converge()
    addresses = services.addresses("alpha", *CHANGED, *crowd)
    clusters.apply("alpha", load_balancer("second", annotations=SHARED | {"load_balancer_ips": ",".join(addresses["first"])}))
    converge()
    addresses["second"] = services.addresses("alpha", "second")["second"]
    yield addresses
    clusters.delete("alpha", "service", *CHANGED, *crowd)
    converge(*CONFIRMED)
    assert rules_of("r1", *(address for found in addresses.values() for address in found)) == []


@pytest.fixture(scope="module")
def events_before(before, crowd):
    """What events say about those that got no address."""
    return {name: services.events("alpha", name) for name in ("second", *crowd)}


@pytest.fixture(scope="module")
def answers_before(before):
    """Who answered before the changes."""
    return {name: outcomes(*targets(before[name])) for name in ("deleted", "demoted", "moved", "first")}


@pytest.fixture(scope="module")
def after(before, crowd, events_before, answers_before):
    """The addresses after the changes and a second run."""
    clusters.delete("alpha", "service", "deleted", "first", crowd[0])
    clusters.patch("alpha", "service", "demoted", {"spec": {"type": "ClusterIP"}})
    clusters.patch("alpha", "service", "moved", {"spec": {"ports": load_balancer("moved", ports=(PORT + 1,))["spec"]["ports"]}})
    converge(*CONFIRMED)
    return services.addresses("alpha", *CHANGED, *crowd)


def rules_of(router, *addresses):
    """The rules of a router for any of the addresses."""
    rules = lab("exec", router, "--", "ipvsadm", "-Sn").splitlines()
    return [rule for rule in rules if any(f" {address}:" in rule or f" [{address}]:" in rule for address in addresses)]


def test_what_was_there_before(answers_before):
    assert answers_before == {name: dict.fromkeys(seen, {"alpha"}) for name, seen in answers_before.items()}


@pytest.mark.parametrize("name", ["deleted", "demoted"])
def test_a_service_that_is_gone_is_refused(before, after, name):
    gone = [address for address in before[name] if not any(address in found for found in after.values())]
    assert after[name] == []
    assert rules_of("r1", *gone) == rules_of("r2", *gone) == []
    seen = outcomes(*targets(gone))
    # The guard drops SCTP.
    assert {text: found for text, found in seen.items() if not found <= {"refused", "timeout"}} == {}


def test_a_port_that_moved_is_served_where_it_is_now(before, after):
    assert after["moved"] == before["moved"]
    here = targets(after["moved"], PORT + 1)
    assert outcomes(*here) == dict.fromkeys(here, {"alpha"})
    assert all(found <= {"refused", "timeout"} for found in outcomes(*targets(after["moved"])).values())


def test_of_two_claims_on_a_port_the_older_keeps_it_until_it_goes(before, after, events_before):
    assert before["second"] == []
    assert before["first"] and any("held by another service" in text for text in events_before["second"]), events_before["second"]
    assert after["second"] == before["first"]
    here = targets(after["second"])
    assert outcomes(*here) == dict.fromkeys(here, {"alpha"})


def test_who_comes_late_to_a_pool_that_is_empty_is_told_so_and_gets_what_is_given_back(before, after, crowd, events_before):
    given = [address for name in crowd for address in before[name]]
    assert len(given) == len(set(given)) == len(crowd) - 1
    late, = (name for name in crowd if not before[name])
    assert any(NARROW in text for text in events_before[late]), events_before[late]
    if late != crowd[0]:
        assert after[late] == before[crowd[0]]
    # Nobody else's address moved.
    assert {name: after[name] for name in crowd[1:] if name != late} == {name: before[name] for name in crowd[1:] if name != late}


def test_somebodys_own_rules_are_untouched(after, router):
    assert rules_of(router, "192.0.2.77") == list(FOREIGN)
