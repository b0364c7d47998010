# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topologies: what hosts there are, and every address that follows from it. Pure."""
from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).resolve().parent.parent / "topologies"
# The segments of each role's hosts; the first one is where its name points to.
SEGMENTS = {
    "router": ("fabric", "outside", "mgmt"),
    "worker": ("fabric", "mgmt"),
    "client": ("outside", "mgmt"),
    "control_plane": ("fabric",),
    "etcd": ("fabric",),
    "prober": ("outside",),
}
GUESTS = ("router", "worker", "client")
CONTROL_PLANE = ("control_plane", "etcd")
CONTROLLER_NUMBER = 1
# The kernel's limit for interface names is 15, and ours are HOST-x.
NAME_LENGTH = 13


class TopologyError(ValueError):
    """A topology that makes no sense; the message says where."""


@dataclass(frozen=True)
class Cluster:
    """A cluster: its AS number, prefixes (texts), kube-proxy's mode (nftables or ipvs), and how LoadBalancer services get to it.

    `tunnels` says whether its workers are ready for single services that are forwarded in a tunnel.
    """

    asn: int
    pod_prefixes: list[str]
    service_prefixes: list[str]
    kube_proxy_mode: str = "nftables"
    forwarding: str = "masquerade"
    tunnels: bool = False


@dataclass(frozen=True)
class RouterGroup:
    """Routers that serve the same clusters.

    `vips`, `address_pools`, `api` and `ingress_addresses` are as in northgate_router_groups. `nat_addresses` are numbers in fabric.
    `certificates` are hosts of which the group has certificates of its own, which no other has.
    """

    asn: int
    clusters: list[str]
    vips: dict[str, dict[str, Any]] = field(default_factory=dict)
    address_pools: list[str] | None = None
    nat_addresses: list[int] = field(default_factory=list)
    api: dict[str, dict[str, Any]] = field(default_factory=dict)
    ingress_addresses: list[str] | None = None
    certificates: list[str] = field(default_factory=list)

    @property
    def vip_addresses(self) -> list[str]:
        """The addresses of all its VIPs, without length."""
        return [address.split("/")[0] for vip in self.vips.values() for address in vip["addresses"]]


@dataclass(frozen=True)
class Host:
    """A host. `interfaces` maps its segments to addresses with prefix length; memory is in MiB."""

    name: str
    role: str
    number: int
    interfaces: dict[str, list[str]]
    cluster: str | None = None
    group: str | None = None
    memory: int = 0
    asn: int | None = None
    pod_prefixes: list[str] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        """Addresses in the host's main segment, without length: IPv4 first."""
        return self.addresses_in(SEGMENTS[self.role][0])

    def addresses_in(self, segment: str) -> list[str]:
        """Addresses in a segment, without length; empty when the host is not in it."""
        return [address.split("/")[0] for address in self.interfaces.get(segment, [])]

    def mac(self, segment: str) -> str:
        """The fixed MAC address of the interface in a segment."""
        return f"52:54:00:90:{SEGMENTS['router'].index(segment):02x}:{self.number:02x}"


@dataclass(frozen=True)
class Topology:
    """All of it. `segments` maps names to prefixes; `address_pools` is what Ansible gets as northgate_address_pools.

    `bfd` is the interval in milliseconds, and how many may be missed. Sooner costs all guests much of their time.
    """

    segments: dict[str, list[str]]
    clusters: dict[str, Cluster]
    router_groups: dict[str, RouterGroup]
    hosts: dict[str, Host]
    address_pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    bfd: tuple[int, int] = (300, 5)

    @property
    def guests(self) -> list[str]:
        """Names of the hosts with a kernel of their own."""
        return [name for name, host in self.hosts.items() if host.role in GUESTS]

    @property
    def hosted(self) -> list[str]:
        """Names of the hosts that are processes in a network namespace."""
        return [name for name, host in self.hosts.items() if host.role not in GUESTS]

    @property
    def running(self) -> list[str]:
        """Names of the hosts of which something runs, control planes first; in a prober only what is started there."""
        return [name for name in (*self.hosted, *self.guests) if self.hosts[name].role != "prober"]

    def gateways(self, host: str) -> list[str]:
        """Addresses of a host's default gateways: a prober has an upstream router behind which it is."""
        if self.hosts[host].role != "prober":
            return []
        return [address for name in self.having("client")[:1] for address in self.hosts[name].addresses]

    def members(self, cluster: str, role: str) -> list[str]:
        """Names of a cluster's hosts with a role."""
        return [name for name, host in self.hosts.items() if host.cluster == cluster and host.role == role]

    def having(self, role: str) -> list[str]:
        """Names of all hosts with a role."""
        return [name for name, host in self.hosts.items() if host.role == role]

    def controller(self, segment: str) -> list[str]:
        """The controller's addresses in a segment, with prefix length."""
        return addresses(self.segments[segment], CONTROLLER_NUMBER)


def pools_of(topology: Topology, group: str) -> list[str]:
    """Return the names of the address pools that lead to a router group: its own, or all from which its clusters' services get addresses."""
    spec = topology.router_groups[group]
    if spec.address_pools is not None:
        return spec.address_pools
    return [name for name, pool in topology.address_pools.items() if pool.get("clusters") is None or set(pool["clusters"]) & set(spec.clusters)]


def find(name: str) -> Path:
    """Return the file of a topology, given its name or a path; raise TopologyError when there is none."""
    for path in (DIRECTORY / f"{name}.yml", Path(name)):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in DIRECTORY.glob("*.yml")))
    raise TopologyError(f"there is no topology {name} (there are: {known})")


def parse(text: str) -> Topology:
    """Return the topology that YAML text describes; raise TopologyError."""
    try:
        data = yaml.safe_load(text)
        segments = {name: list(prefixes) for name, prefixes in data["segments"].items()}
        found = Topology(
            segments=segments,
            clusters={name: Cluster(**entry) for name, entry in (data.get("clusters") or {}).items()},
            router_groups={name: RouterGroup(**entry) for name, entry in (data.get("router_groups") or {}).items()},
            hosts={name: _host(name, entry, segments) for name, entry in data["hosts"].items()},
            address_pools=data.get("address_pools") or {},
            **({"bfd": tuple(data["bfd"])} if "bfd" in data else {}),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise error if isinstance(error, TopologyError) else TopologyError(f"topology: {error!r}") from error
    _check(found)
    return found


def addresses(prefixes: list[str], number: int) -> list[str]:
    """Return a number's address in each prefix, with length. IPv6 addresses have the number's decimal digits."""
    found = []
    for prefix in prefixes:
        network = ipaddress.ip_network(prefix)
        offset = number if network.version == 4 else int(str(number), 16)
        found.append(f"{network[offset]}/{network.prefixlen}")
    return found


def nat_addresses(topology: Topology, group: RouterGroup) -> list[str]:
    """Return the addresses under which a group's routers masquerade packets, without length."""
    return [address.split("/")[0] for number in group.nat_addresses for address in addresses(topology.segments["fabric"], number)]


def _host(name: str, entry: Mapping[str, Any], segments: dict[str, list[str]]) -> Host:
    role = entry["role"]
    if role not in SEGMENTS:
        raise TopologyError(f"host {name}: role {role} is none of {', '.join(SEGMENTS)}")
    interfaces = {segment: addresses(segments[segment], entry["number"]) for segment in SEGMENTS[role]}
    return Host(name=name, interfaces=interfaces, **entry)


def _check(topology: Topology) -> None:
    numbers: dict[int, str] = {CONTROLLER_NUMBER: "the controller"}
    for name, host in topology.hosts.items():
        if len(name) > NAME_LENGTH or not name.replace("-", "").isalnum():
            raise TopologyError(f"host {name}: a name has at most {NAME_LENGTH} letters, digits and hyphens")
        if not 0 < host.number < 255 or host.number in numbers:
            raise TopologyError(f"host {name}: number {host.number} is out of range or that of {numbers.get(host.number)}")
        numbers[host.number] = name
        if host.role in GUESTS and host.memory < 128:
            raise TopologyError(f"host {name}: a guest needs 128 MiB of memory or more")
        if host.cluster is not None and host.cluster not in topology.clusters:
            raise TopologyError(f"host {name}: there is no cluster {host.cluster}")
        if host.role in ("worker", "etcd", "control_plane") and host.cluster is None:
            raise TopologyError(f"host {name}: a {host.role} belongs to a cluster")
        if host.role == "router" and host.group not in topology.router_groups:
            raise TopologyError(f"host {name}: there is no router group {host.group}")
    for name, group in topology.router_groups.items():
        _check_group(topology, name, group)


def _check_group(topology: Topology, name: str, group: RouterGroup) -> None:
    for what, names, known in (("cluster", [*group.clusters, *group.api], topology.clusters), ("pool", group.address_pools or [], topology.address_pools)):
        if missing := set(names) - set(known):
            raise TopologyError(f"router group {name}: there is no {what} {', '.join(sorted(missing))}")
    taken = {address.split("/")[0]: f"host {host.name}" for host in topology.hosts.values() for found in host.interfaces.values() for address in found}
    taken |= {address: f"router group {other}" for other, spec in topology.router_groups.items() if other != name
              for address in [*spec.vip_addresses, *nat_addresses(topology, spec)]}
    for address in [*group.vip_addresses, *nat_addresses(topology, group)]:
        if address in taken:
            raise TopologyError(f"router group {name}: {address} is that of {taken[address]}")
