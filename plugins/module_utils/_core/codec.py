# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshot file: canonical JSON, versioned. ``load(dump(snapshot)) == snapshot``.

The same snapshot always gives the same bytes, so its SHA-256 is its identity. No time of
observation is inside: a cluster that did not change has a file that did not change.
"""

from __future__ import annotations

import json
import typing as t

from .errors import NorthgateError, SnapshotError
from .model import Endpoint, Ingress, IngressController, Quarantined, Rule, Snapshot

VERSION = 1


def dump(snapshot: Snapshot) -> bytes:
    """The snapshot's canonical bytes (UTF-8, sorted keys, one final newline)."""
    document = {
        "version": VERSION,
        "cluster": snapshot.cluster,
        "ingresses": [
            {
                "namespace": i.namespace,
                "name": i.name,
                "created": i.created,
                "class": i.ingress_class,
                "rules": [[r.host, r.path, r.path_type] for r in sorted(i.rules)],
            }
            for i in sorted(snapshot.ingresses, key=lambda i: (i.namespace, i.name))
        ],
        "controllers": [
            {
                "class": c.ingress_class,
                "endpoints": [
                    {
                        "address": e.address,
                        "port": e.port,
                        "ready": e.ready,
                        "serving": e.serving,
                        "terminating": e.terminating,
                    }
                    for e in sorted(c.endpoints)
                ],
            }
            for c in sorted(snapshot.controllers, key=lambda c: c.ingress_class)
        ],
        "quarantined": [
            {"object": q.object, "field": q.field, "cause": q.cause} for q in sorted(snapshot.quarantined)
        ],
    }
    return (json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n").encode()


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
        ingresses=tuple(
            Ingress(
                namespace=i["namespace"],
                name=i["name"],
                created=_text(i["created"]),
                ingress_class=i["class"],
                rules=tuple(Rule(host, path, path_type) for host, path, path_type in i["rules"]),
            )
            for i in document["ingresses"]
        ),
        controllers=tuple(
            IngressController(
                ingress_class=c["class"],
                endpoints=tuple(Endpoint(**{**e, **_flags(e)}) for e in c["endpoints"]),
            )
            for c in document["controllers"]
        ),
        quarantined=tuple(
            Quarantined(cluster, _text(q["object"]), _text(q["field"]), _text(q["cause"]))
            for q in document["quarantined"]
        ),
    )


def _flags(endpoint: dict[str, t.Any]) -> dict[str, bool]:
    flags = {name: endpoint[name] for name in ("ready", "serving", "terminating")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise TypeError(f"conditions of endpoint {endpoint['address']} are not all true or false")
    return flags


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
