# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this router can serve, for keepalived, which watches the two files in /run/northgate/health. Managed by Ansible (role northgate.edge.keepalived).

haproxy: the local haproxy answers and takes connections on its ports. routes: BGP is up, and the rules of services are in the kernel. A file has 0 for
yes and 1 for no. One process that stays costs far less than a new one for each check, and is heard at once.
"""
from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILES = Path("/run/northgate/health")
BIRD_ENABLED = Path("/etc/systemd/system/multi-user.target.wants/bird.service")
BIRD_SOCKET = "/run/bird/bird.ctl"
RULES, TABLE = Path("/etc/ipvsadm.rules"), Path("/proc/net/ip_vs")
# In seconds, for each answer.
PATIENCE = 1.0
# Lines above the first rule in TABLE.
HEADING = 3


def answers(address: str, path: str) -> bool:
    """Whether a GET of the path is answered with status 200."""
    host, _colon, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        return b" 200 " in connection.recv(64)


def haproxy(health: str, ports: list[int]) -> str:
    """Why the local haproxy can't serve; "" when it can. Nothing is sent to its ports, so nothing is logged."""
    address, _slash, path = health.partition("/")
    try:
        if not answers(address, path):
            return f"haproxy does not answer 200 at {health}"
    except OSError as error:
        return f"haproxy does not answer at {health}: {error}"
    for port in ports:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError as error:
            return f"haproxy takes no connections on port {port}: {error}"
    return ""


def protocols() -> str:
    """What BIRD says to `show protocols`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(BIRD_SOCKET)
        with connection.makefile("rw", encoding="utf-8", errors="replace") as lines:
            lines.readline()
            lines.write("show protocols\n")
            lines.flush()
            said = []
            for line in lines:
                said.append(line)
                # A code and a blank end the answer; a hyphen in place of the blank does not.
                if line[:4].isdigit() and line[4:5] == " ":
                    break
    return "".join(said)


def bgp() -> str:
    """Why there is no BGP. One session is enough: a worker that is down is no reason to move. A router without BIRD, or whose BIRD has no neighbours, has
    none to lose."""
    if not BIRD_ENABLED.exists():
        return ""
    try:
        said = protocols()
    except OSError as error:
        return f"BIRD does not answer: {error}"
    return "no BGP session is up" if " BGP " in said and "Established" not in said else ""


class Rules:
    """The rules of services: those for the boot, which are read when they change, and those in the kernel."""

    def __init__(self) -> None:
        self._read_at, self._wanted = 0, False

    def missing(self) -> str:
        """Why they are not there."""
        try:
            changed = RULES.stat().st_mtime_ns
        except OSError:
            return ""
        if changed != self._read_at:
            with RULES.open(encoding="utf-8", errors="replace") as lines:
                # The distribution's own file has a comment alone.
                self._wanted = any(line.startswith("-A") for line in lines)
            self._read_at = changed
        return "the rules of services are not in the kernel" if self._wanted and self._kernel_has_none() else ""

    def _kernel_has_none(self) -> bool:
        try:
            with TABLE.open(encoding="ascii") as lines:
                return sum(1 for _number, _line in zip(range(HEADING + 1), lines)) <= HEADING
        except OSError:
            return True


class Verdict:
    """What keepalived is told: no after ``fall`` checks that failed, yes after ``rise`` good ones; the first decides alone."""

    def __init__(self, name: str, check: Callable[[], str], fall: int, rise: int) -> None:
        self._name, self._check, self._needed = name, check, {True: rise, False: fall}
        self._well: bool | None = None
        self._count = 0

    def look(self) -> None:
        why = self._check()
        well = not why
        self._count = self._count + 1 if well != self._well else 0
        if self._well is None or self._count >= self._needed[well]:
            self._well, self._count = well, 0
            FILES.mkdir(parents=True, exist_ok=True)
            (FILES / self._name).write_text("0\n" if well else "1\n", encoding="ascii")
            print(f"{self._name}: {why or 'well'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="say what is wrong, and fail when something is")
    parser.add_argument("--interval", type=float, default=0.5)
    parser.add_argument("--fall", type=int, default=3)
    parser.add_argument("--rise", type=int, default=2)
    parser.add_argument("health", help="ADDRESS:PORT/PATH of haproxy's own health")
    parser.add_argument("ports", type=int, nargs="*")
    options = parser.parse_args()
    rules = Rules()
    checks = {"haproxy": lambda: haproxy(options.health, options.ports), "routes": lambda: bgp() or rules.missing()}
    if options.once:
        wrong = [why for why in (check() for check in checks.values()) if why]
        sys.exit("; ".join(wrong) or 0)
    os.chdir("/")
    verdicts = [Verdict(name, check, options.fall, options.rise) for name, check in checks.items()]
    while True:
        for verdict in verdicts:
            verdict.look()
        time.sleep(options.interval)


if __name__ == "__main__":
    main()
