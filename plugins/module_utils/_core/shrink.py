# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shrink guard: a snapshot that would remove much at once is held back until somebody confirms it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .model import Snapshot

# What there is to lose, by who serves it.
OF_INGRESSES = ("routes", "servers", "certificates")
OF_SERVICES = ("services",)
OF_APIS = ("API servers",)
KINDS = OF_INGRESSES + OF_SERVICES + OF_APIS
# A cluster that answers has at least one API server.
NONE_LEFT = "it names no API server any more"


@dataclass(frozen=True)
class ShrinkLimit:
    """``share``: percent of a kind of thing that may go at once. Fewer than ``least`` may always go."""

    share: int = 50
    least: int = 3


def counts(snapshot: Snapshot) -> dict[str, int]:
    """How much a snapshot wants, by kind."""
    return {
        "routes": sum(len(ingress.paths) + bool(ingress.default_pool) for ingress in snapshot.ingresses),
        "servers": sum(e.serving for pool in snapshot.pools for e in pool.endpoints),
        "certificates": len(snapshot.certificates),
        "services": sum(len(service.ports) * len(service.addresses) for service in snapshot.services),
        "API servers": len(snapshot.api_servers),
    }


def shrinks(before: Snapshot, after: Snapshot, limit: ShrinkLimit, kinds: t.Collection[str] = KINDS) -> str:
    """What of the ``kinds`` in ``before`` is gone in ``after`` beyond the limit, such as "40 routes become 3"; "" when nothing is."""
    had, has = counts(before), counts(after)
    gone = []
    for kind in kinds:
        lost = had[kind] - has[kind]
        if lost >= limit.least and lost * 100 > had[kind] * limit.share:
            gone.append(f"{had[kind]} {kind} become {has[kind]}")
    return ", ".join(gone)


def nothing_left(before: Snapshot, after: Snapshot, kinds: t.Collection[str]) -> str:
    """Why ``after`` can't be meant, whoever confirms it; "" when it can."""
    return NONE_LEFT if "API servers" in kinds and before.api_servers and not after.api_servers else ""
