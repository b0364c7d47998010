# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a case: probers, a random moment, what happens, and what was felt of it."""
from __future__ import annotations

import random
import time
from dataclasses import dataclass

from driver.command import LabFailed
from labs import told

from .cases import Case, Phase
from .felt import Felt, failures, felt
from .probing import Probes, beats
from .world import CLUSTER, World

# How long probers run before something happens; the moment in it is chosen at random.
MOMENT = (2.0, 4.0)
SETTLE_SECONDS = 180.0


@dataclass(frozen=True)
class Result:
    """What was felt in a phase, by prober; ``seconds`` is the length of its window, ``late`` how late the probers themselves were at most."""

    phase: Phase
    felt: dict[str, Felt]
    seconds: float
    late: float


def run(case: Case, world: World, seed: str, least: float = 0.0) -> list[Result]:
    """Run a case on a lab that is made healthy first, with no prober's interval shorter than ``least``.

    Raises LabFailed and CouldNotMeasure; then the lab was put right as well as can be.
    """
    told(f"{case.name}: waiting until all is well")
    world.wait_healthy()
    # Of the case's own, so that it is the same when the case is run alone.
    moments = random.Random(f"{seed} {case.name}")
    windows = []
    try:
        with beats(CLUSTER) as changes, Probes(CLUSTER, world.places(), least) as probes:
            for phase in case.phases:
                time.sleep(moments.uniform(*MOMENT))
                windows.append(_window(phase, world, probes))
    except BaseException:
        _put_right(case, world)
        raise
    told(f"{case.name}: {changes.summary['changes']} changes to be watched, at most {changes.summary['longest']:.2f} s apart")
    every, results = probes.series, []
    for phase, (begin, end) in zip(case.phases, windows, strict=True):
        for prober, series in every.items():
            if failed := failures(series, begin, end):
                told(f"{phase.name}: {prober}: {failed}")
        results.append(Result(phase, {prober: felt(series, begin, end) for prober, series in every.items()}, end - begin, probes.late(begin, end)))
    return results


def _window(phase: Phase, world: World, probes: Probes) -> tuple[float, float]:
    """Let a phase happen; return when it began and when all was calm again."""
    told(phase.text)
    begin = probes.now()
    opened = time.monotonic()
    phase.act(world)
    time.sleep(max(0.0, opened + phase.least - time.monotonic()))
    phase.after(world)
    return begin, probes.settled(SETTLE_SECONDS)


def _put_right(case: Case, world: World) -> None:
    told(f"{case.name} failed: putting right what it did")
    try:
        case.restore(world)
    except LabFailed as error:
        told(f"that failed, too: {error}")
