# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a router needs for very many services, against ipvsadm with the same rules."""

from __future__ import annotations

import json
import statistics
import typing as t

from driver import router_code
from driver.command import lab
from figure import CouldNotMeasure, Figure, Measurement
from labs import running, told

TOPOLOGY, ROUTER = "large", "r1"
SERVICES = 10_000
ROUNDS = 3
ROUND_SECONDS = 600.0

METHOD = f"""\
{SERVICES:,} services with two real servers each, in the kernel of the lab's router `{ROUTER}`: user-mode Linux with one core. Ours is what `ipvs_services`
runs there, in a process of its own: Python's start, the snapshot from its file, the decision, reading, planning, applying, verifying, and the files
for the next boot. First to an empty kernel, against `ipvsadm -R` with the rules that ours then has; then with nothing to do, against `ipvsadm -Sn`; then
with one endpoint that changed, for which writes to the kernel are counted. {ROUNDS} rounds; figures are medians of their ratios, and the most writes."""


def measure() -> Measurement:
    """Ratios and writes. Raises CouldNotMeasure."""
    with running(TOPOLOGY, with_clusters=False):
        directory = router_code.install(ROUTER)
        # Any run before would have left it compiled.
        lab("exec", ROUTER, "--", router_code.PYTHON, "-c", "import pyroute2.netlink.generic")
        rounds = [_round(directory) for _number in range(ROUNDS)]

    def ratio(kind: str, other: str) -> float:
        return statistics.median(found[kind]["seconds"] / found[other] for found in rounds)

    figures = (
        Figure(f"ipvs_{SERVICES}_apply_over_restore", ratio("apply", "ipvsadm_restore"), "times", at_most=0.3),
        Figure(f"ipvs_{SERVICES}_nothing_to_do_over_save", ratio("nothing", "ipvsadm_save"), "times", at_most=0.3),
        Figure("ipvs_one_changed_writes", max(found["one_endpoint"]["sends"] for found in rounds), "writes", at_most=3),
    )
    rows = [
        ("", "time (median)", "least to most"),
        ("apply to an empty kernel", *_cells([found["apply"]["seconds"] for found in rounds])),
        ("`ipvsadm -R`", *_cells([found["ipvsadm_restore"] for found in rounds])),
        ("nothing to do", *_cells([found["nothing"]["seconds"] for found in rounds])),
        ("`ipvsadm -Sn`", *_cells([found["ipvsadm_save"] for found in rounds])),
        ("one endpoint changed", *_cells([found["one_endpoint"]["seconds"] for found in rounds])),
    ]
    return Measurement("Very many services", figures, METHOD, tuple(rows))


def _round(directory: str) -> dict[str, t.Any]:
    found = json.loads(router_code.run(ROUTER, directory, "ipvs_times.py", str(SERVICES), timeout=ROUND_SECONDS))
    told(json.dumps(found))
    steps = {kind: found[kind]["steps"] for kind in ("apply", "nothing", "one_endpoint")}
    if found["services"] != SERVICES or not steps["apply"] or steps["nothing"] or not steps["one_endpoint"]:
        raise CouldNotMeasure(f"the runs did not do what they should: {steps} steps")
    return found


def _cells(seconds: list[float]) -> tuple[str, str]:
    return f"{statistics.median(seconds):.2f} s", f"{min(seconds):.2f} to {max(seconds):.2f} s"
