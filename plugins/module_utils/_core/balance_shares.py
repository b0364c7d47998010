# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the clusters of a merged service share its new connections: weights of destinations. Pure."""

from __future__ import annotations

import math
from collections import defaultdict

from .balance_model import Destination
from .desired import ACTIVE, STANDBY, Share

MAX_WEIGHT = 65535


def spread(parts: dict[str, list[Destination]], shares: dict[str, Share]) -> tuple[Destination, ...]:
    """The destinations of several clusters, sorted, in weights that give each cluster its share.

    A cluster in mode drain gets nothing, one in standby only where no active one has a destination.
    """
    if len(parts) == 1 and not any(d.weight > 1 for found in parts.values() for d in found):
        return tuple(sorted(*parts.values()))  # Mostly, and there may be thousands.
    modes = {cluster: shares.get(cluster, Share()) for cluster in parts}
    for mode in (ACTIVE, STANDBY):
        chosen = {cluster: found for cluster, found in parts.items() if found and modes[cluster].mode == mode}
        if chosen:
            break
    common = math.lcm(*(sum(d.weight for d in found) for found in chosen.values())) if chosen else 1
    weighted = []
    for cluster, found in chosen.items():
        natural = sum(d.weight for d in found)
        part = modes[cluster].weight or natural
        weighted += [d._replace(weight=d.weight * part * (common // natural)) for d in found]
    return _small(weighted)


def _small(found: list[Destination]) -> tuple[Destination, ...]:
    """In the smallest weights of the same proportions. Beyond what IPVS takes, nearly so."""
    divisor = math.gcd(*(d.weight for d in found)) if found else 1
    most = max((d.weight for d in found), default=1) // divisor
    scale = divisor * max(1, math.ceil(most / MAX_WEIGHT))
    # Two clusters may name the same destination: it is one for the kernel, and gets both parts.
    weights: dict[tuple[str, int], int] = defaultdict(int)
    for d in found:
        weights[d.key] += max(1, round(d.weight / scale))
    by_key = {d.key: d for d in sorted(found, reverse=True)}
    return tuple(sorted(d._replace(weight=weights[key]) for key, d in by_key.items()))
