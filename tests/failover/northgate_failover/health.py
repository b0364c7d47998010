# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether everything of the lab is as it should be: addresses, sessions, routes, servers, nodes, API servers."""
from __future__ import annotations

import concurrent.futures
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from driver import clusters, routing
from driver.command import LabFailed, lab

# One command for all that a guest knows; parts end with a line of ====.
PARTS = ("addresses", "protocols", "bfd", "units", "servers")
SERVERS = ("import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/northgate.sock'); s.sendall(b'show stat -1 4 -1\\n'); "
           "print(b''.join(iter(lambda: s.recv(65536), b'')).decode())")
SCRIPT = f"""
ip -j address show; echo ====
birdc show protocols 2>&1; echo ====
birdc show bfd sessions 2>&1; echo ====
systemctl is-active $UNITS; echo ====
case $UNITS in *haproxy*) python3 -c "{SERVERS}" 2>&1 ;; esac; echo ====
"""
ROUTER_UNITS, OTHER_UNITS = "haproxy bird keepalived", "bird"
GUEST_SECONDS, PAUSE = 15.0, 3.0
LOWEST = 19
_BFD = re.compile(r"^\s*(\S+)\s+\S+\s+(Up|Down|Init)\s")


class NotHealthy(LabFailed):
    """Something is not as it should be; the message says what."""


def look(guest: str, is_router: bool) -> dict[str, str]:
    """Return what a guest says of itself, by part. Raises LabFailed."""
    units = ROUTER_UNITS if is_router else OTHER_UNITS
    # What is not active makes the whole command fail, which is no matter here.
    text = lab("exec", guest, "--", "nice", f"--adjustment={LOWEST}", "sh", "-c", f"UNITS='{units}'; {SCRIPT} true", timeout=GUEST_SECONDS)
    found = dict(zip(PARTS, text.split("====\n")))
    if len(found) != len(PARTS):
        raise LabFailed(f"{guest} says only {text[-300:]!r}")
    return found


def addresses(found: dict[str, str]) -> set[str]:
    """Return the addresses that a guest has on its segments. On lo every router has the VIPs."""
    return {entry["local"] for link in json.loads(found["addresses"] or "[]") if link.get("ifname") != "lo"
            for entry in link.get("addr_info", ()) if "local" in entry}


def problems(guest: str, found: dict[str, str]) -> list[str]:
    """Return what is not well on a guest, by what it says."""
    return [
        *(f"{guest}: BGP {name} is {state}" for name, state in _sessions(found["protocols"]) if state != "Established"),
        *(f"{guest}: BFD with {neighbour} is {state}" for neighbour, state in _bfd(found["bfd"]) if state != "Up"),
        *(f"{guest}: a unit is {state}" for state in found["units"].split() if state != "active"),
        *(f"{guest}: server {name} is {state}" for name, state in _servers(found["servers"]) if state.startswith("DOWN")),
    ]


def _sessions(text: str) -> list[tuple[str, str]]:
    """Name and state of each BGP session; a guest whose BIRD says nothing has one without a name."""
    rows = [line.split(maxsplit=5) for line in text.splitlines() if line.split()[1:2] == ["BGP"]]
    found = [(row[0], row[5].split()[0] if len(row) > 5 and row[5].strip() else row[3]) for row in rows]
    return found or [("", f"unknown: {text.strip()[-100:]}")]


def _bfd(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in map(_BFD.match, text.splitlines()) if match]


def _servers(text: str) -> list[tuple[str, str]]:
    """Backend/server and state of each server that is checked."""
    lines = [line.lstrip("# ").split(",") for line in text.splitlines() if "," in line]
    # Where there is no table it says why.
    if not lines or "status" not in lines[0]:
        return [("", f"DOWN: {text.strip()[-100:]}")] if text.strip() else []
    heading, *rows = lines
    status = heading.index("status")
    return [(f"{row[0]}/{row[1]}", row[status]) for row in rows]


def misplaced(group: dict[str, Any], held: dict[str, set[str]]) -> list[str]:
    """Return what is wrong with the VIPs of a router group; ``held`` are the addresses of each of its routers."""
    wrong = []
    for name, vip in (group.get("vips") or {}).items():
        wanted = {address.split("/")[0] for address in vip["addresses"]}
        preferred = next(iter(vip.get("preferred") or sorted(held)))
        for router, found in held.items():
            expected = wanted if router == preferred else set()
            if found & wanted != expected:
                wrong.append(f"{router}: VIP {name}: has {sorted(found & wanted)} instead of {sorted(expected)}")
    return wrong


def workloads(cluster: str) -> list[str]:
    """Return nodes and deployments of a cluster that are not ready."""
    found = json.loads(clusters.kubectl(cluster, "get", "-A", "-o", "json", "nodes,deployments"))["items"]
    wrong = []
    for item in found:
        name, status = item["metadata"]["name"], item.get("status", {})
        if item["kind"] == "Node":
            if not any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions", ())):
                wrong.append(f"{cluster}: node {name} is not ready")
        elif status.get("readyReplicas", 0) < item["spec"]["replicas"]:
            wrong.append(f"{cluster}: deployment {name} is not complete")
    return wrong


def apis(cluster: str, servers: Iterable[str]) -> list[str]:
    """Return the API servers (URLs) of a cluster that are not ready."""
    wrong = []
    for server in servers:
        try:
            if "ok" in clusters.kubectl(cluster, f"--server={server}", "get", "--raw", "/readyz", timeout=10):
                continue
        except LabFailed:
            pass
        wrong.append(f"{cluster}: API server {server} is not ready")
    return wrong


def routes(wanted: dict[str, int], client: str = "client") -> list[str]:
    """Return the addresses that the client does not reach over so many routers."""
    found = {address: routing.next_hops(client, address) for address in wanted}
    return [f"{client}: {found[address]} routes to {address} instead of {count}" for address, count in wanted.items() if found[address] != count]


def until_none(check: Callable[[], list[str]], seconds: float) -> None:
    """Wait until a check finds no problem, twice in a row: what comes back may go once more. Raises NotHealthy."""
    deadline, calm = time.monotonic() + seconds, 0
    while calm < 2:
        try:
            found = check()
        except LabFailed as error:
            found = [str(error)]
        calm = 0 if found else calm + 1
        if found and time.monotonic() > deadline:
            raise NotHealthy(f"not healthy within {seconds:.0f} s: {'; '.join(found)}")
        time.sleep(PAUSE)


def together(work: Iterable[Callable[[], list[str]]]) -> list[str]:
    """Return what all checks found, two at a time."""
    with _patient_threads(2) as pool:
        return [problem for found in pool.map(lambda check: check(), work) for problem in found]


def patiently(act: Callable[[], None]) -> None:
    """Do something at the lowest priority, with all programs that it starts: guests and control planes have two cores for all, and are not to wait for us."""
    with _patient_threads(1) as pool:
        pool.submit(act).result()


def _patient_threads(count: int) -> concurrent.futures.ThreadPoolExecutor:
    # On Linux a thread has a priority of its own, and what it starts inherits it.
    return concurrent.futures.ThreadPoolExecutor(count, initializer=lambda: os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST))
