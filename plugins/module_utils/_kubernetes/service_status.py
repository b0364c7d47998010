# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of LoadBalancer services: what is to be written, and writing it; and events of what could not be given.

Entries of status.loadBalancer.ingress whose address lies in no pool are somebody else's, and stay.
"""

from __future__ import annotations

import hashlib
import time
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from .._core import syntax
from .._core.address_pools import AddressPools
from .._core.assign import Problem
from .._core.errors import InvalidValue, NorthgateError
from .._core.services import Service
from .connection import Connection, RequestFailed
from .hostile import Object, mapping, sequence
from .load_balancers import entries, is_ours
from .sources import ClusterSource
from .writing import CONFLICT, GONE, MERGE_PATCH, Outcome, Writer, in_each

# So many services of a cluster hear of their problems in a run: each costs two requests. The result names all.
MOST_EVENTS = 100

_SERVICES, _EVENTS = "/api/v1/namespaces/{}/services", "/api/v1/namespaces/{}/events"
_COMPONENT = "northgate.edge"

Entries = list[t.Any]


@dataclass(frozen=True)
class Change:
    """The status of a Service (``name`` is NAMESPACE/NAME) is to hold ``after`` in place of ``before``, as raw entries.

    ``ours``: whether the Service is ours. ``gives``: whether it has an address of ours afterwards.
    """

    cluster: str
    name: str
    before: Entries
    after: Entries
    ours: bool
    gives: bool

    def __str__(self) -> str:
        before, after = _addresses(self.before), _addresses(self.after)
        if before == after:
            return f"{self.cluster}: {self.name}: {after}: {_ports(self.before)} -> {_ports(self.after)}"
        return f"{self.cluster}: {self.name}: {before} -> {after}"


def _addresses(found: Entries) -> str:
    return ", ".join(syntax.shown(entry.get("ip") or entry.get("hostname")).strip("'") for entry in map(mapping, found)) or "none"


def _ports(found: Entries) -> str:
    return ", ".join(sorted({f"{port}/{protocol}" for entry in found for port, protocol in _canonical(entry)[2]})) or "no ports"


def shown(found: Entries) -> str:
    """Entries for people: addresses with their ports."""
    return "; ".join(f"{_addresses([entry])} {_ports([entry])}" for entry in found) or "none"


def _in_pools(entry: t.Any, pools: AddressPools) -> bool:
    try:
        return pools.find(syntax.address(mapping(entry).get("ip"), "ip")) is not None
    except InvalidValue:
        return False


def _canonical(entry: t.Any) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """What counts of an entry. An API server that does not know ipMode yet leaves it out, and VIP is its default."""
    entry = mapping(entry)
    ports = sorted((str(port.get("port")), str(port.get("protocol"))) for port in map(mapping, sequence(entry.get("ports"))))
    return str(entry.get("ip")), str(entry.get("ipMode") or "VIP"), tuple(ports)


def change_of(cluster: str, service: Service, addresses: t.Iterable[str], before: Entries, pools: AddressPools) -> Change | None:
    """What is to be changed so that the service has ``addresses``; None when it has them."""
    ports = [{"port": port.port, "protocol": port.protocol} for port in service.ports]
    wanted = [{"ip": address, "ipMode": "VIP", "ports": ports} for address in addresses]
    ours = [entry for entry in before if _in_pools(entry, pools)]
    if list(map(_canonical, ours)) == list(map(_canonical, wanted)):
        return None
    return Change(cluster, service.full_name, before, wanted + [entry for entry in before if not _in_pools(entry, pools)], True, bool(wanted))


def release_of(cluster: str, name: str, before: Entries, pools: AddressPools) -> Change | None:
    """What is to be changed so that a Service that is not ours (any more) holds nothing of ours; None when it does not."""
    after = [entry for entry in before if not _in_pools(entry, pools)]
    return None if len(after) == len(before) else Change(cluster, name, before, after, False, False)


@dataclass(frozen=True)
class Task:
    """What there is to write in a cluster. ``unchanged`` services are right."""

    source: ClusterSource
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    unchanged: int


def write_all(tasks: t.Iterable[Task], timeout: float, check_mode: bool) -> dict[str, Outcome]:
    """Writes what is to be written, by cluster. ``timeout`` in seconds, for each cluster."""
    return in_each({task.source.name: task for task in tasks}, lambda task: _write_task(task, time.monotonic() + timeout, check_mode))


def _write_task(task: Task, deadline: float, check_mode: bool) -> Outcome:
    if check_mode or not (task.changes or task.problems):
        return Outcome(task.changes, task.unchanged)
    try:
        connection = Connection(task.source.kubeconfig, task.source.context)
    except NorthgateError as error:
        # Events alone are not worth a failure.
        return Outcome(unchanged=task.unchanged, **({"failed": str(error)} if task.changes else {"warning": str(error)}))
    try:
        writer = Writer(connection, deadline)
        written = writer.write_all(task.changes, lambda change: _write(writer, task.source, change))
        # What hinders the one need not hinder the other.
        teller = Writer(connection, deadline)
        told = teller.write_all(_by_service(task.problems), lambda problems: _tell(teller, problems))
    finally:
        connection.close()
    return Outcome(written.done, task.unchanged, written.conflicts, written.failed, told.failed and f"events: {told.failed}")


def _fresh(writer: Writer, full_name: str) -> Object:
    """The Service now. A list of one: the account may list, and nothing else."""
    namespace, _slash, name = full_name.partition("/")
    answer = writer.request("get", _SERVICES.format(namespace), {"fieldSelector": f"metadata.name={name}", "limit": 1})
    found = sequence(mapping(answer).get("items"))
    if not found:
        raise RequestFailed("is gone", GONE)
    return mapping(found[0])


def _write(writer: Writer, source: ClusterSource, change: Change) -> None:
    raw = _fresh(writer, change.name)
    if is_ours(raw, source) is not change.ours or entries(raw) != change.before:
        raise RequestFailed("changed since it was observed", CONFLICT)
    namespace, _slash, name = change.name.partition("/")
    version = mapping(raw.get("metadata")).get("resourceVersion")
    patch = {"metadata": {"resourceVersion": version}, "status": {"loadBalancer": {"ingress": change.after}}}
    writer.request("patch", f"{_SERVICES.format(namespace)}/{name}/status", {}, patch, content_type=MERGE_PATCH)


def _by_service(problems: t.Iterable[Problem]) -> list[list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.name, []).append(problem)
    return list(found.values())[:MOST_EVENTS]


def _tell(writer: Writer, problems: list[Problem]) -> None:
    """Events on a Service. One that is there still, for an API server keeps them an hour, is not written again: its name is made of what it says."""
    metadata = mapping(_fresh(writer, problems[0].name).get("metadata"))
    for problem in problems:
        try:
            writer.request("post", _EVENTS.format(metadata.get("namespace")), {}, event(problem, str(metadata.get("uid")), _now()))
        except RequestFailed as error:
            if error.status != CONFLICT:
                raise


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(problem: Problem, uid: str, now: str) -> Object:
    """The event of a problem of the Service with ``uid``."""
    namespace, _slash, name = problem.name.partition("/")
    digest = hashlib.sha256("\0".join((uid, problem.reason, problem.message)).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": f"{name}.{digest}"},
        "involvedObject": {"apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name, "uid": uid},
        "type": "Warning",
        "reason": problem.reason,
        "message": problem.message,
        "source": {"component": _COMPONENT},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
