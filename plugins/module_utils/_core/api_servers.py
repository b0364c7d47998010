# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API servers: what the operator chooses for a cluster's Kubernetes API, and which servers stand behind it. Pure.

The servers are those of the cluster's snapshot. Without one, or without any in it, they are the seeds of the inventory.
A cluster for which there is neither is an error: nothing may empty a backend that serves.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import syntax
from .errors import InvalidValue
from .model import Quarantined, Snapshot

# How a server's health is asked: its own word at /readyz, or a TLS handshake where it answers nobody without a name.
READYZ, HANDSHAKE = "readyz", "tls"
HEALTH = (READYZ, HANDSHAKE)
SERVER_NAME = "kubernetes.default.svc"
SOURCE = "EndpointSlice default/kubernetes"
_EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True, order=True, slots=True)
class Socket:
    """An address and a port."""

    address: str
    port: int

    @classmethod
    def parse(cls, value: object, field: str) -> Socket:
        """From ADDRESS:PORT or [ADDRESS]:PORT; raises InvalidValue."""
        address, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        bracketed = address.startswith("[") and address.endswith("]")
        if not colon or not (port.isascii() and port.isdecimal() and len(port) < 6) or bracketed != (":" in address):
            raise InvalidValue(field, f"{syntax.shown(value)} is neither ADDRESS:PORT nor [IPV6-ADDRESS]:PORT")
        return cls(syntax.address(address[1:-1] if bracketed else address, field), syntax.port(int(port), field))

    @property
    def is_every_address(self) -> bool:
        return self.address in _EVERY_ADDRESS

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class ApiOptions:
    """For one cluster. ``names`` are the server names (SNI) of clients, which matter where clusters share a bind.

    ``allow``: networks of clients, empty for everybody. ``authority``: PEM certificates that vouch for the servers,
    "" for those of the snapshot. ``server_name``: the name that the servers' certificates must have.
    """

    binds: tuple[Socket, ...]
    names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    seeds: tuple[Socket, ...] = ()
    authority: str = ""
    server_name: str = SERVER_NAME
    verify: bool = True
    health: str = READYZ

    @classmethod
    def parse(cls, options: object, where: str) -> ApiOptions:
        """From configuration; raises InvalidValue that names the option, below ``where``. ``ca`` is PEM text here."""
        if not isinstance(options, dict):
            raise InvalidValue(where, f"{syntax.shown(options)} is no dictionary")
        if unknown := sorted(map(str, set(options) - set(KEYS))):
            raise InvalidValue(f"{where}.{syntax.shown(unknown[0])}", f"is no option; they are {', '.join(KEYS)}")
        given = {key: value for key, value in options.items() if value is not None}
        binds = _each(given, "bind", where, Socket.parse)
        if not binds:
            raise InvalidValue(f"{where}.bind", "is missing: say where the router group serves this cluster's API, such as 192.0.2.50:6443")
        return cls(
            binds,
            names=_each(given, "names", where, _server_name),
            allow=_each(given, "allow", where, syntax.network),
            seeds=_each(given, "servers", where, Socket.parse),
            authority=authority(given.get("ca", ""), f"{where}.ca"),
            server_name=_server_name(given.get("server_name", SERVER_NAME), f"{where}.server_name"),
            verify=_one_of(given.get("verify", True), (True, False), f"{where}.verify"),
            health=_one_of(given.get("health", READYZ), HEALTH, f"{where}.health"),
        )


KEYS = ("bind", "names", "allow", "servers", "ca", "server_name", "verify", "health")


def authority(text: object, field: str) -> str:
    """PEM certificates and nothing else, or ""; raises InvalidValue."""
    if text == "" or (isinstance(text, str) and syntax.is_pem(text) and text.count("-----BEGIN ") == text.count("-----BEGIN CERTIFICATE-----\n")):
        return text
    raise InvalidValue(field, "is no PEM text of certificates alone")


def _each(given: dict[t.Any, t.Any], key: str, where: str, parse: t.Callable[[object, str], t.Any]) -> tuple[t.Any, ...]:
    """The values of a list, in order, each once."""
    values = given.get(key, [])
    if not isinstance(values, list):
        raise InvalidValue(f"{where}.{key}", f"{syntax.shown(values)} is no list")
    return tuple(sorted({parse(value, f"{where}.{key}") for value in values}))


def _server_name(value: object, field: str) -> str:
    return syntax.dns_subdomain(value.lower() if isinstance(value, str) and value.isascii() else value, field)


def _one_of(value: t.Any, choices: tuple[t.Any, ...], field: str) -> t.Any:
    # Not "in" alone: 1 is no true.
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return value
    raise InvalidValue(field, f"{syntax.shown(value)} is not one of {', '.join(str(choice).lower() for choice in choices)}")


def parse_all(configured: dict[str, t.Any], clusters: t.Collection[str]) -> dict[str, ApiOptions]:
    """By cluster; raises InvalidValue where one is not served here, or can't be told from another one."""
    found: dict[str, ApiOptions] = {}
    for cluster, options in sorted(configured.items()):
        syntax.dns_label(cluster, "api")
        if cluster not in clusters:
            raise InvalidValue(f"api.{cluster}", f"is no cluster of this router group; they are {', '.join(sorted(clusters)) or 'none'}")
        found[cluster] = ApiOptions.parse(options, f"api.{cluster}")
    for of in sharing(found):
        owners: dict[str, str] = {}
        for cluster in of if len(of) > 1 else ():
            if not found[cluster].names:
                raise InvalidValue(f"api.{cluster}.names", f"is missing: {' and '.join(of)} share a bind, and are told apart by server names")
            for name in found[cluster].names:
                if owners.setdefault(name, cluster) != cluster:
                    raise InvalidValue(f"api.{cluster}.names", f"{name} is a name of cluster {owners[name]}, too, which shares a bind with it")
    return found


def sharing(options: t.Mapping[str, ApiOptions]) -> dict[tuple[str, ...], tuple[Socket, ...]]:
    """The binds by the clusters that have them."""
    clusters: dict[Socket, list[str]] = {}
    for cluster in sorted(options):
        for bind in options[cluster].binds:
            clusters.setdefault(bind, []).append(cluster)
    found: dict[tuple[str, ...], list[Socket]] = {}
    for bind in sorted(clusters):
        found.setdefault(tuple(clusters[bind]), []).append(bind)
    return {of: tuple(binds) for of, binds in sorted(found.items())}


@dataclass(frozen=True)
class ApiCluster:
    """A cluster's API as a router serves it. ``authority`` is "" where servers are not verified."""

    options: ApiOptions
    servers: tuple[Socket, ...]
    authority: str
    from_seeds: bool


@dataclass(frozen=True)
class ApiState:
    """The desired state: APIs by cluster, and what was skipped."""

    clusters: dict[str, ApiCluster]
    quarantined: tuple[Quarantined, ...] = ()


def api_state(options: t.Mapping[str, ApiOptions], snapshots: t.Mapping[str, Snapshot], own: t.Container[str] = ()) -> ApiState:
    """What a router with the addresses ``own`` serves; raises InvalidValue where a cluster can't be served at all.

    ``snapshots`` has those clusters that were ever observed.
    """
    binds = [bind for one in options.values() for bind in one.binds]

    def loops(server: Socket) -> bool:
        """Whether a router that connects there meets itself."""
        return any(bind.port == server.port and (bind.address == server.address or (bind.is_every_address and server.address in own)) for bind in binds)

    clusters, quarantined = {}, []
    for cluster, chosen in sorted(options.items()):
        snapshot = snapshots.get(cluster, Snapshot(cluster))
        observed = _observed(snapshot)
        skipped = [server for server in observed if loops(server)]
        quarantined += snapshot.quarantined
        quarantined += [Quarantined(cluster, SOURCE, "endpoints", f"{server} is an address of this frontend itself") for server in skipped]
        servers = tuple(server for server in observed if server not in skipped)
        if not servers and (seed := next(filter(loops, chosen.seeds), None)):
            raise InvalidValue(f"api.{cluster}.servers", f"{seed} is an address of this frontend itself")
        clusters[cluster] = ApiCluster(chosen, servers or _seeds(cluster, chosen), _authority(cluster, chosen, snapshot), not servers)
    return ApiState(clusters, tuple(sorted(set(quarantined))))


def _observed(snapshot: Snapshot) -> tuple[Socket, ...]:
    """Those that are ready; where none is, all of them: health checks know better."""
    ready = [one for one in snapshot.api_servers if one.ready and not one.terminating]
    return tuple(sorted({Socket(one.address, one.port) for one in ready or snapshot.api_servers}))


def _seeds(cluster: str, options: ApiOptions) -> tuple[Socket, ...]:
    if not options.seeds:
        cause = "is missing: no API server of this cluster was ever observed, so name one at least, such as 192.0.2.21:6443"
        raise InvalidValue(f"api.{cluster}.servers", cause)
    return options.seeds


def _authority(cluster: str, options: ApiOptions, snapshot: Snapshot) -> str:
    if not options.verify:
        return ""
    found = options.authority or snapshot.api_authority
    if not found:
        raise InvalidValue(
            f"api.{cluster}.ca",
            "is missing: nothing says by which authority the health of this cluster's API servers can be verified. Give its certificate "
            "(/etc/kubernetes/pki/ca.crt of a control-plane node), or say verify: false",
        )
    return found
