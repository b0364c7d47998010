# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' kernel: user-mode Linux from the distribution's linux-source, with what Kubernetes and routers need."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import cache
from .progress import Progress

DIRECTORY = cache.LAB / "kernel"
SOURCES = Path("/usr/src")
# Names a suite of Debian's whose linux-source is taken instead of this machine's own.
SUITE = "NORTHGATE_KERNEL_SUITE"


def ensure(progress: Progress) -> Path:
    """Return a directory with `linux` and `modules.tar`; build it when configuration or build have changed."""
    suite = os.environ.get(SUITE, "")
    return cache.ensure("kernel", cache.key(DIRECTORY.iterdir(), suite), lambda entry: _build(entry, suite, progress), progress)


def _build(entry: Path, suite: str, progress: Progress) -> None:
    subprocess.run([cache.TOOLS / "packages", "kernel"], check=True)
    sources = SOURCES
    if suite:
        # Beside the entry, where nothing stays.
        sources = entry.parent / "source"
        progress.run("kernel source", [str(DIRECTORY / "source"), suite, str(sources)], cache.root() / "kernel-source.log")
    archives = sorted(sources.glob("linux-source-*.tar.xz"))
    if not archives:
        raise FileNotFoundError(f"the package linux-source left no archive in {sources}")
    progress.run("guest kernel", ["nice", str(DIRECTORY / "build"), str(archives[-1]), str(entry)],
                 cache.root() / "kernel.log")
