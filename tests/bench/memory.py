# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of a tree of processes while it runs."""

from __future__ import annotations

import pathlib
import re
import threading

_PSS = re.compile(r"(?m)^Pss: +(\d+) kB")
_EVERY = 0.05


class Peaks:
    """Peaks of proportional set sizes, in bytes, below the process ``pid`` until ``stop``.

    ``largest``: of one process with ``mark`` in its command line together with its children. ``others``: of all others together.
    """

    def __init__(self, pid: int, mark: str) -> None:
        self._pid, self._mark = pid, mark
        self.largest = self.others = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_EVERY):
            marked: dict[int, int] = {}
            others = self._add(self._pid, None, marked)
            self.others = max(self.others, others)
            self.largest = max(self.largest, *marked.values(), 0)

    def _add(self, pid: int, owner: int | None, marked: dict[int, int]) -> int:
        """What a process and its children have that is nobody's; what is a marked process's is added to ``marked``."""
        process = pathlib.Path(f"/proc/{pid}")
        try:
            if owner is None and self._mark in (process / "cmdline").read_text("utf-8", "replace"):
                owner = pid
            found = _PSS.search((process / "smaps_rollup").read_text("ascii"))
            children = [int(child) for task in (process / "task").iterdir() for child in (task / "children").read_text("ascii").split()]
        except OSError:  # It has ended.
            return 0
        size = int(found.group(1)) * 1024 if found else 0
        if owner is not None:
            marked[owner] = marked.get(owner, 0) + size
            size = 0
        return size + sum(self._add(child, owner, marked) for child in children)
