# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator of haproxy chooses, and how files, sections and cookies of ours are called."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import InvalidValue
from .._core.syntax import network

CONFIG = "ingress.cfg"
ROUTES, POLICIES, NAMES, PASSTHROUGH = "routes.map", "policies.map", "certificates.map", "passthrough.map"
CERTIFICATES = "certificates.list"
MAPS = (ROUTES, POLICIES, NAMES, PASSTHROUGH)

# Stand for what is known only where the files lie: their directory, and a name for a socket of this host.
DIRECTORY, INSTANCE = "@directory@", "@instance@"
# The cookie's value is a hash of a pod's address and this; the same on all routers, so that any of them knows it.
AFFINITY_KEY = "northgate"
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True)
class Options:
    """What the operator chooses: binds as in haproxy's ``bind``, networks, and the value of Strict-Transport-Security.

    ``trusted_proxies``: whose X-Forwarded-For and -Proto count. ``proxy_protocol_from``: who speaks PROXY protocol to us.
    """

    http_bind: tuple[str, ...] = ("0.0.0.0:80", ":::80 v6only")
    https_bind: tuple[str, ...] = ("0.0.0.0:443", ":::443 v6only")
    hsts: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol_from: tuple[str, ...] = ()
    passthrough: bool = False
    affinity_cookie: str = "NORTHGATE"
    spare_backends: int = 64

    def __post_init__(self) -> None:
        for name in ("trusted_proxies", "proxy_protocol_from"):
            for value in getattr(self, name):
                network(value, name)
        if not self.affinity_cookie or not _NAME.issuperset(self.affinity_cookie):
            raise InvalidValue("affinity_cookie", f"{self.affinity_cookie!r} is no name of letters, digits, _ and -")
        if not 0 <= self.spare_backends <= 10_000:
            raise InvalidValue("spare_backends", f"{self.spare_backends} is not within 0 and 10,000")
