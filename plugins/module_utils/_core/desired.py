# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The desired state of HTTP(S) ingress on one router, and what its operator chooses."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import InvalidValue
from .model import Certificate, Pool, Quarantined, Rule
from .policy import NONE, Policy

ACTIVE, STANDBY, DRAIN = "active", "standby", "drain"
MODES = (ACTIVE, STANDBY, DRAIN)
OLDEST, NEWEST, NOBODY = "oldest", "newest", "nobody"
CLAIM_WINNERS = (OLDEST, NEWEST, NOBODY)
PATH_SCOPE, HOST_SCOPE, OPEN_SCOPE = "path", "host", "open"
CLAIM_SCOPES = (PATH_SCOPE, HOST_SCOPE, OPEN_SCOPE)
MAX_SHARE = 1000


@dataclass(frozen=True, order=True, slots=True)
class PoolName:
    """A pool of a cluster."""

    cluster: str
    pool: str

    def __str__(self) -> str:
        return f"{self.cluster}:{self.pool}"


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster's part of the requests for what several clusters offer.

    ``weight`` is relative to the others' weights; None means as many as there are ready pods. A cluster in
    mode standby gets requests when no active one has a pod that answers, one in mode drain gets no new ones.
    """

    weight: int | None = None
    mode: str = ACTIVE

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidValue("mode", f"{self.mode!r} is not one of {', '.join(MODES)}")
        if self.weight is not None and not 1 <= self.weight <= MAX_SHARE:
            raise InvalidValue("weight", f"{self.weight!r} is not within 1 and {MAX_SHARE}")


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What the operator of a router group decides.

    ``shares`` by cluster. ``claim_winner``: who gets what several ingresses claim in different ways.
    ``claim_scope``: what the winner's namespace then has for itself, in all clusters: the host and path, the
    whole host, or nothing (open: namespaces share a host and path). ``redirect``: from HTTP to HTTPS where there
    is a certificate. ``now`` is in seconds since the epoch, ``expiry_warning`` in seconds. ``group`` is the name of
    the router group: ingresses that ask for others are not its business. Where it is "", all are.
    """

    shares: dict[str, Share] = field(default_factory=dict)
    claim_winner: str = OLDEST
    claim_scope: str = PATH_SCOPE
    redirect: bool = True
    passthrough: bool = False
    now: int = 0
    expiry_warning: int = 14 * 86400
    group: str = ""

    def __post_init__(self) -> None:
        if self.claim_winner not in CLAIM_WINNERS:
            raise InvalidValue("claim_winner", f"{self.claim_winner!r} is not one of {', '.join(CLAIM_WINNERS)}")
        if self.claim_scope not in CLAIM_SCOPES:
            raise InvalidValue("claim_scope", f"{self.claim_scope!r} is not one of {', '.join(CLAIM_SCOPES)}")


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests for one rule go. ``owner`` is the ingress whose claim counts, as CLUSTER:NAMESPACE/NAME.

    ``canary`` gets ``canary_weight`` percent of the requests. ``redirect``: from HTTP to HTTPS.
    With ``passthrough`` the host's TLS connections go to the pools undecrypted.
    """

    pools: tuple[PoolName, ...]
    owner: str
    policy: Policy = NONE
    redirect: bool = False
    canary: tuple[PoolName, ...] = ()
    canary_weight: int = 0
    passthrough: bool = False


@dataclass(frozen=True, order=True, slots=True)
class Served:
    """A certificate and the server names (exact, or ``*.`` and a name) for which it is the one to present."""

    names: tuple[str, ...]
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class IngressState:
    """Desired state of HTTP(S) ingress on one router.

    ``routes`` by rule. ``defaults`` (default backends) by host, "" for every host: they are asked after all
    routes. ``passthrough`` by host. ``pools`` holds every pool that is referred to.
    """

    routes: dict[Rule, Route]
    defaults: dict[str, Route]
    passthrough: dict[str, tuple[PoolName, ...]]
    pools: dict[PoolName, Pool]
    shares: dict[str, Share]
    certificates: tuple[Served, ...] = ()
    without_certificate: tuple[str, ...] = ()
    expiring: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    # The ingresses, as CLUSTER:NAMESPACE/NAME, of which at least one rule is served.
    served: frozenset[str] = frozenset()
