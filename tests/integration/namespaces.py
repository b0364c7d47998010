# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in network namespaces of their own on segments between them, for daemons that need no kernel of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import typing as t
from pathlib import Path

# With the number of the process that made it, so that runs don't meet.
PREFIX = "northgate-test"


class Host:
    """A host with a network, /etc, /run and /var/lib of its own. ``number`` ends its addresses, which are by segment, IPv4 first."""

    def __init__(self, name: str, number: int, segments: dict[str, list[str]], root: Path) -> None:
        self.name = name
        self.addresses = {segment: [f"{prefix}{number}/{24 if version == 4 else 64}" for prefix, version in zip(prefixes, (4, 6), strict=True)]
                          for segment, prefixes in segments.items()}
        self.etc = root / name / "etc"
        self.started: list[subprocess.Popen[t.Any]] = []
        self._namespace = _name(name)
        for directory in ("etc", "run", "lib"):
            (root / name / directory).mkdir(parents=True)
        subprocess.run(["cp", "-a", "/etc/.", str(self.etc)], check=True)
        binds = {self.etc: "/etc", root / name / "run": "/run", root / name / "lib": "/var/lib"}
        mounts = " && ".join(f"mount --bind {shlex.quote(str(source))} {target}" for source, target in binds.items())
        _ip("netns", "add", self._namespace)
        self._holder = subprocess.Popen(
            ["ip", "netns", "exec", self._namespace, "unshare", "--mount", "sh", "-c", f"{mounts} && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout and self._holder.stdout.readline() == "ready\n"
        self.run("ip", "link", "set", "lo", "up")

    def plug(self, switch: str) -> None:
        """Connects it with the bridges of its segments in the namespace ``switch``; its interfaces are called like them."""
        for segment, addresses in self.addresses.items():
            port = f"{self.name}-{segment}"
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", segment, "netns", self._namespace)
            _ip("-n", switch, "link", "set", port, "master", segment, "up")
            self.run("ip", "link", "set", segment, "up")
            for address in addresses:
                self.run("ip", "address", "add", address, "dev", segment, *(["nodad"] if ":" in address else []))

    def command(self, *arguments: str) -> list[str]:
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", *arguments]

    def run(self, *arguments: str, data: str = "") -> str:
        """What a command says; its failure fails the test."""
        done = subprocess.run(self.command(*arguments), input=data, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{self.name}: {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[t.Any]:
        """Starts a daemon that stays in the foreground; ``end`` ends it."""
        with open(log, "ab") as file:
            self.started.append(subprocess.Popen(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=file, stderr=file))
        return self.started[-1]

    def interfaces(self) -> list[dict[str, t.Any]]:
        return json.loads(self.run("ip", "-json", "address"))

    def has(self, address: str, interface: str) -> bool:
        return any(entry["local"] == address for link in self.interfaces() if link["ifname"] == interface for entry in link["addr_info"])

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._holder.kill()
        self._holder.wait()
        _ip("netns", "delete", self._namespace)


class Network:
    """Hosts (name, number, segments) plugged into bridges, one for each segment (name: IPv4 and IPv6 prefix up to the number)."""

    def __init__(self, root: Path, segments: dict[str, tuple[str, str]], hosts: dict[str, tuple[int, t.Sequence[str]]]) -> None:
        remove_left()
        self.hosts: dict[str, Host] = {}
        self._switch = _name("switch")
        _ip("netns", "add", self._switch)
        for segment in segments:
            _ip("-n", self._switch, "link", "add", segment, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
            _ip("-n", self._switch, "link", "set", segment, "up")
        for name, (number, of_host) in hosts.items():
            self.hosts[name] = Host(name, number, {segment: list(segments[segment]) for segment in of_host}, root)
            self.hosts[name].plug(self._switch)

    def cut(self, host: str, segment: str) -> None:
        _ip("-n", self._switch, "link", "set", f"{host}-{segment}", "nomaster")

    def mend(self, host: str, segment: str) -> None:
        _ip("-n", self._switch, "link", "set", f"{host}-{segment}", "master", segment)

    def end(self) -> None:
        for host in self.hosts.values():
            host.end()
        _ip("netns", "delete", self._switch)


def remove_left() -> None:
    """Removes namespaces that an interrupted run left, with what runs in them."""
    directory = "/run/netns"
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        maker = re.match(rf"{PREFIX}-(\d+)-", name)
        if maker and not os.path.exists(f"/proc/{maker[1]}"):
            for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout.split():
                os.kill(int(pid), 9)
            _ip("netns", "delete", name)


def _name(of: str) -> str:
    return f"{PREFIX}-{os.getpid()}-{of}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
