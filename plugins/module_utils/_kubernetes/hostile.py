# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to parsed JSON of which nothing is known, and the list of what could not be taken from it."""

from __future__ import annotations

import re
import typing as t

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import Quarantined

Object = dict[str, t.Any]

_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def mapping(value: object) -> Object:
    """``value`` where it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[t.Any]:
    """``value`` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def name_of(metadata: Object) -> str:
    """NAMESPACE/NAME for messages, each cut: it may be anything."""
    return "/".join(cut(metadata.get(key)) for key in ("namespace", "name"))


def cut(value: object) -> str:
    """A name for messages."""
    return value if isinstance(value, str) and len(value) < 254 and value.isprintable() else syntax.shown(value)


def created(metadata: Object) -> str:
    """The time of creation (RFC 3339, UTC), by which age is told; raises InvalidValue."""
    value = metadata.get("creationTimestamp")
    if isinstance(value, str) and _CREATED.fullmatch(value):
        return value
    raise InvalidValue("metadata.creationTimestamp", f"{syntax.shown(value)} is no time in UTC")


class Quarantine:
    """Collects what is skipped in ``cluster``, each thing once."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.found: set[Quarantined] = set()

    def add(self, what: str, field: str, cause: str) -> None:
        """``what`` is the object, as KIND NAMESPACE/NAME."""
        self.found.add(Quarantined(self.cluster, what, field, cause))

    def refuse(self, what: str, error: InvalidValue) -> None:
        self.add(what, error.field, error.cause)
