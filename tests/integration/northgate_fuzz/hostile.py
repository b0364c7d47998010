# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a hostile tenant puts into objects, wherever the API or an edited file would let it."""

from __future__ import annotations

import base64
import copy
import random
import typing as t

# Stands in every hostile text, so that it is found wherever it comes out.
MARK = "hostile"
_TEXTS = (
    "\n    server hostile 192.0.2.1:80",
    "hostile\nbackend hostile\n",
    "hostile\r\nX-Hostile: yes",
    "hostile\x00.test",
    'hostile" if TRUE',
    "hostile'",
    "hostile test",
    "hostile\ttest",
    "${HOME}hostile",
    "%[env(HOME)]hostile",
    "hostile|r||",
    "hostile/?",
    "hostile #",
    "hostile\\",
    "../../../hostile",
    "/../hostile",
    "hostile/../../etc",
    "/hostile//x",
    "/hostile%2fx",
    "/hostile%0a%00",
    "/hostile;$(id)`id`",
    "hostile" * 3000,
    "h\u00f6stile-hostile",
    "hostile\u2028\u0085server",
    "\u212aelvin-hostile",
    "*.*.hostile",
    "*.hostile",
    "*hostile",
    "!hostile",
    "[::1]hostile",
    "hostile\ud800",
    "<<hostile",
    "hostile;add map",
    "northgate.edge/hostile",
    "-----BEGIN CERTIFICATE-----\nhostile\n\nshow info\n-----END CERTIFICATE-----\n",
    base64.b64encode(b"hostile\n\nshow info\n").decode(),
    "",
)
_OTHERS = (None, True, False, 0, -1, 80, 65536, 2**70, 1.5, float("nan"), float("inf"), [], {}, [None], {"hostile": "hostile"}, [["hostile\n"]])


def _deep(levels: int) -> t.Any:
    value: t.Any = "hostile"
    for _level in range(levels):
        value = {"hostile": [value]}
    return value


def _places(value: t.Any) -> t.Iterator[tuple[t.Any, t.Any]]:
    """Every place in parsed JSON, as container and key."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def spoiled(value: t.Any, seed: int, changes: int) -> t.Any:
    """A copy of parsed JSON in which ``changes`` places hold what is hostile. The outermost values stay what they are."""
    chance = random.Random(seed)
    value = copy.deepcopy(value)
    for _change in range(changes):
        container, key = _place(value, chance)
        container[key] = _other(container[key], chance)
        if isinstance(container, dict) and isinstance(key, str) and chance.random() < 0.1:
            container[_text(key, chance)] = container.pop(key)
        elif isinstance(container, list) and chance.random() < 0.1:
            container.append(copy.deepcopy(container[key]))
    return value


def _place(value: t.Any, chance: random.Random) -> tuple[t.Any, t.Any]:
    """A place, in each of the outermost values as often; but half are in ingresses, where tenants write most."""
    outermost = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, dict) and chance.random() < 0.5:
        outermost = [value["ingresses"]]
    places = list(_places(chance.choice(outermost)))
    return chance.choice(places) if places else _place(value, chance)


def _other(value: t.Any, chance: random.Random) -> t.Any:
    if isinstance(value, str) and chance.random() < 0.8:
        return _text(value, chance)
    return copy.deepcopy(chance.choice([*_OTHERS, _deep(60), chance.choice(_TEXTS)]))


def _text(value: str, chance: random.Random) -> str:
    """A hostile text, alone or before, behind or in the middle of what was there."""
    bad, middle = chance.choice(_TEXTS), len(value) // 2
    return chance.choice([bad, value + bad, bad + value, value[:middle] + bad + value[middle:]])
