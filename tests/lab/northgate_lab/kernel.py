# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' kernel: user-mode Linux from the distribution's linux-source, with what Kubernetes and routers need."""
from __future__ import annotations

import subprocess
from pathlib import Path

from . import cache
from .progress import Progress

DIRECTORY = cache.LAB / "kernel"
SOURCES = Path("/usr/src")


def ensure(progress: Progress) -> Path:
    """Return a directory with `linux` and `modules.tar`; build it when configuration or build have changed."""
    return cache.ensure("kernel", cache.key(DIRECTORY.iterdir()), lambda entry: _build(entry, progress), progress)


def _build(entry: Path, progress: Progress) -> None:
    subprocess.run([cache.TOOLS / "packages", "kernel"], check=True)
    archives = sorted(SOURCES.glob("linux-source-*.tar.xz"))
    if not archives:
        raise FileNotFoundError(f"the package linux-source left no archive in {SOURCES}")
    progress.run("guest kernel", ["nice", str(DIRECTORY / "build"), str(archives[-1]), str(entry)],
                 cache.root() / "kernel.log")
