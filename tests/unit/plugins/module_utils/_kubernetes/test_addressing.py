# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the files of the observation to what is to be written, and back into the files."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Service, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.addressing import keep, plan, result
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.balanced import Statuses
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.writing import Outcome

V4, OTHER = "192.0.2.1", "192.0.2.2"
ENTRY = {"ip": V4, "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]}


def service(name, *addresses, **fields):
    return Service("web", name, "2026-01-01T00:00:00Z", (ServicePort("TCP", 80),), addresses=addresses, **fields)


@pytest.fixture
def site(tmp_path):
    class Site:
        pools = {"public": {"addresses": [V4, OTHER]}}
        clusters = {"alpha": {"kubeconfig": "/a"}}

        def observed(self, *services, cluster="alpha", released=None, statuses=None):
            (tmp_path / f"{cluster}.json").write_bytes(codec.dump(Snapshot(cluster, services=services)))
            ours = {s.full_name: [{**ENTRY, "ip": address} for address in s.addresses] for s in services}
            (tmp_path / f"{cluster}.services.json").write_bytes(Statuses({**ours, **(statuses or {})}, released or {}).dump())

        def plan(self, **params):
            return plan({"clusters": self.clusters, "snapshots": str(tmp_path), "pools": self.pools, **params})

        def keep(self, found, **outcomes):
            keep(str(tmp_path), found, outcomes)

        def snapshot(self):
            return codec.load((tmp_path / "alpha.json").read_bytes(), "alpha")

    return Site()


def changes(found):
    return [str(change) for task in found.tasks for change in task.changes]


def test_what_was_observed_becomes_what_is_to_be_written(site):
    site.observed(service("new"), service("right", OTHER))
    found = site.plan()
    assert changes(found) == [f"alpha: web/new: none -> {V4}"] and not found.nothing_to_do
    assert [task.unchanged for task in found.tasks] == [1]
    told = result(found, {"alpha": Outcome(found.tasks[0].changes, 1)})
    assert told == {
        "changed": True,
        "changes": [f"alpha: web/new: none -> {V4}"],
        "clusters": {"alpha": {"written": 1, "released": 0, "unchanged": 1, "conflicts": 0, "failed": ""}},
        "problems": [],
        "assigned": 2,
        "pools": {"public": {"used": 2}},
    }


def test_there_is_nothing_to_do_when_all_is_right_and_something_while_anything_is_not(site):
    site.observed(service("right", OTHER))
    assert site.plan().nothing_to_do
    site.observed(service("right", OTHER), service("two", V4), service("three"))
    assert not site.plan().nothing_to_do
    site.observed(service("right", OTHER), released={"web/old": [ENTRY]})
    assert not site.plan().nothing_to_do


def test_an_address_is_free_only_when_it_is_released(site):
    site.observed(service("new"), released={"web/old": [ENTRY, {"hostname": "lb.example"}]})
    found = site.plan()
    assert changes(found) == [f"alpha: web/new: none -> {OTHER}", f"alpha: web/old: {V4}, lb.example -> lb.example"]
    told = result(found, {"alpha": Outcome(found.tasks[0].changes)})
    assert (told["clusters"]["alpha"]["written"], told["clusters"]["alpha"]["released"]) == (1, 1)


def test_files_get_what_was_written_and_nothing_else(site):
    foreign, released = {"web/other": [{"ip": "198.51.100.1"}]}, {"web/old": [{**ENTRY, "ip": OTHER}]}
    site.observed(service("new"), service("other", "198.51.100.1"), released=released, statuses=foreign)
    site.pools = {"public": {"addresses": [V4, OTHER, "192.0.2.3"]}}
    found = site.plan()
    done = [change for change in found.tasks[0].changes if change.name != "web/new"]
    assert len(done) == 2
    site.keep(found, alpha=Outcome(tuple(done)))
    assert {s.name: s.addresses for s in site.snapshot().services} == {"new": (), "other": ("192.0.2.3", "198.51.100.1")}
    # What is left to do is what was not written; that which is released is free now.
    assert changes(site.plan()) == [f"alpha: web/new: none -> {V4}"]
    assert site.plan().assignment.used == {"public": 2} and site.plan().observed["alpha"].statuses.released == {}


@pytest.mark.parametrize("missing", ["beta.json", "beta.services.json"])
def test_a_cluster_without_either_file_was_not_observed(site, tmp_path, missing):
    site.clusters = {**site.clusters, "beta": {"kubeconfig": "/b"}}
    site.observed(service("new"))
    site.observed(service("theirs"), cluster="beta")
    (tmp_path / missing).unlink()
    found = site.plan()
    assert [task.source.name for task in found.tasks] == ["alpha"] and changes(found) == []
    assert [problem.reason for problem in found.assignment.problems] == ["ClusterNotObserved"]


def test_a_cluster_that_no_pool_serves_is_not_looked_at(site, tmp_path):
    site.clusters = {**site.clusters, "beta": {"kubeconfig": "/b"}}
    site.pools = {"public": {**site.pools["public"], "clusters": ["alpha"]}}
    site.observed(service("new"))
    (tmp_path / "beta.json").write_text("rubbish")
    assert changes(site.plan()) == [f"alpha: web/new: none -> {V4}"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "statuses": {}, "released": {}}', '{"version": 1, "statuses": {"a/b": 1}, "released": {}}'])
def test_a_damaged_file_is_named(site, tmp_path, text):
    site.observed(service("new"))
    (tmp_path / "alpha.services.json").write_text(text)
    with pytest.raises(SnapshotError, match=r"alpha\.services\.json: no statuses of services.*Observe the cluster again"):
        site.plan()


def test_mistakes_in_the_inventory_are_named(site):
    with pytest.raises(InvalidValue, match=r"pools\.public\.quota"):
        site.plan(pools={"public": {"addresses": [V4], "quota": "many"}})
    with pytest.raises(InvalidValue, match=r"clusters\.alpha"):
        site.plan(clusters={"alpha": {}})


def test_services_get_addresses_that_lead_to_router_groups_of_their_cluster_and_dead_ends_are_told(site):
    site.pools = {"a": {"addresses": [V4]}, "b": {"addresses": [OTHER]}}
    site.observed(service("new"))
    groups = {"edge-a": {"clusters": ["beta"], "address_pools": ["a"]}, "edge-b": {"clusters": ["alpha"], "address_pools": ["b"]}}
    found = site.plan(groups=groups)
    assert changes(found) == [f"alpha: web/new: none -> {OTHER}"] and found.warnings == ()
    site.observed(service("right", V4))
    shared = {"edge-a": {"clusters": ["alpha"]}, "edge-b": {"clusters": ["beta"]}}
    found = site.plan(groups=shared)
    assert changes(found) == [] and not found.nothing_to_do
    assert [text.partition(",")[0] for text in found.warnings] == [f"the pool {name} has addresses for services of the cluster alpha" for name in "ab"]
    with pytest.raises(InvalidValue, match=r"groups\.edge\.address_pools: there is no pool 'c'"):
        site.plan(groups={"edge": {"address_pools": ["c"]}})
