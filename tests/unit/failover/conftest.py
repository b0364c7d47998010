# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab that is only on paper: the inventory of two router groups, and a lab command that notes what it is told."""
from __future__ import annotations

import json

import pytest
import yaml
from driver import command

ROUTER = {"northgate_router_group": "edge-a", "northgate_addresses": ["10.90.0.11"]}
INVENTORY = {"all": {
    "vars": {
        "northgate_clusters": {"alpha": {}, "beta": {}},
        "northgate_router_groups": {
            "edge-b": {"clusters": ["beta"], "vips": {"b": {"addresses": ["10.91.0.60/24"], "preferred": ["r3"]}}},
            "edge-a": {
                "clusters": ["alpha", "beta"], "api": {"alpha": {"bind": ["10.91.0.51:6443", "[fd91::51]:6443"]}},
                "ingress_addresses": ["10.91.0.50", "fd91::50"],
                "vips": {"api": {"addresses": ["10.91.0.51/24"], "preferred": ["r1", "r2"]},
                         "a": {"addresses": ["10.91.0.50/24", "fd91::50/64"], "preferred": ["r2", "r1"]}}},
        }},
    "children": {"guests": {"vars": {"ansible_user": "root"}, "children": {
        "routers": {"vars": {"x": 1}, "children": {
            "edge_a": {"hosts": {"r1": ROUTER, "r2": ROUTER}}, "edge_b": {"hosts": {"r3": ROUTER | {"northgate_router_group": "edge-b"}}}}},
        "workers": {"children": {"alpha_workers": {"hosts": {"alpha-w1": {"northgate_cluster": "alpha", "northgate_addresses": ["10.90.0.21"]}}}}},
        "upstream": {"hosts": {"client": None}}}}},
}}


@pytest.fixture(name="state")
def _state(tmp_path, monkeypatch):
    """The state directory of the lab, with what `lab up` writes."""
    monkeypatch.setattr(command, "STATE", tmp_path)
    for module in ("driver.program", "northgate_failover.world", "northgate_failover.probing"):
        monkeypatch.setattr(f"{module}.STATE", tmp_path)
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(INVENTORY))
    pki = tmp_path / "clusters" / "alpha"
    (pki / "tokens").mkdir(parents=True)
    (pki / "tokens" / "admin").write_text("secret")
    (pki / "ca.pem").write_text("authority")
    for number, host in ((41, "alpha-cp1"), (42, "alpha-cp2")):
        (pki / f"{host}-admin.kubeconfig").write_text(json.dumps({"clusters": [{"cluster": {"server": f"https://10.90.0.{number}:6443"}}]}))
    (tmp_path / "hosts" / "client" / "share").mkdir(parents=True)
    return tmp_path


@pytest.fixture(name="told")
def _told(monkeypatch):
    """The command lines that the lab's command got; ``answers`` are what it says to those that begin so."""
    class Told(list):
        def __init__(self):
            super().__init__()
            self.answers = {}

        def lab(self, *arguments, data="", timeout=60.0):
            self.append(arguments)
            text = " ".join(arguments)
            return next((answer for beginning, answer in self.answers.items() if text.startswith(beginning)), "")

    told = Told()
    for module in ("driver.clusters", "driver.command", "driver.routing", "labs", *(f"northgate_failover.{name}" for name in ("cases", "health", "world"))):
        monkeypatch.setattr(f"{module}.lab", told.lab)
    return told
