# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this router can serve, for keepalived, which watches the two files in /run/northgate/health. Managed by Ansible (role northgate.edge.keepalived).

haproxy: the local haproxy answers and takes connections on its ports. routes: BGP is up, and the rules of services are in the kernel. A file has 0 for
yes and 1 for no. One process that stays costs far less than a new one for each check, and is heard at once.

One BGP session is enough to keep VIPs. A router that had none, or did not run for a while, has others preferred until haproxy has had the time to find
the pods again, and until all sessions are back or it has waited long enough for them.
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
# A pause of so many seconds between two checks is none of the checks' own: the router was frozen, and others have taken over.
STALL = 5.0


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


def bgp() -> tuple[str, str]:
    """Why there is no BGP, and what of it is missing. A router without BIRD, or whose BIRD has no neighbours, has none to lose."""
    if not BIRD_ENABLED.exists():
        return "", ""
    try:
        lines = [line for line in protocols().splitlines() if " BGP " in line]
    except OSError as error:
        return f"BIRD does not answer: {error}", ""
    missing = [line.split()[0] for line in lines if "Established" not in line]
    if lines and len(missing) == len(lines):
        return "no BGP session is up", ""
    return "", f"without BGP: {' '.join(missing)}" if missing else ""


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
    """What keepalived is told: no after ``fall`` checks that failed; yes when nothing was wrong for ``settle`` seconds and nothing missing either, or
    nothing wrong for ``patience`` seconds. What was told last holds when the process starts anew.
    """

    def __init__(self, name: str, check: Callable[[], tuple[str, str]], fall: int, settle: float, patience: float) -> None:
        self._name, self._check, self._fall, self._settle, self._patience = name, check, fall, settle, patience
        self._failed = 0
        # Since when nothing has been wrong, and nothing missing.
        self._well_since: float | None = None
        self._whole_since: float | None = None
        try:
            self._well = (FILES / name).read_text(encoding="ascii").strip() == "0"
        except OSError:
            self._tell(False, "not known yet")

    def look(self, now: float) -> None:
        """Check once; ``now`` is the time in seconds of a clock that only goes on."""
        wrong, missing = self._check()
        self._failed = self._failed + 1 if wrong else 0
        self._well_since = _since(self._well_since, now, not wrong)
        self._whole_since = _since(self._whole_since, now, not wrong and not missing)
        if self._well and self._failed >= self._fall:
            self._tell(False, wrong)
        elif not self._well and (_lasts(self._whole_since, now, self._settle) or _lasts(self._well_since, now, self._patience)):
            self._tell(True, missing or "well")

    def doubt(self, why: str) -> None:
        """Tell no until it is well again."""
        self._well_since = self._whole_since = None
        if self._well:
            self._tell(False, why)

    def _tell(self, well: bool, why: str) -> None:
        self._well = well
        FILES.mkdir(parents=True, exist_ok=True)
        (FILES / self._name).write_text("0\n" if well else "1\n", encoding="ascii")
        print(f"{self._name}: {why}", flush=True)


def _since(before: float | None, now: float, holds: bool) -> float | None:
    """Since when something holds that has held since ``before``; None when it does not."""
    if not holds:
        return None
    return now if before is None else before


def _lasts(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="say what is wrong, and fail when something is")
    parser.add_argument("--interval", type=float, default=0.5)
    parser.add_argument("--fall", type=int, default=3)
    parser.add_argument("--settle", type=float, default=6.0, help="seconds for which BGP and rules have to be there")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for BGP sessions while others are up")
    parser.add_argument("health", help="ADDRESS:PORT/PATH of haproxy's own health")
    parser.add_argument("ports", type=int, nargs="*")
    options = parser.parse_args()
    rules = Rules()

    def routes() -> tuple[str, str]:
        wrong, missing = bgp()
        return wrong or rules.missing(), missing

    checks = {"haproxy": lambda: (haproxy(options.health, options.ports), ""), "routes": routes}
    if options.once:
        wrong = [why for why, _missing in (check() for check in checks.values()) if why]
        sys.exit("; ".join(wrong) or 0)
    os.chdir("/")
    # Of haproxy two good checks are enough.
    settle = {"haproxy": options.interval, "routes": options.settle}
    verdicts = {name: Verdict(name, check, options.fall, settle[name], options.patience) for name, check in checks.items()}
    last = time.monotonic()
    while True:
        now = time.monotonic()
        if now - last > options.interval + STALL:
            verdicts["routes"].doubt(f"nothing ran for {now - last:.0f} s")
        last = now
        for verdict in verdicts.values():
            verdict.look(time.monotonic())
        time.sleep(options.interval)


if __name__ == "__main__":
    main()
