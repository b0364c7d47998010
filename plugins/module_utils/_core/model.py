# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model of a snapshot: what one cluster wants from its routers at one moment.

All values are immutable and canonical; the constructors refuse what ``syntax`` refuses, so
neither an object of a cluster nor an edited file brings anything else in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import syntax
from .errors import InvalidValue
from .policy import Policy
from .services import Node, Service, router_groups

EXACT = "Exact"
PREFIX = "Prefix"

# How pods are spoken to: plain HTTP/1.1, HTTP/2 without TLS, TLS (HTTP/2 where the pod offers it).
PROTOCOLS = ("http", "h2c", "https")
KEY_TYPES = ("ecdsa", "rsa")


@dataclass(frozen=True, order=True, slots=True)
class Rule:
    """One host and path of an ingress. ``host`` is exact, ``*.`` and a name, or "" for every host."""

    host: str
    path: str
    path_type: str

    def __post_init__(self) -> None:
        if syntax.rule_host(self.host, "host") != self.host:
            raise InvalidValue("host", f"{self.host!r} is not in lower case")
        if syntax.path(self.path, "path") != self.path:
            raise InvalidValue("path", f"{self.path!r} is not in its canonical form")
        if self.path_type == PREFIX and self.path.endswith("/") and self.path != "/":
            raise InvalidValue("path", f"{self.path!r} is the same prefix without its last slash")
        if self.path_type not in (EXACT, PREFIX):
            raise InvalidValue("pathType", f"{self.path_type!r} is neither {EXACT} nor {PREFIX}")


@dataclass(frozen=True, order=True, slots=True)
class Path:
    """A rule and the name of the pool that it leads to."""

    rule: Rule
    pool: str

    def __post_init__(self) -> None:
        syntax.pool_name(self.pool, "pool")


@dataclass(frozen=True, order=True, slots=True)
class Tls:
    """An entry of spec.tls: ``certificate`` (the source of a Certificate of the snapshot) for ``hosts``."""

    hosts: tuple[str, ...]
    certificate: str

    def __post_init__(self) -> None:
        for host in self.hosts:
            syntax.rule_host(host, "spec.tls.hosts")


@dataclass(frozen=True, slots=True)
class Ingress:
    """An Ingress object. ``created`` is its creationTimestamp (RFC 3339, UTC), by which age is told.

    ``default_pool`` is "" without spec.defaultBackend. ``canary_weight`` (percent) is None for an
    ingress that is no canary. With ``passthrough`` its hosts' TLS connections go to the pods as they are.
    ``groups`` are the router groups that may serve it, sorted; empty for any.
    """

    namespace: str
    name: str
    created: str
    ingress_class: str
    paths: tuple[Path, ...] = ()
    default_pool: str = ""
    policy: Policy = Policy()
    canary_weight: int | None = None
    passthrough: bool = False
    tls: tuple[Tls, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        syntax.dns_label(self.namespace, "metadata.namespace")
        syntax.dns_subdomain(self.name, "metadata.name")
        syntax.dns_subdomain(self.ingress_class, "spec.ingressClassName")
        if self.default_pool:
            syntax.pool_name(self.default_pool, "default_pool")
        if self.canary_weight is not None and not 0 <= self.canary_weight <= 100:
            raise InvalidValue("canary-weight", f"{self.canary_weight} is no percentage (0 to 100)")
        if self.groups and router_groups(",".join(self.groups), "router-group") != self.groups:
            raise InvalidValue("router-group", f"{syntax.shown(self.groups)} is not canonical")

    @property
    def age_key(self) -> tuple[str, str, str]:
        """Sorts the older claim first; names decide between equals."""
        return (self.created, self.namespace, self.name)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of its rules, each once; "" for every host."""
        return tuple(sorted({path.rule.host for path in self.paths}))

    @property
    def full_name(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"Ingress {self.full_name}"


def owner(cluster: str, full_name: str) -> str:
    """An ingress among those of all clusters: CLUSTER:NAMESPACE/NAME."""
    return f"{cluster}:{full_name}"


@dataclass(frozen=True, order=True, slots=True)
class Endpoint:
    """A pod behind a Service's port, with the conditions of its EndpointSlice."""

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False

    def __post_init__(self) -> None:
        if syntax.address(self.address, "address") != self.address:
            raise InvalidValue("address", f"{self.address!r} is not canonical")
        syntax.port(self.port, "port")


@dataclass(frozen=True, order=True, slots=True)
class PoolTls:
    """TLS towards pods: PEM texts of the authority and of our client certificate with its key (secret).

    An empty ``authority`` means the system's. ``server_name`` is "" for the host of the request.
    """

    authority: str = ""
    client_certificate: str = field(default="", repr=False)
    server_name: str = ""
    verify: bool = True

    def __post_init__(self) -> None:
        if self.server_name:
            syntax.dns_subdomain(self.server_name, "tls.server_name")


@dataclass(frozen=True, order=True, slots=True)
class Pool:
    """Pods as a target: of an ingress controller (class/NAME) or of a Service's port (service/NAMESPACE/NAME/PORT).

    ``passthrough`` are the pods' TLS endpoints, for connections that are not decrypted here.
    """

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    protocol: str = "http"
    proxy_protocol: bool = False
    tls: PoolTls = PoolTls()
    passthrough: tuple[Endpoint, ...] = ()

    def __post_init__(self) -> None:
        syntax.pool_name(self.name, "pool")
        if self.protocol not in PROTOCOLS:
            raise InvalidValue("protocol", f"{self.protocol!r} is not one of {', '.join(PROTOCOLS)}")


@dataclass(frozen=True, order=True, slots=True)
class Certificate:
    """A certificate chain with its private key, read and checked on the controller.

    ``source`` names it (``Secret NAMESPACE/NAME``, or a file). ``names`` are the DNS names of its SAN, in
    lower case. Validity is in seconds since the epoch. ``pem`` is secret: chain and key without blank lines.
    """

    source: str
    names: tuple[str, ...]
    key_type: str
    not_before: int
    not_after: int
    pem: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in self.names:
            syntax.rule_host(name, "names")
        if self.key_type not in KEY_TYPES:
            raise InvalidValue("key_type", f"{self.key_type!r} is not one of {', '.join(KEY_TYPES)}")
        # A blank line would end a payload of haproxy's run-time interface, and the key's lines would be commands.
        if not syntax.is_pem(self.pem):
            raise InvalidValue("pem", "is no sequence of PEM blocks without blank lines")


@dataclass(frozen=True, order=True, slots=True)
class Quarantined:
    """An object that is skipped: which, the field at fault, and why."""

    cluster: str
    object: str
    field: str
    cause: str

    def __str__(self) -> str:
        return f"cluster {self.cluster}: {self.object}: {self.field}: {self.cause}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one cluster wants from its routers at one moment. ``default_pool`` answers what no ingress matches.

    ``services`` are those of type LoadBalancer, ``nodes`` those that may get their traffic. ``api_servers`` and the PEM text
    ``api_authority``, which vouches for them, are in a snapshot of their own: what serves them needs nothing else.
    """

    cluster: str
    ingresses: tuple[Ingress, ...] = ()
    pools: tuple[Pool, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    default_pool: str = ""
    services: tuple[Service, ...] = ()
    nodes: tuple[Node, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    api_servers: tuple[Endpoint, ...] = ()
    api_authority: str = ""

    def __post_init__(self) -> None:
        syntax.dns_label(self.cluster, "cluster")
        # It becomes a file of haproxy's.
        if self.api_authority and not syntax.is_pem(self.api_authority):
            raise InvalidValue("api_authority", "is no sequence of PEM blocks without blank lines")
        if self.default_pool:
            syntax.pool_name(self.default_pool, "default_pool")
