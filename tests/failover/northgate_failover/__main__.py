# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what is felt of failures, and prints one line for each figure; run by `make failover`.

Without arguments it brings the lab up, runs every case, takes the lab down and writes docs/reliability.md.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import platform
import secrets
import subprocess
import sys

from driver.command import LabFailed
from figure import CouldNotMeasure
from labs import running

from . import report
from .cases import BY_NAME, QUICK
from .measure import Result, run
from .world import World

TOPOLOGY = "shared"
DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
SEED = "NORTHGATE_FAILOVER_SEED"
PACKAGES = ("haproxy", "keepalived", "bird2")
FAILURES = (CouldNotMeasure, LabFailed, OSError, subprocess.SubprocessError)


def main() -> int:
    """Returns 1 when something could not be measured; the document is then left as it is."""
    parser = argparse.ArgumentParser(prog="failover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", metavar="CASE", help=f"default: all of {', '.join(BY_NAME)}")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--here", action="store_true", help="use the lab that runs, with everything installed and converged, and leave it there")
    arguments = parser.parse_args()
    if unknown := set(arguments.case) - set(BY_NAME):
        parser.error(f"there is no case {', '.join(sorted(unknown))} (there are: {', '.join(BY_NAME)})")
    chosen = arguments.case or (list(QUICK) if arguments.short else list(BY_NAME))
    seed = os.environ.get(SEED) or str(secrets.randbelow(1 << 32))
    print(f"failover: {SEED}={seed}", file=sys.stderr, flush=True)
    results: list[Result] = []
    try:
        with contextlib.nullcontext() if arguments.here else running(TOPOLOGY):
            world = World()
            failed = _cases(chosen, world, seed, results)
            where = conditions(world, seed)
    except FAILURES as error:
        print(f"failover: could not be measured: {error}", file=sys.stderr)
        return 1
    if failed:
        print(f"failover: could not be measured: {', '.join(failed)}", file=sys.stderr)
        return 1
    text = report.document(results, where)
    if chosen == list(BY_NAME):
        DOCUMENT.write_text(text, encoding="utf-8")
    else:
        print(text, file=sys.stderr)
    return 0


def _cases(chosen: list[str], world: World, seed: str, results: list[Result]) -> list[str]:
    """Run cases and print their figures; return the names of those that failed, after which the others go on."""
    failed = []
    for name in chosen:
        try:
            found = run(BY_NAME[name], world, seed)
        except FAILURES as error:
            print(f"failover: {name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        results += found
        for result in found:
            for figure in report.figures(result):
                print(figure.line(), flush=True)
    world.wait_healthy()
    return failed


def conditions(world: World, seed: str) -> str:
    """Where, with what and with which seed it was measured."""
    versions = world.on(world.first, "dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", *PACKAGES).strip(", ")
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    machine = f"{system}, {os.cpu_count()} cores ({platform.machine()})"
    return (f"Measured with {versions} in guests with one core each, on {machine} for all of them, with {SEED}={seed}. "
            f"The load average of the last 15 minutes was {os.getloadavg()[2]:.1f}.")


if __name__ == "__main__":
    sys.exit(main())
