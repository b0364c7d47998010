# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model of virtual services: what IPVS on one router must forward, and what its operator chooses."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from .errors import InvalidValue
from .model import Quarantined
from .services import FORWARDING, MASQUERADE

SERVICE_IPS, PODS, NODE_PORTS = "service_ips", "pods", "node_ports"
MASQUERADE_TO = (SERVICE_IPS, PODS, NODE_PORTS)
IPIP, GUE = "ipip", "gue"
TUNNELS = (IPIP, GUE)
# A hash of the client's address (and port) chooses the destination, and depends on the order of destinations.
HASHING = ("mh", "sh")

# Of these there are tens of thousands: tuples are made, compared and hashed in a fraction of a data class's time.


class Frontend(t.NamedTuple):
    """Where clients come in: TCP, UDP or SCTP, a canonical address and a port."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {where(self.address, self.port)}"


def where(address: str, port: int) -> str:
    """ADDRESS:PORT, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Destination(t.NamedTuple):
    """A real server. ``method`` is direct, tunnel or masquerade; ``tunnel`` and ``tunnel_port`` are for tunnel only."""

    address: str
    port: int
    method: str
    weight: int = 1
    tunnel: str = ""
    tunnel_port: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What the kernel knows a destination of a service by."""
        return (self.address, self.port)

    def __str__(self) -> str:
        return where(self.address, self.port)


class VirtualService(t.NamedTuple):
    """How a frontend is served. ``flags`` are those of the scheduler, sorted, as ipvsadm names them.

    ``persistence`` is in seconds, 0 for none. A wanted service's ``destinations`` are sorted: every router adds them
    in the same order, so that their hash tables are the same.
    """

    scheduler: str
    flags: tuple[str, ...] = ()
    persistence: int = 0
    destinations: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class Forwarding:
    """How a cluster's services are reached. ``tunnel_port`` is GUE's."""

    mode: str = MASQUERADE
    masquerade_to: str = SERVICE_IPS
    tunnel: str = IPIP
    tunnel_port: int = 6080

    def __post_init__(self) -> None:
        for name, choices in (("mode", FORWARDING), ("masquerade_to", MASQUERADE_TO), ("tunnel", TUNNELS)):
            if getattr(self, name) not in choices:
                raise InvalidValue("forwarding" if name == "mode" else name, f"{getattr(self, name)!r} is not one of {', '.join(choices)}")
        if not isinstance(self.tunnel_port, int) or not 0 < self.tunnel_port < 65536:
            raise InvalidValue("tunnel_port", f"{self.tunnel_port!r} is no port number (1 to 65535)")


class Prefixes:
    """Networks (text) that addresses are looked up in; each address is worked out once."""

    def __init__(self, networks: t.Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            found = ipaddress.ip_address(address)
            known = self._known[address] = any(found in network for network in self._networks)
        return known


@dataclass(frozen=True, slots=True)
class BalanceState:
    """Desired state of LoadBalancer services on one router.

    ``sources``: the networks, of the frontend's family, that may come in; a frontend that is not in it is open to
    everybody, one with none lets nobody in.
    """

    services: dict[Frontend, VirtualService]
    sources: dict[Frontend, tuple[str, ...]] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def masquerades(self) -> bool:
        """Whether any destination needs source NAT."""
        return any(d.method == MASQUERADE for service in self.services.values() for d in service.destinations)
