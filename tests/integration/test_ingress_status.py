# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ingress_status, and the task of converge.yml that runs it, against a real kube-apiserver."""

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

from ansible_collections.northgate.edge.plugins.module_utils._core import codec, model
from ansible_collections.northgate.edge.plugins.module_utils._core.status import Address, Publication, dump
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.client import Client
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.status import publish_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.writing import Access

COLLECTION = Path(ansible_collections.northgate.edge.__path__[0])
V4, V6, OTHER = "192.0.2.80", "2001:db8::80", "192.0.2.99"
SPACE = "status"


class Site:
    """A controller and a cluster, of which the tests' namespace is used only."""

    def __init__(self, root: Path, kubernetes: t.Any) -> None:
        self.root, self.kubernetes = root, kubernetes
        self.snapshots = root / "snapshots"
        self.snapshots.mkdir()
        self.clusters = {"alpha": {"kubeconfig": str(kubernetes.kubeconfig)}}
        self.output = ""

    def ingresses(self, *names: str) -> None:
        """Makes ingresses without status."""
        spec = {"ingressClassName": "traefik", "defaultBackend": {"service": {"name": "echo", "port": {"number": 80}}}}
        self.kubernetes.apply(
            *({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": n, "namespace": SPACE}, "spec": spec} for n in names)
        )

    def observed(self, cluster: str = "alpha", broken: t.Sequence[str] = (), **hosts: str) -> None:
        """Writes the snapshot: ingresses with their host, from the oldest to the newest, none of the policy of the one before."""
        found = tuple(
            model.Ingress(SPACE if cluster == "alpha" else "else", name, f"2026-01-01T00:00:{age:02}Z", "traefik",
                          (model.Path(model.Rule(host, "/", "Prefix"), "class/traefik"),), policy=model.Policy(affinity=age % 2 == 1))
            for age, (name, host) in enumerate(hosts.items())
        )  # fmt: skip
        quarantined = tuple(model.Quarantined(cluster, f"Ingress {SPACE}/{name}", "spec", "cause") for name in broken)
        (self.snapshots / f"{cluster}.json").write_bytes(codec.dump(model.Snapshot(cluster, found, quarantined=quarantined)))

    def status(self, name: str) -> list[str]:
        raw = json.loads(self.kubernetes.kubectl("get", "ingress", name, "-n", SPACE, "-o", "json"))
        return [entry.get("ip") or entry["hostname"] for entry in raw["status"]["loadBalancer"].get("ingress", [])]

    def set_status(self, name: str, *addresses: str) -> None:
        patch = {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}}
        self.kubernetes.kubectl("patch", "ingress", name, "-n", SPACE, "--subresource=status", "--type=merge", "-p", json.dumps(patch))

    def versions(self) -> dict[str, str]:
        items = json.loads(self.kubernetes.kubectl("get", "ingress", "-n", SPACE, "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}

    def run(self, *addresses: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """The module's result, with one group of ``addresses`` that has converged unless ``options`` say otherwise."""
        module = {
            "clusters": self.clusters,
            "snapshots": str(self.snapshots),
            "groups": {"edge": {"clusters": sorted(self.clusters), "ingress_addresses": list(addresses)}},
            "converged_groups": ["edge"],
            **options,
        }
        task = {"northgate.edge.ingress_status": module, "register": "result", "ignore_errors": True}
        return self.play([task], "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", *(["--check"] if check else []))

    def play(self, tasks: list[dict[str, t.Any]], inventory: str, *arguments: str, **play: t.Any) -> dict[str, t.Any]:
        """Runs tasks of which one registers ``result``, and returns that."""
        result = self.root / "result.json"
        result.unlink(missing_ok=True)
        keep = {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(result)}, "check_mode": False,
                "delegate_to": "localhost", "run_once": True}  # fmt: skip
        playbook = self.root / "play.json"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, **play, "tasks": [*tasks, keep]}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, "--diff", *arguments, str(playbook)]
        environment = {**os.environ, "ANSIBLE_HOME": str(self.root / "ansible"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        self.output = done.stdout + done.stderr
        assert result.exists(), self.output
        return json.loads(result.read_text())


@pytest.fixture
def site(tmp_path, kubernetes):
    kubernetes.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    yield Site(tmp_path, kubernetes)
    kubernetes.kubectl("delete", "ingress", "-n", SPACE, "--all")


def counts(result: dict[str, t.Any], cluster: str = "alpha") -> list[int]:
    assert result["clusters"][cluster]["failed"] == ""
    return [result["clusters"][cluster][key] for key in ("written", "removed", "unchanged", "conflicts")]


def test_a_run_writes_what_differs_and_the_next_nothing(site):
    site.ingresses("shop", "lost", "broken", "right", "foreign")
    for name in ("lost", "broken", "foreign"):
        site.set_status(name, OTHER)
    site.set_status("right", V6, V4)
    site.observed(shop="a.example", lost="a.example", right="b.example", broken=["broken"])
    before = site.versions()

    foretold = site.run(V4, V6, check=True)
    assert site.versions() == before
    done = site.run(V4, V6)
    assert {name: site.status(name) for name in before} == {
        "shop": [V4, V6], "lost": [], "broken": [], "right": [V6, V4], "foreign": [OTHER]}  # fmt: skip
    assert done["changes"] == [
        f"alpha: {SPACE}/broken: {OTHER} -> none", f"alpha: {SPACE}/lost: {OTHER} -> none", f"alpha: {SPACE}/shop: none -> {V4}, {V6}"]  # fmt: skip
    assert done["changed"] and counts(done) == [1, 2, 1, 0]
    keys = ("changed", "changes", "clusters", "diff")
    assert [foretold[key] for key in keys] == [done[key] for key in keys]
    assert done["diff"][0]["before"] == f"{SPACE}/broken: {OTHER}\n{SPACE}/lost: {OTHER}\n{SPACE}/shop: none\n"
    assert done["diff"][0]["after"] == f"{SPACE}/broken: none\n{SPACE}/lost: none\n{SPACE}/shop: {V4}, {V6}\n"

    after = site.versions()
    again = site.run(V6, V4)
    assert not again["changed"] and again["diff"] == [] and counts(again) == [0, 0, 4, 0]
    assert site.versions() == after


def test_a_cluster_of_which_all_was_seen_to_be_right_is_not_asked(site):
    site.observed(shop="shop.example")
    seen = {f"{SPACE}/shop": frozenset({Address("ip", "192.0.2.80")}), f"{SPACE}/foreign": frozenset()}
    (site.snapshots / "alpha.status.json").write_bytes(dump(seen))
    site.clusters["alpha"]["kubeconfig"] = "/nowhere"
    assert counts(site.run("192.0.2.80")) == [0, 0, 1, 0]
    assert "/nowhere" in site.run("192.0.2.81")["clusters"]["alpha"]["failed"]


def test_names_are_published_as_host_names(site):
    site.ingresses("shop")
    site.observed(shop="a.example")
    site.run("edge.example.com", V4)
    raw = json.loads(site.kubernetes.kubectl("get", "ingress", "shop", "-n", SPACE, "-o", "json"))
    assert raw["status"]["loadBalancer"]["ingress"] == [{"hostname": "edge.example.com"}, {"ip": V4}]


def test_a_group_that_did_not_converge_keeps_what_it_published(site):
    site.ingresses("shop", "new")
    site.set_status("shop", OTHER, "192.0.2.1")
    site.observed(shop="a.example", new="b.example")
    groups = {"edge": {"clusters": ["alpha"], "ingress_addresses": [V4]}, "down": {"clusters": ["alpha"], "ingress_addresses": [OTHER]}}
    assert counts(site.run(groups=groups, converged_groups=["edge"])) == [2, 0, 0, 0]
    assert (site.status("shop"), site.status("new")) == ([V4, OTHER], [V4])
    assert site.run(groups=groups, converged_groups=[])["clusters"] == {}
    assert counts(site.run(groups=groups, converged_groups=["down", "edge"])) == [1, 0, 1, 0]
    assert site.status("new") == [V4, OTHER]


def test_clusters_without_a_snapshot_or_without_an_answer_stop_nothing(site):
    site.ingresses("shop")
    site.observed(shop="a.example")
    site.observed("beta", shop="c.example")
    dead = site.root / "dead"
    dead.write_text(site.kubernetes.kubeconfig.read_text().replace(f":{site.kubernetes.port}", ":1"))
    site.clusters |= {"beta": {"kubeconfig": str(dead)}, "gamma": {"kubeconfig": "/nowhere"}}
    result = site.run(V4, timeout=10)
    assert not result.get("failed") and site.status("shop") == [V4]
    assert sorted(result["clusters"]) == ["alpha", "beta"]
    assert counts(result) == [1, 0, 0, 0]
    assert "Is the API server up and reachable?" in result["clusters"]["beta"]["failed"]
    assert "status of ingresses in cluster beta" in "".join(map(str, result["warnings"]))


def test_an_account_that_may_not_write_is_told_what_to_run(site):
    site.ingresses("shop")
    site.observed(shop="a.example")
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "status-reader"}
    rules = [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list", "patch", "update"]}]
    site.kubernetes.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "status-reader"}, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "status-reader"}, "roleRef": role,
         "subjects": [{"apiGroup": group, "kind": "User", "name": "nobody"}]},
    )  # fmt: skip
    nobody = site.root / "nobody"
    nobody.write_text(site.kubernetes.kubeconfig_for("nobody-token"))
    site.clusters["alpha"]["kubeconfig"] = str(nobody)
    try:
        result = site.run(V4)
    finally:
        site.kubernetes.kubectl("delete", "clusterrolebinding,clusterrole", "status-reader")
    assert not result.get("failed") and not result["changed"] and site.status("shop") == []
    reason = result["clusters"]["alpha"]["failed"]
    assert reason.startswith("1 of 1 changes were not made.") and 'cannot patch resource "ingresses/status"' in reason
    assert "Run playbooks/cluster_access.yml again, with cluster_access_status" in reason


def test_an_ingress_that_changed_or_went_away_meanwhile_is_left_to_the_next_run(site, monkeypatch):
    names = ["changed", "gone", "renewed", "same"]
    site.ingresses(*names)
    read = Client.read

    def read_and_lose(self, *arguments, **query):
        found = read(self, *arguments, **query)
        site.kubernetes.kubectl("label", "ingress", "changed", "-n", SPACE, "a=b")
        site.kubernetes.kubectl("delete", "ingress", "gone", "renewed", "-n", SPACE)
        site.ingresses("renewed")
        return found

    monkeypatch.setattr(Client, "read", read_and_lose)
    wanted = Publication("alpha", {f"{SPACE}/{name}": frozenset({Address("ip", V4)}) for name in names})
    outcome = publish_all([(Access("alpha", str(site.kubernetes.kubeconfig), None), wanted)], 20.0, 500, False)["alpha"]
    assert ([change.name for change in outcome.changes], outcome.conflicts, outcome.failed) == ([f"{SPACE}/same"], 2, "")
    assert (site.status("changed"), site.status("renewed"), site.status("same")) == ([], [], [V4])


def test_many_ingresses_are_read_page_by_page_and_written_side_by_side(site):
    names = [f"many-{number:02}" for number in range(40)]
    site.ingresses(*names)
    site.observed(**{name: f"{name}.example" for name in names})
    assert counts(site.run(V4, page_size=7)) == [40, 0, 0, 0]
    assert counts(site.run(V4, page_size=7)) == [0, 0, 40, 0]


def test_a_mistake_in_the_inventory_is_named(site):
    site.observed(shop="a.example")
    result = site.run(V4, "192.0.2.300")
    assert result["failed"] and "groups.edge.ingress_addresses[1]: '192.0.2.300' is no IP address" in result["msg"]


@pytest.fixture
def task():
    """The last task of converge.yml, with the variables of its play."""
    [play] = yaml.safe_load((COLLECTION / "playbooks/converge.yml").read_text("utf-8"))
    return {**play["tasks"][-1], "vars": play["vars"], "register": "result"}


@pytest.mark.parametrize(
    "failing, published",
    [([], [V4, OTHER]), (["r1"], [V4, OTHER]), (["r1", "r2"], [OTHER]), (["r3"], [V4])],
    ids=["all converged", "one of a group", "a whole group", "another group"],
)
def test_the_playbook_tells_of_groups_with_a_router_that_converged(site, task, failing, published):
    site.ingresses("shop")
    site.set_status("shop", "192.0.2.1")
    site.observed(shop="a.example")
    variables = {
        "ansible_connection": "local",
        # What routers have is not what the controller has.
        "ansible_python_interpreter": "/nowhere/python3",
        "northgate_clusters": site.clusters,
        "northgate_router_groups": {
            "edge": {"asn": 64500, "clusters": ["alpha"], "ingress_addresses": [V4]},
            "outer": {"asn": 64501, "clusters": ["alpha"], "ingress_addresses": [OTHER]},
            "mute": {"asn": 64502, "clusters": ["alpha"]},
        },
        "northgate_snapshots": str(site.snapshots),
        "failing": failing,
    }
    routers = {"r1": "edge", "r2": "edge", "r3": "outer", "r4": "mute"}
    hosts = {name: {"northgate_router_group": group} for name, group in routers.items()}
    inventory = site.root / "inventory.json"
    inventory.write_text(json.dumps({"all": {"vars": variables, "hosts": hosts}}))
    converge = {"ansible.builtin.fail": {"msg": "as wanted"}, "when": "inventory_hostname in failing"}
    assert counts(site.play([converge, task], str(inventory))) == [1, 0, 0, 0]
    assert site.status("shop") == published


def test_the_playbook_does_nothing_without_addresses(site, task):
    variables = {"northgate_router_groups": {"edge": {"asn": 64500, "clusters": ["alpha"]}}, "northgate_router_group": "edge"}
    result = site.play([task], "r1,", "-c", "local", "-e", json.dumps(variables))
    assert result["skipped"]
