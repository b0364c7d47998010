# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What service_addresses has to do, from the files that the observation wrote; and these files again, with the addresses that were given."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from .._core import codec
from .._core.address_pools import AddressPools
from .._core.assign import Assignment, assign
from .._core.model import Snapshot
from .._core.router_groups import RouterGroups
from .._io.atomic import write
from .balanced import Statuses
from .load_balancers import in_order, status_addresses
from .service_status import Change, Task, change_of, release_of
from .sources import ClusterSource
from .writing import Outcome


@dataclass(frozen=True)
class Observation:
    """What was observed of a cluster in this run."""

    snapshot: Snapshot
    statuses: Statuses


@dataclass(frozen=True)
class Plan:
    """``tasks`` are of the clusters that were observed and for which a pool has addresses. ``warnings`` are for the operator."""

    observed: dict[str, Observation]
    assignment: Assignment
    tasks: tuple[Task, ...]
    warnings: tuple[str, ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        return not self.warnings and not any(task.changes or task.problems for task in self.tasks)


def plan(params: dict[str, t.Any]) -> Plan:
    """From the parameters of service_addresses; raises NorthgateError."""
    pools = AddressPools.parse(params["pools"])
    groups = None if params.get("groups") is None else RouterGroups.parse(params["groups"], pools)
    sources = [ClusterSource.parse(name, options, pools) for name, options in sorted(params["clusters"].items())]
    concerned = [source for source in sources if source.services]
    observed = {source.name: found for source in concerned if (found := _observation(params["snapshots"], source.name))}
    assignment = assign(
        [one.snapshot for one in observed.values()],
        pools,
        [source.name for source in concerned],
        {name: _others(one.statuses) for name, one in observed.items()},
        groups,
    )
    tasks = tuple(_task(source, observed[source.name], assignment, pools) for source in concerned if source.name in observed)
    return Plan(observed, assignment, tasks, tuple(groups.dead_ends(pools, (source.name for source in concerned)) if groups else ()))


def _paths(directory: str, cluster: str) -> tuple[str, str]:
    return os.path.join(directory, f"{cluster}.json"), os.path.join(directory, f"{cluster}.services.json")


def _observation(directory: str, cluster: str) -> Observation | None:
    """None of a cluster that was not observed; one without either file was not."""
    path, status_path = _paths(directory, cluster)
    try:
        with open(path, "rb") as file, open(status_path, "rb") as status_file:
            return Observation(codec.load(file.read(), path), Statuses.load(status_file.read(), status_path))
    except FileNotFoundError:
        return None


def _others(statuses: Statuses) -> set[str]:
    """The addresses in the status of Services that are not ours any more."""
    return {address for found in statuses.released.values() for address in status_addresses(found)}


def _task(source: ClusterSource, observed: Observation, assignment: Assignment, pools: AddressPools) -> Task:
    changes, unchanged = [], 0
    problems = tuple(problem for problem in assignment.problems if problem.cluster == source.name)
    troubled = {problem.name for problem in problems}
    for service in observed.snapshot.services:
        owner = (source.name, service.full_name)
        if owner in assignment.addresses:
            change = change_of(source.name, service, assignment.addresses[owner], observed.statuses.ours.get(service.full_name, []), pools)
            if change:
                changes.append(change)
            elif service.full_name not in troubled:
                unchanged += 1
    released = (release_of(source.name, name, entries, pools) for name, entries in sorted(observed.statuses.released.items()))
    changes += [change for change in released if change]
    return Task(source, tuple(changes), problems, unchanged)


def keep(directory: str, plan: Plan, outcomes: dict[str, Outcome]) -> None:
    """Writes the files again with what was written to the clusters, so that routers get it in this run. Raises ConvergeError."""
    for cluster, outcome in outcomes.items():
        if outcome.changes:
            observed = plan.observed[cluster]
            path, status_path = _paths(directory, cluster)
            write(path, codec.dump(_with_changes(observed.snapshot, outcome.changes)))
            write(status_path, _told(observed.statuses, outcome.changes).dump())


def _with_changes(snapshot: Snapshot, changes: t.Iterable[Change]) -> Snapshot:
    after = {change.name: in_order(set(status_addresses(change.after))) for change in changes}
    services = (replace(s, addresses=after[s.full_name]) if s.full_name in after else s for s in snapshot.services)
    return replace(snapshot, services=tuple(services))


def _told(statuses: Statuses, changes: t.Iterable[Change]) -> Statuses:
    ours, released = dict(statuses.ours), dict(statuses.released)
    for change in changes:
        (ours if change.ours else released)[change.name] = change.after
    return Statuses(ours, {name: entries for name, entries in released.items() if entries})


def result(plan: Plan, outcomes: dict[str, Outcome]) -> dict[str, t.Any]:
    """The result of service_addresses."""
    changes = [change for outcome in outcomes.values() for change in outcome.changes]
    return {
        "changed": bool(changes),
        "changes": [str(change) for change in changes],
        "clusters": {name: _counts(outcome) for name, outcome in outcomes.items()},
        "problems": [str(problem) for problem in plan.assignment.problems],
        "assigned": sum(1 for addresses in plan.assignment.addresses.values() if addresses),
        "pools": {name: {"used": used} for name, used in plan.assignment.used.items()},
    }


def _counts(outcome: Outcome) -> dict[str, t.Any]:
    given = [change for change in outcome.changes if change.gives]
    return {
        "written": len(given),
        "released": len(outcome.changes) - len(given),
        "unchanged": outcome.unchanged,
        "conflicts": outcome.conflicts,
        "failed": outcome.failed,
    }
