# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan: what changes from the current to the desired state, told to the operator before it is done."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class FileChange:
    """A file whose text changes. A secret is never a FileChange."""

    name: str
    before: str
    after: str


class Step(t.Protocol):
    """One change beside the files. Its text is for the operator, and holds no secret."""

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Plan:
    """``files`` change first, then the ``steps`` in their order. ``reload_reason`` is empty where nothing reloads."""

    files: tuple[FileChange, ...] = ()
    steps: tuple[Step, ...] = ()
    reload_reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.files or self.steps)

    def diff(self) -> list[dict[str, str]]:
        """In the form of Ansible's diff mode."""
        shown = [
            {"before_header": f.name, "after_header": f.name, "before": f.before, "after": f.after} for f in self.files
        ]
        if self.steps:
            shown.append({"prepared": "".join(f"{step}\n" for step in self.steps)})
        return shown
