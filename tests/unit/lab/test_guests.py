# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that hangs while it boots is told from one that is slow."""
from __future__ import annotations

import os

import pytest
from northgate_lab.guests import SILENT_SECONDS, hangs


@pytest.mark.parametrize(("silence", "verdict"), [(SILENT_SECONDS + 1, True), (SILENT_SECONDS - 1, False)])
def test_hangs(tmp_path, silence, verdict):
    console = tmp_path / "console.log"
    console.write_text("Linux version 6.1")
    os.utime(console, (1000, 1000))
    assert hangs(console, 1000 + silence) is verdict
