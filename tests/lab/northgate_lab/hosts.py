# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of either kind, guest or hosted, seen alike: run something there, pull the plug, switch on again."""
from __future__ import annotations

import os
import shlex
import signal
import subprocess
from typing import Any

from . import guests, network, processes
from .progress import tail
from .state import Lab
from .topology import CONTROL_PLANE


def argv(lab: Lab, host: str, command: list[str], terminal: bool = False) -> list[str]:
    """Return the command line that runs `command` on a host, from within the lab's network."""
    if host in lab.topology.guests:
        return [*guests.ssh(lab, host, *(["-t"] if terminal else [])), "--", shlex.join(command)]
    return ["nsenter", f"--net={network.NAMESPACES / network.namespace(host)}", "--", *command]


def run(lab: Lab, host: str, command: list[str], **options: Any) -> subprocess.CompletedProcess:
    """Run a command on a host and wait for it; `options` are those of subprocess.run."""
    return subprocess.run(argv(lab, host, command), **options)


def spawn(lab: Lab, host: str, name: str, command: list[str], env: dict[str, str]) -> int:
    """Start a process on a hosted host, in a session of its own, with NAME.log and NAME.pid; return its pid."""
    directory = lab.directory(host)
    directory.mkdir(parents=True, exist_ok=True)
    return processes.spawn(argv(lab, host, command), directory / f"{name}.log", directory / f"{name}.pid", env)


def pids(lab: Lab, host: str) -> dict[str, int]:
    """Return the pids of a host's processes that run, by name."""
    found = {file.stem: processes.running(file) for file in sorted(lab.directory(host).glob("*.pid"))}
    return {name: pid for name, pid in found.items() if pid is not None}


def start(lab: Lab, host: str) -> bool:
    """Start what does not run of a host; return whether there was anything. Runs in the lab's network."""
    present = pids(lab, host)
    if host in lab.topology.guests:
        if not present:
            guests.boot(lab, host)
        return not present
    missing = [entry for entry in _commands(lab, host) if entry[0] not in present]
    for name, command, env in missing:
        spawn(lab, host, name, command, env)
    return bool(missing)


def kill(lab: Lab, host: str) -> None:
    """Pull the plug: everything of the host ends at once, and is gone when this returns."""
    processes.end_sessions(pids(lab, host).values())
    for file in lab.directory(host).glob("*.pid"):
        file.unlink()
    if host in lab.topology.guests:
        guests.disconnect(lab, host)


def freeze(lab: Lab, host: str) -> None:
    """Stop everything of a host where it is, as a hypervisor that pauses it."""
    processes.signal_sessions(pids(lab, host).values(), signal.SIGSTOP)


def thaw(lab: Lab, host: str) -> None:
    """Let everything of a host go on that `freeze` stopped."""
    processes.signal_sessions(pids(lab, host).values(), signal.SIGCONT)


def logs(lab: Lab, host: str) -> str:
    """Return the paths and contents of a host's logs, and the journal of a guest that answers."""
    parts = [f"== {file}\n{tail(file, 1000)}" for file in sorted(lab.directory(host).glob("*.log"))]
    if host in lab.topology.guests and pids(lab, host):
        journal = run(lab, host, ["journalctl", "--boot", "--no-pager", "--lines=1000"], stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        parts.append(f"== journal of {host}\n{journal.stdout}")
    return "\n".join(parts)


def _commands(lab: Lab, host: str) -> list[tuple[str, list[str], dict[str, str]]]:
    if not lab.clusters or lab.topology.hosts[host].role not in CONTROL_PLANE:
        return []
    # Only here, so that a lab without clusters needs nothing of theirs.
    from . import control_plane

    return [(name, command, os.environ | env) for name, command, env in control_plane.commands(lab.topology, lab.state, host)]
