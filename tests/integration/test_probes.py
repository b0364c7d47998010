# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probers of `make failover` with a real kube-apiserver behind a real haproxy that is killed."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from northgate_failover import beats
from northgate_failover.felt import Series, felt, within
from northgate_failover.probing import NAMESPACE, OBJECT, Places, plan, place
from ports import free_port
from traffic.records import AGAIN
from waiting import wait_for

# Each test of this API server keeps to a namespace of its own.
OWN = "failover"
# What is killed is refused at once. An answer is waited for as long as a machine that does much else may need.
PATIENCE = 20.0
LAB = Path(__file__).resolve().parents[1] / "lab"
CONFIG = """\
defaults
    mode tcp
    timeout connect 1s
    timeout client 1m
    timeout server 1m
frontend api
    bind 127.0.0.1:{port}
    default_backend api
backend api
    server api 127.0.0.1:{api}
"""


class Frontend:
    """A haproxy before the API server."""

    def __init__(self, file: Path, api: int) -> None:
        self.port, self._file = free_port(), file
        file.write_text(CONFIG.format(port=self.port, api=api))

    def start(self) -> None:
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._listens, "haproxy's port")

    def _listens(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(name="frontend")
def _frontend(tmp_path, kubernetes):
    frontend = Frontend(tmp_path / "haproxy.cfg", kubernetes.port)
    frontend.start()
    yield frontend
    frontend.kill()


@pytest.fixture(name="changes")
def _changes(tmp_path, kubernetes):
    """An object that is changed all the time."""
    kubernetes.kubectl("create", "namespace", OWN)
    authority = base64.b64encode((kubernetes.root / "apiserver.crt").read_bytes()).decode()
    file = tmp_path / "beats.kubeconfig"
    file.write_text(json.dumps({
        "clusters": [{"cluster": {"server": f"https://127.0.0.1:{kubernetes.port}", "certificate-authority-data": authority}}],
        "users": [{"user": {"token": "admin-token"}}]}))
    process = subprocess.Popen([sys.executable, str(beats.__file__), "0.05", OWN, OBJECT, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield
    process.communicate(timeout=20)


def test_a_frontend_that_is_killed_is_felt_and_no_change_is_lost(tmp_path, kubernetes, frontend, changes):
    (tmp_path / "token").write_text("admin-token")
    wanted = plan("alpha", Places(http=(), https=(), api=(place("127.0.0.1", frontend.port),), service=(), api_name="kubernetes"))
    files = {"ca": f"{kubernetes.root}/apiserver.crt", "token_file": f"{tmp_path}/token"}
    wanted["timeout"] = PATIENCE
    wanted["probers"] = [
        {**spec, **files, "silence": PATIENCE, "path": spec["path"].replace(NAMESPACE, OWN)} for spec in wanted["probers"] if spec["name"] in ("api", "watch")]
    process = subprocess.Popen(
        [sys.executable, "-m", "traffic.probes", json.dumps(wanted)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(LAB)})

    def tell(word: str) -> float:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        return float(process.stdout.readline().removeprefix(f"said {word}"))

    assert process.stdout.readline() == "ready\n"
    quiet, begin = tell("settled"), tell("now")
    frontend.kill()
    down = tell("now")
    while tell("now") < down + 1.0:
        pass
    frontend.start()
    end = tell("settled")
    output, _errors = process.communicate(timeout=30)
    found: dict[str, list[Series]] = {"api": [], "watch": []}
    for result in json.loads(output)["series"]:
        found[result["prober"]].append(Series.parse(result))
    before = {name: felt(series, 0.0, quiet) for name, series in found.items()}
    after = {name: felt(series, begin, end) for name, series in found.items()}
    assert [(entry.lost, entry.reconnects) for entry in before.values()] == [(0, 0), (0, 0)]
    # What was asked once more was reset, too; all that is lost was.
    again = sum(attempt.outcome == AGAIN for series in found["api"] for attempt in within(series, begin, end))
    assert after["api"].lost == after["api"].reset - again > 0 and after["api"].outage >= 0.8
    assert (after["watch"].lost, after["watch"].reconnects) == (0, 1) and after["watch"].outage >= 0.8
