# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole files."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._io.atomic import write


def test_a_file_and_then_its_name_are_on_disk(tmp_path, monkeypatch):
    path, synced = tmp_path / "state" / "file", []

    def fsync(number):
        synced.append((stat.S_ISDIR(os.fstat(number).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write(str(path), b"text")
    assert path.read_bytes() == b"text"
    assert synced == [(False, False), (True, True)]


def test_what_can_not_be_written_leaves_the_file_of_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(str(path), b"before")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConvergeError, match="No space left on device"):
        write(str(path), b"after")
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
