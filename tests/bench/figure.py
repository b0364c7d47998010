# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure: something measured that the documentation promises."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value with its goal, which is a lower bound in the same unit.

    ``method`` says how it was measured and ``details`` is a table (first row: heading) of what
    it was made from, both for docs/performance.md.
    """

    name: str
    value: float
    unit: str
    goal: float
    method: str
    details: tuple[tuple[str, ...], ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal

    def line(self) -> str:
        """``NAME VALUE UNIT GOAL ok|short``"""
        return f"{self.name} {self.value:.1f} {self.unit} >={self.goal:g} {'ok' if self.reached else 'short'}"


class CouldNotMeasure(Exception):
    """The figure has no value: something that it needs is missing or answered wrongly."""


Measure = t.Callable[[], Figure]
