# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be published, from the files that the observation wrote, and what is told of it."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._core import codec
from .._core import status as seen
from .._core.model import Quarantined, Snapshot
from .._core.status import Group, Publication, Statuses, publications, unknown_groups
from .writing import Access, Outcome


@dataclass(frozen=True)
class Outstanding:
    """``right`` are the clusters of which all was seen to be right, ``wanted`` is what has to be compared with the others.

    ``mistakes`` are of ingresses that ask for what there is not.
    """

    right: dict[str, Outcome]
    wanted: list[tuple[Access, Publication]]
    mistakes: list[Quarantined]


def outstanding(params: dict[str, t.Any]) -> Outstanding:
    """From the parameters of ingress_status; raises NorthgateError."""
    access = {name: Access.parse(name, options) for name, options in params["clusters"].items()}
    groups = [Group.parse(name, options, name in params["converged_groups"]) for name, options in sorted(params["groups"].items())]
    needed = {cluster for group in groups if group.tells for cluster in group.clusters}
    snapshots = _snapshots(params["snapshots"], sorted(needed & set(access)))
    right, wanted = {}, []
    for found in publications(groups, snapshots):
        number = found.fulfilled(_statuses(params["snapshots"], found.cluster))
        if number:
            right[found.cluster] = Outcome(unchanged=number)
        else:
            wanted.append((access[found.cluster], found))
    return Outstanding(right, wanted, unknown_groups(groups, snapshots))


def _snapshots(directory: str, clusters: t.Iterable[str]) -> dict[str, Snapshot]:
    """The snapshots of this run, by cluster."""
    snapshots = {}
    for cluster in clusters:
        path = os.path.join(directory, f"{cluster}.json")
        try:
            with open(path, "rb") as file:
                snapshots[cluster] = codec.load(file.read(), path)
        except FileNotFoundError:
            continue
    return snapshots


def _statuses(directory: str, cluster: str) -> Statuses:
    """What the observation saw in the status of the cluster's ingresses."""
    try:
        with open(os.path.join(directory, f"{cluster}.status.json"), "rb") as file:
            return seen.load(file.read())
    except FileNotFoundError:
        return {}


def result(outcomes: dict[str, Outcome]) -> dict[str, t.Any]:
    """The result of ingress_status."""
    changes = [change for outcome in outcomes.values() for change in outcome.changes]
    clusters = {
        name: {
            "written": sum(1 for change in outcome.changes if change.after),
            "removed": sum(1 for change in outcome.changes if not change.after),
            "unchanged": outcome.unchanged,
            "conflicts": outcome.conflicts,
            "failed": outcome.failed,
        }
        for name, outcome in outcomes.items()
    }
    return {"changed": bool(changes), "changes": [str(change) for change in changes], "clusters": clusters}
