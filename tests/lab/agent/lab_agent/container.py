# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container: a process group in the pod's network namespace, restarted with back-off."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

from . import network
from .probe import Probe

FIRST_DELAY, LAST_DELAY, CALM_SECONDS = 10, 300, 600
# The pod sees its service account where client libraries look for it, and its own name as the host's.
SECRETS = Path("/run/secrets")
ENTER = 'mount --bind "$0" /run/secrets && echo "$HOSTNAME" >/proc/sys/kernel/hostname && exec "$@"'


def timestamp() -> str:
    """Return the present as the API writes times."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def restart_delay(restarts_in_a_row: int) -> float:
    """Return the seconds to wait before a restart: at once, then 10 and doubled each time up to 300."""
    return 0 if restarts_in_a_row == 0 else min(FIRST_DELAY * 2 ** (restarts_in_a_row - 1), LAST_DELAY)


class Container:
    """Runs argv with env; `secrets` is the directory for /run/secrets, `restarts` what was counted before."""

    def __init__(self, spec: dict, uid: str, argv: list[str], env: dict, probe: Probe,
                 secrets: Path, log: Path, restarts: int) -> None:
        self.spec, self.probe, self.restarts = spec, probe, restarts
        self._argv, self._env, self._log = argv, env, log
        self._enter = ["nsenter", f"--net=/run/netns/{network.namespace_name(uid)}",
                       "unshare", "--uts", "--mount", "--propagation=slave", "sh", "-c", ENTER, str(secrets)]
        self._process: subprocess.Popen | None = None
        self._started_at = self._restart_at = 0.0
        self._in_a_row = 0
        self._started = ""
        self._last: dict = {}
        self.state: dict = {"waiting": {"reason": "ContainerCreating"}}

    @property
    def running(self) -> bool:
        """Whether the process was alive when last looked at."""
        return self._process is not None

    def start(self) -> None:
        """Start the process."""
        with open(self._log, "ab") as output:
            self._process = subprocess.Popen(
                [*self._enter, *self._argv], env=self._env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True)
        self._started, self._started_at = timestamp(), time.monotonic()
        self.state = {"running": {"startedAt": self._started}}
        self.probe.started(self._started_at)

    def look(self, restart: bool) -> None:
        """Notice a dead process, and start it again when it is time and `restart` says so."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._died(code, now, restart)
        if restart and "waiting" in self.state and now >= self._restart_at:
            self.restarts += 1
            self.start()

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    def status(self) -> dict:
        """Return the containerStatus of the API."""
        ready = self.running and self.probe.ready
        return {
            "name": self.spec["name"], "image": self.spec["image"], "imageID": self.spec["image"],
            "state": self.state, "lastState": self._last, "ready": ready, "started": self.running,
            "restartCount": self.restarts,
        }

    def exit_code(self) -> int | None:
        """Return the code that the process ended with the last time, None when it never did."""
        return self._last["terminated"]["exitCode"] if self._last else None

    def finished(self) -> int | None:
        """Return the exit code of a container that will not run again, else None."""
        return self.exit_code() if "terminated" in self.state else None

    def _died(self, code: int, now: float, restart: bool) -> None:
        # What the process left behind in its group must not hold its ports.
        self.signal(signal.SIGKILL)
        self._process = None
        self.probe.ready = False
        exit_code = 128 - code if code < 0 else code
        self._last = {"terminated": {"exitCode": exit_code, "reason": "Completed" if code == 0 else "Error",
                                     "startedAt": self._started, "finishedAt": timestamp()}}
        if not restart:
            self.state = self._last
            return
        if now - self._started_at > CALM_SECONDS:
            self._in_a_row = 0
        delay = restart_delay(self._in_a_row)
        self._in_a_row += 1
        self._restart_at = now + delay
        self.state = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off {delay} s"}}
