# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' kernel: user-mode Linux from a linux-source of Debian, with what Kubernetes and routers need."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import cache
from .progress import Progress

DIRECTORY = cache.LAB / "kernel"
SOURCES = Path("/usr/src")
# Names a suite of Debian's whose linux-source is taken; empty for this machine's own.
SUITE = "NORTHGATE_KERNEL_SUITE"
# User-mode Linux needs no ptrace since 6.16, and starts programs several times faster.
DEFAULT = "trixie-backports"


def ensure(progress: Progress) -> Path:
    """Return a directory with `linux` and `modules.tar`; build it when configuration or build have changed.

    Where the suite can't be had, or its kernel not built, this machine's own does.
    """
    suite = os.environ.get(SUITE, DEFAULT)
    if suite:
        try:
            return _entry(suite, lambda entry: _of_suite(entry, suite, progress), progress)
        except subprocess.CalledProcessError:
            progress(f"no kernel of {suite}: this machine's own linux-source is taken, with which guests are slower")
    return _entry("", lambda entry: _own(entry, progress), progress)


def _entry(suite: str, make: Callable[[Path], None], progress: Progress) -> Path:
    return cache.ensure("kernel", cache.key(DIRECTORY.iterdir(), suite), make, progress)


def _of_suite(entry: Path, suite: str, progress: Progress) -> None:
    # Beside the entry, where nothing stays.
    sources = entry.parent / "source"
    progress.run("kernel source", [str(DIRECTORY / "source"), suite, str(sources)], cache.root() / "kernel-source.log")
    _build(sources, entry, progress)


def _own(entry: Path, progress: Progress) -> None:
    subprocess.run([cache.TOOLS / "packages", "kernel-source"], check=True)
    _build(SOURCES, entry, progress)


def _build(sources: Path, entry: Path, progress: Progress) -> None:
    archives = sorted(sources.glob("linux-source-*.tar.xz"))
    if not archives:
        raise FileNotFoundError(f"the package linux-source left no archive in {sources}")
    subprocess.run([cache.TOOLS / "packages", "kernel"], check=True)
    progress.run("guest kernel", ["nice", str(DIRECTORY / "build"), str(archives[-1]), str(entry)], cache.root() / "kernel.log")
