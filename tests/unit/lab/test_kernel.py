# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the guests' kernel comes from."""
from __future__ import annotations

from pathlib import Path

import pytest
from northgate_lab import kernel


class Progress:
    """Notes what is run; a download leaves an archive where it is told to."""

    def __init__(self):
        self.ran = []

    def __call__(self, _text):
        pass

    def run(self, title, command, _log):
        self.ran.append((title, command))
        if title == "kernel source":
            directory = Path(command[-1])
            directory.mkdir()
            (directory / "linux-source-7.3.tar.xz").touch()


@pytest.fixture(name="sources")
def _sources(monkeypatch, tmp_path):
    monkeypatch.setenv("NORTHGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(kernel.SUITE, raising=False)
    monkeypatch.setattr(kernel.subprocess, "run", lambda command, check: None)
    monkeypatch.setattr(kernel, "SOURCES", tmp_path)
    return tmp_path


def test_it_is_built_once_from_this_machines_source(sources):
    (sources / "linux-source-6.1.tar.xz").touch()
    progress = Progress()
    assert kernel.ensure(progress) == kernel.ensure(progress)
    [(title, command)] = progress.ran
    assert title == "guest kernel" and command[-2] == str(sources / "linux-source-6.1.tar.xz")


def test_another_suite_gives_another_kernel_and_leaves_no_source(sources, monkeypatch):
    (sources / "linux-source-6.1.tar.xz").touch()
    own = kernel.ensure(Progress())
    monkeypatch.setenv(kernel.SUITE, "trixie-backports")
    progress = Progress()
    found = kernel.ensure(progress)
    assert found != own and not list(sources.glob("cache/**/source"))
    assert [title for title, _command in progress.ran] == ["kernel source", "guest kernel"]
    assert progress.ran[0][1][1] == "trixie-backports" and progress.ran[1][1][-2].endswith("linux-source-7.3.tar.xz")


def test_no_source_is_said(sources):
    with pytest.raises(FileNotFoundError, match="linux-source left no archive"):
        kernel.ensure(Progress())
