# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Nodes to those that may get traffic of services. Pure."""

from __future__ import annotations

import typing as t

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.services import Node, family, host_address
from .hostile import Object, Quarantine, cut, mapping, sequence

# Well-known label: its value says nothing.
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def decode(items: t.Iterable[t.Any], quarantine: Quarantine) -> tuple[Node, ...]:
    """The nodes of a cluster by name. Of two that claim one address the younger is quarantined."""
    found = []
    for raw in map(mapping, items):
        metadata = mapping(raw.get("metadata"))
        if _EXCLUDED in mapping(metadata.get("labels")):
            continue
        try:
            node = _node(metadata, mapping(raw.get("status")))
        except InvalidValue as error:
            quarantine.refuse(f"Node {cut(metadata.get('name'))}", error)
            continue
        if node.addresses:
            found.append((str(metadata.get("creationTimestamp")), node))
    owners: dict[str, str] = {}
    kept = []
    for _created, node in sorted(found):
        taken = [address for address in node.addresses if owners.setdefault(address, node.name) != node.name]
        if taken:
            quarantine.add(f"Node {node.name}", "status.addresses", f"{taken[0]} is the address of the older node {owners[taken[0]]}")
        else:
            kept.append(node)
    return tuple(sorted(kept))


def _node(metadata: Object, status: Object) -> Node:
    """A node with the first InternalIP of each family."""
    addresses: dict[int, str] = {}
    for entry in map(mapping, sequence(status.get("addresses"))):
        if entry.get("type") == "InternalIP":
            address = host_address(entry.get("address"), "status.addresses")
            addresses.setdefault(family(address), address)
    ready = any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in map(mapping, sequence(status.get("conditions"))))
    return Node(syntax.dns_subdomain(metadata.get("name"), "metadata.name"), tuple(addresses[one] for one in sorted(addresses)), ready)
