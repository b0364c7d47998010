# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's run-time state on disk: where things are, and what the running lab was made of."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from . import topology


class NoLab(Exception):
    """There is no lab; the message says what to do."""


def root() -> Path:
    """Return the directory of all state; `down` removes it."""
    return Path(os.environ.get("NORTHGATE_LAB_STATE") or "/var/tmp/northgate-lab").absolute()


@dataclass(frozen=True)
class Lab:
    """A lab: its topology, its state directory, and what it is made of (`parts`: kernel, image, programs)."""

    topology: topology.Topology
    state: Path
    parts: dict[str, str]

    def directory(self, host: str) -> Path:
        """Return where a host's logs, pid files and disk are."""
        return self.state / "hosts" / host

    @property
    def clusters(self) -> list[str]:
        """Names of the clusters that run; none in a lab without programs."""
        return list(self.topology.clusters) if self.parts.get("programs") else []


def read() -> Lab:
    """Return the lab that was started; raise NoLab."""
    try:
        record = json.loads((root() / "lab.json").read_text())
    except FileNotFoundError as error:
        raise NoLab("there is no lab; `lab up` starts one") from error
    return Lab(topology.parse(record["topology"]), root(), record["parts"])


def write(text: str, parts: dict[str, str]) -> Lab:
    """Record the topology's text and the parts of a lab that is about to start, and return it."""
    lab = Lab(topology.parse(text), root(), parts)
    lab.state.mkdir(parents=True, exist_ok=True)
    lab.state.chmod(0o755)
    record = json.dumps({"topology": text, "parts": parts}, indent=1)
    temporary = lab.state / "lab.json.new"
    temporary.write_text(record)
    temporary.rename(lab.state / "lab.json")
    return lab


def differences(text: str, parts: dict[str, str]) -> list[str]:
    """Return what of the recorded lab is not as wanted, in words; empty when there is no record."""
    try:
        record = json.loads((root() / "lab.json").read_text())
    except FileNotFoundError:
        return []
    found = [name for name, value in parts.items() if record["parts"].get(name) != value]
    return found + (["topology"] if record["topology"] != text else [])
