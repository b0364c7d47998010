# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The LoadBalancer services of a cluster, taken out of the lists that ingresses need, too. Pure."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from .._core import syntax
from .._core.errors import InvalidValue, SnapshotError
from .._core.services import Service
from . import load_balancers
from .hostile import Object, Quarantine, mapping
from .load_balancers import Draft
from .slices import Behind, Key, Name
from .sources import ClusterSource

VERSION = 1


@dataclass
class Statuses:
    """What is in status.loadBalancer.ingress, raw, by NAMESPACE/NAME.

    ``ours`` of all services of ours; ``released`` of Services that are not, but still hold something.
    """

    ours: dict[str, list[t.Any]] = field(default_factory=dict)
    released: dict[str, list[t.Any]] = field(default_factory=dict)

    def dump(self) -> bytes:
        """A file of them, for the giving of addresses."""
        document = {"version": VERSION, "statuses": self.ours, "released": self.released}
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes, source: str) -> Statuses:
        """What such a file holds; ``source`` names it in the SnapshotError raised when it is unusable."""
        try:
            document = json.loads(data)
            if document["version"] != VERSION or not all(
                isinstance(entries, list) for key in ("statuses", "released") for entries in document[key].values()
            ):
                raise ValueError("of another version, or damaged")
            return cls(document["statuses"], document["released"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            hint = "Observe the cluster again with northgate.edge.cluster_snapshot of the same collection version"
            raise SnapshotError(f"{source}: no statuses of services ({type(error).__name__}: {error})", hint) from error


class LoadBalancers:
    """Takes services of ours while Services pass, then their pods. ``observed``: whether the cluster's are wanted at all."""

    def __init__(self, source: ClusterSource, quarantine: Quarantine) -> None:
        self._source, self._quarantine = source, quarantine
        self.observed = source.services
        self._start()

    def _start(self) -> None:
        self.statuses = Statuses()
        self._drafts: dict[Name, Draft] = {}
        self._pods: dict[tuple[Name, Key], Behind] = {}

    def passing(self, items: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
        """The same ``items`` (raw Services). A list that is read again begins anew."""
        self._start()
        for raw in items:
            if self.observed:
                self._take(mapping(raw))
            yield raw

    def _take(self, raw: Object) -> None:
        held = load_balancers.entries(raw)
        if not load_balancers.is_ours(raw, self._source):
            if held and (name := _full_name(mapping(raw.get("metadata")))):
                self.statuses.released[name] = held
            return
        draft = load_balancers.decode(raw, self._quarantine)
        if draft:
            self.statuses.ours[draft.service.full_name] = held
            self._drafts[(draft.service.namespace, draft.service.name)] = draft

    def keys(self, name: Name) -> set[Key]:
        """The ports of a Service whose pods are needed."""
        return set(self._drafts[name].keys.values()) if name in self._drafts else set()

    def take(self, pods: dict[tuple[Name, Key], Behind]) -> None:
        self._pods = pods

    def services(self) -> tuple[Service, ...]:
        """All of them, in the order of their names."""
        return tuple(self._with_pods(name) for name in sorted(self._drafts))

    def _with_pods(self, name: Name) -> Service:
        return load_balancers.with_pods(self._drafts[name], lambda key: self._pods.get((name, key)))


def _full_name(metadata: Object) -> str:
    """NAMESPACE/NAME, "" of what is no name: it is none of ours, so nobody need hear of it."""
    try:
        return "/".join(syntax.dns_label(metadata.get(key), key) for key in ("namespace", "name"))
    except InvalidValue:
        return ""
