# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backends: a stock of them, declared empty, which sets of pools take over while haproxy runs. Pure.

A set of pools keeps its backend for as long as a route needs it. One that became free is not given to
others in the same run, for routes of the running haproxy may still lead to it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import ConvergeError

BACKENDS = "backends.list"
HTTP, TCP = "ng_h", "ng_t"
FREE = "-"
_STEP = 16


@dataclass(frozen=True)
class Stock:
    """All backends of one kind: ``names`` in order, and which set of pools has which."""

    kind: str
    size: int
    taken: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.kind}{number:05d}" for number in range(1, self.size + 1))


def assign(kind: str, needed: t.Iterable[str], before: Stock, busy: frozenset[str], spare: int) -> Stock:
    """The stock after ``before`` in which every set of pools has a backend; larger only when it must be.

    ``busy``: backends to which routes of the running haproxy lead. ``spare``: how many are to be free when
    the stock is made, or made larger.
    """
    wanted = sorted(set(needed))
    taken = {pools: before.taken[pools] for pools in wanted if pools in before.taken}
    unfit = {*before.taken.values(), *busy}
    missing = [pools for pools in wanted if pools not in taken]
    size = before.size
    free = [name for name in before.names if name not in unfit]
    while not size or len(free) < len(missing):
        size = -(-(size + len(missing) - len(free) + spare) // _STEP) * _STEP or _STEP
        free = [name for name in Stock(kind, size, {}).names if name not in unfit]
    taken.update(zip(missing, free))
    return Stock(kind, size, {pools: taken[pools] for pools in wanted})


def render(stocks: t.Iterable[Stock]) -> str:
    """The list of backends for people and for the next run: name and set of pools."""
    lines = []
    for stock in stocks:
        of = {name: pools for pools, name in stock.taken.items()}
        lines += [f"{name} {of.get(name, FREE)}\n" for name in stock.names]
    return "".join(lines)


def parse(text: str, kind: str) -> Stock:
    """The stock in a list of backends. What is no line of ours is skipped: the list is written anew."""
    taken: dict[str, str] = {}
    size = 0
    for line in text.splitlines():
        name, _space, pools = line.partition(" ")
        number = name[len(kind) :]
        if not name.startswith(kind) or not number.isdecimal() or not pools:
            continue
        size = max(size, int(number))
        if pools != FREE and name not in taken.values():
            taken[pools] = name
    if size > 1_000_000:
        raise ConvergeError(f"{BACKENDS} names a backend with number {size}", f"Remove {BACKENDS} and run again")
    return Stock(kind, size, taken)
