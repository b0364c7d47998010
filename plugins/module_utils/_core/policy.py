# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ingress asks for beside its rules, by annotations under ``northgate.edge/``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import syntax
from .errors import InvalidValue

# hstsValue of RFC 6797, section 6.1, as we write it.
_HSTS = re.compile(r"max-age=[0-9]{1,10}(; includeSubDomains)?(; preload)?")
_DIGEST = re.compile(r"[0-9A-F]{64}")

MAX_REWRITE_DEPTH = 8
MAX_TIMEOUT = 24 * 3600 * 1000
RATE_UNITS = ("s", "m")


@dataclass(frozen=True, order=True, slots=True)
class Policy:
    """The default values mean: nothing was asked for.

    ``closed``: answer 403 to everything, since what protects the ingress can't be understood.
    ``redirect``: to HTTPS; None is the router's default. ``hsts``: value of Strict-Transport-Security,
    "off", or "" for the router's default. ``allow`` and ``deny``: client networks; deny wins.
    ``rate_limit``: requests of one client in a ``rate_unit`` (s or m). ``max_body`` in bytes.
    ``timeout_server`` and ``timeout_tunnel`` in milliseconds. ``users``: SHA-256 of "user:password" in
    upper-case hexadecimal, of which a request must have one. ``rewrite``: replaces the path of the rule.
    """

    closed: bool = False
    redirect: bool | None = None
    hsts: str = ""
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    rate_limit: int = 0
    rate_unit: str = "s"
    max_body: int = 0
    timeout_server: int = 0
    timeout_tunnel: int = 0
    affinity: bool = False
    users: tuple[str, ...] = ()
    rewrite: str = ""

    def __post_init__(self) -> None:
        if self.hsts not in ("", "off") and not _HSTS.fullmatch(self.hsts):
            raise InvalidValue("hsts", f"{self.hsts!r} is no value of Strict-Transport-Security")
        for network in (*self.allow, *self.deny):
            if syntax.network(network, "networks") != network:
                raise InvalidValue("networks", f"{network!r} is not canonical")
        if self.rate_unit not in RATE_UNITS or not 0 <= self.rate_limit < 2**31:
            raise InvalidValue("rate-limit", f"{self.rate_limit!r}/{self.rate_unit!r} is no rate")
        if not 0 <= self.max_body < 2**50:
            raise InvalidValue("max-body", f"{self.max_body!r} is no size in bytes")
        if not all(0 <= timeout <= MAX_TIMEOUT for timeout in (self.timeout_server, self.timeout_tunnel)):
            raise InvalidValue("timeout", "is not within 0 and 24 hours")
        if not all(_DIGEST.fullmatch(user) for user in self.users):
            raise InvalidValue("users", "holds what is no SHA-256")
        if self.rewrite and syntax.path(self.rewrite, "rewrite") != self.rewrite:
            raise InvalidValue("rewrite", f"{self.rewrite!r} is not canonical")


NONE = Policy()
CLOSED = Policy(closed=True)
