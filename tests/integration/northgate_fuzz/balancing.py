# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw Services of type LoadBalancer with all that they can ask for, their EndpointSlices, and nodes."""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot

Object = dict[str, t.Any]

POOL = AddressPool.parse("public", {"addresses": ["203.0.113.0/24", "2001:db8:100::/64"]})
NAMES = ("mail", "web", "dns")
_PORTS = [
    {"name": "smtp", "port": 25, "nodePort": 30025},
    {"name": "dns", "port": 53, "protocol": "UDP"},
    {"name": "sctp", "port": 25, "protocol": "SCTP"},
]
_SPECS: list[Object] = [
    {"loadBalancerClass": "northgate.edge/edge"},
    {"clusterIPs": ["10.96.0.1", "fd10::1"], "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"},
    {"externalTrafficPolicy": "Local"},
    {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}},
    {"loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"]},
    {"loadBalancerIP": "203.0.113.9"},
]
_ANNOTATIONS = {
    "northgate.edge/address-pool": "public",
    "northgate.edge/load-balancer-ips": "203.0.113.8, 2001:db8:100::8",
    "northgate.edge/allow-shared-ip": "mail",
    "northgate.edge/forwarding": "direct",
    "northgate.edge/scheduler": "mh",
    "service.beta.kubernetes.io/load-balancer-source-ranges": "192.0.2.0/24",
}


def service(name: str, specs: t.Iterable[Object] = (), annotated: t.Iterable[str] = ()) -> Object:
    """A raw Service in the namespace demo."""
    spec: Object = {"type": "LoadBalancer", "ports": _PORTS, "clusterIPs": ["10.96.0.1"]}
    for more in specs:
        spec |= more
    annotations = {key: _ANNOTATIONS[key] for key in annotated}
    metadata = {"namespace": "demo", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"tier": "public"}, "annotations": annotations}
    return {"metadata": metadata, "spec": spec, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}, {"ip": "2001:db8:100::7"}]}}}


def _slice(name: str, family: str) -> Object:
    address = "10.1.0.1" if family == "IPv4" else "fd01::1"
    conditions = {"ready": True, "serving": True, "terminating": False}
    return {
        "metadata": {"namespace": "demo", "name": f"{name}-x", "labels": {"kubernetes.io/service-name": name}},
        "addressType": family,
        "ports": _PORTS,
        "endpoints": [{"addresses": [address], "nodeName": "w1", "conditions": conditions}, {"addresses": [address[:-1] + "2"]}],
    }


def _node(name: str) -> Object:
    addresses = [{"type": "InternalIP", "address": f"10.9.0.{name[1]}"}, {"type": "InternalIP", "address": f"fd09::{name[1]}"}]
    status = {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}}, "status": status}


_services = st.builds(
    service, st.sampled_from(NAMES), st.lists(st.sampled_from(_SPECS), max_size=4), st.lists(st.sampled_from(sorted(_ANNOTATIONS)), max_size=4)
)
# Services, EndpointSlices and nodes.
objects = st.tuples(
    st.lists(_services, min_size=1, max_size=3),
    st.lists(st.builds(_slice, st.sampled_from(NAMES), st.sampled_from(["IPv4", "IPv6"])), min_size=1, max_size=4),
    st.lists(st.builds(_node, st.sampled_from(["w1", "w2"])), min_size=1, max_size=2),
).map(list)

_PLAIN = re.compile(r"[A-Za-z0-9._:/-]{0,317}")


def check(snapshot: Snapshot) -> None:
    """Fails where a snapshot's services or nodes hold anything but plain words, and addresses of single hosts."""
    assert codec.load(codec.dump(snapshot), "its file") == snapshot
    document = json.loads(codec.dump(snapshot))
    for text in _texts([document.get("services"), document.get("nodes")]):
        assert _PLAIN.fullmatch(text), text
    assert list(snapshot.services) == sorted(snapshot.services) and list(snapshot.nodes) == sorted(snapshot.nodes)
    hosts = [address for one in (*snapshot.services, *snapshot.nodes) for address in one.addresses]
    for service_ in snapshot.services:
        hosts += [*service_.cluster_ips, *service_.request.addresses, *(one.address for port in service_.ports for one in port.endpoints)]
        assert all(str(ipaddress.ip_network(network)) == network for network in service_.source_ranges)
    for host in hosts:
        found = ipaddress.ip_address(host)
        assert str(found) == host and not (found.is_loopback or found.is_multicast or found.is_unspecified or found.is_link_local)


def _texts(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)
