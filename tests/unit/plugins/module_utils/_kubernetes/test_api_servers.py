# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API servers of a cluster, from an API that is a list of EndpointSlices."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import api_servers
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.hostile import Quarantine


class Api:
    """What a client reads: ``slices`` at the one path with the one selector, and the ``authority`` of its kubeconfig."""

    def __init__(self, *slices, authority=""):
        self.slices, self.authority = slices, authority

    def read(self, path, build, page_size=500, **query):
        assert (path, query) == ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {"fieldSelector": "metadata.name=kubernetes"})
        return build(iter(self.slices))


def slice_of(*endpoints, port=6443, **raw):
    metadata = {"namespace": "default", "name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    return {"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "https", "port": port, "protocol": "TCP"}], "endpoints": list(endpoints), **raw}


def read(api):
    quarantine = Quarantine("alpha")
    found = api_servers.read(api, 500, quarantine)
    assert set(found.quarantined) == quarantine.found
    assert codec.load(codec.dump(found), "test") == found
    return found


def test_servers_of_both_families_with_their_conditions():
    four = slice_of({"addresses": ["10.0.0.2"], "conditions": {"ready": False}}, {"addresses": ["10.0.0.1"]})
    six = slice_of({"addresses": ["2001:db8::1"]}, addressType="IPv6", port=443)
    assert read(Api(four, six)).api_servers == (Endpoint("10.0.0.1", 6443), Endpoint("10.0.0.2", 6443, ready=False), Endpoint("2001:db8::1", 443))


@pytest.mark.parametrize(
    "raw",
    [
        None, 7, {}, {"metadata": None}, slice_of(ports=None), slice_of(ports=[{"name": "other", "port": 1}]), slice_of(endpoints="x"),
        slice_of({"addresses": ["10.0.0.9"]}, addressType="FQDN"), slice_of({"addresses": ["10.0.0.9"]}, metadata={"namespace": "demo", "name": "kubernetes"}),
    ],
)  # fmt: skip
def test_what_names_no_server_costs_nothing(raw):
    found = read(Api(raw, slice_of({"addresses": ["10.0.0.1"]})))
    assert (found.api_servers, found.quarantined) == ((Endpoint("10.0.0.1", 6443),), ())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "224.0.0.1", "169.254.169.254", "10.0.0.1 ssl", "10.0.0.1\nx", "", None, {}, "fe80::1%eth0"])
def test_an_address_that_is_no_hosts_is_quarantined_and_the_others_serve(address):
    found = read(Api(slice_of({"addresses": [address]}, {"addresses": ["10.0.0.1"]})))
    assert found.api_servers == (Endpoint("10.0.0.1", 6443),)
    assert [(q.object, q.field) for q in found.quarantined] == [("EndpointSlice default/kubernetes", "endpoints[0].addresses[0]")]


@pytest.mark.parametrize("port", [0, 65536, "6443", None, True])
def test_a_port_that_is_none_is_quarantined(port):
    found = read(Api(slice_of({"addresses": ["10.0.0.1"]}, port=port)))
    assert found.api_servers == () and [q.field for q in found.quarantined] == ["ports"]


def self_signed():
    key, start = ec.generate_private_key(ec.SECP256R1()), datetime.datetime(2026, 1, 1)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_the_authority_is_the_kubeconfigs_without_what_surrounds_it():
    certificate = self_signed()
    assert read(Api(authority=f"# comment\n\n{certificate}\n\n")).api_authority == certificate.strip() + "\n"
    assert read(Api()).api_authority == ""
    broken = read(Api(authority="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    assert broken.api_authority == "" and [(q.object, q.field) for q in broken.quarantined] == [("kubeconfig", "certificate-authority")]


def test_an_older_snapshot_has_no_api_servers():
    assert codec.load(b'{"cluster":"alpha","version":2}\n', "test") == Snapshot("alpha")
