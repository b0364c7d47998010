# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built once: entries of the cache, keyed by their inputs, written atomically."""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .progress import Progress

LAB = Path(__file__).resolve().parent.parent
TOOLS = LAB.parent / "tools"
CHECKOUT = LAB.parent.parent


def root() -> Path:
    """Return the directory of all caches."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NORTHGATE_CACHE") or Path(base) / "northgate-edge").absolute()


def key(files: Iterable[Path], *more: str) -> str:
    """Return twelve digits that stand for the files' names and contents and for more texts."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(files):
        digest.update(f"\0{file.relative_to(LAB)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def ensure(name: str, identity: str, make: Callable[[Path], None], progress: Progress) -> Path:
    """Return the entry NAME-IDENTITY; when there is none let `make` fill a new directory that becomes it."""
    entry = root() / f"{name}-{identity}"
    if entry.is_dir():
        return entry
    with lock(name, progress):
        if not entry.is_dir():
            # A run that was killed could not clean up.
            for leftover in root().glob(f"{name}.*/"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=root(), ignore_cleanup_errors=True) as scratch:
                unfinished = Path(scratch) / name
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(entry)
    return entry


@contextlib.contextmanager
def lock(name: str, progress: Progress) -> Iterator[None]:
    """Hold the cache's lock of that name; wait for other runs."""
    root().mkdir(parents=True, exist_ok=True)
    with open(root() / f".lock-{name}", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another run ({name})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
