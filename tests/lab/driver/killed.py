# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are killed in the middle of what they do."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .command import LabFailed, argv, environment, lab

# The interpreter that nothing but ipvs_services, and what ships its snapshots, runs with. With pipelining Ansible
# feeds a module to its standard input, so that its name is nowhere to be seen.
PYTHON = "/opt/northgate/bin/python"
# As long as this file is there, the first process that is seen after a pause is killed.
ARMED = "/run/northgate-lab-kill"
SCRIPT = r"""
touch {armed}
echo waiting
seen() {{ pids=$(pgrep -f '^{python}'); }}
until seen || [ ! -e {armed} ]; do sleep 0.02; done
sleep {seconds}
until seen || [ ! -e {armed} ]; do sleep 0.02; done
[ -e {armed} ] && kill -9 $pids && echo killed $pids
rm -f {armed}
"""
END_SECONDS = 30.0


@dataclass
class Killed:
    """What was killed; "" until it is known, and when the module had ended before."""

    output: str = ""


@contextmanager
def module_killed(router: str, seconds: float) -> Iterator[Killed]:
    """Kill ipvs_services on a router (-9) so long after it began, while the body of ``with`` runs playbooks. Raises LabFailed."""
    found = Killed()
    process = subprocess.Popen(
        argv("exec", router, "--", "sh", "-c", SCRIPT.format(armed=ARMED, python=PYTHON, seconds=seconds)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    if process.stdout.readline().strip() != "waiting":
        raise LabFailed(f"nobody waits for a module on {router}: {process.stderr.read()}")
    try:
        yield found
    finally:
        lab("exec", router, "--", "rm", "-f", ARMED)
        try:
            found.output = process.communicate(timeout=END_SECONDS)[0].strip()
        finally:
            process.kill()
