# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates as haproxy takes them: a chain and its private key in one PEM text, checked. Pure; on the controller.

What OpenSSL in its default security level (2) refuses is refused here, for haproxy would refuse its whole configuration.
"""

from __future__ import annotations

import base64
import calendar
import re
import typing as t
import warnings

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import Certificate

MAX_SIZE = 256 << 10
_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
# Longer keys cost a router more for each handshake than a tenant may take.
_RSA_BITS = (2048, 4096)
_EC_BITS = 224
_WEAK = ("md5", "sha1")


class Pair(t.NamedTuple):
    """A checked chain with its key: the certificate that fits the key (cryptography's), ecdsa or rsa, and the PEM text."""

    leaf: t.Any
    key_type: str
    pem: str


def read(text: str, source: str) -> Certificate:
    """The certificate of a server from PEM ``text``; raises InvalidValue(``source``, cause)."""
    pair = _checked(text, source, _pair)
    names = _checked(pair.leaf, source, _names)
    if not names:
        raise InvalidValue(source, "the certificate names no host in its subject alternative names")
    return Certificate(source, names, pair.key_type, *_validity(pair.leaf), pair.pem)


def pair(text: str, source: str) -> Pair:
    """A chain and key, for any use; raises InvalidValue(``source``, cause)."""
    return _checked(text, source, _pair)


def authority(text: str, source: str) -> str:
    """The PEM text of the certificates in ``text``; raises InvalidValue(``source``, cause)."""
    return _checked(text, source, lambda found: "".join(_pem(kind, der) for kind, der in _blocks(found) if _loaded(kind, der)) or _none())


def _none() -> t.NoReturn:
    raise ValueError("holds no certificate")


def _checked(value: t.Any, source: str, check: t.Callable[[t.Any], t.Any]) -> t.Any:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check(value)
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion) as error:
        raise InvalidValue(source, f"the certificate can't be read ({type(error).__name__})") from error
    except UnsupportedAlgorithm as error:
        raise InvalidValue(source, "has a key or signature of a kind that is not supported") from error
    except (ValueError, TypeError) as error:
        raise InvalidValue(source, str(error)[:200]) from error


def _blocks(text: str) -> t.Iterator[tuple[str, bytes]]:
    """Kind and content of each PEM block (RFC 7468); what is between blocks is left out."""
    if len(text) > MAX_SIZE:
        raise ValueError(f"is longer than {MAX_SIZE >> 10} KiB")
    kind, body = "", []
    for line in map(str.strip, text.splitlines()):
        if not kind:
            if match := _BEGIN.fullmatch(line):
                kind, body = match.group(1), []
        elif line == f"-----END {kind}-----":
            yield kind, _content(kind, body)
            kind = ""
        elif line.startswith("-----"):
            break
        else:
            body.append(line)
    if kind:
        raise ValueError(f"a block {kind} does not end")


def _content(kind: str, body: list[str]) -> bytes:
    if "PRIVATE KEY" in kind and ("ENCRYPTED" in kind or any(line.startswith("Proc-Type:") for line in body)):
        raise ValueError("the private key is encrypted: give one without a passphrase")
    try:
        return base64.b64decode("".join(body), validate=True)
    except ValueError as error:
        raise ValueError(f"a block {kind} is no base64") from error


def _pem(kind: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[start:start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _loaded(kind: str, der: bytes) -> t.Any:
    """The certificate in a block, None for a block of another kind."""
    from cryptography import x509

    if kind != "CERTIFICATE":
        return None
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise ValueError("a certificate can't be read: it is damaged") from error


def _pair(text: str) -> Pair:
    chain: list[tuple[t.Any, str]] = []
    keys: list[tuple[str, bytes]] = []
    for kind, der in _blocks(text):
        certificate = _loaded(kind, der)
        if certificate:
            chain.append((certificate, _pem(kind, der)))
        elif "PRIVATE KEY" in kind:
            keys.append((kind, der))
    if not chain:
        raise ValueError("holds no certificate")
    if len(keys) != 1:
        raise ValueError(f"holds {len(keys) or 'no'} private key{'s' if keys else ''}: one is needed")
    public, key_pem = _key(*keys[0])
    leaf = next((entry for entry in chain if entry[0].public_key() == public), None)
    if leaf is None:
        raise ValueError("the private key does not fit the certificate")
    key_type = _key_type(public)
    # Clients have the roots that they trust, and some of those have a signature (by themselves) that is too weak by now.
    others = [entry for entry in chain if entry is not leaf and not (entry[0].issuer == entry[0].subject and _is_weak(entry[0]))]
    for certificate, _pem_text in (leaf, *others):
        _check_strength(certificate)
    return Pair(leaf[0], key_type, "".join(pem for _certificate, pem in (leaf, *others)) + key_pem)


def _key(kind: str, der: bytes) -> tuple[t.Any, str]:
    """The public part of a private key, and the PEM text of the whole, always as PKCS #8: OpenSSL believes the name of a block."""
    from cryptography.hazmat.primitives import serialization

    if kind not in _KEYS:
        raise ValueError(f"the private key is of the kind {kind}, which is not supported")
    try:
        # The check of RSA keys takes long, and all that matters is whether the key fits its certificate.
        key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
        form = serialization.PrivateFormat.PKCS8
        return key.public_key(), _pem("PRIVATE KEY", key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption()))
    except ValueError as error:
        raise ValueError("the private key can't be read: it is damaged") from error


def _key_type(public: t.Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        if not _RSA_BITS[0] <= public.key_size <= _RSA_BITS[1]:
            raise ValueError(f"has an RSA key of {public.key_size} bits: {_RSA_BITS[0]} to {_RSA_BITS[1]} are served")
        return "rsa"
    if isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in _CURVES:
            raise ValueError(f"has a key on the curve {public.curve.name}: P-256, P-384 and P-521 are served")
        return "ecdsa"
    raise ValueError("has a key that is neither RSA nor ECDSA")


def _check_strength(certificate: t.Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    public = certificate.public_key()
    bits, least = getattr(public, "key_size", None), _EC_BITS if isinstance(public, ec.EllipticCurvePublicKey) else _RSA_BITS[0]
    if bits and bits < least:
        raise ValueError(f"a certificate of its chain has a key of {bits} bits, which is too weak")
    if _is_weak(certificate):
        raise ValueError(f"a certificate is signed with {certificate.signature_hash_algorithm.name}, which is too weak")


def _is_weak(certificate: t.Any) -> bool:
    algorithm = certificate.signature_hash_algorithm
    return bool(algorithm) and algorithm.name in _WEAK


def _names(certificate: t.Any) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = set()
    for name in extension.value.get_values_for_type(x509.DNSName):
        try:
            names.add(syntax.rule_host(name, "names"))
        except InvalidValue:
            continue  # Not a name that an ingress can have.
    return tuple(sorted(names - {""}))


def _validity(certificate: t.Any) -> tuple[int, int]:
    return tuple(calendar.timegm(moment.timetuple()) for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
