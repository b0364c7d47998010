# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command, and what a run of converge.yml said."""
from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from northgate_lab.processes import apart

COMMAND = Path(__file__).resolve().parents[1] / "lab"
STATE = Path(os.environ.get("NORTHGATE_LAB_STATE") or "/var/tmp/northgate-lab")
# Where the client sees the routers.
ROUTERS = {"r1": "10.91.0.11", "r2": "10.91.0.12"}
CONVERGE_SECONDS = 300.0
INGRESS_TASK = "Converge HTTP and HTTPS ingress"
SERVICES_TASK = "Converge LoadBalancer services"
OBSERVE_TASK = "Observe the clusters"
CONFIRMED = ("-e", "northgate_confirm_shrink=alpha,beta")
# With -v, Ansible writes each result in one line.
_TASK = re.compile(r"TASK \[(.*?)\] \*+")
_RESULT = re.compile(r"(?:ok|changed|fatal): \[([\w-]+)(?: -> [\w.-]+)?\].*?=> (\{.*\})")


class LabFailed(AssertionError):
    """A command of the lab failed; the message has what it said."""


def argv(*arguments: str) -> list[str]:
    """Return the command line of ``lab ARGUMENTS``, for a thread of low priority one in a session of its own that has it, too."""
    command = [str(COMMAND), *arguments]
    adjustment = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return apart(adjustment, command) if adjustment > 0 else command


def environment() -> dict[str, str]:
    """Return the environment of commands: ours without what molecule set for the playbooks of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}


def lab(*arguments: str, data: str = "", timeout: float = 60.0) -> str:
    """Return the output of ``lab ARGUMENTS``; raises LabFailed."""
    try:
        result = subprocess.run(argv(*arguments), input=data, capture_output=True, text=True, timeout=timeout, env=environment())
    except subprocess.TimeoutExpired as error:
        raise LabFailed(f"lab {' '.join(arguments)}: no end within {timeout:.0f} s") from error
    if result.returncode:
        raise LabFailed(f"lab {' '.join(arguments)}: {(result.stdout + result.stderr).strip()[-6000:]}")
    return result.stdout


def inventory() -> dict[str, Any]:
    """Return the variables of all hosts, as the lab wrote them."""
    return _all()["vars"]


def hosts() -> dict[str, dict[str, Any]]:
    """Return the variables of each host, but for those of all hosts."""
    found: dict[str, dict[str, Any]] = {}

    def collect(group: dict[str, Any], inherited: dict[str, Any]) -> None:
        known = inherited | (group.get("vars") or {})
        for name, variables in (group.get("hosts") or {}).items():
            found[name] = found.get(name, {}) | known | (variables or {})
        for child in (group.get("children") or {}).values():
            collect(child or {}, known)

    collect({"children": _all()["children"]}, {})
    return found


def _all() -> dict[str, Any]:
    return yaml.safe_load((STATE / "inventory.yml").read_text("utf-8"))["all"]


@dataclass(frozen=True)
class Run:
    """The results of a playbook's run, by task and host."""

    results: dict[str, dict[str, dict[str, Any]]]

    def ingress(self, router: str) -> dict[str, Any]:
        """Return the result of haproxy_ingress on a router."""
        return self.results[INGRESS_TASK][router]

    def services(self, router: str) -> dict[str, Any]:
        """Return the result of ipvs_services on a router."""
        return self.results[SERVICES_TASK][router]

    @property
    def reload_reasons(self) -> set[str]:
        """Why routers were reloaded; empty when none was."""
        return {result["reload_reason"] for result in self.results[INGRESS_TASK].values()} - {""}

    @property
    def served_from(self) -> dict[str, set[str]]:
        """What each cluster is served from, as all routers say."""
        found: dict[str, set[str]] = {}
        for result in self.results[INGRESS_TASK].values():
            for cluster, source in result["clusters"].items():
                found.setdefault(cluster, set()).add(source)
        return found


def converge(*options: str) -> Run:
    """Run converge.yml; raises LabFailed. With CONFIRMED it may take away more than the guard against that lets it."""
    return Run(results(lab("ansible", "--", "-v", *options, "playbooks/converge.yml", timeout=CONVERGE_SECONDS)))


def results(text: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the results in what ``ansible-playbook -v`` wrote, by task and host."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    task = ""
    for line in text.splitlines():
        if match := _TASK.match(line):
            task = match[1]
        elif match := _RESULT.match(line):
            found.setdefault(task, {})[match[1]] = json.loads(match[2])
    return found


def reloads(router: str) -> int:
    """Return how often haproxy's workers on a router were replaced since it started."""
    ask = ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy-master.sock'); s.sendall(b'show proc\\n'); s.shutdown(1); "
           "print(b''.join(iter(lambda: s.recv(4096), b'')).decode())")
    lines = lab("exec", router, "--", "python3", "-c", ask).splitlines()
    return next(int(line.split()[2]) for line in lines if line.split()[1:2] == ["master"])
