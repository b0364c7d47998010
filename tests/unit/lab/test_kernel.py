# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the guests' kernel comes from."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from northgate_lab import kernel


class Progress:
    """Notes what is run and said; a download leaves an archive where it is told to. What is named in ``fails`` does."""

    def __init__(self, *fails):
        self.ran, self.said, self.fails = [], [], fails

    def __call__(self, text):
        self.said.append(text)

    def run(self, title, command, _log):
        self.ran.append((title, command[-2]))
        if (title, Path(command[-2]).name) in self.fails:
            raise subprocess.CalledProcessError(1, command)
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
    (tmp_path / "linux-source-6.1.tar.xz").touch()
    return tmp_path


def test_it_is_built_once_from_the_suites_source_of_which_nothing_is_left(sources):
    progress = Progress()
    assert kernel.ensure(progress) == kernel.ensure(progress)
    assert [title for title, _source in progress.ran] == ["kernel source", "guest kernel"]
    assert progress.ran[0][1] == kernel.DEFAULT and progress.ran[1][1].endswith("linux-source-7.3.tar.xz")
    assert not list(sources.glob("cache/**/source"))


@pytest.mark.parametrize("fails", [("kernel source", kernel.DEFAULT), ("guest kernel", "linux-source-7.3.tar.xz")])
def test_without_it_this_machines_own_is_taken_and_that_is_said(sources, fails):
    progress = Progress(fails)
    kernel.ensure(progress)
    assert progress.ran[-1] == ("guest kernel", str(sources / "linux-source-6.1.tar.xz"))
    assert [text for text in progress.said if f"no kernel of {kernel.DEFAULT}" in text]


def test_suites_and_this_machine_have_kernels_of_their_own(sources, monkeypatch):
    found = {kernel.ensure(Progress())}
    for suite in ("sid", ""):
        monkeypatch.setenv(kernel.SUITE, suite)
        found.add(kernel.ensure(Progress()))
    assert len(found) == 3


def test_no_source_is_said(sources, monkeypatch):
    monkeypatch.setenv(kernel.SUITE, "")
    (sources / "linux-source-6.1.tar.xz").unlink()
    with pytest.raises(FileNotFoundError, match="linux-source left no archive"):
        kernel.ensure(Progress())
