# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which destinations a service's port has in its cluster. Pure."""

from __future__ import annotations

from .balance_model import GUE, PODS, SERVICE_IPS, Destination, Forwarding
from .model import Snapshot
from .services import DIRECT, MASQUERADE, TUNNEL, Service, ServiceEndpoint, ServicePort, family


def usable(port: ServicePort, of_family: int) -> list[ServiceEndpoint]:
    """The endpoints that get new connections: those that are ready; where none is, those that still serve.

    A pod that terminates gets new connections only where there is no other (as kube-proxy does).
    """
    endpoints = [e for e in port.endpoints if family(e.address) == of_family]
    return [e for e in endpoints if e.ready and not e.terminating] or [e for e in endpoints if e.serving]


def ready_nodes(snapshot: Snapshot) -> int:
    """How many nodes of the cluster are ready."""
    return sum(node.ready for node in snapshot.nodes)


def destinations(snapshot: Snapshot, service: Service, port: ServicePort, of_family: int, how: Forwarding) -> list[Destination]:
    """The destinations in natural weights: 1 for a node or pod, for a service IP as many as the cluster has ready nodes."""
    if how.mode == MASQUERADE:
        return _masquerade(snapshot, service, port, of_family, how.masquerade_to)
    nodes = _nodes(snapshot, service, port, of_family)
    if how.mode == DIRECT:
        return [Destination(address, port.port, DIRECT) for address in nodes]
    tunnel_port = how.tunnel_port if how.tunnel == GUE else 0
    return [Destination(address, port.port, TUNNEL, 1, how.tunnel, tunnel_port) for address in nodes]


def _masquerade(snapshot: Snapshot, service: Service, port: ServicePort, of_family: int, to: str) -> list[Destination]:
    endpoints = usable(port, of_family)
    if to == PODS:
        return [Destination(address, number, MASQUERADE) for address, number in sorted({(e.address, e.port) for e in endpoints})]
    if to == SERVICE_IPS:
        weight = max(ready_nodes(snapshot), 1)
        return [Destination(ip, port.port, MASQUERADE, weight) for ip in service.cluster_ips if endpoints and family(ip) == of_family]
    return [Destination(address, port.node_port, MASQUERADE) for address in _nodes(snapshot, service, port, of_family)] if port.node_port else []


def _nodes(snapshot: Snapshot, service: Service, port: ServicePort, of_family: int) -> list[str]:
    """The addresses of the nodes that get the service's packets, sorted: ready ones, and all of them rather than none."""
    nodes = snapshot.nodes
    if service.local:
        hosting = {e.node for e in usable(port, of_family)}
        nodes = tuple(node for node in nodes if node.name in hosting)
    addresses = [(node.ready, address) for node in nodes for address in node.addresses if family(address) == of_family]
    return sorted({address for ready, address in addresses if ready} or {address for _ready, address in addresses})
