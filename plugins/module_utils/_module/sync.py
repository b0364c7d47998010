# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converge: the one place that orchestrates read -> plan -> apply -> verify, for every subsystem."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core import codec
from .._core.errors import SnapshotError
from .._core.model import Snapshot
from .._core.plan import Plan
from .memory import Accepted, Inbox

C = t.TypeVar("C")
W = t.TypeVar("W")


class Subsystem(t.Protocol[C, W]):
    """What a subsystem offers: current state C, desired state W."""

    def read(self) -> C: ...

    def plan(self, current: C, wanted: W) -> Plan: ...

    def apply(self, steps: Plan, wanted: W) -> str:
        """Returns the reason of a reload, or ""."""

    def verify(self, wanted: W) -> None:
        """Raises ConvergeError when the router is not as wanted."""


@dataclass(frozen=True)
class Outcome(t.Generic[W]):
    """What a run did, or in check mode would do, and what it wanted."""

    plan: Plan
    reload_reason: str
    wanted: W


def converge(subsystem: Subsystem[C, W], want: t.Callable[[C], W], check_mode: bool) -> Outcome[W]:
    """Brings the subsystem to what ``want`` makes of its current state. Check mode ends after the plan, which is
    the one that a run makes."""
    current = subsystem.read()
    wanted = want(current)
    steps = subsystem.plan(current, wanted)
    if check_mode:
        return Outcome(steps, steps.reload_reason, wanted)
    reason = subsystem.apply(steps, wanted) if steps else ""
    if steps:
        subsystem.verify(wanted)
    return Outcome(steps, reason, wanted)


@dataclass(frozen=True)
class Received:
    """A cluster's snapshot as this run uses it. ``observed``: it came with this run, not from memory."""

    snapshot: Snapshot
    data: bytes
    observed: bool


def receive(clusters: t.Iterable[str], shipped: dict[str, str], inbox: Inbox, accepted: Accepted) -> dict[str, Received]:
    """The snapshot of each cluster: the one shipped in this run (``shipped``: cluster to SHA-256), else
    last-known-good. A cluster that has neither is left out."""
    received = {}
    for cluster in sorted(clusters):
        observed = cluster in shipped
        data = inbox.read(shipped[cluster]) if observed else accepted.read(cluster)
        if data is None:
            continue
        snapshot = codec.load(data, f"snapshot of cluster {cluster}")
        if snapshot.cluster != cluster:
            raise SnapshotError(
                f"the snapshot for cluster {cluster} is of cluster {snapshot.cluster}",
                "Are files in the directory of snapshots renamed?",
            )
        received[cluster] = Received(snapshot, data, observed)
    return received
