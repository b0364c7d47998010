# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""service_addresses after cluster_snapshot, as converge.yml runs them, against a real kube-apiserver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import ansible_collections.northgate.edge
import pytest
import yaml

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.addressing import keep, plan
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.service_status import write_all

COLLECTION = Path(ansible_collections.northgate.edge.__path__[0])
SPACE, CLASS = "addresses", "test.northgate/addresses"
V4 = [f"192.0.2.{last}" for last in range(1, 5)]
V6 = [f"2001:db8::{last}" for last in range(1, 5)]
POOLS = {"public": {"addresses": ["192.0.2.0/29", "2001:db8::/125"]}}
DUAL = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}


class Site:
    """A controller and a cluster, of which the tests' namespace and class are used only."""

    def __init__(self, root: Path, kubernetes: t.Any) -> None:
        self.root, self.kubernetes = root, kubernetes
        self.snapshots = root / "snapshots"
        self.clusters = {"alpha": {"kubeconfig": str(kubernetes.kubeconfig), "load_balancer_class": CLASS, "load_balancer_default": False}}
        self.groups: dict[str, t.Any] = {"edge": {"clusters": ["alpha"]}}
        self.output = ""

    def service(self, name: str, *ports: int, annotations: dict[str, str] | None = None, **spec: t.Any) -> None:
        """Makes a service with UDP beside TCP on its first port; ``annotations`` are under northgate.edge/."""
        numbers = ports or (80,)
        found = [{"name": f"t{n}", "port": n, "protocol": "TCP"} for n in numbers] + [{"name": "u", "port": numbers[0], "protocol": "UDP"}]
        self.kubernetes.apply(
            {
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": SPACE, "annotations": {f"northgate.edge/{k}": v for k, v in (annotations or {}).items()}},
                "spec": {"type": "LoadBalancer", "loadBalancerClass": CLASS, "ports": found, **spec},
            }
        )  # fmt: skip

    def get(self, kind: str, *names: str) -> t.Any:
        return json.loads(self.kubernetes.kubectl("get", kind, *names, "-n", SPACE, "-o", "json"))

    def entries(self, name: str) -> list[dict[str, t.Any]]:
        return self.get("service", name)["status"]["loadBalancer"].get("ingress", [])

    def status(self, name: str) -> list[str]:
        return [entry.get("ip") or entry["hostname"] for entry in self.entries(name)]

    def set_status(self, name: str, *entries: dict[str, t.Any]) -> None:
        patch = {"status": {"loadBalancer": {"ingress": list(entries)}}}
        self.kubernetes.kubectl("patch", "service", name, "-n", SPACE, "--subresource=status", "--type=merge", "-p", json.dumps(patch))

    def patch(self, name: str, spec: dict[str, t.Any]) -> None:
        self.kubernetes.kubectl("patch", "service", name, "-n", SPACE, "--type=merge", "-p", json.dumps({"spec": spec}))

    def events(self, name: str) -> list[dict[str, t.Any]]:
        return [event for event in self.get("events")["items"] if event["involvedObject"]["name"] == name]

    def versions(self) -> dict[str, str]:
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in self.get("service")["items"]}

    def given(self) -> dict[str, list[str]]:
        """What routers are told."""
        snapshot = codec.load((self.snapshots / "alpha.json").read_bytes(), "alpha")
        return {service.name: list(service.addresses) for service in snapshot.services}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.snapshots.iterdir()}

    def run(self, pools: t.Any = None, check: bool = False, observe: bool = True) -> dict[str, t.Any]:
        """The result of the tasks of converge.yml for services."""
        [play] = yaml.safe_load((COLLECTION / "playbooks/converge.yml").read_text("utf-8"))
        wanted = ["cluster_snapshot"] * observe + ["service_addresses"]
        tasks = [task for task in play["tasks"] if any(f"northgate.edge.{name}" in task for name in wanted)]
        tasks[-1].update(register="result", ignore_errors=True)
        result = self.root / "result.json"
        result.unlink(missing_ok=True)
        keep_it = {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(result)}, "check_mode": False}
        variables = {
            "northgate_clusters": self.clusters, "northgate_address_pools": POOLS if pools is None else pools, "northgate_snapshots": str(self.snapshots),
            "northgate_router_groups": self.groups,
            "northgate_observation_timeout": 20, "ansible_python_interpreter": sys.executable,
        }  # fmt: skip
        playbook = self.root / "play.json"
        local = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        playbook.write_text(json.dumps([{**local, "vars": play["vars"], "tasks": [*tasks, keep_it]}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", json.dumps(variables), "--diff", *(["--check"] * check), str(playbook)]
        environment = {**os.environ, "ANSIBLE_HOME": str(self.root / "ansible"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        self.output = done.stdout + done.stderr
        assert result.exists(), self.output
        return json.loads(result.read_text())


@pytest.fixture
def site(tmp_path, kubernetes):
    kubernetes.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    yield Site(tmp_path, kubernetes)
    kubernetes.kubectl("delete", "service,events", "-n", SPACE, "--all")


def counts(result: dict[str, t.Any], cluster: str = "alpha") -> list[int]:
    assert result["clusters"][cluster]["failed"] == ""
    return [result["clusters"][cluster][key] for key in ("written", "released", "unchanged", "conflicts")]


def entry(address: str, *ports: tuple[int, str]) -> dict[str, t.Any]:
    return {"ip": address, "ipMode": "VIP", "ports": [{"port": port, "protocol": protocol} for port, protocol in ports]}


def test_services_get_addresses_check_mode_foretells_it_and_the_next_run_writes_nothing(site):
    site.service("one")
    site.service("two", 443, **DUAL)
    before = site.versions()
    foretold = site.run(check=True)
    observed = site.files()
    assert site.versions() == before and site.given() == {"one": [], "two": []} and site.events("one") == []
    done = site.run()
    assert (site.entries("one"), site.entries("two")) == (
        [entry(V4[0], (80, "TCP"), (80, "UDP"))],
        [entry(address, (443, "TCP"), (443, "UDP")) for address in (V4[1], V6[0])],
    )
    assert done["changes"] == [f"alpha: {SPACE}/one: none -> {V4[0]}", f"alpha: {SPACE}/two: none -> {V4[1]}, {V6[0]}"]
    assert done["changed"] and counts(done) == [2, 0, 0, 0]
    assert (done["problems"], done["assigned"], done["pools"]) == ([], 2, {"public": {"used": 3}})
    keys = ("changed", "changes", "clusters", "problems", "assigned", "pools", "diff")
    assert {key: foretold[key] for key in keys} == {key: done[key] for key in keys}
    assert done["diff"][0]["after"] == f"{SPACE}/one: {V4[0]} 80/TCP, 80/UDP\n{SPACE}/two: {V4[1]} 443/TCP, 443/UDP; {V6[0]} 443/TCP, 443/UDP\n"
    # Routers hear of it in the same run, and the next observation says the same.
    assert site.given() == {"one": [V4[0]], "two": [V4[1], V6[0]]} and site.files() != observed
    written, versions = site.files(), site.versions()
    again = site.run()
    assert not again["changed"] and counts(again) == [0, 0, 2, 0] and site.files() == written and site.versions() == versions
    # Without a module having been started.
    assert "diff" not in again and again["pools"] == done["pools"]


def test_a_change_of_ports_is_written_and_addresses_stay_with_their_services(site):
    site.service("one")
    site.service("two")
    site.run()
    site.kubernetes.kubectl("delete", "service", "one", "-n", SPACE)
    site.patch("two", {"ports": [{"name": name, "port": 8080, "protocol": protocol} for name, protocol in (("t", "TCP"), ("u", "UDP"))]})
    site.service("another")
    done = site.run()
    assert site.entries("two") == [entry(V4[1], (8080, "TCP"), (8080, "UDP"))] and site.status("another") == [V4[0]]
    assert f"alpha: {SPACE}/two: {V4[1]}: 80/TCP, 80/UDP -> 8080/TCP, 8080/UDP" in done["changes"]


def test_services_of_one_key_share_an_address_and_a_request_moves_one(site):
    shared = {"allow-shared-ip": "mail"}
    site.service("imap", 993, annotations=shared)
    site.service("smtp", 25, annotations=shared)
    site.service("other", 25)
    site.run()
    assert site.status("smtp") == site.status("imap") != site.status("other")
    site.service("other", 25, annotations={"load-balancer-ips": V4[3]})
    assert counts(site.run()) == [1, 0, 2, 0]
    assert site.status("other") == [V4[3]]


@pytest.mark.parametrize("check", [True, False])
def test_addresses_are_released_when_type_or_class_change_and_what_is_somebody_elses_stays(site, check):
    foreign = {"hostname": "lb.example"}
    for name in ("retyped", "reclassed", "stays"):
        site.service(name)
        site.set_status(name, entry(V4[{"retyped": 0, "reclassed": 1, "stays": 2}[name]], (80, "TCP"), (80, "UDP")), foreign)
    site.patch("retyped", {"type": "ClusterIP", "loadBalancerClass": None})
    # The class of a LoadBalancer can't be changed while it is one.
    site.patch("reclassed", {"type": "ClusterIP", "loadBalancerClass": None})
    site.patch("reclassed", {"type": "LoadBalancer", "loadBalancerClass": "example.com/other"})
    site.set_status("reclassed", entry(V4[1], (80, "TCP")), foreign)
    before = site.versions()
    done = site.run(check=check)
    # The API server itself empties the status of what is no LoadBalancer any more.
    assert site.status("retyped") == []
    assert f"alpha: {SPACE}/reclassed: {V4[1]}, lb.example -> lb.example" in done["changes"]
    assert counts(done) == [0, 1, 1, 0]
    if check:
        assert site.versions() == before
    else:
        assert (site.status("reclassed"), site.status("stays")) == (["lb.example"], [V4[2], "lb.example"])
        assert counts(site.run()) == [0, 0, 1, 0]


def test_a_problem_is_one_event_and_a_warning_and_goes_when_the_pool_grows(site):
    site.service("first")
    site.service("second")
    small = {"public": {"addresses": [V4[0]]}}
    done = site.run(small)
    assert not done.get("failed") and done["changed"]
    loser = "second" if site.status("first") else "first"
    problem = f"cluster alpha: Service {SPACE}/{loser}: the pool public has no free IPv4 address"
    assert done["problems"] == [problem] and f"no address: {problem}" in str(done["warnings"])
    [event] = site.events(loser)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "AddressPoolExhausted", "the pool public has no free IPv4 address")
    assert event["involvedObject"]["uid"] == site.get("service", loser)["metadata"]["uid"] and event["source"]["component"] == "northgate.edge"
    again = site.run(small)
    assert not again["changed"] and again["problems"] == [problem] and counts(again) == [0, 0, 1, 0]  # The loser is not as it should be.
    assert [found["metadata"]["resourceVersion"] for found in site.events(loser)] == [event["metadata"]["resourceVersion"]]
    assert site.run()["problems"] == [] and site.status(loser) == [V4[1]]


def test_a_service_that_changed_after_it_was_observed_is_for_the_next_run(site):
    for name in ("deleted", "retyped", "same", "taken"):
        site.service(name)
    site.run(check=True)
    site.kubernetes.kubectl("delete", "service", "deleted", "-n", SPACE)
    site.patch("retyped", {"type": "ClusterIP", "loadBalancerClass": None})
    site.set_status("taken", {"ip": "198.51.100.1"})
    done = site.run(observe=False)
    assert counts(done) == [1, 0, 0, 2]
    assert (site.status("retyped"), site.status("same"), site.status("taken")) == ([], [V4[2]], ["198.51.100.1"])
    assert site.given() == {"deleted": [], "retyped": [], "same": [V4[2]], "taken": []}
    assert counts(site.run()) == [1, 0, 1, 0]
    # An address that lies in no pool is somebody else's; the service is ours by its class, so it gets one of ours beside it.
    assert site.status("taken") == [V4[0], "198.51.100.1"]


def test_a_write_that_meets_another_is_a_conflict(site, monkeypatch):
    site.service("one")
    site.run(check=True)
    wanted = plan({"clusters": site.clusters, "pools": POOLS, "snapshots": str(site.snapshots)})
    from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import service_status

    fresh = service_status._fresh

    def looked_at_too_early(writer, name):
        raw = fresh(writer, name)
        site.kubernetes.kubectl("label", "service", "one", "-n", SPACE, "a=b", "--overwrite")
        return raw

    monkeypatch.setattr(service_status, "_fresh", looked_at_too_early)
    outcomes = write_all(wanted.tasks, 20.0, False)
    assert (outcomes["alpha"].changes, outcomes["alpha"].conflicts, outcomes["alpha"].failed) == ((), 1, "")
    keep(str(site.snapshots), wanted, outcomes)
    assert site.status("one") == [] and site.given() == {"one": []}


def test_a_cluster_that_is_not_observed_keeps_a_shared_pool_closed(site):
    site.service("held")
    site.run()
    site.service("new")
    site.clusters["beta"] = {"kubeconfig": "/nowhere"}
    site.groups["edge"]["clusters"].append("beta")
    done = site.run()
    assert list(done["clusters"]) == ["alpha"] and counts(done) == [0, 0, 1, 0]
    assert "cluster beta is not observed" in done["problems"][0] and site.events("new")[0]["reason"] == "ClusterNotObserved"
    assert (site.status("held"), site.status("new")) == ([V4[0]], [])
    done = site.run({"public": {**POOLS["public"], "clusters": ["alpha"]}})
    assert site.status("new") == [V4[1]]


def test_an_account_that_may_not_write_is_told_what_to_run_and_fails_no_run(site):
    site.service("one")
    site.run(check=True)
    nobody = site.root / "nobody"
    nobody.write_text(site.kubernetes.kubeconfig_for("nobody-token"))
    site.clusters["alpha"]["kubeconfig"] = str(nobody)
    result = site.run(observe=False)
    assert not result.get("failed") and not result["changed"] and site.status("one") == []
    assert result["clusters"]["alpha"]["failed"].startswith("1 of 1 changes were not made.")
    assert "Run playbooks/cluster_access.yml again, with cluster_access_status" in str(result["warnings"])
    assert site.given() == {"one": []}


def test_a_mistake_in_the_inventory_is_named_and_without_pools_nothing_is_done(site):
    site.service("one")
    result = site.run({"public": {"addresses": ["192.0.2.1/24"]}}, observe=False)
    assert result["failed"] and "pools.public.addresses[0]: '192.0.2.1/24' is no network" in result["msg"]
    assert site.run({})["skipped"] and site.status("one") == []


def test_a_service_that_asks_for_a_router_group_gets_an_address_that_leads_there_or_an_event(site):
    site.groups = {"edge-a": {"clusters": ["alpha"], "address_pools": ["a"]}, "edge-b": {"clusters": ["alpha"], "address_pools": ["b"]}}
    pools = {"a": {"addresses": [V4[0]]}, "b": {"addresses": [V4[1]]}}
    site.service("there", annotations={"router-group": "edge-b"})
    site.service("nowhere", annotations={"router-group": "edge-x"})
    result = site.run(pools)
    assert (site.status("there"), site.status("nowhere")) == ([V4[1]], [])
    assert {(event["reason"], event["message"]) for event in site.events("nowhere")} == {
        ("RouterGroupNotAvailable", "there is no router group edge-x"),
        ("RouterGroupNotAvailable", "no router group that it asks for (edge-x) serves its cluster"),
    }
    assert any("there is no router group edge-x" in problem for problem in result["problems"])
    # A group that serves another cluster leads nowhere for this one: what it had is replaced, and freed.
    site.groups["edge-b"]["clusters"] = ["beta"]
    site.run(pools)
    assert site.status("there") == []
