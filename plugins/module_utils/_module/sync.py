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
from .._core.shrink import KINDS, ShrinkLimit, nothing_left, shrinks
from .memory import Accepted, Inbox

C = t.TypeVar("C")
W = t.TypeVar("W")


class Subsystem(t.Protocol[C, W]):
    """What a subsystem offers: current state C, desired state W."""

    def read(self) -> C: ...

    def plan(self, current: C, wanted: W) -> Plan: ...

    def apply(self, steps: Plan, wanted: W) -> str:
        """Returns the reason of a reload, or ""."""

    def verify(self, current: C, wanted: W) -> None:
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
    # What was read already is judged too: a program that is down has nothing to change.
    subsystem.verify(subsystem.read() if steps else current, wanted)
    return Outcome(steps, reason, wanted)


OBSERVED, REMEMBERED, HELD_BACK = "observed", "last-known-good", "held back"


@dataclass(frozen=True)
class Received:
    """A cluster's snapshot as this run uses it. ``origin``: it came with this run, or is from memory, and why.

    ``data`` is what there is to remember of it, None where it comes from memory. ``reason`` says why it is held back.
    """

    snapshot: Snapshot
    origin: str
    data: bytes | None = None
    reason: str = ""


@dataclass(frozen=True)
class Guard:
    """``confirmed``: whose snapshots may shrink as they like in this run. ``kinds`` of shrink.KINDS are what the module serves."""

    limit: ShrinkLimit
    confirmed: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = KINDS


def receive(
    clusters: t.Iterable[str], shipped: dict[str, str], inbox: Inbox, accepted: Accepted, guard: Guard
) -> dict[str, Received]:
    """The snapshot of each cluster: the one shipped in this run (``shipped``: cluster to SHA-256), else
    last-known-good. One that shrinks too much is held back. A cluster that has neither is left out."""
    received = {}
    for cluster in sorted(clusters):
        known = accepted.read(cluster)
        if cluster not in shipped:
            if known:
                received[cluster] = Received(_load(cluster, known), REMEMBERED)
            continue
        data = inbox.read(shipped[cluster])
        try:
            before = _load(cluster, known) if known else None
        except SnapshotError:  # Of another version of the collection: the new one takes its place.
            before = None
        snapshot = before if before and data == known else _load(cluster, data)
        gone = nothing_left(before, snapshot, guard.kinds) if before else ""
        if before and not gone and cluster not in guard.confirmed:
            gone = shrinks(before, snapshot, guard.limit, guard.kinds)
        if gone and before:
            received[cluster] = Received(before, HELD_BACK, reason=gone)
        else:
            received[cluster] = Received(snapshot, OBSERVED, data if data != known else None)
    return received


def forget(served: t.Iterable[str], accepted: Accepted, inbox: Inbox, shipped: t.Iterable[str], check_mode: bool, left: str = "") -> list[str]:
    """After a run that came to its end: nothing is kept of clusters that are not ``served`` here any more. Says what is forgotten, or in check mode would be.

    ``left`` is a router group that the router was in before. ``shipped`` are the documents (SHA-256) of this run; of others the inbox may hold anything.
    """
    gone = sorted(set(accepted.clusters()) - set(served))
    if not check_mode:
        for cluster in gone:
            accepted.forget(cluster)
        if gone or left:
            inbox.keep_only(shipped, older_than=0)
        else:
            inbox.keep_only(shipped)
    return [f"forget {cluster}: it is not served here any more" for cluster in gone]


def _load(cluster: str, data: bytes) -> Snapshot:
    snapshot = codec.load(data, f"snapshot of cluster {cluster}")
    if snapshot.cluster != cluster:
        raise SnapshotError(
            f"the snapshot for cluster {cluster} is of cluster {snapshot.cluster}",
            "Are files in the directory of snapshots renamed?",
        )
    return snapshot


def remember(received: dict[str, Received], accepted: Accepted) -> None:
    """After a run that came to its end: what it served is last-known-good."""
    for cluster, of_cluster in received.items():
        if of_cluster.data is not None:
            accepted.write(cluster, of_cluster.data)
        elif of_cluster.origin == OBSERVED:
            accepted.confirm(cluster)
