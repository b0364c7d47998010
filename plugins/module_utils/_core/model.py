# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model: what clusters offer (snapshot) and what a router must serve (desired state).

All values are immutable and canonical; the constructors refuse what ``syntax`` refuses, so
neither an object of a cluster nor an edited file brings anything else in.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import syntax
from .errors import InvalidValue

EXACT = "Exact"
PREFIX = "Prefix"


@dataclass(frozen=True, order=True)
class Rule:
    """One host and path of an ingress. ``path_type`` is Exact or Prefix."""

    host: str
    path: str
    path_type: str

    def __post_init__(self) -> None:
        if syntax.host(self.host, "host") != self.host:
            raise InvalidValue("host", f"{self.host!r} is not in lower case")
        syntax.path(self.path, "path")
        if self.path_type not in (EXACT, PREFIX):
            raise InvalidValue("pathType", f"{self.path_type!r} is neither {EXACT} nor {PREFIX}")


@dataclass(frozen=True)
class Ingress:
    """An Ingress object. ``created`` is its creationTimestamp (RFC 3339, UTC), by which age is told."""

    namespace: str
    name: str
    created: str
    ingress_class: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        syntax.dns_label(self.namespace, "metadata.namespace")
        syntax.dns_subdomain(self.name, "metadata.name")
        syntax.dns_subdomain(self.ingress_class, "spec.ingressClassName")

    @property
    def age_key(self) -> tuple[str, str, str]:
        """Sorts the older claim first; names decide between equals."""
        return (self.created, self.namespace, self.name)

    def __str__(self) -> str:
        return f"Ingress {self.namespace}/{self.name}"


@dataclass(frozen=True, order=True)
class Endpoint:
    """A pod of an ingress controller, with the conditions of its EndpointSlice."""

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False

    def __post_init__(self) -> None:
        if syntax.address(self.address, "address") != self.address:
            raise InvalidValue("address", f"{self.address!r} is not canonical")
        syntax.port(self.port, "port")


@dataclass(frozen=True)
class IngressController:
    """The ingress pods behind one IngressClass."""

    ingress_class: str
    endpoints: tuple[Endpoint, ...]

    def __post_init__(self) -> None:
        syntax.dns_subdomain(self.ingress_class, "ingress_class")


@dataclass(frozen=True, order=True)
class Quarantined:
    """An object that is skipped: which, the field at fault, and why."""

    cluster: str
    object: str
    field: str
    cause: str

    def __str__(self) -> str:
        return f"cluster {self.cluster}: {self.object}: {self.field}: {self.cause}"


@dataclass(frozen=True)
class Snapshot:
    """What one cluster wants from its routers at one moment."""

    cluster: str
    ingresses: tuple[Ingress, ...] = ()
    controllers: tuple[IngressController, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()

    def __post_init__(self) -> None:
        syntax.dns_label(self.cluster, "cluster")


@dataclass(frozen=True, order=True)
class PoolName:
    """Ingress pods as a target: the class ``ingress_class`` of ``cluster``."""

    cluster: str
    ingress_class: str

    def __str__(self) -> str:
        return f"{self.cluster}:{self.ingress_class}"


@dataclass(frozen=True)
class IngressState:
    """Desired state of HTTP(S) ingress on one router.

    ``routes`` maps each rule to the pools of every cluster that offers it; ``pools`` maps each
    pool that a route uses to its ready endpoints.
    """

    routes: dict[Rule, tuple[PoolName, ...]]
    pools: dict[PoolName, tuple[Endpoint, ...]]
    quarantined: tuple[Quarantined, ...] = ()
