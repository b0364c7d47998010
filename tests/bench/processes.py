# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a measurement: started on one core each, stopped by their own handle, always bounded."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import typing as t

from figure import CouldNotMeasure

START_SECONDS = 60.0
# Of a load, all together.
CONNECTIONS = 32

# Requests for every host are made before the clock runs, so that wrk costs the same for each. The address of
# all of them is this machine's, whatever name (for TLS, that is the server name) the URL has.
_WRK_SCRIPT = """
local hosts = {%s}
local requests = {}
function wrk.resolve(host, service)
   wrk.addrs = wrk.lookup("127.0.0.1", service)
end
function init(arguments)
   math.randomseed(1)
   for i, host in ipairs(hosts) do
      requests[i] = wrk.format("GET", "/", {Host = host, Connection = "%s"})
   end
end
function request() return requests[math.random(#requests)] end
function done(summary, latency, all)
   io.write(string.format('{"requests": %%d, "microseconds": %%d, "status": %%d, "socket": %%d}',
      summary.requests, summary.duration, summary.errors.status,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def cores() -> tuple[int, int]:
    """A core for the measured process and another one for the load."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise CouldNotMeasure("two cores are needed, one for haproxy and one for the load")
    return usable[0], usable[1]


@contextlib.contextmanager
def haproxy(config: pathlib.Path, core: int, ports: tuple[int, ...], *options: str):
    """haproxy with ``config`` on ``core``, once it listens on ``ports``; its output is in ``config``.log."""
    with open(f"{config}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), "haproxy", *(options or ("-db",)), "-f", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not all(listens(port) for port in ports):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise CouldNotMeasure(f"haproxy does not start:\n{pathlib.Path(log.name).read_text('utf-8')}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=10)


def listens(port: int) -> bool:
    """Whether somebody listens on a TCP port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def cpu_seconds(process: subprocess.Popen) -> float:
    """Processor time that ``process`` has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk_script(path: pathlib.Path, hosts: t.Iterable[str], connection: str = "keep-alive") -> pathlib.Path:
    """A script for wrk, in ``path``, that asks for ``hosts`` at random; ``connection``: keep-alive or close."""
    path.write_text(_WRK_SCRIPT % (", ".join(f'"{host}"' for host in hosts), connection), encoding="utf-8")
    return path


def rate_and_cost(process: subprocess.Popen, urls: dict[str, pathlib.Path], core: int, seconds: int) -> tuple[float, float]:
    """Requests a second that are answered with 200, of one wrk for each URL and script, with CONNECTIONS together; and the
    processor time of ``process`` for one, in microseconds."""
    before = cpu_seconds(process)
    rate = _wrk(urls, core, seconds)
    return rate, (cpu_seconds(process) - before) / (rate * seconds) * 1e6


def _wrk(urls: dict[str, pathlib.Path], core: int, seconds: int) -> float:
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS // len(urls)}", f"-d{seconds}s", "--timeout", "10s", "-s"]
    running = [
        subprocess.Popen([*command, str(script), url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for url, script in urls.items()
    ]
    return sum(_rate(process, seconds) for process in running)


def _rate(process: subprocess.Popen, seconds: int) -> float:
    try:
        output, _nothing = process.communicate(timeout=seconds + 30)
    finally:
        process.kill()
    summary = re.search(r"\{.*\}", output)
    if process.returncode or not summary:
        raise CouldNotMeasure(f"wrk failed: {output}")
    counts = json.loads(summary[0])
    if counts["status"] or counts["socket"] or not counts["requests"]:
        raise CouldNotMeasure(f"not every request was answered with 200: {counts}")
    return counts["requests"] / (counts["microseconds"] / 1e6)
