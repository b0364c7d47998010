# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bird.service does before it starts and when it stops: only a restart is graceful, and only where there are routes to keep."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/bird/files/northgate-bird"


@pytest.fixture
def call(tmp_path):
    """Runs the script with programs that say what they are told; returns what it printed and the file of BIRD's arguments."""
    def call(*arguments, **says):
        for program, text in {"ip": "", "systemctl": "", "birdc": "asked: $*", **says}.items():
            (tmp_path / program).write_text(f'#!/bin/sh\necho "{text}" | grep .\nexit 0\n')
            (tmp_path / program).chmod(0o755)
        done = subprocess.run(["sh", SCRIPT, *arguments], capture_output=True, text=True, check=True, timeout=60,
                              env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAINPID": "999999999"})
        return done.stdout
    return call


@pytest.mark.parametrize(("routes", "arguments"), [("10.0.0.0/8 via 192.0.2.1 dev eth0", "BIRD_ARGS=-R\n"), ("", "")])
def test_routes_of_an_earlier_bird_are_taken_over(call, tmp_path, routes, arguments):
    (tmp_path / "environment").write_text("of another start\n")
    call("start", str(tmp_path / "environment"), ip=routes)
    assert (tmp_path / "environment").read_text() == arguments


@pytest.mark.parametrize(("jobs", "asked"), [
    ("1234 bird.service restart running", "asked: graceful restart\n"), ("1234 bird.service try-restart running", "asked: graceful restart\n"),
    ("1234 bird.service stop running", ""), ("", "")])
def test_only_a_restart_is_graceful(call, jobs, asked):
    assert call("stop", systemctl=jobs) == asked
