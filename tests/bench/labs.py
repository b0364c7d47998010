# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for measurements: up with a topology, installed and converged, and down again."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import tempfile
import time
import typing as t

from driver.command import LabFailed, lab
from figure import CouldNotMeasure

UP_SECONDS = 1800.0
PLAYBOOK_SECONDS = 600.0


@contextlib.contextmanager
def running(topology: str, with_clusters: bool = True) -> t.Iterator[None]:
    """A lab that is installed, and converged if it has clusters, while the body of ``with`` runs.

    Raises CouldNotMeasure, also for what fails in the body.
    """
    try:
        told(f"lab {topology}")
        lab("up", topology, *([] if with_clusters else ["--no-clusters"]), timeout=UP_SECONDS)
        for name in ("cluster_access", "site", "converge") if with_clusters else ("site",):
            play(name)
        yield
    except LabFailed as error:
        raise CouldNotMeasure(str(error)) from error
    finally:
        lab("down", timeout=UP_SECONDS)


def play(name: str, variables: dict[str, t.Any] | None = None, *options: str) -> None:
    """Runs one of the collection's playbooks, with variables that go before the inventory's and options of ansible-playbook."""
    told(f"{name}.yml")
    with tempfile.TemporaryDirectory(prefix="northgate-bench-") as directory:
        file = pathlib.Path(directory) / "variables.json"
        file.write_text(json.dumps(variables or {}), encoding="utf-8")
        lab("ansible", "--", "-e", f"@{file}", *options, f"playbooks/{name}.yml", timeout=PLAYBOOK_SECONDS)


def told(message: str) -> None:
    """Says what goes on, with the time of day."""
    print(f"  {time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)
