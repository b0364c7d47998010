# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole files by rename: a reader sees the old text or the new one, never a part, also after the power was lost."""

from __future__ import annotations

import os

from .._core.errors import ConvergeError


def write(path: str, data: bytes) -> None:
    """Writes ``data`` to ``path``, readable by its owner alone; makes the directory. Raises ConvergeError."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise ConvergeError(f"{path} can't be written: {error.strerror}", "What was there before is still there") from error


def rename(source: str, target: str) -> None:
    """Renames within a file system. Raises OSError.

    The name is on disk only when the directory is (fsync(2)): else a router that loses its power comes back with the old file.
    """
    os.rename(source, target)
    directory = os.open(os.path.dirname(target) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
