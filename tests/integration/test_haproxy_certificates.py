# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificate the real haproxy presents, and connections that are used for another host."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Rule, Tls
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.certificates import read

A, B, OTHER = "a.shop.example.test", "b.shop.example.test", "other.example.test"
RULES = [Rule(host, "/", "Prefix") for host in (A, B, OTHER)]


def names(certificate):
    return certificate and certificate.subject.rfc4514_string().removeprefix("CN=")


def presented(haproxy, name, signatures=""):
    """The key of the certificate that a client of TLS 1.2 gets which can do ``signatures`` (OpenSSL's name of a cipher)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"ECDHE-{signatures}-AES128-GCM-SHA256")
    with socket.create_connection(("127.0.0.1", haproxy.https), 10) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True)).public_key()


def test_the_best_certificate_is_presented_for_each_name(haproxy, pods, cluster, pem):
    pems = {
        "wildcard.pem": pem("*.shop.example.test", days=90),
        "exact.pem": pem(A, days=20),
        "older.pem": pem(A, "unknown.example.test", days=10),
        "expired.pem": pem(B, days=-5),
        "foreign.pem": pem("foreign.example.test"),
    }
    outcome = haproxy.bring(cluster("alpha", RULES, [pods("a").port]), pems=pems)
    # Keys are matched to known hosts: what no ingress asks for is not loaded.
    assert names(haproxy.certificate(A)) == A
    assert haproxy.certificate(A).not_valid_after_utc.timestamp() == read(pems["exact.pem"], "exact.pem").not_after
    # An expired certificate is no better than a wildcard that is valid.
    assert names(haproxy.certificate(B)) == "*.shop.example.test"
    assert names(haproxy.certificate("c.shop.example.test")) == "*.shop.example.test"
    for name in (OTHER, "foreign.example.test", "c.b.shop.example.test"):
        assert haproxy.certificate(name) is None
    assert set(outcome.wanted.layout.maps["certificates.map"]) == {A, "*.shop.example.test"}


def test_rsa_and_ecdsa_side_by_side(haproxy, pods, cluster, pem):
    pems = {"ecdsa.pem": pem(A), "rsa.pem": pem(A, rsa_key=True)}
    haproxy.bring(cluster("alpha", RULES, [pods("a").port]))
    haproxy.bring(cluster("alpha", RULES, [pods("a").port]), pems=pems)
    assert isinstance(presented(haproxy, A, "RSA"), rsa.RSAPublicKey)
    assert isinstance(presented(haproxy, A, "ECDSA"), ec.EllipticCurvePublicKey)


def test_a_secret_is_for_hosts_that_its_ingress_won_and_no_others(haproxy, pods, cluster, pem):
    stolen = read(pem(A, OTHER, days=900), "Secret evil/cert")
    evil = cluster("beta", [Rule(OTHER, "/", "Prefix")], [pods("b").port], namespace="evil", created="2027", tls=(Tls((A, OTHER), "Secret evil/cert"),))
    good = cluster("alpha", [Rule(A, "/", "Prefix")], [pods("a").port])
    haproxy.bring(good, replace(evil, certificates=(stolen,)), pems={"a.pem": pem(A, days=5)})
    assert haproxy.certificate(A).serial_number != haproxy.certificate(OTHER).serial_number
    assert names(haproxy.certificate(OTHER)) == A  # Its first name.


def test_a_certificate_that_gets_other_names_is_never_missed(haproxy, pods, cluster, pem):
    a, pems = pods("a").port, {"both.pem": pem(A, OTHER)}
    haproxy.bring(cluster("alpha", RULES, [a]), pems=pems)
    outcome = haproxy.bring(cluster("alpha", RULES, [a]), pems={**pems, "newer.pem": pem(OTHER, days=300)})
    kinds = [type(step).__name__ for step in outcome.plan.steps if "Certificate" in type(step).__name__]
    assert kinds.index("RemoveCertificate") > max(number for number, kind in enumerate(kinds) if kind == "AddCertificate")
    assert outcome.reload_reason == ""
    assert (names(haproxy.certificate(A)), names(haproxy.certificate(OTHER))) == (A, OTHER)


def test_a_connection_for_a_host_that_its_certificate_is_not_for_is_misdirected(haproxy, pods, cluster, pem):
    haproxy.bring(
        cluster("alpha", RULES, [pods("a").port]), pems={"wildcard.pem": pem("*.shop.example.test"), "exact.pem": pem("x.shop.example.test", OTHER)}
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection("127.0.0.1", haproxy.https, timeout=10)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", haproxy.https), 10), server_hostname=A)
    for host, status in ((A, 200), (A.upper() + ":443", 200), (B, 200), (OTHER, 421), (A, 200)):
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        response.read()
        assert (host, response.status) == (host, status)
    connection.close()


def test_http2_by_alpn(haproxy, pods, cluster, pem):
    haproxy.bring(cluster("alpha", RULES, [pods("a").port]), pems={"a.pem": pem(A)})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", haproxy.https), 10) as raw, context.wrap_socket(raw, server_hostname=A) as tls:
        assert tls.selected_alpn_protocol() == "h2"
