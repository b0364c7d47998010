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
import hashlib
import json
import typing as t

from .errors import NorthgateError, SnapshotError
from .model import Certificate, Endpoint, Ingress, Path, Pool, PoolTls, Quarantined, Rule, Snapshot, Tls
from .policy import NONE, Policy

VERSION = 2

_TYPES: dict[type, dict[str, tuple[type, ...]]] = {
    Ingress: {"canary_weight": (int, type(None)), "passthrough": (bool,), "default_pool": (str,)},
    Policy: {"redirect": (bool, type(None))},
    Pool: {"protocol": (str,), "proxy_protocol": (bool,)},
}
_NO_TLS = PoolTls()


def dump(snapshot: Snapshot) -> bytes:
    """The snapshot's canonical bytes (UTF-8, sorted keys, one final newline). Secret."""
    return _bytes(_document(snapshot))


def dump_for_people(snapshot: Snapshot) -> str:
    """The snapshot as indented JSON without secrets: of each, the first digits of its SHA-256."""
    document = _document(snapshot)
    for certificate in document["certificates"]:
        certificate["pem"] = _masked(certificate["pem"])
    for pool in document["pools"]:
        if "client_certificate" in pool.get("tls", {}):
            pool["tls"]["client_certificate"] = _masked(pool["tls"]["client_certificate"])
    for ingress in document["ingresses"]:
        if "users" in ingress.get("policy", {}):
            ingress["policy"]["users"] = [_masked(user) for user in ingress["policy"]["users"]]
    return json.dumps(document, sort_keys=True, indent=1) + "\n"


def _masked(secret: str) -> str:
    return f"(secret {hashlib.sha256(secret.encode()).hexdigest()[:12]})"


def _bytes(document: dict[str, t.Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _document(snapshot: Snapshot) -> dict[str, t.Any]:
    return {
        "version": VERSION,
        "cluster": snapshot.cluster,
        "default_pool": snapshot.default_pool,
        "ingresses": [_ingress(i) for i in sorted(snapshot.ingresses, key=lambda i: (i.namespace, i.name))],
        "pools": [_pool(pool) for pool in sorted(snapshot.pools)],
        "certificates": [_sparse(certificate) for certificate in sorted(snapshot.certificates)],
        "quarantined": [[q.object, q.field, q.cause] for q in sorted(snapshot.quarantined)],
    }


def _ingress(ingress: Ingress) -> dict[str, t.Any]:
    document: dict[str, t.Any] = {
        "namespace": ingress.namespace,
        "name": ingress.name,
        "created": ingress.created,
        "class": ingress.ingress_class,
        "paths": [[p.rule.host, p.rule.path, p.rule.path_type, p.pool] for p in sorted(ingress.paths)],
    }
    if ingress.default_pool:
        document["default_pool"] = ingress.default_pool
    if ingress.policy != NONE:
        document["policy"] = _sparse(ingress.policy)
    if ingress.canary_weight is not None:
        document["canary_weight"] = ingress.canary_weight
    if ingress.passthrough:
        document["passthrough"] = True
    if ingress.tls:
        document["tls"] = [[list(tls.hosts), tls.certificate] for tls in sorted(ingress.tls)]
    return document


def _pool(pool: Pool) -> dict[str, t.Any]:
    document = _sparse(pool)
    for key in ("endpoints", "passthrough"):
        document[key] = [[e.address, e.port, e.ready, e.serving, e.terminating] for e in sorted(getattr(pool, key))]
    if pool.tls != _NO_TLS:
        document["tls"] = _sparse(pool.tls)
    return document


def _sparse(value: t.Any) -> dict[str, t.Any]:
    """The fields that differ from their defaults."""
    found = {}
    for field in dataclasses.fields(value):
        of_field = getattr(value, field.name)
        if field.default is dataclasses.MISSING or of_field != field.default:
            found[field.name] = list(of_field) if isinstance(of_field, tuple) else of_field
    return found


def load(data: bytes, source: str) -> Snapshot:
    """The snapshot in ``data``; ``source`` names it in the SnapshotError raised when it is unusable."""
    hint = "Observe the cluster again with northgate.edge.cluster_snapshot of the same collection version"
    try:
        document = json.loads(data)
        version = document["version"]
        if version != VERSION:
            raise SnapshotError(f"{source}: snapshot version {version!r}, this collection reads {VERSION}", hint)
        return _snapshot(document)
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, NorthgateError) as error:
        raise SnapshotError(f"{source}: not a snapshot ({type(error).__name__}: {error})", hint) from error


def _snapshot(document: dict[str, t.Any]) -> Snapshot:
    cluster = document["cluster"]
    return Snapshot(
        cluster=cluster,
        default_pool=_text(document["default_pool"]),
        ingresses=tuple(_load_ingress(i) for i in document["ingresses"]),
        pools=tuple(_load_pool(pool) for pool in document["pools"]),
        certificates=tuple(_build(Certificate, certificate) for certificate in document["certificates"]),
        quarantined=tuple(Quarantined(cluster, *map(_text, entry)) for entry in document["quarantined"]),
    )


def _load_ingress(document: dict[str, t.Any]) -> Ingress:
    entry = dict(document)
    policy = entry.pop("policy", None)
    return _build(
        Ingress,
        {
            **entry,
            "ingress_class": entry.pop("class"),
            "paths": [Path(Rule(host, path, kind), _text(pool)) for host, path, kind, pool in entry.pop("paths")],
            "policy": _build(Policy, policy) if policy else NONE,
            "tls": [Tls(tuple(map(_text, hosts)), _text(source)) for hosts, source in entry.pop("tls", ())],
        },
    )


def _load_pool(document: dict[str, t.Any]) -> Pool:
    tls = document.get("tls")
    return _build(
        Pool,
        {
            **document,
            "endpoints": [_endpoint(*endpoint) for endpoint in document["endpoints"]],
            "passthrough": [_endpoint(*endpoint) for endpoint in document["passthrough"]],
            "tls": _build(PoolTls, tls) if tls else _NO_TLS,
        },
    )


def _endpoint(address: t.Any, port: t.Any, *conditions: t.Any) -> Endpoint:
    if len(conditions) != 3 or not all(isinstance(condition, bool) for condition in conditions):
        raise TypeError(f"conditions of endpoint {address} are not three times true or false")
    return Endpoint(address, port, *conditions)


def _build(kind: type, document: dict[str, t.Any]) -> t.Any:
    """An instance of a dataclass, each field of the type that its default has."""
    types = _TYPES.get(kind, {})
    values = {}
    for field in dataclasses.fields(kind):
        if field.name not in document:
            continue
        value = document[field.name]
        if isinstance(value, list):
            value = tuple(value)
        allowed = types.get(field.name, (str,) if field.default is dataclasses.MISSING else (type(field.default),))
        if field.name in ("not_before", "not_after"):
            allowed = (int,)
        if isinstance(value, tuple) and field.name in ("names", "allow", "deny", "users"):
            value = tuple(map(_text, value))
            allowed = (tuple,)
        if type(value) not in allowed:
            raise TypeError(f"{field.name} is {value!r}")
        values[field.name] = value
    unknown = set(document) - {field.name for field in dataclasses.fields(kind)}
    if unknown - {"class"}:
        raise TypeError(f"unknown fields {sorted(unknown)}")
    return kind(**values)


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
