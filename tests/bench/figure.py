# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure: something measured that the documentation promises."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value and its goal, in the same unit: it has to be at least, or at most, as much."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return (self.at_least is None or self.value >= self.at_least) and (self.at_most is None or self.value <= self.at_most)

    def line(self) -> str:
        """``NAME VALUE UNIT GOAL ok|short``, with the goal ``-`` where there is none."""
        bounds = [f"{sign}{bound:g}" for sign, bound in ((">=", self.at_least), ("<=", self.at_most)) if bound is not None]
        return f"{self.name} {self.value:.4g} {self.unit} {','.join(bounds) or '-'} {'ok' if self.reached else 'short'}"


@dataclass(frozen=True)
class Measurement:
    """Figures that were measured together, for docs/performance.md.

    ``method`` says how, and ``details`` is a table (first row: heading) of what they were made from.
    """

    title: str
    figures: tuple[Figure, ...]
    method: str
    details: tuple[tuple[str, ...], ...] = ()


class CouldNotMeasure(Exception):
    """The figure has no value: something that it needs is missing or answered wrongly."""


Measure = t.Callable[[], Measurement]
