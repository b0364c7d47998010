# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that outlive the command: started in sessions of their own, known by pid files, ended for good."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

GONE_SECONDS = 20.0
# Where the kernel has it, cores are shared among sessions first, and nice counts within one only: sched(7), "The autogroup feature".
PREFER = 'test ! -e /proc/self/autogroup || echo "$0" >/proc/self/autogroup; exec nice --adjustment="$0" "$@"'


def spawn(argv: list[str], log: Path, pid_file: Path, env: dict[str, str], cwd: Path = Path("/")) -> int:
    """Start a process in a new session with its output appended to `log`; write `pid_file`; return the pid."""
    with open(log, "ab") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env,
                                   start_new_session=True, cwd=cwd)
    pid_file.write_text(f"{process.pid} {_start_time(process.pid)}\n")
    return process.pid


def preferred(adjustment: int, argv: list[str]) -> list[str]:
    """Return the command line of a process that comes before others on this machine's cores, or after them: it and its whole session, by nice's adjustment."""
    return ["sh", "-c", PREFER, str(adjustment), *argv]


def apart(adjustment: int, argv: list[str]) -> list[str]:
    """Return the same for a process that is to have a session of its own."""
    return ["setsid", "--wait", *preferred(adjustment, argv)]


def rank(leader: int, adjustment: int) -> None:
    """Give a session another place among those that want this machine's cores."""
    autogroup = Path(f"/proc/{leader}/autogroup")
    if autogroup.exists():
        autogroup.write_text(str(adjustment))
    else:
        os.setpriority(os.PRIO_PGRP, leader, adjustment)


def running(pid_file: Path) -> int | None:
    """Return the pid in the file when that very process still runs (pids are used again)."""
    try:
        pid, started = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if started and _start_time(int(pid)) == started else None


def end_sessions(leaders: Iterable[int]) -> None:
    """Kill process groups at once, as a power cut does, and wait until all their processes are gone."""
    groups = set(leaders)
    deadline = time.monotonic() + GONE_SECONDS
    while left := {pid for pid in _all() if _group(pid) in groups}:
        _kill(left, deadline)


def signal_sessions(leaders: Iterable[int], number: int) -> None:
    """Send a signal to the processes of process groups, but for those that another one traces.

    The processes inside a guest are such, and run when its kernel lets them. Their tracer would have to pass the signal on, and user-mode Linux dies of it.
    """
    groups = set(leaders)
    for pid in _all():
        if _group(pid) in groups and not _is_traced(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def end(pids: Iterable[int]) -> None:
    """Kill single processes and wait until they are gone."""
    wanted, deadline = {pid: _start_time(pid) for pid in pids}, time.monotonic() + GONE_SECONDS
    while left := {pid for pid, started in wanted.items() if started and _start_time(pid) == started}:
        _kill(left, deadline)


def ancestors() -> set[int]:
    """Return this process and those that started it."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        pid = int(_stat(pid)[1] or 0)
    return found


def _kill(pids: set[int], deadline: float) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            # Our own children are gone only when they have been waited for.
            os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            pass
    if time.monotonic() > deadline:
        raise TimeoutError(f"processes don't end: {', '.join(map(str, sorted(pids)))}")
    time.sleep(0.02)


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from the state on; empty texts for a process that is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [""] * 20
    return [""] * 20 if fields[0] in "ZX" else fields


def _group(pid: int) -> int:
    return int(_stat(pid)[2] or 0)


def _is_traced(pid: int) -> bool:
    try:
        return "\nTracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def _start_time(pid: int) -> str:
    return _stat(pid)[19]
