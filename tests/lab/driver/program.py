# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of tests/lab/traffic that runs on the client while something happens."""
from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .command import STATE, LabFailed, argv, environment

TRAFFIC = Path(__file__).resolve().parents[1] / "traffic"
READY_SECONDS = 30.0


def install() -> None:
    """Put the traffic generator where the client can run it."""
    target = STATE / "hosts" / "client" / "share" / "traffic"
    target.mkdir(exist_ok=True)
    for file in TRAFFIC.glob("*.py"):
        shutil.copyfile(file, target / file.name)


def python(*arguments: str) -> list[str]:
    """Return the command line that runs a module of the traffic generator on the client."""
    install()
    return ["env", "PYTHONPATH=/lab", "python3", "-m", *arguments]


class Program:
    """Runs while the body of ``with`` does. It says ``ready ...`` when it does what it should, and ends with its input: then ``summary``,
    its last line, is there. ``said`` is what came after ``ready``. It may run on another host than the client.
    """

    def __init__(self, command: list[str], ready_seconds: float = READY_SECONDS, host: str = "client") -> None:
        self._argv = argv("exec", host, "--", *command)
        self._ready_seconds = ready_seconds
        self.said = ""
        self.summary: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.said = self._line("ready", self._ready_seconds)
        except LabFailed as error:
            raise LabFailed(f"it did not begin: {error}: {self._end()[-3000:]}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        last = self._end()
        try:
            self.summary = json.loads(last or "{}")
        except ValueError:
            # What went wrong in the body matters more.
            if kind is None:
                raise LabFailed(f"the program on the client ended with: {last[-3000:]}") from None

    def tell(self, word: str, seconds: float) -> str:
        """Tell it a word, and return what it says to it; raises LabFailed when that takes too long."""
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise LabFailed(f"the program on the client has ended: {self._end()[-3000:]}") from error
        return self.hear(word, seconds)

    def hear(self, word: str, seconds: float) -> str:
        """Return what it says next, which must be about a word; raises LabFailed when that takes too long."""
        return self._line(f"said {word}", seconds)

    def _line(self, beginning: str, seconds: float) -> str:
        """Return the rest of the next line, which must begin like this."""
        began = time.monotonic()
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise LabFailed(f"no {beginning!r} within {seconds:.0f} s") from None
        if not line:
            self._lines.put("")  # the end stays the end
        if not line.startswith(beginning):
            raise LabFailed(f"{line[:2000]!r} came for {beginning!r} after {time.monotonic() - began:.0f} s")
        return line.removeprefix(beginning).strip()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _end(self) -> str:
        """Close the program's input, which ends it, and return its last line, or its errors."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already
        last = ""
        try:
            while line := self._lines.get(timeout=READY_SECONDS):
                last = line
        except queue.Empty:
            self._process.terminate()
        return last if self._process.wait() == 0 else f"{last}{self._process.stderr.read()}"
