# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates as haproxy takes them: one PEM text of private key and chain. Secret."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import tempfile

from .._core.errors import InvalidValue

_BLOCK = re.compile(r"-----BEGIN (CERTIFICATE|(?:[A-Z]+ )?PRIVATE KEY)-----[A-Za-z0-9+/=\s]+?-----END \1-----")
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def normalise(text: str, field: str) -> str:
    """The chain and key in ``text`` without comments and blank lines.

    A blank line would end a payload of the run-time interface, and haproxy 2.6 would take the
    key's lines for commands. Raises InvalidValue when certificate or key is missing, or when
    the key does not fit the certificate.
    """
    blocks = [match.group(0) for match in _BLOCK.finditer(text)]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    result = "".join(f"{line}\n" for line in lines if line)
    if "BEGIN CERTIFICATE" not in result:
        raise InvalidValue(field, "holds no certificate")
    if "PRIVATE KEY" not in result:
        raise InvalidValue(field, "holds no private key without a passphrase")
    _check_pair(result, field)
    return result


def _check_pair(pem: str, field: str) -> None:
    # The standard library reads key pairs from files only; the file is never readable by others.
    handle, path = tempfile.mkstemp(prefix="northgate-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(pem)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise InvalidValue(field, f"certificate and key can't be used together ({reason})") from error
    finally:
        os.unlink(path)


def file_name(source: str, pem: str) -> str:
    """A file name for ``pem``, told apart by its content: a renewed certificate is a new file."""
    stem = _UNFIT.sub("-", os.path.splitext(os.path.basename(source))[0]).strip(".-")[:80] or "certificate"
    return f"{stem}-{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
