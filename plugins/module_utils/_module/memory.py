# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a router remembers between runs, below state_dir (/var/lib/northgate).

- inbox/SHA256: documents shipped from the controller, by content. A cache: safe to lose.
- MODULE/accepted/CLUSTER.json: the last snapshot of each cluster that a module accepted. The
  router, not the controller, holds last-known-good: a cluster that can't be observed is served on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
import typing as t
from contextlib import contextmanager

from .._core.errors import ConvergeError, SnapshotError
from .._io.atomic import write

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Inbox:
    """Documents by their SHA-256. All may hold secrets: only root reads them."""

    def __init__(self, state_dir: str) -> None:
        self._directory = os.path.join(state_dir, "inbox")

    def missing(self, digests: t.Iterable[str]) -> list[str]:
        return sorted({digest for digest in digests if not os.path.exists(self._path(digest))})

    def take(self, digest: str, path: str) -> None:
        """Takes in the uploaded file at ``path``, if it is what ``digest`` says."""
        with open(path, "rb") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ConvergeError(f"{path} was damaged on its way to the router", "Run it again")
        write(self._path(digest), data)

    def read(self, digest: str) -> bytes:
        with open(self._path(digest), "rb") as file:
            return file.read()

    def keep_only(self, digests: t.Iterable[str], older_than: float = 86400.0) -> None:
        """Removes other documents of over ``older_than`` seconds: younger ones may belong to another module's run."""
        kept = set(digests)
        for name in os.listdir(self._directory) if os.path.isdir(self._directory) else []:
            path = os.path.join(self._directory, name)
            if name not in kept and time.time() - os.path.getmtime(path) > older_than:
                os.unlink(path)

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise SnapshotError(f"{digest!r} is no SHA-256")
        return os.path.join(self._directory, digest)


class Accepted:
    """Last-known-good snapshots of one module."""

    def __init__(self, state_dir: str, module: str) -> None:
        self._directory = os.path.join(state_dir, module, "accepted")

    def read(self, cluster: str) -> bytes | None:
        try:
            with open(self._path(cluster), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, cluster: str, data: bytes) -> None:
        write(self._path(cluster), data)

    def confirm(self, cluster: str) -> None:
        """What is remembered of ``cluster`` was observed again: its file's time says when last."""
        try:
            os.utime(self._path(cluster))
        except OSError as error:
            raise ConvergeError(f"the time of {self._path(cluster)} can't be set: {error.strerror}", "Mend the file system, and run again") from error

    def clusters(self) -> dict[str, float]:
        """When each remembered cluster was last accepted, in seconds since the epoch."""
        try:
            entries = [entry for entry in os.scandir(self._directory) if entry.name.endswith(".json")]
        except FileNotFoundError:
            return {}
        return {entry.name.removesuffix(".json"): entry.stat().st_mtime for entry in sorted(entries, key=lambda entry: entry.name)}

    def _path(self, cluster: str) -> str:
        return os.path.join(self._directory, f"{cluster}.json")


@contextmanager
def lock(state_dir: str, timeout: float) -> t.Iterator[None]:
    """One run at a time on a router; waits at most ``timeout`` seconds for another to end."""
    os.makedirs(state_dir, mode=0o700, exist_ok=True)
    path = os.path.join(state_dir, "lock")
    deadline = time.monotonic() + timeout
    with open(path, "a", encoding="ascii") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConvergeError(
                        f"another run has held {path} for {timeout:g} s", f"See who: fuser -v {path}"
                    ) from None
                time.sleep(0.1)
        yield
