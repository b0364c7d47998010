# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md is true: its inventory fits the collection, and all that it names is there."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import pytest
import readme
import yaml
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

ROOT = readme.README.parent
TEXT = readme.README.read_text("utf-8")


@pytest.fixture(name="inventory", scope="module")
def _inventory(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("readme") / "inventory.yml"
    path.write_text(readme.inventory(), "utf-8")
    return path


@pytest.mark.parametrize("playbook", sorted({line.split()[0] for line in readme.playbooks()}))
def test_playbooks_take_the_inventory(inventory, playbook):
    subprocess.run(["ansible-playbook", "--syntax-check", "-i", inventory, playbook], check=True, stdin=subprocess.DEVNULL)


def test_each_host_gets_the_neighbours_that_the_readme_promises(inventory, tmp_path):
    playbook = tmp_path / "neighbours.yml"
    show = {"ansible.builtin.copy": {"content": "{{ bird_neighbors | to_json }}", "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}"}}
    tasks = [{"ansible.builtin.include_vars": str(ROOT / "roles/bird/defaults/main.yml")}, {**show, "delegate_to": "localhost"}]
    playbook.write_text(json.dumps([{"hosts": "routers:workers", "gather_facts": False, "connection": "local", "tasks": tasks}]))
    subprocess.run(["ansible-playbook", "-i", inventory, playbook], check=True, stdin=subprocess.DEVNULL)
    names = {host: {n["name"] for n in json.loads((tmp_path / host).read_text())} for host in ("edge1", "edge2", "worker1", "worker2")}
    assert names["edge1"] == names["edge2"] == {"worker1", "worker2"}
    assert names["worker1"] == {"edge1", "edge2", "worker2"}


def test_the_clusters_can_be_observed(inventory):
    clusters = yaml.safe_load(inventory.read_text("utf-8"))["all"]["vars"]["northgate_clusters"]
    assert [ClusterSource.parse(name, options).name for name, options in clusters.items()] == ["alpha"]


def test_all_modules_roles_and_playbooks_are_listed():
    present = {path.stem for path in ROOT.glob("plugins/modules/[!_]*.py")}
    present |= {path.name for path in ROOT.glob("roles/*") if path.is_dir()}
    present |= {path.stem for path in ROOT.glob("playbooks/*.yml")}
    table = TEXT[TEXT.index("## Modules, roles and playbooks") :]
    assert {name for name in present if f".{name}`" not in table} == set()


@pytest.mark.parametrize("document", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))])
def test_links_lead_to_files(document):
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    documents = [TEXT, *(path.read_text("utf-8") for path in ROOT.glob("docs/*.md"))]
    named = {name for text in documents for name in re.findall(r"(?:`|    )make ([a-z-]+)", text)}
    assert named and named <= targets
