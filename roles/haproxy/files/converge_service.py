# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the running HAProxy one that has read conf.d as it is now; print what that took.

It compares facts (the process's command line, the worker's age, the file's) instead of trusting
that an earlier run got to its end. Only a process that was started without conf.d is restarted.
Prints `unchanged`, `reloaded` or `restarted`; a reload that left the old worker in charge is an error (exit status 1).
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

CONFIG = Path("/etc/haproxy/conf.d/00-northgate.cfg")
STATS_SOCKET = "/run/haproxy/northgate.sock"
PATIENCE = 30.0


def systemctl(*arguments: str) -> str:
    """Run systemctl; return what it printed. Ends the script when it fails."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()} (journalctl -u haproxy says more)")
    return done.stdout.strip()


def worker() -> int | None:
    """The process id of the worker that answers on our stats socket, None when nobody does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(STATS_SOCKET)
            connection.sendall(b"show info\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return None
    pids = [line.partition(":")[2] for line in answer.decode().splitlines() if line.startswith("Pid:")]
    return int(pids[0]) if pids else None


def started(pid: int) -> float:
    """When a process started, as seconds since the epoch; to a hundredth, as finely as the kernel tells."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    since_boot = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def reads_directory(pid: int) -> bool:
    """Whether a master process was started with conf.d; 0 is none."""
    return pid != 0 and str(CONFIG.parent) in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")


def reload() -> None:
    """Reload, and wait until a new worker answers: a reload whose worker can't bind an address succeeds for systemd."""
    before = worker()
    systemctl("reload", "haproxy")
    end = time.monotonic() + PATIENCE
    while worker() in (None, before):
        if time.monotonic() > end:
            sys.exit("haproxy was reloaded, but no new worker answers; the old one goes on. journalctl -u haproxy says why.")
        time.sleep(0.1)


def restart() -> None:
    """Restart, so that the process reads conf.d. systemd does not notice by itself that a unit's first drop-in is new."""
    systemctl("daemon-reload")
    systemctl("restart", "haproxy")
    if not reads_directory(master()):
        sys.exit(f"haproxy was restarted and does not read {CONFIG.parent}: another drop-in overrules ours (systemctl cat haproxy)")


def master() -> int:
    """The process id of the unit's main process, 0 when it does not run."""
    return int(systemctl("show", "--property=MainPID", "--value", "haproxy"))


def main() -> None:
    current = worker()
    if not reads_directory(master()):
        restart()
        print("restarted")
    elif not CONFIG.exists():
        systemctl("reload", "haproxy")
        print("reloaded")
    elif current is None or started(current) <= CONFIG.stat().st_mtime:
        reload()
        print("reloaded")
    else:
        print("unchanged")


if __name__ == "__main__":
    main()
