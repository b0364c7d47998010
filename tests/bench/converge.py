# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long converge.yml takes, against a playbook with one ping task on the same hosts; and how much memory."""

from __future__ import annotations

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass

import edge
import yaml
from clusters import Cluster
from figure import CouldNotMeasure, Figure, Measurement
from memory import Peaks

FEW, MANY = 5_000, 50_000
ROUNDS = 5
ROUTERS = ("r1", "r2")
MB = 1_000_000
BOUND_SECONDS = 600.0

METHOD = f"""\
Two kube-apiservers hold the ingresses, half of them each, a tenth with annotations; two haproxies with the settings of the role `haproxy` are the
routers. All run on this machine, and Ansible reaches the routers by local connections (`{ROUTERS[0]}` and `{ROUTERS[1]}`), so that nothing but the paths of
their files and sockets was added to `playbooks/converge.yml`. It observes, converges both routers, and compares the status of every ingress. The ping playbook
has the same hosts and connections, and `ansible.builtin.ping` as its only task. {ROUNDS} rounds, in turn: ping, nothing to do, one ingress changed (its
path, before each run); the figures are the medians of the rounds' ratios. Memory is the largest sum, at any time of any run, of the
proportional set sizes of the processes on the controller, and of the module and haproxy's check on a router; without haproxy itself."""


@dataclass(frozen=True)
class Run:
    """A playbook that was run: seconds, how many tasks changed something on all hosts together, and memory in bytes."""

    seconds: float
    changed: int
    controller: int
    router: int


class Site:
    """Two clusters, two routers and an inventory for them below ``root``."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.clusters = [Cluster(root / name, name) for name in ("alpha", "beta")]
        self.routers = [edge.router(root / name) for name in ROUTERS]
        self._ping = self._write("ping.yml", [{"hosts": "routers", "gather_facts": False, "tasks": [{"ansible.builtin.ping": None}]}])
        self._converge = self._write("converge.yml", [_with_paths(play) for play in edge.playbook("converge")])

    def start(self) -> None:
        for part in (*self.clusters, *self.routers):
            part.start()
        self._inventory = self._write("inventory.yml", self._hosts())

    def stop(self) -> None:
        for part in (*self.clusters, *self.routers):
            part.stop()

    def _write(self, name: str, document: t.Any) -> pathlib.Path:
        path = self.root / name
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    def _hosts(self) -> dict[str, t.Any]:
        hosts = {
            name: {
                "bench_config": str(router.config_dir),
                "bench_socket": router.socket,
                "bench_master": router.master_socket,
                "bench_state": str(router.root / "state"),
                "northgate_http_bind": list(router.options.http_bind),
                "northgate_https_bind": list(router.options.https_bind),
            }
            for name, router in zip(ROUTERS, self.routers)
        }
        variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "northgate_snapshots": str(self.root / "snapshots"),
            "northgate_clusters": {cluster.name: cluster.options() for cluster in self.clusters},
            "northgate_router_group": "edge",
            "northgate_router_groups": {"edge": {"clusters": [c.name for c in self.clusters], "ingress_addresses": ["192.0.2.80"]}},
            "northgate_observation_timeout": BOUND_SECONDS,
        }
        return {"routers": {"hosts": hosts, "vars": variables}}

    def ping(self) -> Run:
        return self._play(self._ping)

    def converge(self) -> Run:
        return self._play(self._converge)

    def _play(self, playbook: pathlib.Path) -> Run:
        environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(self.root / "ansible"), "ANSIBLE_REMOTE_TEMP": str(self.root / "remote")}
        log = self.root / "ansible.log"
        began = time.monotonic()
        with open(log, "w", encoding="utf-8") as output:
            process = subprocess.Popen(
                ["ansible-playbook", "-i", str(self._inventory), str(playbook)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
            peaks = Peaks(process.pid, "AnsiballZ_haproxy_ingress")
            try:
                process.wait(BOUND_SECONDS)
            finally:
                process.kill()
                peaks.stop()
        seconds = time.monotonic() - began
        text = log.read_text("utf-8")
        recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", text, re.MULTILINE)
        if process.returncode or sorted(host for host, _changed in recap) != sorted(ROUTERS):
            raise CouldNotMeasure(f"{playbook.name} failed:\n{text[-3000:]}")
        return Run(seconds, sum(int(changed) for _host, changed in recap), peaks.others, peaks.largest)


def _with_paths(play: dict[str, t.Any]) -> dict[str, t.Any]:
    for task in play["tasks"]:
        if "northgate.edge.haproxy_ingress" in task:
            paths = {"config_dir": "config", "socket": "socket", "master_socket": "master", "state_dir": "state"}
            task["northgate.edge.haproxy_ingress"] |= {name: "{{ bench_%s }}" % of for name, of in paths.items()}
    return play


def measure() -> Measurement:
    """Times and memory. Raises CouldNotMeasure when a run does not do what it should."""
    with tempfile.TemporaryDirectory(prefix="northgate-bench-") as name:
        site = Site(pathlib.Path(name))
        try:
            site.start()
            few = _rounds(site, FEW, ROUNDS)
            many = _rounds(site, MANY, 1)
        finally:
            site.stop()
    return _measurement(few, many)


def _rounds(site: Site, ingresses: int, rounds: int) -> dict[str, list[Run]]:
    """Runs with so many ingresses, by kind."""
    for cluster in site.clusters:
        cluster.fill(ingresses // len(site.clusters))
    runs: dict[str, list[Run]] = {"all is new": [_checked("all is new", site.converge(), True)], "ping": [], "nothing to do": [], "one changed": []}
    for _number in range(rounds):
        runs["ping"].append(site.ping())
        runs["nothing to do"].append(_checked("nothing to do", site.converge(), False))
        site.clusters[0].change_one()
        runs["one changed"].append(_checked("one changed", site.converge(), True))
        shown = ", ".join(f"{kind} {of[-1].seconds:.2f} s" for kind, of in runs.items())
        print(f"  {ingresses:,} ingresses: {shown}", file=sys.stderr)
    return runs


def _checked(kind: str, run: Run, changes: bool) -> Run:
    if bool(run.changed) != changes:
        raise CouldNotMeasure(f"the run in which {kind} has {run.changed} changed tasks")
    return run


def _measurement(few: dict[str, list[Run]], many: dict[str, list[Run]]) -> Measurement:
    def over_ping(kind: str) -> float:
        return statistics.median(run.seconds / ping.seconds for run, ping in zip(few[kind], few["ping"]))

    def growth(kind: str) -> float:
        return _seconds(many[kind]) / _seconds(few[kind])

    runs = [run for of in many.values() for run in of]
    figures = (
        Figure(f"converge_{FEW}_nothing_to_do_over_ping", over_ping("nothing to do"), "times", at_most=3),
        Figure(f"converge_{FEW}_one_changed_over_ping", over_ping("one changed"), "times", at_most=3.5),
        Figure(f"converge_{MANY}_over_{FEW}_nothing_to_do", growth("nothing to do"), "times", at_most=12),
        Figure(f"converge_{MANY}_over_{FEW}_one_changed", growth("one changed"), "times", at_most=12),
        Figure(f"converge_{MANY}_controller", max(run.controller for run in runs) / MB, "MB", at_most=500),
        Figure(f"converge_{MANY}_router", max(run.router for run in runs) / MB, "MB", at_most=200),
    )
    rows = [("", f"{FEW:,} ingresses", "", "", f"{MANY:,} ingresses", "", ""), ("", *("time", "controller", "router") * 2)]
    for kind in few:
        rows.append((kind, *_cells(few[kind]), *_cells(many[kind])))
    return Measurement("converge.yml", figures, METHOD, tuple(rows))


def _seconds(runs: list[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def _cells(runs: list[Run]) -> tuple[str, str, str]:
    router = max(run.router for run in runs) / MB
    return f"{_seconds(runs):.2f} s", f"{max(run.controller for run in runs) / MB:.0f} MB", f"{router:.0f} MB" if router else ""
