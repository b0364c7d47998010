# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maintenance role's scripts do, told by what they find."""
from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "roles/maintenance/files"
HEADING = "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="quiet")
def _quiet(tmp_path, monkeypatch):
    """Runs the script with these counts of incoming packets, one a second; returns after how many seconds it ended."""
    module = load("quiet")
    module.STATISTICS = tmp_path / "ip_vs_stats"

    def quiet(counts, seconds):
        clock = [0.0]
        counts = iter(counts)

        def sleep(time):
            clock[0] += time
            module.STATISTICS.write_text(f"{HEADING}       1 {next(counts):8X}        0                1                0\n")

        monkeypatch.setattr(module.time, "sleep", sleep)
        monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(module.sys, "argv", ["quiet.py", str(seconds)])
        sleep(0)
        module.main()
        return clock[0]
    return quiet


def test_it_is_quiet_after_two_seconds_without_a_packet(quiet, capsys):
    assert quiet([16, 20, 20, 31, 31, 31], 30) == 5
    assert "No packets" in capsys.readouterr().out


def test_packets_that_do_not_end_are_told(quiet, capsys):
    assert quiet(itertools.count(), 10) == 11
    assert "still come in" in capsys.readouterr().out


def test_a_router_without_ipvs_is_quiet(tmp_path):
    module = load("quiet")
    module.STATISTICS = tmp_path / "none"
    assert module.taken() == 0


@pytest.fixture(name="soft_stop")
def _soft_stop(tmp_path, monkeypatch):
    """The script, with ``state`` of the unit and how long its stop takes; ``calls`` are what was asked, with the drop-in at that time."""
    module = load("soft_stop")
    module.DROP_IN = tmp_path / "haproxy.service.d/northgate-maintenance.conf"
    module.state, module.takes, module.calls = "active", 3.0, []
    clock = [0.0]

    def systemctl(*arguments):
        if arguments[0] == "show":
            return module.state
        module.calls.append((arguments[0], module.DROP_IN.read_text() if module.DROP_IN.exists() else ""))
        if arguments[0] == "stop":
            clock[0] += module.takes
        return ""

    monkeypatch.setattr(module, "systemctl", systemctl)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.sys, "argv", ["soft_stop.py", "20"])
    return module


def test_connections_may_end_and_the_next_stop_is_the_distributions(soft_stop, capsys):
    soft_stop.main()
    drop_in = "[Service]\nKillSignal=SIGUSR1\nTimeoutStopSec=20\n"
    assert soft_stop.calls == [("daemon-reload", drop_in), ("stop", drop_in), ("daemon-reload", "")]
    assert "have ended" in capsys.readouterr().out


def test_connections_that_were_cut_are_told(soft_stop, capsys):
    soft_stop.takes = 20.0
    soft_stop.main()
    assert "were cut after 20 s" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_stopped_haproxy_is_left_alone(soft_stop, capsys, state):
    soft_stop.state = state
    soft_stop.main()
    assert soft_stop.calls == [] and "unchanged" in capsys.readouterr().out
