# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Annotations under ``northgate.edge/``: reading them strictly, and what an ingress asks for by them beside its rules. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import PROTOCOLS
from .._core.policy import MAX_TIMEOUT, NONE, Policy
from .._core.services import router_groups
from .hostile import Object

PREFIX = "northgate.edge/"
# An ingress with one of these must not be served without it.
PROTECTING = frozenset({"allow-networks", "deny-networks", "basic-auth-secret", "rate-limit", "max-body"})
# What can't be done to a connection that is not decrypted.
_NOT_PASSED_THROUGH = PROTECTING | {"affinity", "canary-weight", "hsts", "rewrite-path"}
MAX_NETWORKS = 256
MAX_SECRETS = 16

_RATE = re.compile(r"([1-9][0-9]{0,8})/([sm])")
_SIZE = re.compile(r"([1-9][0-9]{0,14})([kmg]?)")
_TIME = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h)")
_PERCENT = re.compile(r"[0-9]{1,3}")
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}

# From the text of one annotation to values by name; raises InvalidValue.
Parser = t.Callable[[str], dict[str, t.Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the annotations ask for. ``auth`` are names of Secrets with users; ``protocol`` is "" for the port's own; ``groups`` are router groups.

    ``mistakes`` and ``unknown`` are pairs of field and cause. ``protecting``: something is to be protected.
    """

    policy: Policy = NONE
    auth: tuple[str, ...] = ()
    canary: bool = False
    canary_weight: int | None = None
    passthrough: bool = False
    protocol: str = ""
    groups: tuple[str, ...] = ()
    protecting: bool = False
    mistakes: tuple[tuple[str, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()


NOTHING = Asked()


def field(name: str) -> str:
    """How messages call the annotation."""
    return f"annotation {PREFIX}{name}"


class Ours(t.NamedTuple):
    """Annotations under our prefix: ``names`` of all, ``values`` of those that were understood, pairs of field and cause of the rest."""

    names: frozenset[str]
    values: dict[str, t.Any]
    mistakes: list[tuple[str, str]]
    unknown: list[tuple[str, str]]


def ours(annotations: Object, parsers: t.Mapping[str, Parser]) -> Ours | None:
    """What the ``parsers``, by name without prefix, make of annotations of which nothing is known; None without any of ours."""
    raw = {key[len(PREFIX):]: value for key, value in annotations.items() if key.startswith(PREFIX)}
    if not raw:
        return None
    found = Ours(frozenset(raw), {}, [], [])
    for name in sorted(raw):
        try:
            if name not in parsers:
                found.unknown.append((field(syntax.shown(name).strip("'")), f"is unknown; known are {', '.join(sorted(parsers))}"))
            elif not isinstance(raw[name], str):
                raise InvalidValue(name, f"{syntax.shown(raw[name])} is no text")
            else:
                found.values.update(parsers[name](raw[name]))
        except InvalidValue as error:
            found.mistakes.append((field(name), error.cause))
    return found


def parse(annotations: Object) -> Asked:
    """What the annotations of an ingress ask for; those of others are none of our business."""
    found = ours(annotations, _PARSERS)
    if found is None:
        return NOTHING
    mistakes = found.mistakes
    if found.values.get("passthrough"):
        mistakes += [(field(name), "can't be combined with tls-passthrough") for name in sorted(_NOT_PASSED_THROUGH & found.names)]
    return Asked(
        policy=Policy(**{name: value for name, value in found.values.items() if name in Policy.__slots__}),
        protecting=not PROTECTING.isdisjoint(found.names),
        canary="canary-weight" in found.names,
        mistakes=tuple(mistakes),
        unknown=tuple(found.unknown),
        **{name: value for name, value in found.values.items() if name not in Policy.__slots__},
    )


def _match(pattern: re.Pattern[str], value: str, expected: str) -> re.Match[str]:
    if match := pattern.fullmatch(value):
        return match
    raise InvalidValue("", f"{syntax.shown(value)} is not {expected}")


def one_of(name: str, **choices: t.Any) -> Parser:
    """The value ``name`` by the text that is written for it."""

    def parse_choice(value: str) -> dict[str, t.Any]:
        if value not in choices:
            raise InvalidValue(name, f"{syntax.shown(value)} is not one of {', '.join(choices)}")
        return {name: choices[value]}

    return parse_choice


def _hsts(value: str) -> dict[str, t.Any]:
    if not value:
        raise InvalidValue("hsts", "is empty: give off, or max-age=SECONDS")
    return {"hsts": Policy(hsts=value).hsts}


def words(value: str, most: int) -> list[str]:
    """The parts of a list with commas."""
    found = [word.strip() for word in value.split(",", most)]
    if len(found) > most:
        raise InvalidValue("", f"has more than {most} values")
    return found


def _networks(name: str) -> Parser:
    return lambda value: {name: tuple(sorted({syntax.network(word, name) for word in words(value, MAX_NETWORKS)}))}


def _rate(value: str) -> dict[str, t.Any]:
    number, unit = _match(_RATE, value, "of the form 20/s or 600/m").groups()
    return {"rate_limit": int(number), "rate_unit": unit}


def _max_body(value: str) -> dict[str, t.Any]:
    number, unit = _match(_SIZE, value, "a number of bytes, or one with k, m or g").groups()
    size = int(number) * _BYTES[unit]
    if size >= 2**50:
        raise InvalidValue("max-body", f"{value} is too much")
    return {"max_body": size}


def _timeout(name: str) -> Parser:
    def parse_time(value: str) -> dict[str, t.Any]:
        number, unit = _match(_TIME, value, "of the form 500ms, 30s, 5m or 1h").groups()
        time = int(number) * _MILLISECONDS[unit]
        if time > MAX_TIMEOUT:
            raise InvalidValue(name, f"{value} is more than 24h")
        return {name: time}

    return parse_time


def _auth(value: str) -> dict[str, t.Any]:
    return {"auth": tuple(sorted({syntax.dns_subdomain(word, "basic-auth-secret") for word in words(value, MAX_SECRETS)}))}


def _weight(value: str) -> dict[str, t.Any]:
    weight = int(_match(_PERCENT, value, "a percentage from 0 to 100").group())
    if weight > 100:
        raise InvalidValue("canary-weight", f"{value} is more than 100 percent")
    return {"canary_weight": weight}


def groups(value: str) -> dict[str, t.Any]:
    """The router groups that may serve an ingress or a service."""
    return {"groups": router_groups(value, "router-group")}


_BOOLEAN = {"true": True, "false": False}
_PARSERS: dict[str, Parser] = {
    "affinity": one_of("affinity", cookie=True),
    "allow-networks": _networks("allow"),
    "backend-protocol": one_of("protocol", **{name: name for name in PROTOCOLS}),
    "basic-auth-secret": _auth,
    "canary-weight": _weight,
    "deny-networks": _networks("deny"),
    "hsts": _hsts,
    "max-body": _max_body,
    "rate-limit": _rate,
    "rewrite-path": lambda value: {"rewrite": syntax.path(value, "rewrite-path")},
    "router-group": groups,
    "ssl-redirect": one_of("redirect", **_BOOLEAN),
    "timeout-server": _timeout("timeout_server"),
    "timeout-tunnel": _timeout("timeout_tunnel"),
    "tls-passthrough": one_of("passthrough", **_BOOLEAN),
}
