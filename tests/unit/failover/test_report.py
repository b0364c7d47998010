# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running cases, their figures, and the document."""
from __future__ import annotations

import sys

import pytest
from driver.command import LabFailed
from figure import CouldNotMeasure
from northgate_failover import __main__ as command
from northgate_failover import measure, report
from northgate_failover.cases import Case, Phase
from northgate_failover.felt import Attempt, Felt, Series
from northgate_failover.measure import Result
from northgate_failover.probing import PROBERS

CALM = Felt(outage=0.004, attempts=100, lost=0, reset=0, reconnects=0, longest=0.012)
BAD = Felt(outage=0.7, attempts=100, lost=30, reset=2, reconnects=1, longest=0.9)


def result(http=CALM, **goals):
    return Result(Phase("plug", "plug pulled", lambda world: None, **goals), {**dict.fromkeys(PROBERS, CALM), "http": http}, 7.0, 0.02)


def test_figures_have_the_goals_of_their_phase():
    lines = [figure.line() for figure in report.figures(result(BAD, short=PROBERS, whole=("http", "stream")))]
    assert lines[:3] == [
        "failover_plug_http_outage 700 ms <=500 short", "failover_plug_http_lost 30 of 100 <=0 short", "failover_plug_http_reset 2 of 100 - ok"]
    assert len(lines) == 3 * len(PROBERS)
    gentle = [figure.line() for figure in report.figures(result(BAD, whole=PROBERS))]
    assert gentle[2] == "failover_plug_http_reset 2 of 100 <=0 short"
    assert "failover_plug_stream_lost 0 of 100 <=0 ok" in lines and "failover_plug_api_lost 0 of 100 - ok" in lines


def test_the_document_has_a_table_with_what_misses_its_goal_in_bold():
    text = report.document([result(BAD, short=("http",)), result(BAD)], "Measured here.")
    rows = [line for line in text.splitlines() if line.startswith("| plug pulled | ")]
    assert rows[0].startswith("| plug pulled | **700 ms, 30 lost** | 4 ms |") and rows[1].startswith("| plug pulled | 700 ms, 30 lost | 4 ms |")
    assert "| plug pulled | 100, 2 reset, 1 reconnects, 900 ms | 100, 12 ms |" in text and "| 20 ms |\n" in text
    assert "Measured here." in text and "failover_plug_http_outage 700 ms <=500 short" in text and report.NOT_MEASURED not in text


def test_nothing_measured_is_said_so():
    text = report.document([], "")
    assert report.NOT_MEASURED in text and "{" not in text


class Probes:
    """Probers that lost one attempt from second 10 on."""

    def __init__(self):
        self.times = iter([10.0, 12.0, 20.0, 21.0])
        attempts = tuple(Attempt(at / 10, at / 10 + 0.01, "T" if at == 105 else ".") for at in range(250))
        self.series = {name: [Series(name, 0.1, False, attempts)] for name in PROBERS}
        self.summary = {"changes": 9, "longest": 0.2}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def now(self):
        return next(self.times)

    def settled(self, _seconds):
        return next(self.times)

    def late(self, begin, end):
        return end - begin


class World:
    def __init__(self):
        self.did = []

    def wait_healthy(self):
        self.did.append("healthy")

    def places(self):
        return None


@pytest.fixture(name="probes")
def _probes(monkeypatch):
    probes = Probes()
    monkeypatch.setattr(measure, "Probes", lambda cluster, places, least: probes)
    monkeypatch.setattr(measure, "beats", lambda cluster: probes)
    slept = []
    monkeypatch.setattr(measure.time, "sleep", slept.append)
    return slept


def case(name="x", act=lambda world: world.did.append("act"), after=lambda world: world.did.append("after")):
    return Case(name, (Phase("one", "one", act, after, least=0.0), Phase("two", "two", act, after, least=0.0)), lambda world: world.did.append("restored"))


def test_a_case_is_run_phase_by_phase(probes):
    world = World()
    one, two = measure.run(case(), world, "7")
    assert world.did == ["healthy", "act", "after", "act", "after"]
    assert (one.felt["http"].lost, two.felt["http"].lost, one.seconds, two.late) == (1, 0, 2.0, 1.0)


def test_the_seed_decides_on_the_moments(probes):
    def moments(name, seed):
        probes.clear()
        measure.Probes("", None, 0.0).times = iter([10.0, 12.0, 20.0, 21.0])
        measure.run(case(name), World(), seed)
        return [pause for pause in probes if pause]

    found = [moments(name, seed) for name, seed in (("x", "7"), ("x", "7"), ("x", "8"), ("y", "7"))]
    assert all(measure.MOMENT[0] <= moment <= measure.MOMENT[1] for entry in found for moment in entry)
    assert found[0] == found[1] and len({tuple(entry) for entry in found}) == 3 and len(found[0]) == 2


def test_a_case_that_fails_is_put_right_and_told(probes):
    def fail(world):
        raise LabFailed("no")

    world = World()
    with pytest.raises(LabFailed, match="no"):
        measure.run(case(after=fail), world, "7")
    assert world.did == ["healthy", "act", "restored"]


@pytest.fixture(name="main")
def _main(monkeypatch, tmp_path):
    """Runs the command with arguments on cases that are only on paper; returns its status and the names that ran."""
    document = tmp_path / "reliability.md"

    def main(*arguments, failing=()):
        ran = []

        def run(chosen, _world, seed):
            assert seed == "42"
            ran.append(chosen.name)
            if chosen.name in failing:
                raise CouldNotMeasure("not set up")
            return [result()]

        monkeypatch.setattr(command, "run", run)
        monkeypatch.setattr(sys, "argv", ["failover", "--here", *arguments])
        return command.main(), ran, document.read_text() if document.exists() else ""

    monkeypatch.setattr(command, "DOCUMENT", document)
    monkeypatch.setattr(command, "World", World)
    monkeypatch.setattr(command, "conditions", lambda world, seed: f"Seed {seed}.")
    monkeypatch.setenv(command.SEED, "42")
    return main


def test_all_cases_write_the_document(main, capsys):
    status, ran, text = main()
    assert (status, ran) == (0, list(command.BY_NAME)) and "Seed 42." in text
    printed = capsys.readouterr()
    assert printed.out.count("failover_plug_http_outage 4 ms - ok\n") == len(ran) and "NORTHGATE_FAILOVER_SEED=42" in printed.err


@pytest.mark.parametrize("arguments, expected", [(["--short"], list(command.QUICK)), (["control", "router_cut"], ["control", "router_cut"])])
def test_some_cases_do_not(main, arguments, expected):
    assert main(*arguments) == (0, expected, "")


def test_a_case_that_can_not_be_set_up_fails_and_the_others_are_run(main, capsys):
    status, ran, text = main(failing=("control", "maintenance"))
    assert (status, ran, text) == (1, list(command.BY_NAME), "")
    assert "could not be measured: control, maintenance" in capsys.readouterr().err


def test_an_unknown_case_is_refused(main):
    with pytest.raises(SystemExit):
        main("no_such_case")
