# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each sub-command does. Those that run something in the lab replace this process, so that all is passed through."""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import cache, guests, hosts, lifecycle, network, state
from .progress import Progress
from .state import Lab

# What ssh exits with when it does not get to a host.
SSH_FAILED = 255


def run(arguments: argparse.Namespace) -> int:
    """Run a parsed command line; return the exit status."""
    progress = Progress()
    if arguments.command == "up":
        lifecycle.up(arguments.topology, not arguments.no_clusters, progress)
        return 0
    if arguments.command == "build":
        lifecycle.build(True, progress)
        return 0
    if arguments.command == "down":
        with cache.lock("lab", progress):
            lifecycle.down(progress)
        return 0
    return COMMANDS[arguments.command](state.read(), arguments)


def _status(lab: Lab, _: argparse.Namespace) -> int:
    rows = [("HOST", "ROLE", "ADDRESS", "STATE", "CABLES"), *lifecycle.status(lab)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    print(f"state: {lab.state}")
    return 0 if lifecycle.is_complete(lab) else 1


def _exec(lab: Lab, arguments: argparse.Namespace) -> int:
    command = _without_dashes(arguments.arguments)
    if not command:
        raise ValueError("exec needs a command: lab exec HOST -- COMMAND...")
    host = _host(lab, arguments)
    if host in lab.topology.guests and not hosts.pids(lab, host):
        print(f"lab: {host} is off", file=sys.stderr)
        return SSH_FAILED
    network.enter()
    _replace(hosts.argv(lab, host, command, terminal=sys.stdin.isatty() and sys.stdout.isatty()))


def _kubectl(lab: Lab, arguments: argparse.Namespace) -> int:
    if arguments.cluster not in lab.clusters:
        raise ValueError(f"there is no cluster {arguments.cluster} (there are: {', '.join(lab.clusters)})")
    from . import binaries, workloads

    network.enter()
    config = workloads.admin_kubeconfig(lab.topology, lab.state, arguments.cluster)
    program = binaries.path(Path(lab.parts["programs"]), "kubectl")
    _replace([str(program), f"--kubeconfig={config}", *_without_dashes(arguments.arguments)])


def _ansible(lab: Lab, arguments: argparse.Namespace) -> int:
    collections = subprocess.run([cache.TOOLS / "collections"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    scripts = Path(sys.executable).parent
    os.environ |= {
        "ANSIBLE_CONFIG": str(lab.state / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": collections,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
    }
    os.environ.pop("PYTHONPATH", None)
    network.enter()
    os.chdir(cache.CHECKOUT)
    _replace([str(scripts / "ansible-playbook"), *_without_dashes(arguments.arguments)])


def _kill(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.kill(lab, _host(lab, arguments))
    return 0


def _start(lab: Lab, arguments: argparse.Namespace) -> int:
    host = _host(lab, arguments)
    network.enter()
    hosts.start(lab, host)
    if host in lab.topology.guests:
        guests.wait_ready(lab, [host], Progress())
    return 0


def _freeze(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.freeze(lab, _host(lab, arguments))
    return 0


def _thaw(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.thaw(lab, _host(lab, arguments))
    return 0


def _cut(lab: Lab, arguments: argparse.Namespace) -> int:
    network.cut(lab.topology.hosts[_host(lab, arguments)])
    return 0


def _mend(lab: Lab, arguments: argparse.Namespace) -> int:
    network.mend(lab.topology.hosts[_host(lab, arguments)])
    return 0


def _logs(lab: Lab, arguments: argparse.Namespace) -> int:
    host = _host(lab, arguments)
    network.enter()
    print(hosts.logs(lab, host))
    return 0


def _host(lab: Lab, arguments: argparse.Namespace) -> str:
    if arguments.host not in lab.topology.hosts:
        raise ValueError(f"there is no host {arguments.host} (there are: {', '.join(lab.topology.hosts)})")
    return arguments.host


def _without_dashes(arguments: list[str]) -> list[str]:
    return arguments[1:] if arguments[:1] == ["--"] else arguments


def _replace(argv: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(argv[0], argv)


COMMANDS: dict[str, Callable[[Lab, argparse.Namespace], int]] = {
    "status": _status, "exec": _exec, "kubectl": _kubectl, "ansible": _ansible, "kill": _kill, "start": _start,
    "freeze": _freeze, "thaw": _thaw, "cut": _cut, "mend": _mend, "logs": _logs,
}
