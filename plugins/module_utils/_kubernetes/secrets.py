# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that ingresses name: certificates and users. Each is read once, several at a time."""

from __future__ import annotations

import base64
import hashlib
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import Certificate
from . import certificates
from .client import Client
from .hostile import Object, mapping

_AT_ONCE = 8
_MAX_PASSWORD = 1024
TLS, BASIC_AUTH = "kubernetes.io/tls", "kubernetes.io/basic-auth"

Name = tuple[str, str]
# A certificate, a user (see Policy.users), or why it is neither.
Secret = t.Union[Certificate, str, InvalidValue]


def label(name: Name) -> str:
    return f"Secret {name[0]}/{name[1]}"


def read(client: Client, names: t.Iterable[Name]) -> dict[Name, Secret]:
    """The Secrets by namespace and name; raises NotObserved when the API fails."""
    wanted = sorted(set(names))
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return dict(zip(wanted, pool.map(lambda name: _read(client, name), wanted)))
    finally:
        pool.shutdown(cancel_futures=True)


def _read(client: Client, name: Name) -> Secret:
    found = client.find(f"/api/v1/namespaces/{name[0]}/secrets/{name[1]}")
    if found == 404:
        return InvalidValue("metadata.name", "does not exist")
    if found == 403:
        return InvalidValue("metadata.name", "may not be read (HTTP 403): run playbooks/cluster_access.yml again, with cluster_access_secrets true")
    try:
        return parse(mapping(found), label(name))
    except InvalidValue as error:
        return error


def parse(raw: Object, source: str) -> Certificate | str:
    """What a raw Secret holds; ``source`` names it. Raises InvalidValue that shows no secret."""
    kind, data = raw.get("type"), mapping(raw.get("data"))
    if kind == TLS:
        text = "\n".join(_decoded(data, key, certificates.MAX_SIZE).decode("latin-1") for key in ("tls.crt", "tls.key"))
        try:
            return certificates.read(text, source)
        except InvalidValue as error:
            raise InvalidValue("data", error.cause) from error
    if kind == BASIC_AUTH:
        username, password = (_decoded(data, key, _MAX_PASSWORD) for key in ("username", "password"))
        if not username or b":" in username:
            raise InvalidValue("data.username", "is empty or holds a colon")
        if not password:
            raise InvalidValue("data.password", "is empty")
        return hashlib.sha256(username + b":" + password).hexdigest().upper()
    raise InvalidValue("type", f"is {syntax.shown(kind)}, neither {TLS} nor {BASIC_AUTH}")


def _decoded(data: Object, key: str, most: int) -> bytes:
    value = data.get(key)
    if not isinstance(value, str):
        raise InvalidValue(f"data.{key}", "is missing")
    if len(value) > 2 * most:
        raise InvalidValue(f"data.{key}", f"is longer than {most} bytes")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InvalidValue(f"data.{key}", "is no base64") from error
