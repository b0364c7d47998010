# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' root file systems: Debian 12 with systemd, sshd and a package repository to install from."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import cache
from .progress import Progress

DIRECTORY, AGENT = cache.LAB / "image", cache.LAB / "agent"


def ensure(kernel: Path, progress: Progress) -> Path:
    """Return a directory with `router.img`, `worker.img` and `client.img`; build it when an input has changed."""
    inputs = [file for file in DIRECTORY.rglob("*") if file.is_file()]
    inputs += [AGENT / "packages.txt", *AGENT.glob("*.service")]
    identity = cache.key(inputs, kernel.name, os.environ.get("NORTHGATE_DEBIAN_MIRROR", ""))
    return cache.ensure("image", identity, lambda entry: _build(kernel, entry, progress), progress)


def _build(kernel: Path, entry: Path, progress: Progress) -> None:
    subprocess.run([cache.TOOLS / "packages", "image"], check=True)
    progress.run("guest images", ["nice", str(DIRECTORY / "build"), str(kernel / "modules.tar"), str(entry)],
                 cache.root() / "image.log")
