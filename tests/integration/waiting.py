# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what real parts do in their own time."""

from __future__ import annotations

import time
import typing as t


def wait_for(condition: t.Callable[[], t.Any], what: str, timeout: float = 20.0) -> t.Any:
    """The first true value of ``condition``; fails the test when there is none within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain for {what}"
        time.sleep(0.02)
    return value
