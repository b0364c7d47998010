# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates: what is served is whole, strong enough and normal; what isn't is refused with its cause."""

from __future__ import annotations

import datetime
import functools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import syntax
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import certificates

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
PEM = serialization.Encoding.PEM


@functools.cache
def key(kind="P-256", number=0):
    curves = {"P-256": ec.SECP256R1(), "P-521": ec.SECP521R1(), "secp256k1": ec.SECP256K1()}
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(1024)
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))


@functools.cache
def certificate(kind="P-256", names=("a.example",), issuer=None, digest="sha256", number=0):
    """PEM of a certificate for a key of ``kind``, signed by itself or by a key of the kind ``issuer``."""
    signer = key(issuer, 1) if issuer else key(kind, number)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    issuer_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")]) if issuer else name
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer_name).public_key(key(kind, number).public_key())
    builder = builder.serial_number(number + 1).not_valid_before(START).not_valid_after(START + datetime.timedelta(days=90))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else getattr(hashes, digest.upper())()
    return builder.sign(signer, algorithm).public_bytes(PEM).decode()


def private(kind="P-256", number=0, form=serialization.PrivateFormat.PKCS8, encryption=None):
    return key(kind, number).private_bytes(PEM, form, encryption or serialization.NoEncryption()).decode()


def refused(text):
    with pytest.raises(InvalidValue) as error:
        certificates.read(text, "Secret demo/a")
    assert error.value.field == "Secret demo/a"
    assert len(error.value.cause) < 300 and "\n" not in error.value.cause
    return error.value.cause


@pytest.mark.parametrize(("kind", "key_type"), [("P-256", "ecdsa"), ("P-521", "ecdsa"), ("rsa-2048", "rsa")])
@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_a_certificate_and_its_key(kind, key_type, form):
    chain = certificate(kind, ("B.example", "a.example", "*.c.example"))
    text = chain + private(kind, form=form)
    found = certificates.read(text, "Secret demo/a")
    assert (found.source, found.names, found.key_type) == ("Secret demo/a", ("*.c.example", "a.example", "b.example"), key_type)
    assert (found.not_before, found.not_after) == (int(START.timestamp()), int(START.timestamp()) + 90 * 86400)
    assert found.pem == chain + private(kind)
    assert certificates.read(found.pem, "x").pem == found.pem


def test_comments_blank_lines_and_line_ends_are_normalised():
    text = certificate() + private()
    noisy = "subject=/CN=x\r\n" + certificate().replace("\n", " \r\n\r\n") + "\n\n# show info\n" + private()
    assert certificates.read(noisy, "x").pem == text


def test_the_order_is_made_right_leaf_then_chain_then_key():
    leaf, middle, root = certificate(issuer="P-521"), certificate("P-521", (), number=1), certificate("rsa-2048", ())
    found = certificates.read(private() + middle + root + leaf, "x")
    assert found.pem == leaf + middle + root + private()
    assert found.names == ("a.example",)


def test_names_that_no_ingress_can_have_are_left_out():
    assert certificates.read(certificate(names=("a.example", "a_b.example", "*.*.example", "x y", "")) + private(), "x").names == ("a.example",)


def test_parameters_beside_the_key_are_left_out():
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert certificates.read(certificate() + parameters + private(), "x").pem == certificate() + private()


PASSWORD = serialization.BestAvailableEncryption(b"secret")
OLD = serialization.PrivateFormat.TraditionalOpenSSL


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (lambda: "", "holds no certificate"),
        (private, "holds no certificate"),
        (certificate, "holds no private key: one is needed"),
        (lambda: certificate() + private() + private("P-521"), "holds 2 private keys: one is needed"),
        (lambda: certificate() + private(number=1), "does not fit"),
        (lambda: certificate() + private("rsa-2048"), "does not fit"),
        (lambda: certificate() + private(encryption=PASSWORD), "is encrypted"),
        (lambda: certificate("rsa-2048") + private("rsa-2048", form=OLD, encryption=PASSWORD), "is encrypted"),
        (lambda: certificate("rsa-1024") + private("rsa-1024"), "RSA key of 1024 bits"),
        (lambda: certificate("secp256k1") + private("secp256k1"), "curve secp256k1"),
        (lambda: certificate("ed25519") + private("ed25519"), "neither RSA nor ECDSA"),
        (lambda: certificate("dsa") + private("dsa"), "neither RSA nor ECDSA"),
        (lambda: certificate() + private(form=serialization.PrivateFormat.OpenSSH), "OPENSSH PRIVATE KEY, which is not supported"),
        (lambda: certificate() + certificate("rsa-1024", ()) + private(), "too weak"),
        (lambda: certificate(names=()) + private(), "names no host"),
        (lambda: certificate(names=("a_b.example",)) + private(), "names no host"),
        (lambda: certificate()[:-30] + private(), "does not end"),
        (lambda: certificate() + private()[:60], "does not end"),
        (lambda: certificate().replace("M", "=", 1) + private(), "no base64"),
        (lambda: certificate().replace("\n", "\n!", 1) + private(), "no base64"),
        (lambda: certificate().replace("\nMII", "\nMIH", 1) + private(), "damaged"),
        (lambda: certificate() + private().replace("\nM", "\nN", 1), "damaged"),
        (lambda: "x" * (certificates.MAX_SIZE + 1), "longer than 256 KiB"),
        (lambda: "-----BEGIN CERTIFICATE-----\n" * 9_000, "does not end"),
    ],
)
def test_what_is_refused_and_why(text, cause):
    assert cause in refused(text())


def test_a_certificate_signed_with_a_weak_digest_is_refused_as_openssl_does(monkeypatch):
    # cryptography signs with SHA-1 no more: what is weak is moved instead.
    monkeypatch.setattr(certificates, "_WEAK", ("sha256",))
    assert "signed with sha256" in refused(certificate(issuer="P-521") + private())
    assert "signed with sha256" in refused(certificate() + private())
    leaf = certificate(issuer="P-521", digest="sha384")
    assert "signed with sha256" in refused(leaf + certificate("P-521", (), issuer="rsa-2048", number=1) + private())
    assert certificates.read(leaf + certificate("P-521", (), number=1) + private(), "x").pem == leaf + private(), "no client needs the root"


def test_a_key_whose_block_has_a_wrong_name_is_written_with_the_right_one():
    for kind, name in (("P-256", "RSA PRIVATE KEY"), ("rsa-2048", "EC PRIVATE KEY")):
        text = certificate(kind) + private(kind).replace("PRIVATE KEY", name)
        assert certificates.read(text, "x").pem == certificate(kind) + private(kind)


@given(st.data())
def test_no_damage_raises_anything_else_or_passes_a_strange_text(data):
    text = certificate("rsa-2048", ("a.example", "b.example")) + certificate() + private("rsa-2048")
    for _damage in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text = text[:place] + data.draw(st.text(alphabet="AZaz09+/=- \n\r\x0b\u2028", max_size=3)) + text[place + data.draw(st.integers(0, 70)):]
    try:
        found = certificates.read(text, "x")
    except InvalidValue as error:
        assert error.field == "x"
    else:
        assert syntax.is_pem(found.pem)


@given(st.text() | st.binary().map(lambda data: "-----BEGIN CERTIFICATE-----\n" + data.hex() + "\n-----END CERTIFICATE-----\n"))
def test_garbage_is_refused(text):
    refused(text)


def test_an_authority_is_certificates_and_nothing_else():
    assert certificates.authority("# ours\n" + certificate() + "\n" + certificate("P-521") + private(), "x") == certificate() + certificate("P-521")
    for text in ("", private(), "junk"):
        with pytest.raises(InvalidValue, match="x: holds no certificate"):
            certificates.authority(text, "x")


def test_a_client_certificate_needs_no_names():
    assert certificates.pair(certificate(names=()) + private(), "x").pem == certificate(names=()) + private()
