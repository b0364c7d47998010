# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real BIRDs with the role's configuration, each on a host of its own. All hosts are on one segment, which is their interface eth0."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import namespaces
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from waiting import wait_for

from ansible_collections.northgate.edge.plugins.module_utils._bird.info import gather

ROLE = Path(__file__).parents[2] / "roles/bird"
# Another version of BIRD may be tried; it needs no client.
BIRD = os.environ.get("NORTHGATE_BIRD") or shutil.which("bird") or "/usr/sbin/bird"
SEGMENT, NUMBERS = "eth0", {"r1": 1, "r2": 2, "out": 9}
# What the routers announce, and their addresses as next hops.
POOL, POOL6 = "203.0.113.0/24", "2001:db8:100::/64"
R1, R2 = {"10.0.0.1"}, {"10.0.0.2"}


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=check, stdin=subprocess.DEVNULL)


def render(template: str, variables: dict[str, t.Any]) -> str:
    """A template of the role, with its defaults where ``variables`` does not say otherwise."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    empty = {"bird_announce": [], "bird_gateway_prefixes": [], "bird_stand_in_clusters": [], "bird_neighbors": [], "bird_export_upstream": []}
    text = (ROLE / "templates" / template).read_text(encoding="utf-8")
    return Templar(loader=DataLoader(), variables={**plain, **empty, **variables}).template(trust_as_template("#jinja2: trim_blocks:True\n" + text))


class Host:
    """A host's BIRD. ``variables`` are those of the role; write() and take_over() do what the role does."""

    def __init__(self, network: namespaces.Network, directory: Path, name: str, **variables: t.Any) -> None:
        self.name, self.directory, self.network, self.host = name, directory / name, network, network.hosts[name]
        self.config, self.passwords, self.drain_file = (self.directory / file for file in ("bird.conf", "passwords.conf", "drain.conf"))
        self.socket = str(self.directory / "bird.ctl")
        self.variables = {"bird_router_id": self.host.addresses[SEGMENT][0].partition("/")[0], "bird_drain_file": str(self.drain_file),
                          "bird_password_file": str(self.passwords), **variables}
        self.process: subprocess.Popen[bytes] | None = None
        self.drain(False)

    def drain(self, drains: bool) -> None:
        self.drain_file.write_text(f"define ng_drain = {str(drains).lower()};\n")

    def write(self, **variables: t.Any) -> None:
        self.variables.update(variables)
        self.passwords.write_text(render("passwords.conf.j2", self.variables))
        self.config.write_text(render("bird.conf.j2", self.variables).replace("log syslog all;", f'log "{self.directory}/log" all;'))

    def check(self) -> subprocess.CompletedProcess[str]:
        """What the role's task `validate` says of the file."""
        return run(BIRD, "-p", "-c", self.config, check=False)

    def start(self, *arguments: str, **variables: t.Any) -> Host:
        if not arguments:
            self.write(**variables)
        with (self.directory / "output").open("ab") as output:
            self.process = subprocess.Popen(self.host.command(BIRD, "-f", "-c", str(self.config), "-s", self.socket, "-P", str(self.directory / "pid"),
                                                              *arguments), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        until(lambda: self.info("protocols")["running"], f"{self.name} answers")
        return self

    def kill(self) -> None:
        """As kill -9 does: BIRD says good-bye to nobody."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, command: str) -> str:
        """What birdc would print."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.socket)
            lines = connection.makefile("r")
            next(lines)
            connection.sendall(command.encode() + b"\n")
            answer = []
            for line in lines:
                answer.append(line)
                if line[:4].isdigit() and line[4:5] == " ":
                    break
        return "".join(answer)

    def take_over(self, timeout: int = 10) -> subprocess.CompletedProcess[str]:
        """The role's script, on this host's files."""
        return run(sys.executable, ROLE / "files/take_over.py", "--socket", self.socket, "--timeout", str(timeout), self.config, self.passwords,
                   self.drain_file, check=False)

    def info(self, *wanted: str, **options: t.Any) -> dict[str, t.Any]:
        """What the module bird_info returns."""
        return gather(self.socket, wanted, options.get("prefix"), options.get("protocol"), options.get("table"), options.get("limit", 0))

    def sessions(self) -> dict[str, dict[str, t.Any]]:
        """The BGP protocols by name."""
        return {entry["name"]: entry for entry in self.info("protocols", "bfd")["protocols"] if entry["type"] == "BGP"}

    def up(self, *names: str, bfd: str = "Up") -> bool:
        found = self.sessions()
        return all(name in found and (found[name]["bgp_state"], found[name]["bfd"]) == ("Established", bfd) for name in names)

    def routes(self, version: int = 4) -> dict[str, set[str]]:
        """The kernel's routes that are BIRD's: destination -> addresses of the next hops."""
        found = {}
        for route in json.loads(self.host.run("ip", f"-{version}", "-j", "route", "show", "proto", "bird") or "[]"):
            hops = route.get("nexthops", [route])
            found[route["dst"]] = {hop.get("gateway") or hop.get("via", {}).get("host", "") for hop in hops}
        return found


def until(condition: t.Callable[[], t.Any], what: str, timeout: float = 30.0) -> t.Any:
    """wait_for, for as long as BIRD's own timers take."""
    return wait_for(condition, what, timeout)


def lab(directory: Path) -> t.Iterator[tuple[Host, Host, Host]]:
    """Hosts r1 and r2 (routers of one group, AS 64500) and out (AS 64700), not started; all are gone afterwards."""
    network = namespaces.Network(directory, {SEGMENT: ("10.0.0.", "fd00::")}, {name: (number, [SEGMENT]) for name, number in NUMBERS.items()})
    hosts: list[Host] = []
    try:
        outside = [{"name": "out", "addresses": ["10.0.0.9", "fd00::9"], "asn": 64700, "export_prefixes": [POOL, POOL6]}]
        routers = [{"name": f"r{number}", "addresses": [f"10.0.0.{number}", f"fd00::{number}"], "asn": 64500, "import_prefixes": [POOL, POOL6]}
                   for number in (1, 2)]
        for name in ("r1", "r2"):
            hosts.append(Host(network, directory, name, bird_asn=64500, bird_announce=[POOL, POOL6], bird_neighbors=outside))
        hosts.append(Host(network, directory, "out", bird_asn=64700, bird_neighbors=routers))
        yield hosts[0], hosts[1], hosts[2]
    finally:
        for host in hosts:
            host.kill()
        network.end()


def neighbors(host: Host, *changes: dict[str, t.Any], **values: t.Any) -> list[dict[str, t.Any]]:
    """A host's neighbours with other values: for all of them, and for each in their order."""
    return [{**entry, **values, **(changes[number] if number < len(changes) else {})} for number, entry in enumerate(host.variables["bird_neighbors"])]
