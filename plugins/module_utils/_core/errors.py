# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of the collection. Each message names the object; ``hint`` says the way out."""

from __future__ import annotations


class NorthgateError(Exception):
    """Something that stops a run. ``hint`` is the operator's next step, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class InvalidValue(NorthgateError):
    """A value that may not enter the model: ``field`` is its path in the object it came from."""

    def __init__(self, field: str, cause: str) -> None:
        super().__init__(f"{field}: {cause}")
        self.field = field
        self.cause = cause


class NotObserved(NorthgateError):
    """A cluster that failed, or answered in part: it has no snapshot in this run."""


class SnapshotError(NorthgateError):
    """A snapshot file that can't be used."""


class ConvergeError(NorthgateError):
    """The router could not be brought to its desired state."""
