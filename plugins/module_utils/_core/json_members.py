# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON that is read piece by piece: a long list as a whole takes many times the memory of what becomes of it. Pure."""

from __future__ import annotations

import json
import re
import typing as t

_PUNCTUATION = re.compile(r"[ \t\n\r]*([{}\[\],:])[ \t\n\r]*")
_EMPTY_LIST = re.compile(r"\[[ \t\n\r]*\]")
_decode = json.JSONDecoder().raw_decode


def members(text: str) -> t.Iterator[tuple[str, bool, t.Any]]:
    """The members of the object ``text`` in their order: name, whether it is an entry of a list, and the value.

    A member that is a list comes as each of its entries, in turn; an empty list as itself. Raises ValueError for
    what is no object, and for a name that is there twice.
    """
    seen = set()
    mark, place = _next(text, 0, "{")
    if text.startswith("}", place):
        mark, place = _next(text, place, "}")
    while mark != "}":
        name, place = _decode(text, place)
        if not isinstance(name, str) or name in seen:
            raise ValueError("a name is no text, or there twice")
        seen.add(name)
        _mark, place = _next(text, place, ":")
        if text.startswith("[", place) and not _EMPTY_LIST.match(text, place):
            mark, place = ",", _next(text, place, "[")[1]
            while mark == ",":
                value, place = _decode(text, place)
                yield name, True, value
                mark, place = _next(text, place, ",]")
        else:
            value, place = _decode(text, place)
            yield name, False, value
        mark, place = _next(text, place, ",}")
    if place != len(text):
        raise ValueError("something follows the object")


def _next(text: str, place: int, marks: str) -> tuple[str, int]:
    """The punctuation at ``place``, which must be one of ``marks``, and the place of what follows it."""
    found = _PUNCTUATION.match(text, place)
    if not found or found[1] not in marks:
        raise ValueError(f"none of {marks} at character {place}")
    return found[1], found.end()
