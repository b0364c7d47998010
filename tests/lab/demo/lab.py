# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the demo uses it: by its command alone, as a stranger would."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
COMMAND = ROOT / "tests" / "lab" / "lab"
STATE = pathlib.Path(os.environ.get("NORTHGATE_LAB_STATE", "/var/tmp/northgate-lab"))
T = t.TypeVar("T")


class StepFailed(Exception):
    """A step of the demo did not succeed; what it printed has been shown."""


def call(*arguments: str, timeout: float = 60.0) -> str:
    """Standard output of ``lab ARGUMENTS``; raises StepFailed with its errors."""
    try:
        result = subprocess.run(
            [str(COMMAND), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"lab {' '.join(arguments)}: no answer in {timeout:.0f} s") from error
    if result.returncode:
        raise StepFailed(f"lab {' '.join(arguments)}: {(result.stderr or result.stdout).strip()[-400:]}")
    return result.stdout


def on(host: str, *command: str) -> str:
    """Standard output of ``command`` on a host of the lab, whatever its exit status."""
    return call("exec", host, "--", "sh", "-c", '"$@" || true', "sh", *command)


def playbook(path: str) -> None:
    """Runs a playbook in the lab, shows each task as it starts, and everything when it fails."""
    process = subprocess.Popen(
        [str(COMMAND), "ansible", "--", str(ROOT / path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    lines, started = [], time.monotonic()
    for line in process.stdout:
        lines.append(line)
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            print(f"  {time.monotonic() - started:5.0f} s  {line.split('[', 1)[1].split(']')[0]}", flush=True)
    if process.wait():
        sys.stdout.writelines(lines)
        raise StepFailed(f"{path} failed")


def until(check: t.Callable[[], T], good: t.Callable[[T], bool], seconds: float) -> T:
    """The first good result of ``check``, or its last one when ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if good(result) or time.monotonic() > deadline:
            return result
        time.sleep(0.5)


@dataclass(frozen=True)
class Answer:
    """What the client got for one URL: status (0: none), body as JSON (empty when it is none), curl's error, and where to go instead."""

    status: int
    body: dict[str, t.Any]
    error: str = ""
    location: str = ""


def get(url: str, host: str, address: str, times: int = 1) -> list[Answer]:
    """Asks for ``url`` from the guest ``client``, as ``times`` requests to the router at ``address``; verifies certificates."""
    port = 443 if url.startswith("https:") else 80
    target = f"[{address}]" if ":" in address else address
    output = on(
        "client", "curl", "--silent", "--show-error", "--max-time", "10", "--cacert", "/lab/ca.pem", "--resolve", f"{host}:{port}:{target}",
        "--write-out", "\n%{http_code} %{redirect_url} %{errormsg}\n", *[url] * times,
    )  # fmt: skip
    answers, body = [], []
    for line in output.splitlines():
        words = line.split(" ", 2)
        if len(words) == 3 and words[0].isdigit() and len(words[0]) == 3:
            answers.append(Answer(int(words[0]), _json("\n".join(body)), words[2], words[1]))
            body = []
        else:
            body.append(line)
    return answers or [Answer(0, {}, "no answer")]


def say(protocol: str, address: str, port: int, router: str) -> dict[str, t.Any]:
    """What the application echo-l4 answers to a word of the client's by TCP, UDP or SCTP through the router at an address; empty when nothing came."""
    version = 6 if ":" in address else 4
    target = f"[{address}]" if version == 6 else address
    # SCTP would tell the other side all addresses of the client, also those of other networks.
    own = json.loads(on("client", "ip", "-j", f"-{version}", "route", "get", router))[0]["prefsrc"]
    options = f",bind=[{own}]" if version == 6 else f",bind={own}"
    if protocol == "SCTP":
        # It knows no half-closed state (RFC 9260, section 9): an answer not yet here when the end of the question is told would be lost.
        options += ",shut-none"
    script = (
        f"ip route replace {address} via {router}; echo hello | timeout 5 socat -t 0.5 - {protocol}{version}-CONNECT:{target}:{port}{options}; "
        f"ip route del {address} via {router}"
    )
    return _json(call("exec", "client", "--", "sh", "-c", f"{script} 2>/dev/null || true").partition("\n")[0])


def service_addresses(cluster: str, namespace: str, name: str) -> list[str]:
    """The addresses in the status of a LoadBalancer service."""
    service = json.loads(call("kubectl", cluster, "--", "-n", namespace, "get", "service", name, "-o", "json"))
    return [entry["ip"] for entry in service["status"]["loadBalancer"].get("ingress", [])]


def _json(text: str) -> dict[str, t.Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def inventory() -> dict[str, t.Any]:
    """The inventory that the lab wrote."""
    return yaml.safe_load((STATE / "inventory.yml").read_text("utf-8"))
