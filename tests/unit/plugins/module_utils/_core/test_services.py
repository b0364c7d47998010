# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model of services and nodes refuses what is not canonical."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import services as subject
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.services import AddressRequest, Node, Service, ServiceEndpoint, ServicePort

SERVICE = {"namespace": "demo", "name": "mail", "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Node, {"name": "a b", "addresses": ()}, "metadata.name: 'a b'"),
        (Node, {"name": "w1", "addresses": ("10.0.0.1", "10.0.0.2")}, "status.addresses: 10.0.0.1, 10.0.0.2 are more than one of a family"),
        (Node, {"name": "w1", "addresses": ("FD00::1",)}, "status.addresses: 'FD00::1' is not canonical"),
        (ServiceEndpoint, {"address": "127.0.0.1", "port": 1}, "address: 127.0.0.1 is no address"),
        (ServiceEndpoint, {"address": "10.0.0.1", "port": 0}, "port: 0"),
        (ServiceEndpoint, {"address": "10.0.0.1", "port": 1, "node": "-"}, "nodeName: '-'"),
        (ServicePort, {"protocol": "tcp", "port": 1}, "protocol: 'tcp' is not one of TCP, UDP, SCTP"),
        (ServicePort, {"protocol": "TCP", "port": 65536}, "port: 65536"),
        (ServicePort, {"protocol": "TCP", "port": 1, "node_port": -1}, "nodePort: -1"),
        (AddressRequest, {"pool": "a/b"}, "address-pool: 'a/b'"),
        (AddressRequest, {"addresses": ("224.0.0.1",)}, "load-balancer-ips: 224.0.0.1 is no address"),
        (AddressRequest, {"addresses": ("2001:db8::1", "2001:db8::2")}, "load-balancer-ips: .* more than one of a family"),
        (AddressRequest, {"sharing_key": "a b"}, "allow-shared-ip: 'a b' is no key"),
        (AddressRequest, {"families": ()}, "spec.ipFamilies"),
        (AddressRequest, {"families": (4, 4)}, "spec.ipFamilies"),
        (AddressRequest, {"policy": ""}, "spec.ipFamilyPolicy: '' is not one of"),
        (Service, {**SERVICE, "namespace": ".."}, "metadata.namespace"),
        (Service, {**SERVICE, "name": "a.b"}, "metadata.name"),
        (Service, {**SERVICE, "created": "2026\n"}, "metadata.creationTimestamp: '2026\\\\n' is no time"),
        (Service, {**SERVICE, "cluster_ips": ("None",)}, "spec.clusterIPs: 'None' is no IP address"),
        (Service, {**SERVICE, "cluster_ips": ("10.0.0.1", "10.0.0.2")}, "spec.clusterIPs: .* more than one"),
        (Service, {**SERVICE, "addresses": ("0.0.0.0",)}, "status.loadBalancer.ingress: 0.0.0.0 is no address"),
        (Service, {**SERVICE, "labels": (("a",),)}, "metadata.labels: .* is no label"),
        (Service, {**SERVICE, "labels": (("a", "b", "c"),)}, "metadata.labels: .* is no label"),
        (Service, {**SERVICE, "labels": ((),)}, "metadata.labels: .* is no label"),
        (Service, {**SERVICE, "labels": (("a", "b"), ("a", "c"))}, "metadata.labels: has a key twice"),
        (Service, {**SERVICE, "labels": (("a\n", "b"),)}, "metadata.labels: .* is no qualified name"),
        (Service, {**SERVICE, "labels": (("a", "b c"),)}, "metadata.labels: 'b c' is no key"),
        (Service, {**SERVICE, "affinity": -1}, "spec.sessionAffinityConfig: -1"),
        (Service, {**SERVICE, "affinity": 86401}, "spec.sessionAffinityConfig: 86401"),
        (Service, {**SERVICE, "source_ranges": ("10.0.0.1/8",)}, "spec.loadBalancerSourceRanges: .* is no network"),
        (Service, {**SERVICE, "source_ranges": ("10.0.0.1",)}, "spec.loadBalancerSourceRanges: '10.0.0.1' is not canonical"),
        (Service, {**SERVICE, "forwarding": "nat"}, "forwarding: 'nat' is not one of direct"),
        (Service, {**SERVICE, "scheduler": "mh\n"}, "scheduler: 'mh\\\\n' is not one of mh"),
    ],
)
def test_every_refusal(kind, values, message):
    with pytest.raises(InvalidValue, match=message):
        kind(**values)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.1", "127.8.8.8", "169.254.169.254", "224.0.0.1", "239.1.1.1", "255.255.255.255"]
    + ["::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:10.0.0.1"],
)
def test_what_means_the_router_or_many_hosts_is_no_address(address):
    with pytest.raises(InvalidValue, match="address: "):
        subject.host_address(address, "address")


@pytest.mark.parametrize("address", ["10.0.0.1", "223.255.255.254", "240.0.0.1", "2001:db8::1", "fd00::1"])
def test_addresses_of_hosts(address):
    assert subject.host_address(address.upper(), "address") == address
    assert subject.family(address) == (6 if ":" in address else 4)


@pytest.mark.parametrize("name", ["a", "A_b.c-d", "example.com/name", "x" * 63])
def test_qualified_names(name):
    assert subject.qualified_name(name, "x") == name


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a/b/c", "a b", "-a", "x" * 64, None, "Example.com/a", "a\n"])
def test_what_is_no_qualified_name(name):
    with pytest.raises(InvalidValue, match="x: "):
        subject.qualified_name(name, "x")


def test_age_and_names():
    service = Service(**SERVICE, ports=(ServicePort("TCP", 25),))
    assert (service.age_key, str(service), service.held) == (("2026-01-01T00:00:00Z", "demo", "mail"), "Service demo/mail", False)
    assert Service(**SERVICE).held
