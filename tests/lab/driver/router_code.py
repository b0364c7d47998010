# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of tests/lab/router, which use the collection's own code on a router, without Ansible."""
from __future__ import annotations

import shutil
from pathlib import Path

from .command import STATE, lab

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAMS = CHECKOUT / "tests" / "lab" / "router"
COLLECTION = Path("ansible_collections/northgate/edge/plugins")
# The interpreter that the role ipvs made, which has what the code needs.
PYTHON = "/opt/northgate/bin/python"


def install(router: str) -> str:
    """Put the collection's code and the programs where a router finds them; return the directory's name there."""
    target = STATE / "hosts" / router / "share" / "code"
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "plugins" / "module_utils", target / COLLECTION / "module_utils", ignore=ignored)
    shutil.copytree(PROGRAMS, target / "router", ignore=ignored)
    return "/lab/code"


def run(router: str, directory: str, program: str, *arguments: str, timeout: float = 60.0) -> str:
    """Return what a program says on a router; raises LabFailed."""
    return lab("exec", router, "--", "env", f"PYTHONPATH={directory}", "PYTHONDONTWRITEBYTECODE=1", PYTHON, f"{directory}/router/{program}", *arguments,
               timeout=timeout)
