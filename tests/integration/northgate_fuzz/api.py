# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's API that holds raw objects in memory, in the place of the client that observation reads by."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Pool, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import observe
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

_PATH = re.compile(r".*?(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?")


class API:
    """``objects`` by kind as in paths (ingresses, services); Secrets by NAMESPACE/NAME."""

    authority = ""

    def __init__(self, objects: dict[str, t.Any]) -> None:
        self._objects = objects

    def read(self, path: str, build: t.Callable[[t.Iterator[t.Any]], t.Any], page_size: int = 500, **query: t.Any) -> t.Any:
        namespace, kind, _name = _PATH.fullmatch(path).groups()  # type: ignore[union-attr]
        return build(raw for raw in self._objects.get(kind, ()) if self._selected(raw, namespace, query))

    def _selected(self, raw: t.Any, namespace: str | None, query: dict[str, str]) -> bool:
        try:
            metadata = raw["metadata"]
            name = query.get("fieldSelector", "").removeprefix("metadata.name=")
            service = query.get("labelSelector", "").removeprefix("kubernetes.io/service-name=")
            wrong_name = name and metadata["name"] != name
            wrong_service = service and metadata["labels"]["kubernetes.io/service-name"] != service
            return not (namespace and metadata["namespace"] != namespace or wrong_name or wrong_service)
        except (TypeError, KeyError, AttributeError, IndexError):
            return True  # Of this form it can't be an answer, so we see what comes of it.

    def find(self, path: str) -> t.Any:
        namespace, _kind, name = re.fullmatch(r"/api/v1/namespaces/([^/]+)/(secrets)/([^/]+)", path).groups()  # type: ignore[union-attr]
        return self._objects.get("secrets", {}).get(f"{namespace}/{name}", 404)


def observed(cluster: str, objects: dict[str, t.Any], pools: t.Iterable[AddressPool] = (), **source: t.Any) -> observe.Observed:
    """What is observed of ``objects``. ``source``: configuration of the cluster; ``pools`` are those of addresses for its services."""
    return observe.observe(ClusterSource.parse(cluster, {"kubeconfig": "none", **source}, pools), API(objects), 500)  # type: ignore[arg-type]


def snapshot(cluster: str, objects: dict[str, t.Any], **source: t.Any) -> Snapshot:
    """The same of ingresses alone, as a snapshot."""
    return observed(cluster, objects, **source).snapshot


def on_loopback(pool: Pool) -> Pool:
    """The pool with its pods moved from 10.0.0.0/8 to 127.0.0.0/8, for no cluster may name those."""
    def moved(endpoints: t.Any) -> t.Any:
        return tuple(replace(one, address=one.address.replace("10.", "127.", 1)) for one in endpoints)

    return replace(pool, endpoints=moved(pool.endpoints), passthrough=moved(pool.passthrough))
