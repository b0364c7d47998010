# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: a test that is skipped here is a failed one, for what it needs is a part of the set-up.

No property test fails for its time, which on a busy machine says nothing. What fails is also written to the file that
NORTHGATE_FAILURES names, for the summary of a run whose log nobody may have in full.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("northgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("northgate")
MESSAGE_CHARACTERS = 1500


def _fail_instead_of_skip(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: may not be skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Turn a skip of a test, or of its fixtures, into a failure."""
    return _fail_instead_of_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Turn a skip of a whole module into a failure."""
    return _fail_instead_of_skip((yield))


def pytest_runtest_logreport(report):
    """Append a failure to the file of failures: the test, and the beginning of its message."""
    target = os.environ.get("NORTHGATE_FAILURES")
    if report.failed and target:
        crash = getattr(report.longrepr, "reprcrash", None)
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(f"{report.nodeid} ({report.when}): {(crash.message if crash else str(report.longrepr))[:MESSAGE_CHARACTERS]}\n")
