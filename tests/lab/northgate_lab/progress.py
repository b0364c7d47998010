# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress for the impatient: what happens, since when, and what it waits for."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

REPEAT_SECONDS = 10.0
POLL_SECONDS = 0.3


class Cancelled(Exception):
    """The work was given up elsewhere."""


class Progress:
    """Prints lines with the elapsed time to standard error. Callable from several threads.

    The same text again, as loops that wait give it, is shown every ten seconds only.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._shown: dict[str, float] = {}
        self._cancelled = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def cancel(self) -> None:
        """Make everybody who reports progress from now on get Cancelled, so that threads end."""
        self._cancelled = True

    def __call__(self, text: str) -> None:
        if self._cancelled:
            raise Cancelled(text)
        with self._lock:
            now = time.monotonic()
            if now - self._shown.get(text, -REPEAT_SECONDS) < REPEAT_SECONDS:
                return
            self._shown[text] = now
            print(f"[{self.elapsed:4.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self, what: str, argv: list[str], log: Path) -> None:
        """Run a long command with its output in `log`, and say every ten seconds what it is at.

        Its processes end with this one's exceptions. Raises CalledProcessError after showing the log's end.
        """
        self(f"{what} ...")
        started = time.monotonic()
        with open(log, "wb") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            told = started
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                if self._cancelled or time.monotonic() - told > REPEAT_SECONDS:
                    told = time.monotonic()
                    self(f"{what}, {told - started:.0f} s: {last_line(log)}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
        if process.returncode:
            print(tail(log, 30), file=sys.stderr)
            self(f"{what}: failed; the whole output is in {log}")
            raise subprocess.CalledProcessError(process.returncode, argv)
        self(f"{what}: done in {time.monotonic() - started:.0f} s")


def tail(log: Path, lines: int) -> str:
    """Return the last lines of a file; empty when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def last_line(log: Path) -> str:
    """Return the last line of a file, shortened."""
    return tail(log, 1)[:100]
