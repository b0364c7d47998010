# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for the addresses of any services, pools and clusters."""

from __future__ import annotations

import dataclasses
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.assign import Claim, assign
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Service, ServicePort, family

PREFER, REQUIRE = "PreferDualStack", "RequireDualStack"
SEARCHED = settings(max_examples=200)
CLUSTERS = ("alpha", "beta")
FOREIGN = "198.51.100.9"
ADDRESSES = [*(f"192.0.2.{last}" for last in range(5)), "2001:db8::", "2001:db8::1", "2001:db8::2", "203.0.113.1", FOREIGN]


def _lists(values, most=2):
    return st.lists(st.sampled_from(values), max_size=most, unique=True)


requests = st.builds(
    AddressRequest,
    pool=st.sampled_from(["", "", "", "one", "two", "none"]),
    addresses=st.one_of(st.just(()), st.lists(st.sampled_from(ADDRESSES), max_size=2, unique_by=family).map(tuple)),
    sharing_key=st.sampled_from(["", "k", "k", "m"]),
    families=st.sampled_from([(4,), (6,), (4, 6), (6, 4)]),
    policy=st.sampled_from(["SingleStack", PREFER, REQUIRE]),
)
services = st.builds(
    Service,
    namespace=st.sampled_from(["mail", "web"]),
    name=st.sampled_from(["a", "b", "c", "d"]),
    created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    ports=_lists([ServicePort("TCP", 80), ServicePort("UDP", 80), ServicePort("TCP", 25)]).map(tuple),
    addresses=_lists(ADDRESSES, 3).map(tuple),
    request=requests,
    labels=st.sampled_from([(), (("tier", "public"),)]),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "clusters": _lists(CLUSTERS),
        "namespaces": _lists(["mail", "web"]),
        "selector": st.just({"tier": "public"}),
        "quota": st.sampled_from([0, 1, 2]),
        "auto_assign": st.booleans(),
        "share_between_namespaces": st.booleans(),
    },
)
worlds = st.tuples(
    st.lists(services, max_size=7, unique_by=lambda s: s.full_name),
    st.one_of(st.none(), st.lists(services, max_size=5, unique_by=lambda s: s.full_name)),
    st.tuples(options, options),
    _lists(ADDRESSES),
)


class World:
    """What was drawn, and what comes of it."""

    def __init__(self, drawn):
        alpha, beta, (one, two), others = drawn
        self.services = {"alpha": alpha, **({} if beta is None else {"beta": beta})}
        self.options = {
            "one": {"addresses": ["192.0.2.0-192.0.2.4", "2001:db8::/126"], **one},
            "two": {"addresses": ["203.0.113.1-203.0.113.2"], **two},
        }
        self.others = {"alpha": others}
        self.pools = AddressPools.parse(self.options)
        self.found = self.run()

    def run(self):
        snapshots = [Snapshot(cluster, services=tuple(found)) for cluster, found in self.services.items()]
        return assign(snapshots, self.pools, CLUSTERS, self.others)

    @property
    def all(self):
        return [Claim(cluster, service) for cluster, found in self.services.items() for service in found]

    @property
    def claims(self):
        """Those that are not held."""
        return [claim for claim in self.all if not claim.service.held]

    def of(self, claim):
        return self.found.addresses[claim.owner]

    def new(self):
        return [(claim, address) for claim in self.claims for address in self.of(claim) if address not in claim.service.addresses]

    def again(self):
        """The next run, with the result in every status and nothing of others left there."""
        next_one = object.__new__(World)
        next_one.pools, next_one.others = self.pools, {}
        next_one.services = {
            cluster: [
                dataclasses.replace(s, addresses=(*self.found.addresses[(cluster, s.full_name)], *(a for a in s.addresses if not self.pools.find(a))))
                if not s.held
                else s
                for s in found
            ]
            for cluster, found in self.services.items()
        }
        next_one.found = next_one.run()
        return next_one


@SEARCHED
@given(worlds)
def test_every_address_is_of_a_family_of_the_service_and_in_a_pool_that_gives_it_to_it(drawn):
    world = World(drawn)
    assert set(world.found.addresses) == {claim.owner for claim in world.claims}
    for claim in world.claims:
        families = [family(address) for address in world.of(claim)]
        assert families == [number for number in claim.service.request.families if number in families]
        for address in world.of(claim):
            assert world.pools.find(address).offers(address) and world.pools.find(address).admits(*claim)


@SEARCHED
@given(worlds)
def test_who_shares_an_address_has_the_key_and_no_port_in_common_unless_it_is_the_same_service_of_several_clusters(drawn):
    world = World(drawn)
    for one, other in itertools.combinations(world.claims, 2):
        for address in set(world.of(one)) & set(world.of(other)):
            assert one.key == other.key != ""
            assert one.service.namespace == other.service.namespace or world.pools.find(address).share_between_namespaces
            ports = [{(port.protocol, port.port) for port in claim.service.ports} for claim in (one, other)]
            assert not ports[0] & ports[1] or (one.cluster != other.cluster and one.service.full_name == other.service.full_name)


@SEARCHED
@given(worlds)
def test_a_new_address_is_in_the_status_of_nobody_who_does_not_share_it(drawn):
    world = World(drawn)
    for claim, address in world.new():
        if not any(address in world.of(other) for other in world.claims if other != claim):
            holders = [other for other in world.all if other != claim and address in other.service.addresses]
            # Who moved away in this run still has it, and it may be shared with them.
            assert any(other.key == claim.key != "" for other in holders) or not holders and address not in world.others["alpha"]


@SEARCHED
@given(worlds)
def test_what_a_service_holds_it_keeps(drawn):
    world = World(drawn)
    for claim in world.claims:
        for address in claim.service.addresses:
            pool, request = world.pools.find(address), claim.service.request
            alone = not any(address in other.service.addresses for other in world.claims if other != claim)
            only = [a for a in claim.service.addresses if family(a) == family(address) and world.pools.find(a)] == [address]
            if alone and only and pool and pool.offers(address) and pool.admits(*claim) and family(address) in request.families:
                assert address in world.of(claim) or request.addresses or request.pool not in ("", pool.name)


@SEARCHED
@given(worlds)
def test_nothing_new_is_beyond_the_quota_or_from_a_pool_that_waits(drawn):
    world = World(drawn)
    for claim, address in world.new():
        pool = world.pools.find(address)
        assert (CLUSTERS if pool.clusters is None else pool.clusters) <= set(world.services) if pool.clusters else "beta" in world.services
        of_namespace = [c for c in world.claims if (c.cluster, c.service.namespace) == (claim.cluster, claim.service.namespace)]
        count = {a for c in of_namespace for a in world.of(c) if family(a) == family(address) and world.pools.find(a) is pool}
        if pool.quota is not None and not any(address in c.service.addresses for c in of_namespace):
            assert len(count) <= pool.quota


@SEARCHED
@given(worlds)
def test_who_lacks_something_that_it_wants_is_told_why(drawn):
    world = World(drawn)
    told = {(problem.cluster, problem.name) for problem in world.found.problems}
    for claim in world.claims:
        request, has = claim.service.request, world.of(claim)
        enough = len(has) == len(request.families) or (request.policy == PREFER and has)
        if not enough or any(address not in has for address in request.addresses):
            assert claim.owner in told
        if request.policy == REQUIRE and len(has) < len(request.families):
            assert set(has) <= set(claim.service.addresses)


@SEARCHED
@given(worlds)
def test_assigning_again_changes_nothing_for_who_got_what_it_wants_and_soon_nothing_at_all(drawn):
    world = World(drawn)
    after = world.again()
    troubled = {(problem.cluster, problem.name) for problem in world.found.problems}
    for owner, addresses in world.found.addresses.items():
        assert after.found.addresses[owner] == addresses or owner in troubled
    for _time in range(len(world.claims) + 1):
        before, after = after, after.again()
    assert after.found == before.found


@settings(max_examples=50)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(drawn, order: random.Random):
    world = World(drawn)
    first = world.found
    world.services = {cluster: order.sample(found, len(found)) for cluster, found in reversed(world.services.items())}
    world.pools = AddressPools.parse(dict(reversed(world.options.items())))
    assert world.run() == first
