# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The master process: checks a configuration, reloads, and tells whether the new worker serves."""

from __future__ import annotations

import os
import re
import subprocess
import time

from .._core.errors import ConvergeError
from .runtime import Runtime, Unreachable

_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_ALERT = re.compile(r"^\[ALERT\]\s+\(\d+\) : (.*)$", re.MULTILINE)
_FAILED = re.compile(r"\[failed: (\d+)\]")


def check(arguments: list[str], timeout: float = 120.0) -> None:
    """Runs ``haproxy -c`` on a candidate; raises ConvergeError with haproxy's own words."""
    command = ["haproxy", "-c", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConvergeError(f"{' '.join(command)} failed: {error}", "Run the role haproxy (playbooks/site.yml)") from error
    if done.returncode:
        alerts = _ALERT.findall(done.stderr) or [(done.stderr or done.stdout).strip()]
        raise ConvergeError(f"haproxy refuses the candidate configuration, nothing was changed: {alerts[0][:1000]}")


def configuration_arguments(config_dir: str, entry: str, ours: str) -> list[str]:
    """``-f`` arguments as the unit reads them, with ``ours`` in the place of the live ``entry`` of conf.d."""
    return [argument for path in configuration_files(config_dir, {entry: ours}) for argument in ("-f", path)]


def configuration_files(config_dir: str, instead: dict[str, str]) -> list[str]:
    """The files that the unit reads, in their order; those of conf.d that are named in ``instead`` are replaced."""
    live = os.path.join(config_dir, "conf.d")
    try:
        names = [name for name in os.listdir(live) if name.endswith(".cfg")]
    except OSError as error:
        raise ConvergeError(f"{live} can't be read: {error.strerror}", "Run the role haproxy (playbooks/site.yml)") from error
    entries = {**{name: os.path.join(live, name) for name in names}, **instead}
    return [os.path.join(config_dir, "haproxy.cfg"), *(entries[name] for name in sorted(entries))]


class Master:
    """The master's own socket."""

    def __init__(self, path: str) -> None:
        self._socket = Runtime(path)

    def reload(self, timeout: float = 60.0) -> None:
        """Reloads and waits for the new worker, at most ``timeout`` seconds.

        haproxy 2.6 answers "reload" with nothing, good or bad, so the processes are compared:
        a new worker came up, or the count of failed reloads went up.
        """
        workers, failed = self._processes()
        self._socket.ask("reload")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                now, now_failed = self._processes()
            except Unreachable:  # The master executes itself anew.
                now, now_failed = workers, failed
            if now_failed > failed:
                raise ConvergeError("haproxy could not load the new configuration", "Look at: journalctl -u haproxy")
            if now - workers:
                return
            time.sleep(0.05)
        raise ConvergeError(f"no new haproxy worker came up within {timeout:g} s", "Look at: journalctl -u haproxy")

    def _processes(self) -> tuple[set[str], int]:
        answer = self._socket.ask("show proc")
        active = answer.partition("# old workers")[0]
        failed = _FAILED.search(answer)
        return set(_WORKER.findall(active)), int(failed.group(1)) if failed else 0
