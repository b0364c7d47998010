# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials, configuration and command lines of control planes and workers."""
from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from cryptography import x509
from northgate_lab import binaries, control_plane, credentials


class Topology:
    """Two API servers, an etcd and two workers."""

    clusters = {"alpha": SimpleNamespace(
        kube_proxy_mode="nftables", pod_prefixes=["10.100.0.0/16", "fd64:100::/48"],
        service_prefixes=["10.101.0.0/16", "fd64:101::/112"])}
    hosts = {
        "e": SimpleNamespace(role="etcd", cluster="alpha", addresses=["10.90.0.40", "fd90::40"]),
        "c1": SimpleNamespace(role="control_plane", cluster="alpha", addresses=["10.90.0.41", "fd90::41"]),
        "c2": SimpleNamespace(role="control_plane", cluster="alpha", addresses=["10.90.0.42", "fd90::42"]),
        "w1": SimpleNamespace(role="worker", cluster="alpha", addresses=["10.90.0.21", "fd90::21"],
                              pod_prefixes=["10.100.1.0/24", "fd64:100:0:1::/64"]),
        "w2": SimpleNamespace(role="worker", cluster="alpha", addresses=["10.90.0.22", "fd90::22"],
                              pod_prefixes=["10.100.2.0/24", "fd64:100:0:2::/64"]),
    }
    guests = ["w1", "w2"]
    router_groups = {
        "edge-a": SimpleNamespace(clusters=["alpha"], vip_addresses=["10.91.0.50", "fd91::50"], certificates=["shared.example.test"]),
        "edge-b": SimpleNamespace(clusters=["beta"], vip_addresses=["10.91.0.60"], certificates=["shared.example.test"]),
    }

    def members(self, cluster, role):
        return [name for name, host in self.hosts.items() if host.cluster == cluster and host.role == role]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    path = tmp_path_factory.mktemp("state")
    control_plane.prepare(Topology(), path)
    return path


def names(file):
    extension = x509.load_pem_x509_certificate(file.read_bytes()).extensions
    return [str(name.value) for name in extension.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_serving_certificates_name_hosts_and_the_services_address(state):
    found = names(state / "clusters/alpha/c1.pem")
    for name in ("c1", "10.90.0.41", "fd90::41", "127.0.0.1", "10.101.0.1", "fd64:101::1", "kubernetes.default.svc"):
        assert name in found


def test_serving_certificates_name_the_vips_of_the_groups_that_serve_the_cluster(state):
    found = names(state / "clusters/alpha/c1.pem")
    assert "10.91.0.50" in found and "fd91::50" in found and "10.91.0.60" not in found


def test_groups_have_certificates_of_their_own(state):
    files = [state / "certificates" / group / "shared.example.test.pem" for group in ("", "edge-a", "edge-b")]
    assert [names(file) for file in files] == [["shared.example.test"]] * 3
    assert len({file.read_bytes() for file in files}) == 3


def test_the_demos_certificates_are_signed_by_its_authority(state):
    authority = x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())
    for name, host in (("shared", "shared"), ("alpha", "alpha"), ("wild", "*.wild")):
        domain = "example.test"
        file = state / "certificates" / f"{name}.{domain}.pem"
        x509.load_pem_x509_certificate(file.read_bytes()).verify_directly_issued_by(authority)
        assert names(file) == [f"{host}.{domain}"]
        assert b"PRIVATE KEY" in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_preparing_again_keeps_identities(state):
    files = [state / "ca.pem", state / "clusters/alpha/c1.pem", state / "clusters/alpha/tokens.csv"]
    before = [file.read_bytes() for file in files]
    control_plane.prepare(Topology(), state)
    assert [file.read_bytes() for file in files] == before


def test_workers_start_with_different_servers(state):
    servers = [json.loads((state / f"hosts/{node}/share/kubernetes/agent.json").read_text())["servers"][0]["host"]
               for node in ("w1", "w2")]
    assert servers == ["10.90.0.41", "10.90.0.42"]


def test_workers_hold_no_token_but_their_own(state):
    pki = state / "clusters/alpha"
    text = "".join(file.read_text() for file in (state / "hosts/w1/share").rglob("*") if file.is_file() and not file.is_symlink())
    held = {file.name for file in (pki / "tokens").iterdir() if file.read_text() in text}
    assert held == {"w1", "kube-proxy"}


def test_command_lines_say_where_everything_is(state, monkeypatch, tmp_path):
    monkeypatch.setattr(binaries, "ensure", lambda progress: tmp_path)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    found = {name: argv for name, argv, _env in control_plane.commands(Topology(), state, "c2")}
    assert list(found) == ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert str(tmp_path / "kube-apiserver") in found["kube-apiserver"]
    assert "--etcd-servers=https://10.90.0.40:2379" in found["kube-apiserver"]
    assert "--service-cluster-ip-range=10.101.0.0/16,fd64:101::/112" in found["kube-apiserver"]
    assert [name for name, _argv, _env in control_plane.commands(Topology(), state, "e")] == ["etcd"]


def test_an_authority_is_loaded_again(tmp_path):
    certificate, _key = credentials.Authority(tmp_path, "one").issue("host", ["host"])
    again = credentials.Authority(tmp_path, "other name, which is not used")
    authority = x509.load_pem_x509_certificate(again.certificate_file.read_bytes())
    x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(authority)


def test_kube_proxy_in_nftables_mode_sees_nft_alone(state):
    share = state / "hosts/w1/share/kubernetes"
    assert (share / "kube-proxy.env").read_text() == "PATH=/lab/kubernetes/bin\n"
    assert [file.name for file in (share / "bin").iterdir()] == ["nft"]
