# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshot file: canonical JSON, versioned. ``load(dump(snapshot)) == snapshot``.

The same snapshot always gives the same bytes, so its SHA-256 is its identity. No time of
observation is inside: a cluster that did not change has a file that did not change. Fields that
have their default value are left out. The file is secret: it holds private keys.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import operator
import re
import types
import typing as t

from .errors import NorthgateError, SnapshotError
from .json_members import members
from .model import Endpoint, Ingress, Path, Quarantined, Rule, Snapshot, Tls
from .services import ServiceEndpoint

VERSION = 2

# Short objects that are many: they are lists of all their values, not dictionaries.
_ROWS = (Endpoint, Path, Quarantined, Rule, ServiceEndpoint, Tls)
# What can't be compared as it is, for it may hold None.
_ORDER = {Ingress: operator.attrgetter("namespace", "name")}


def dump(snapshot: Snapshot) -> bytes:
    """The snapshot's canonical bytes (UTF-8, sorted keys, one final newline). Secret."""
    return (json.dumps(_document(snapshot), sort_keys=True, separators=(",", ":")) + "\n").encode()


def dump_for_people(snapshot: Snapshot) -> str:
    """The snapshot as indented JSON without secrets: of each key, the first digits of its SHA-256; of users nothing."""
    document = _document(snapshot)
    for certificate in document.get("certificates", ()):
        certificate["pem"] = _masked(certificate["pem"])
    for pool in document.get("pools", ()):
        if "client_certificate" in pool.get("tls", {}):
            pool["tls"]["client_certificate"] = _masked(pool["tls"]["client_certificate"])
    for ingress in document.get("ingresses", ()):
        if "users" in ingress.get("policy", {}):
            # No digits here: passwords are weak enough to be tried against them.
            ingress["policy"]["users"] = ["(secret)"] * len(ingress["policy"]["users"])
    return json.dumps(document, sort_keys=True, indent=1) + "\n"


def _masked(secret: str) -> str:
    return f"(secret {hashlib.sha256(secret.encode()).hexdigest()[:12]})"


def load(data: bytes, source: str) -> Snapshot:
    """The snapshot in ``data``; ``source`` names it in the SnapshotError raised when it is unusable."""
    hint = "Observe the cluster again with northgate.edge.cluster_snapshot of the same collection version"
    try:
        return _snapshot(data.decode("utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NorthgateError) as error:
        # It is the last member. One of another version may have other fields, too.
        version = re.search(rb'"version": ?([0-9]+)}\s*$', data)
        if version and int(version[1]) != VERSION:
            raise SnapshotError(f"{source}: snapshot version {int(version[1])}, this collection reads {VERSION}", hint) from error
        raise SnapshotError(f"{source}: not a snapshot ({type(error).__name__}: {error})", hint) from error


def _snapshot(text: str) -> Snapshot:
    many, decoders = _member_decoders()
    found: dict[str, t.Any] = {}
    for name, is_entry, value in members(text):
        if is_entry and name in many:
            found.setdefault(name, []).append(decoders[name](value))
        elif name in many:
            found[name] = _checked((list,), name, value)
        else:
            found[name] = decoders[name]([value] if is_entry else value)
    if found.pop("version") != VERSION:
        raise ValueError("another version")
    return Snapshot(**{name: tuple(value) if name in many else value for name, value in found.items()})


@functools.cache
def _member_decoders() -> tuple[frozenset[str], dict[str, Function]]:
    """Which members of a snapshot are lists, and how each member, or its entries, is decoded."""
    hints = t.get_type_hints(Snapshot)
    many = frozenset(name for name, hint in hints.items() if t.get_origin(hint) is tuple)
    decoders = {name: _decoder(t.get_args(hint)[0] if name in many else hint, name) for name, hint in hints.items()}
    return many, {"version": _decoder(int, "version"), **decoders}


def _document(snapshot: Snapshot) -> dict[str, t.Any]:
    return {"version": VERSION, **_encoder(Snapshot)(snapshot)}


Function = t.Callable[[t.Any], t.Any]


@functools.cache
def _encoder(kind: t.Any) -> Function | None:
    """From a value of the type ``kind`` to JSON; None where it is JSON already."""
    if t.get_origin(kind) is tuple:
        of_one = t.get_args(kind)[0]
        encode, key = _encoder(of_one), _ORDER.get(of_one)
        return (lambda values: [encode(value) for value in sorted(values, key=key)]) if encode else list
    if not dataclasses.is_dataclass(kind):
        return None
    hints = t.get_type_hints(kind)
    fields = [(field.name, field.default, _encoder(hints[field.name])) for field in dataclasses.fields(kind)]
    if kind in _ROWS:
        return lambda value: [encode(getattr(value, name)) if encode else getattr(value, name) for name, default, encode in fields]

    def encode_changed(value: t.Any) -> dict[str, t.Any]:
        document = {}
        for name, default, encode in fields:
            found = getattr(value, name)
            if found is not default and found != default:
                document[name] = encode(found) if encode else found
        return document

    return encode_changed


@functools.cache
def _decoder(kind: t.Any, name: str) -> Function:
    """From JSON to a value of the type ``kind``; it raises TypeError that says ``name``, KeyError or InvalidValue."""
    if t.get_origin(kind) is tuple:
        of_one = _decoder(t.get_args(kind)[0], name)
        return lambda values: tuple(map(of_one, _checked((list,), name, values)))
    if not dataclasses.is_dataclass(kind):
        allowed = t.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        return functools.partial(_checked, allowed, name)
    hints = t.get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name], field.name) for field in dataclasses.fields(kind)}
    if kind in _ROWS:
        return _row_decoder(kind, name, tuple(fields.values()), tuple(hints[field] for field in fields))
    return lambda document: kind(**{key: fields[key](value) for key, value in _checked((dict,), name, document).items()})


def _row_decoder(kind: t.Any, name: str, decoders: tuple[Function, ...], types_: tuple[t.Any, ...]) -> Function:
    def decode_row(row: t.Any) -> t.Any:
        # Mostly, and one by one would take twice as long.
        if isinstance(row, list) and tuple(map(type, row)) == types_:
            return kind(*row)
        return kind(*[decode(value) for decode, value in zip(decoders, _checked((list,), name, row), strict=True)])

    return decode_row


def _checked(allowed: tuple[type, ...], name: str, value: t.Any) -> t.Any:
    # Not isinstance: true is no number here. The value is not shown, for it may be secret.
    if type(value) not in allowed:
        raise TypeError(f"{name} is {type(value).__name__} instead of {' or '.join(kind.__name__ for kind in allowed)}")
    return value
