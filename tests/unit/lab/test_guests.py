# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose kernel hangs early is told from one that is slow, and from one that booted before."""
from __future__ import annotations

import os

import pytest
from northgate_lab.guests import SILENT_SECONDS, hangs

EARLY = "Linux version 6.1\nCreating \"disk.cow\" as COW file for \"base.img\"\n"
MOUNTED = EARLY + "EXT4-fs (ubda): mounted filesystem\n"


@pytest.mark.parametrize(
    ("log", "silence", "verdict"),
    [
        (EARLY, SILENT_SECONDS + 1, True),
        (EARLY, SILENT_SECONDS - 1, False),
        (MOUNTED, SILENT_SECONDS + 1, False),
        (MOUNTED + EARLY, SILENT_SECONDS + 1, True),
        ("", SILENT_SECONDS + 1, True),
    ],
)
def test_hangs(tmp_path, log, silence, verdict):
    console = tmp_path / "console.log"
    console.write_text(log)
    os.utime(console, (1000, 1000))
    assert hangs(console, 1000 + silence) is verdict
