# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate authorities and certificates of the lab, made once for each lab state."""
from __future__ import annotations

import base64
import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
DEMO_HOSTS = ("shared.example.test", "alpha.example.test", "*.wild.example.test")
# Their certificates are in Secrets of this name, in every cluster.
SECRET_HOSTS = ("direct.example.test",)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PKCS #8 PEM."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


class Authority:
    """A certificate authority in a directory: ca.pem and ca.key, made when they are missing."""

    def __init__(self, directory: Path, name: str) -> None:
        self.certificate_file = directory / "ca.pem"
        key_file = directory / "ca.key"
        if not self.certificate_file.exists():
            self._key = new_key()
            self._certificate = self._self_signed(name)
            write_private(key_file, key_pem(self._key))
            self.certificate_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    def issue(self, name: str, alternatives: list[str], client: bool = False) -> tuple[bytes, bytes]:
        """Return certificate and key (PEM) for these names and addresses, for servers and, on demand, clients."""
        key = new_key()
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] + ([ExtendedKeyUsageOID.CLIENT_AUTH] if client else [])
        builder = (
            self._builder(name, key, self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(item) for item in alternatives]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), key_pem(key)

    def _self_signed(self, name: str) -> x509.Certificate:
        builder = self._builder(name, self._key, _name(name))
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signing(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @staticmethod
    def _builder(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        # A day of grace, for the clocks of guests.
        return (
            x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + LIFETIME)
        )


def ensure_pair(authority: Authority, path: Path, alternatives: list[str], client: bool = False) -> None:
    """Write PATH.pem and PATH.key for these names unless they are there."""
    certificate_file, key_file = path.with_name(path.name + ".pem"), path.with_name(path.name + ".key")
    if not certificate_file.exists():
        certificate, key = authority.issue(path.name, alternatives, client)
        write_private(key_file, key)
        certificate_file.write_bytes(certificate)


def certificate_directory(state: Path, group: str = "") -> Path:
    """Return where the operator's certificates are, or those that are a router group's own."""
    return state / "certificates" / group


def ensure_demo(state: Path, of_groups: dict[str, list[str]] | None = None) -> Path:
    """Write the demo's certificates (chain and key) and STATE/ca.pem; return the latter. `of_groups` are hosts of which router groups have their own."""
    authority = Authority(state, "northgate lab")
    for group, hosts in {"": DEMO_HOSTS, **(of_groups or {})}.items():
        for host in hosts:
            path = certificate_directory(state, group) / f"{host.removeprefix('*.')}.pem"
            if not path.exists():
                certificate, key = authority.issue(host, [host])
                write_private(path, certificate + key)
    for host in SECRET_HOSTS:
        ensure_pair(authority, state / "secrets" / host, [host])
    return authority.certificate_file


def tls_secret(namespace: str, name: str, certificate: bytes, key: bytes) -> dict:
    """Return a Secret with a certificate and its key (PEM)."""
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"namespace": namespace, "name": name},
        "data": {entry: base64.b64encode(value).decode() for entry, value in data.items()},
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False)
