# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick cases of `make failover`: everybody is served again, and nothing is lost where nothing may be. How long an outage was is told, not judged."""
from __future__ import annotations

import os

import pytest
from northgate_failover import report
from northgate_failover.cases import BY_NAME, QUICK
from northgate_failover.measure import run
from northgate_failover.world import World

# Seconds between two attempts: fewer show as well what is lost and what comes back, and leave a slow machine time for what they ask.
LEAST = 0.05
SEED = os.environ.get("NORTHGATE_FAILOVER_SEED", "1")


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.wait_healthy()


# A case whose probers are not all answered again raises.
@pytest.mark.parametrize("name", QUICK)
def test_service_comes_back_and_nothing_is_lost_that_may_not_be(name, world, capsys):
    figures = [figure for result in run(BY_NAME[name], world, SEED, LEAST) for figure in report.figures(result)]
    with capsys.disabled():
        print()
        print(*(figure.line() for figure in figures), sep="\n")
    assert [figure.line() for figure in figures if not figure.reached and figure.unit != "ms"] == []
