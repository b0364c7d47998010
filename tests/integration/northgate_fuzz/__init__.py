# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the property tests against the real haproxy share."""

from __future__ import annotations

import os
import typing as t

from hypothesis import HealthCheck, Phase, settings

# How many cases each property gets: 1,000 in a normal run, 100,000 by `make fuzz`.
CASES = int(os.environ.get("NORTHGATE_FUZZ_CASES", "1000"))


def cases(at_once: int = 1) -> t.Callable[[t.Any], t.Any]:
    """Decorates a property whose every example is ``at_once`` cases."""
    return settings(
        max_examples=max(1, CASES // at_once),
        deadline=None,
        # No shrinking: a case depends on what haproxy went through before, and small ones are likely from the start.
        phases=(Phase.reuse, Phase.generate),
        # A case costs what haproxy costs, and the haproxy is the same for all cases of a test on purpose.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )
