# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell: which addresses the status of each ingress must hold. Pure.

An ingress gets the addresses of the router groups that serve it. What a group last published stays where it
is while none of its routers converged, for then nobody knows better.
"""

from __future__ import annotations

import json
import reprlib
import typing as t
from dataclasses import dataclass

from . import syntax
from .decide import ingress_state
from .desired import EdgeOptions
from .errors import InvalidValue
from .model import Quarantined, Snapshot, owner

Object = dict[str, t.Any]

VERSION = 1
_IP, _HOSTNAME, _OTHER = "ip", "hostname", "other"


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """Where clients find a router group. ``kind`` is the key of status.loadBalancer.ingress[], or other for what we don't write."""

    kind: str
    value: str

    @classmethod
    def parse(cls, value: t.Any, field: str) -> Address:
        """An IP address or a DNS name; raises InvalidValue."""
        try:
            return cls(_IP, syntax.address(value, field))
        except InvalidValue:
            pass
        try:
            name = syntax.dns_subdomain(value, field)
        except InvalidValue as error:
            raise InvalidValue(field, f"{reprlib.repr(value)} is neither an IP address nor a DNS name") from error
        # No top-level domain is a number, but a mistyped IPv4 address ends in one.
        if name.rpartition(".")[2].isdigit():
            raise InvalidValue(field, f"{name!r} is no IP address, and no DNS name ends in a number")
        return cls(_HOSTNAME, name)

    @classmethod
    def of_entry(cls, entry: t.Any) -> Address:
        """An entry of status.loadBalancer.ingress; whatever has more or other keys than ours is of kind other."""
        if isinstance(entry, dict) and len(entry) == 1:
            for kind in (_IP, _HOSTNAME):
                try:
                    found = cls.parse(entry.get(kind), kind)
                except InvalidValue:
                    continue
                if found.kind == kind:
                    return found
        return cls(_OTHER, reprlib.repr(entry))

    def entry(self) -> dict[str, str]:
        return {self.kind: self.value}


Addresses = frozenset[Address]
# What the status of each ingress holds, by NAMESPACE/NAME.
Statuses = dict[str, Addresses]


@dataclass(frozen=True, slots=True)
class Group:
    """A router group. ``addresses`` is None where the group leaves status alone. ``converged``: at least one of its routers did in this run."""

    name: str
    clusters: tuple[str, ...]
    addresses: frozenset[Address] | None
    converged: bool
    options: EdgeOptions = EdgeOptions()

    @classmethod
    def parse(cls, name: str, options: t.Any, converged: bool) -> Group:
        """From an entry of northgate_router_groups; raises InvalidValue that names the group and the key."""
        where = f"groups.{name}"
        if not isinstance(options, dict):
            raise InvalidValue(where, f"{reprlib.repr(options)} is no dictionary")
        addresses = _list(options, "ingress_addresses", where)
        passthrough = options.get("tls_passthrough", False)
        if not isinstance(passthrough, bool):
            raise InvalidValue(f"{where}.tls_passthrough", f"{reprlib.repr(passthrough)} is neither true nor false")
        chosen = {key: options[key] for key in ("claim_winner", "claim_scope") if key in options}
        try:
            edge = EdgeOptions(passthrough=passthrough, group=name, **chosen)
        except InvalidValue as error:
            raise InvalidValue(f"{where}.{error.field}", error.cause) from error
        return cls(
            name=name,
            clusters=tuple(syntax.dns_label(cluster, f"{where}.clusters") for cluster in _list(options, "clusters", where) or ()),
            addresses=None
            if addresses is None
            else frozenset(Address.parse(value, f"{where}.ingress_addresses[{index}]") for index, value in enumerate(addresses)),
            converged=converged,
            options=edge,
        )

    @property
    def tells(self) -> bool:
        """Whether this run may change where the group's addresses are."""
        return self.converged and self.addresses is not None


def _list(options: Object, key: str, where: str) -> list[t.Any] | None:
    value = options.get(key)
    if value is not None and not isinstance(value, list):
        raise InvalidValue(f"{where}.{key}", f"{reprlib.repr(value)} is no list")
    return value


@dataclass(frozen=True, slots=True)
class Change:
    """The status of an ingress is to hold ``after`` in place of ``before``. ``version`` is the resourceVersion that was looked at."""

    cluster: str
    name: str
    before: tuple[Address, ...]
    after: tuple[Address, ...]
    version: str

    def patch(self) -> Object:
        """A JSON merge patch that only fits the object that was looked at."""
        entries = [address.entry() for address in self.after]
        return {"metadata": {"resourceVersion": self.version}, "status": {"loadBalancer": {"ingress": entries}}}

    def __str__(self) -> str:
        return f"{self.cluster}: {self.name}: {shown(self.before)} -> {shown(self.after)}"


def shown(addresses: t.Iterable[Address]) -> str:
    return ", ".join(address.value for address in addresses) or "none"


@dataclass(frozen=True, slots=True)
class Publication:
    """What the status of a cluster's ingresses must hold: ``wanted`` by NAMESPACE/NAME, and of ``kept`` what is there already."""

    cluster: str
    wanted: dict[str, frozenset[Address]]
    kept: frozenset[Address] = frozenset()

    def compare(self, ingresses: t.Iterable[Object]) -> tuple[list[Change], int]:
        """From all ingresses of the cluster (raw): what must change, and how many are right. Those that are not ``wanted`` are passed over."""
        found: dict[str, Change | None] = {}
        for raw in ingresses:
            name, before = seen(raw)
            if name in self.wanted:
                found[name] = self._change(name, str(_dict(raw.get("metadata")).get("resourceVersion")), before)
        changes = [found[name] for name in sorted(found)]
        return [change for change in changes if change], changes.count(None)

    def _change(self, name: str, version: str, before: Addresses) -> Change | None:
        after = self._after(name, before)
        return None if before == after else Change(self.cluster, name, tuple(sorted(before)), tuple(sorted(after)), version)

    def _after(self, name: str, before: Addresses) -> Addresses:
        return self.wanted[name] | (self.kept & before)

    def fulfilled(self, statuses: Statuses) -> int | None:
        """How many ingresses are as they should be when all in ``statuses`` are, otherwise None."""
        ours = statuses.keys() & self.wanted.keys()
        return len(ours) if all(self._after(name, statuses[name]) == statuses[name] for name in ours) else None


def seen(raw: Object) -> tuple[str, Addresses]:
    """The name of an ingress (raw), as NAMESPACE/NAME, and what its status holds."""
    metadata = _dict(raw.get("metadata"))
    entries = _dict(_dict(raw.get("status")).get("loadBalancer")).get("ingress")
    addresses = frozenset(Address.of_entry(entry) for entry in (entries if isinstance(entries, list) else ()))
    return f"{metadata.get('namespace')}/{metadata.get('name')}", addresses


def dump(statuses: Statuses) -> bytes:
    """A file of statuses that were seen."""
    rows = {name: [[address.kind, address.value] for address in sorted(addresses)] for name, addresses in statuses.items()}
    return json.dumps({"version": VERSION, "ingresses": rows}, sort_keys=True, separators=(",", ":")).encode()


def load(data: bytes) -> Statuses:
    """The statuses in such a file; none of a file that is of another version, or damaged, for it only saves a look."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            return {}
        return {name: frozenset(Address(kind, value) for kind, value in rows) for name, rows in document["ingresses"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _dict(value: t.Any) -> Object:
    return value if isinstance(value, dict) else {}


def publications(groups: t.Iterable[Group], snapshots: dict[str, Snapshot]) -> list[Publication]:
    """One for each cluster that has a snapshot and is served by a group that converged and has addresses."""
    groups = list(groups)
    telling = [group for group in groups if group.tells]
    served = {g.name: ingress_state([snapshots[c] for c in g.clusters if c in snapshots], g.options).served for g in telling}
    found = []
    for cluster in sorted(set(snapshots) & {cluster for group in telling for cluster in group.clusters}):
        of_cluster = [(served[group.name], group.addresses or frozenset()) for group in telling if cluster in group.clusters]
        silent = [group.addresses or frozenset() for group in groups if not group.converged and cluster in group.clusters]
        wanted = {
            name: frozenset().union(*(addresses for names, addresses in of_cluster if owner(cluster, name) in names))
            for name in _ours(snapshots[cluster])
        }
        found.append(Publication(cluster, wanted, frozenset().union(*silent)))
    return found


def unknown_groups(groups: t.Iterable[Group], snapshots: dict[str, Snapshot]) -> list[Quarantined]:
    """The ingresses that ask for a router group that there is not."""
    names = {group.name for group in groups}
    return [
        Quarantined(cluster, str(ingress), "annotation northgate.edge/router-group", f"there is no router group {', '.join(missing)}")
        for cluster, snapshot in sorted(snapshots.items())
        for ingress in snapshot.ingresses
        if (missing := [name for name in ingress.groups if name not in names])
    ]


def _ours(snapshot: Snapshot) -> t.Iterator[str]:
    """The ingresses of our classes, as NAMESPACE/NAME: those that may be served, and those that are quarantined."""
    for ingress in snapshot.ingresses:
        yield ingress.full_name
    for quarantined in snapshot.quarantined:
        kind, _space, label = quarantined.object.partition(" ")
        namespace, _slash, name = label.partition("/")
        if kind == "Ingress" and _is_name(namespace) and _is_name(name):
            yield label


def _is_name(value: str) -> bool:
    try:
        return bool(syntax.dns_subdomain(value, "metadata"))
    except InvalidValue:
        return False
