# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's cache and its processes."""
from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from northgate_lab import cache, processes, progress


@pytest.fixture(autouse=True)
def _root(tmp_path, monkeypatch):
    monkeypatch.setenv("NORTHGATE_CACHE", str(tmp_path))


def test_an_entry_is_made_once(tmp_path):
    def make(directory):
        (directory / "file").write_text("content")

    entry = cache.ensure("thing", "0123", make, progress.Progress())
    assert entry == tmp_path / "thing-0123" and (entry / "file").read_text() == "content"
    assert cache.ensure("thing", "0123", pytest.fail, progress.Progress()) == entry


def test_a_failed_build_leaves_nothing(tmp_path):
    def make(directory):
        (directory / "half").touch()
        raise RuntimeError("broken")

    (tmp_path / "thing.killed").mkdir()
    with pytest.raises(RuntimeError, match="broken"):
        cache.ensure("thing", "0123", make, progress.Progress())
    assert [path.name for path in tmp_path.iterdir()] == [".lock-thing"]


def test_the_key_follows_names_and_contents():
    files = list((cache.LAB / "topologies").glob("*.yml"))
    assert cache.key(files) == cache.key(reversed(files)) != cache.key(files, "more")


def test_a_killed_session_is_gone_with_its_children(tmp_path):
    pid_file = tmp_path / "x.pid"
    child = tmp_path / "child"
    pid = processes.spawn(["sh", "-c", f"sleep 600 & echo $! >{child}; echo started; wait"], tmp_path / "x.log", pid_file,
                          dict(os.environ))
    while "started" not in (tmp_path / "x.log").read_text():
        pass
    assert processes.running(pid_file) == pid
    processes.end_sessions([pid])
    assert processes.running(pid_file) is None
    # Whoever adopted the child may not have reaped it yet.
    left = pathlib.Path(f"/proc/{child.read_text().strip()}/stat")
    assert not left.exists() or left.read_text().rpartition(") ")[2][0] == "Z"


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_frozen_session_stops_with_its_children_and_goes_on_when_it_is_thawed(tmp_path):
    pid_file, child = tmp_path / "x.pid", tmp_path / "child"
    pid = processes.spawn(["sh", "-c", f"sleep 600 & echo $! >{child}; wait"], tmp_path / "x.log", pid_file, dict(os.environ))
    while not child.exists() or not child.read_text().endswith("\n"):
        pass
    both = (pid, int(child.read_text()))
    processes.signal_sessions([pid], signal.SIGSTOP)
    while {state_of(entry) for entry in both} != {"T"}:
        pass
    assert processes.running(pid_file) == pid
    processes.signal_sessions([pid], signal.SIGCONT)
    while "T" in {state_of(entry) for entry in both}:
        pass
    processes.signal_sessions([pid], signal.SIGSTOP)
    processes.end_sessions([pid])
    assert processes.running(pid_file) is None
    # Of one that has ended meanwhile nothing is left to stop.
    processes.signal_sessions([pid], signal.SIGSTOP)


def test_a_pid_that_is_used_again_is_not_ours(tmp_path):
    (tmp_path / "x.pid").write_text(f"{os.getpid()} 1\n")
    assert processes.running(tmp_path / "x.pid") is None
    assert processes.running(tmp_path / "none.pid") is None


def test_help_needs_no_library():
    answer = subprocess.run([sys.executable, "-S", "-m", "northgate_lab.cli", "--help"], cwd=cache.LAB, capture_output=True,
                            text=True, check=True)
    assert "lab exec r1 -- ip route" in answer.stdout
