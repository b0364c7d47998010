# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Nodes to those that may get traffic of services."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.services import Node
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import nodes
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.hostile import Quarantine


def node(name, *addresses, ready="True", created="2026-01-01T00:00:00Z", labels=None):
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    entries = [{"type": "Hostname", "address": "x y"}, *({"type": "InternalIP", "address": address} for address in addresses)]
    return {
        "metadata": {"name": name, "creationTimestamp": created, "labels": labels or {}},
        "status": {"addresses": entries, "conditions": conditions},
    }


def decoded(*items):
    quarantine = Quarantine("alpha")
    return nodes.decode(items, quarantine), sorted(map(str, quarantine.found))


def test_nodes_have_one_address_of_each_family_and_say_whether_they_are_ready():
    found, quarantined = decoded(node("w2", "FD00::2", "10.0.0.2", "10.0.0.3", "fd00::3"), node("w1", "10.0.0.1", ready="Unknown"))
    assert found == (Node("w1", ("10.0.0.1",), ready=False), Node("w2", ("10.0.0.2", "fd00::2")))
    assert not quarantined


def test_who_is_excluded_or_has_no_address_is_left_out():
    excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
    assert decoded(node("w1", "10.0.0.1", labels={excluded: ""}), node("w2", "10.0.0.2", labels={excluded: "false"}), node("w3")) == ((), [])


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (node("a b", "10.0.0.9"), "Node a b: metadata.name: 'a b' is no DNS name"),
        (node(None, "10.0.0.9"), "Node None: metadata.name"),
        (node("w9", "127.0.0.1"), "Node w9: status.addresses: 127.0.0.1 is no address"),
        (node("w9", "10.0.0.9", "x"), "Node w9: status.addresses: 'x' is no IP address"),
        (node("a9", "10.0.0.9", "10.0.0.1", created="2026-01-02T00:00:00Z"), None),
        (node("a9", "10.0.0.1", created="2026-01-02T00:00:00Z"), "Node a9: status.addresses: 10.0.0.1 is the address of the older node w1"),
        ({"metadata": [], "status": {"addresses": [None, "x"]}}, "Node None: metadata.name"),
        ("x", "Node None: metadata.name"),
    ],
)
def test_a_hostile_node_is_quarantined_and_costs_nothing_else(raw, cause):
    found, quarantined = decoded(raw, node("w1", "10.0.0.1"))
    assert Node("w1", ("10.0.0.1",)) in found and len(found) == (1 if cause else 2)
    assert [cause in line for line in quarantined] == ([True] if cause else [])
