# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan: from what haproxy is to what it must be. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._core.plan import FileChange, Plan, Step
from . import backends as stocks
from .options import CERTIFICATES, POLICIES, ROUTES
from .layout import FINGERPRINT_PREFIX, Layout
from .parse import RunningServer
from .runtime import MAX_COMMAND
from .servers import Server
from .steps import (
    AddCertificate,
    AddServer,
    DiscardCertificate,
    DrainServer,
    EnableServer,
    Reload,
    RemoveCertificate,
    ReplaceMap,
    SetWeight,
    StoreCertificate,
)

_USER = re.compile(r"/u/[0-9A-F]{64} ")


@dataclass(frozen=True)
class Running:
    """The running worker. A map, and ``certificates``, are None where it has not loaded our files."""

    backends: frozenset[str]
    servers: dict[str, dict[str, RunningServer]]
    maps: dict[str, dict[str, str] | None]
    certificates: frozenset[str] | None

    def busy(self) -> frozenset[str]:
        """Backends to which a route leads."""
        fields = [value.split("|") for value in (self.maps.get(ROUTES) or {}).values()]
        return frozenset(name for of in fields for name in (of[0], *of[3:4]) if name)


@dataclass(frozen=True)
class Current:
    """What is: ``files`` by name, names of ``stored`` PEM files, and the worker, or None when none answers."""

    files: dict[str, str]
    stored: frozenset[str]
    running: Running | None


@dataclass(frozen=True)
class Wanted:
    """What must be: the layout and its ``files`` by name; ``directory`` is where haproxy finds them."""

    layout: Layout
    files: dict[str, str]
    directory: str
    certificate_directory: str

    def path(self, name: str) -> str:
        """How haproxy names a file."""
        return f"{self.directory}/{name}"

    def certificates(self) -> dict[str, AddCertificate]:
        """By path, how each certificate would be added."""
        layout, directory = self.layout, self.certificate_directory
        return {
            f"{directory}/{name}": AddCertificate(self.path(CERTIFICATES), f"{directory}/{name}", names, layout.pems[name])
            for name, names in layout.certificates.items()
        }


def plan(current: Current, wanted: Wanted) -> Plan:
    """The changes from ``current`` to ``wanted``; empty when there is nothing to do."""
    files = tuple(
        FileChange(name, _shown(name, current.files.get(name, "")), _shown(name, text))
        for name, text in wanted.files.items()
        if current.files.get(name) != text
    )
    pems = wanted.layout.pems
    steps: list[Step] = [StoreCertificate(name) for name in sorted(set(pems) - current.stored)]
    reason = ""
    if current.running:
        certificates = wanted.certificates()
        reason = _reload_reason(current.running, wanted, certificates)
        steps += [Reload(reason)] if reason else _runtime_steps(current.running, wanted, certificates)
    steps += [DiscardCertificate(name) for name in sorted(current.stored - set(pems))]
    return Plan(files, tuple(steps), reason)


def _shown(name: str, text: str) -> str:
    """A file's text for people."""
    return _USER.sub("/u/(secret) ", text) if name == POLICIES else text


def _reload_reason(running: Running, wanted: Wanted, certificates: dict[str, AddCertificate]) -> str:
    layout = wanted.layout
    if not any(name.startswith(FINGERPRINT_PREFIX) for name in running.backends):
        return "haproxy has not loaded our configuration yet"
    if layout.fingerprint not in running.backends:
        more = [name for stock in layout.stocks for name in stock.names if name not in running.backends]
        return f"the stock of backends grows by {len(more)}" if more else "frontends or options changed"
    if not running.backends.issuperset(layout.loads):
        return "TLS to pods needs an authority or a client certificate that is not loaded"
    if running.certificates is None or None in (running.maps.get(name) for name in layout.maps):
        return "haproxy has not loaded our maps or certificate list"
    for path, step in sorted(certificates.items()):
        if path not in running.certificates and step.size > MAX_COMMAND:
            return f"certificate {path} is too long for the run-time interface"
    return ""


def _runtime_steps(running: Running, wanted: Wanted, certificates: dict[str, AddCertificate]) -> list[Step]:
    """What comes, then what leads to it, then what goes: no request meets a gap."""
    listed = running.certificates or frozenset()
    maps = {name: running.maps.get(name) or {} for name in wanted.layout.maps}
    steps: list[Step] = [certificates[path] for path in sorted(set(certificates) - listed)]
    added, drained = server_steps(running.servers, wanted.layout.servers)
    steps += added
    policies = wanted.layout.maps[POLICIES]
    both = {**maps[POLICIES], **policies}
    steps += _map_steps(POLICIES, maps[POLICIES], both, wanted)
    for name in sorted(set(maps) - {POLICIES}):
        steps += _map_steps(name, maps[name], wanted.layout.maps[name], wanted)
    steps += drained
    steps += _map_steps(POLICIES, both, policies, wanted)
    steps += [RemoveCertificate(wanted.path(CERTIFICATES), path) for path in sorted(listed - set(certificates))]
    return steps


def ours(backend: str) -> bool:
    """Whether a backend is of a stock: a kind and a number."""
    return any(backend.startswith(kind) and backend[len(kind) :].isdecimal() for kind in (stocks.HTTP, stocks.TCP))


def server_steps(
    running: dict[str, dict[str, RunningServer]],
    wanted: dict[str, dict[str, Server]],
    mine: t.Callable[[str], bool] = ours,
    drain: t.Callable[[str, str], Step] = DrainServer,
) -> tuple[list[Step], list[Step]]:
    """What comes, before the routes change; and what goes, after. ``mine``: whether a backend is this module's; ``drain`` makes a step."""
    added: list[Step] = []
    drained: list[Step] = []
    for backend in sorted({*wanted, *filter(mine, running)}):
        known, servers = running.get(backend, {}), wanted.get(backend, {})
        for name, server in sorted(servers.items()):
            if name not in known:
                added.append(AddServer(backend, name, server))
                continue
            if known[name].weight != server.weight:
                added.append(SetWeight(backend, name, server.weight))
            if known[name].draining:
                added.append(EnableServer(backend, name, server.checked))
        drained += [drain(backend, name) for name, of in sorted(known.items()) if name not in servers and not of.draining]
    return added, drained


def _map_steps(name: str, before: dict[str, str], after: dict[str, str], wanted: Wanted) -> t.Iterable[Step]:
    if before == after:
        return []
    common = before.keys() & after.keys()
    changed = sum(before[key] != after[key] for key in common)
    return [ReplaceMap(name, wanted.path(name), after, len(after) - len(common), len(before) - len(common), changed)]
