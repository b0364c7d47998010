# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures figures and prints one line for each; run by ``make bench``.

Without arguments it measures all of them and writes docs/performance.md; with names of measures only these.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import sys

import churn
import converge
import dispatch
import failover
import first_answer
import ipvs
import serve
from figure import CouldNotMeasure, Measure, Measurement

MEASURES: dict[str, Measure] = {
    "dispatch": dispatch.measure,
    "serve": serve.measure,
    "churn": churn.measure,
    "converge": converge.measure,
    "ipvs": ipvs.measure,
    "failover": failover.measure,
    "first_answer": first_answer.measure,
}
ALL = "all"
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "performance.md"
HEADING = """\
# Performance

Written by `make bench`, which prints one line for each figure: `NAME VALUE UNIT GOAL ok|short`. It fails only when it could not measure.
"""


def main() -> int:
    """Returns 1 when a figure could not be measured; the document is then left as it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", nargs="*", choices=[ALL, *MEASURES], default=ALL, help="default: all")
    names = parser.parse_args().measure
    chosen = list(MEASURES) if ALL in names else list(names)
    measured = []
    for name in chosen:
        try:
            measured.append(MEASURES[name]())
        except (CouldNotMeasure, OSError, subprocess.SubprocessError) as error:
            print(f"bench: {name} could not be measured: {error}", file=sys.stderr)
            return 1
        for figure in measured[-1].figures:
            print(figure.line(), flush=True)
    if chosen == list(MEASURES):
        DOCUMENT.write_text(document(measured, conditions()), encoding="utf-8")
    else:
        print(document(measured, conditions()), file=sys.stderr)
    return 0


def conditions() -> str:
    """Where and with what the figures were measured."""
    version = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    measured = f"Measured on {datetime.date.today()} with haproxy {version} on {system}, {os.cpu_count()} cores ({platform.machine()})."
    # The measures keep about two processes busy: what is beyond is other work on this machine, which makes absolute numbers worse.
    return f"{measured} The load average of the last 15 minutes was {os.getloadavg()[2]:.1f}."


def document(measured: list[Measurement], where: str) -> str:
    """docs/performance.md: the figures' lines, then the method and details of each measurement."""
    parts = [HEADING, where, "", "```", *(figure.line() for one in measured for figure in one.figures), "```", ""]
    for one in measured:
        parts += [f"## {one.title}", "", one.method, ""]
        for number, row in enumerate(one.details):
            parts.append("| " + " | ".join(row) + " |")
            if number == 0:
                parts.append("|" + " --- |" * len(row))
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
