# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan: the fewest commands that bring the kernel's services to the wanted ones. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.balance_model import HASHING, Destination, Frontend, VirtualService
from .codec import DEL_DEST, DEL_SERVICE, NEW_DEST, NEW_SERVICE, SET_DEST, SET_SERVICE, Operation
from .table import Known, Table

Key = tuple[Frontend, tuple[str, int]]
Services = dict[Frontend, VirtualService]


@dataclass(frozen=True, slots=True)
class Drain:
    """A destination that gets no new connections: since when (seconds since the epoch), and its weight before."""

    since: int
    weight: int = 1


@dataclass(frozen=True)
class Change:
    """A step: what is done to one service, and why. ``moves``: destinations are deleted and at once added again."""

    text: str
    operations: tuple[Operation, ...]
    moves: bool = False

    def __str__(self) -> str:
        return self.text


def draining(current: Table, wanted: Services, known: dict[Key, Drain], now: int, limit: int) -> dict[Key, Drain]:
    """The destinations that are wanted no more and must stay for their connections, for at most ``limit`` seconds.

    UDP has none: its clients are better off with another destination at once. ``known`` is what was draining before.
    """
    found = {}
    for frontend, service in wanted.items():
        of_kernel = current.get(frontend)
        if of_kernel is None or of_kernel.service == service or frontend.protocol == "UDP":
            continue
        keys = {d.key for d in service.destinations}
        for d in of_kernel.service.destinations:
            if d.key not in keys and d.key in of_kernel.connections:
                drain = known.get((frontend, d.key)) or Drain(now, max(d.weight, 1))
                if now - drain.since < limit:
                    found[(frontend, d.key)] = drain
    return found


def with_draining(current: Table, wanted: Services, drains: dict[Key, Drain]) -> Services:
    """The wanted services with their draining destinations, in weight 0 and in canonical order."""
    found = dict(wanted)
    for frontend, key in drains:
        (leaving,) = (d for d in current[frontend].service.destinations if d.key == key)
        service = found[frontend]
        found[frontend] = service._replace(destinations=tuple(sorted((*service.destinations, leaving._replace(weight=0)))))
    return found


def plan(current: Table, wanted: Services, drains: dict[Key, Drain]) -> list[Change]:
    """From ``current`` to ``wanted``, which has the draining destinations in it."""
    changes = [Change(f"delete {frontend}: no service wants it", (Operation(DEL_SERVICE, frontend),)) for frontend in sorted(current) if frontend not in wanted]
    for frontend, service in wanted.items():
        known = current.get(frontend)
        if known is None:
            changes.append(_new(frontend, service, drains))
        elif known.service != service:
            change = _edit(frontend, known, service, drains)
            if change.operations:
                changes.append(change)
    return changes


def _new(frontend: Frontend, service: VirtualService, drains: dict[Key, Drain]) -> Change:
    added = [o for d in service.destinations for o in _add(frontend, d, drains)]
    to = ", ".join(f"{d} ({d.method})" for d in service.destinations[:5]) or "nothing: no destination is usable"
    more = f" and {len(service.destinations) - 5} more" if len(service.destinations) > 5 else ""
    return Change(f"add {frontend}: {service.scheduler} to {to}{more}", (Operation(NEW_SERVICE, frontend, service), *added))


def _add(frontend: Frontend, destination: Destination, drains: dict[Key, Drain]) -> list[Operation]:
    """A destination in weight 0 is added with its weight before: else the hash tables differ from the other routers'."""
    if destination.weight:
        return [Operation(NEW_DEST, frontend, None, destination)]
    drain = drains.get((frontend, destination.key), Drain(0))
    return [
        Operation(NEW_DEST, frontend, None, destination._replace(weight=drain.weight)),
        Operation(SET_DEST, frontend, None, destination),
    ]


def _edit(frontend: Frontend, known: Known, service: VirtualService, drains: dict[Key, Drain]) -> Change:
    operations: list[Operation] = []
    reasons: list[str] = []
    if known.service._replace(destinations=service.destinations) != service:
        operations.append(Operation(SET_SERVICE, frontend, service))
        reasons.append(f"{_shown(known.service)} becomes {_shown(service)}")
    before = {d.key: d for d in known.service.destinations}
    after = {d.key: d for d in service.destinations}
    in_place = _in_place(before, after) if service.scheduler in HASHING else len(after)
    moves = False
    for index, (key, destination) in enumerate(after.items()):
        if key not in before:
            operations += _add(frontend, destination, drains)
            reasons.append(f"add {destination} ({destination.method})")
        elif index >= in_place:
            # A new one comes to the end, so those behind its place go there anew. The kernel keeps a deleted
            # destination that has connections, and gives it back. One by one: none is away for longer than it takes.
            operations += [Operation(DEL_DEST, frontend, None, before[key]), *_add(frontend, destination, drains)]
            moves = True
            reasons.append(f"move {destination} to its place in the order that all routers have")
        elif before[key] != destination:
            operations.append(Operation(SET_DEST, frontend, None, destination))
            reasons.append(_reason(known, before[key], destination))
    for key, destination in before.items():
        if key not in after:
            operations.append(Operation(DEL_DEST, frontend, None, destination))
            reasons.append(f"delete {destination}: no service wants it")
    return Change(f"change {frontend}: {'; '.join(reasons)}", tuple(operations), moves)


def _in_place(before: t.Iterable[tuple[str, int]], after: dict[tuple[str, int], Destination]) -> int:
    """How many of the wanted destinations, from the first, need not be moved: the others are only ever added at the end."""
    staying = [key for key in before if key in after]
    order = list(after)
    number = 0
    while number < len(staying) and staying[number] == order[number]:
        number += 1
    return number


def _shown(service: VirtualService) -> str:
    persistence = f" persistent for {service.persistence} s" if service.persistence else ""
    return f"{service.scheduler} ({', '.join(service.flags) or 'no flags'}){persistence}"


def _reason(known: Known, before: Destination, after: Destination) -> str:
    if not after.weight:
        return f"drain {after}: {known.connections.get(after.key, 0)} connections are left"
    if before._replace(weight=after.weight) == after:
        return f"weight {before.weight} of {after} becomes {after.weight}"
    return f"{before.method} to {after} becomes {after.method} {after.tunnel}".rstrip()
