# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures every figure, prints one line for each and writes docs/performance.md; run by ``make bench``."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import subprocess
import sys

import dispatch
from figure import CouldNotMeasure, Figure, Measure

MEASURES: tuple[Measure, ...] = (dispatch.measure,)
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "performance.md"
HEADING = """\
# Performance

Written by `make bench`, which prints one line for each figure: `NAME VALUE UNIT GOAL ok|short`. It fails only when it could not measure.
"""


def main() -> int:
    """Returns 1 when a figure could not be measured; the document is then left as it is."""
    figures = []
    for measure in MEASURES:
        try:
            figures.append(measure())
        except (CouldNotMeasure, OSError, subprocess.SubprocessError) as error:
            print(f"bench: {measure.__module__} could not be measured: {error}", file=sys.stderr)
            return 1
        print(figures[-1].line(), flush=True)
    DOCUMENT.write_text(document(figures, conditions()), encoding="utf-8")
    return 0


def conditions() -> str:
    """Where and with what the figures were measured."""
    version = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"Measured on {datetime.date.today()} with haproxy {version} on {system}, {os.cpu_count()} cores ({platform.machine()})."


def document(figures: list[Figure], where: str) -> str:
    """docs/performance.md: the figures' lines, then each one's method and details."""
    parts = [HEADING, where, "", "```", *(figure.line() for figure in figures), "```", ""]
    for figure in figures:
        parts += [f"## {figure.name}", "", figure.method, ""]
        for number, row in enumerate(figure.details):
            parts.append("| " + " | ".join(row) + " |")
            if number == 0:
                parts.append("|" + " --- |" * len(row))
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
