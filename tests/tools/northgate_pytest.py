# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: a test that is skipped here is a failed one, for what it needs is a part of the set-up.

And no property test fails for its time, which on a busy machine says nothing.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("northgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("northgate")


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
