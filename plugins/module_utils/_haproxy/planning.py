# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan: from what haproxy is to what it must be. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.plan import FileChange, Plan, Step
from .layout import FINGERPRINT_PREFIX, Layout
from .runtime import MAX_COMMAND, RunningServer
from .steps import (
    AddCertificate,
    AddServer,
    DiscardCertificate,
    DrainServer,
    EnableServer,
    Reload,
    RemoveCertificate,
    ReplaceRoutes,
    StoreCertificate,
)


@dataclass(frozen=True)
class Running:
    """The running worker. ``routes`` and ``certificates`` are None where it has not loaded our files."""

    backends: frozenset[str]
    servers: dict[str, dict[str, RunningServer]]
    routes: dict[str, str] | None
    certificates: frozenset[str] | None


@dataclass(frozen=True)
class Current:
    """What is: ``files`` by name, names of ``stored`` PEM files, and the worker, or None when none answers."""

    files: dict[str, str]
    stored: frozenset[str]
    running: Running | None


@dataclass(frozen=True)
class Wanted:
    """What must be: the layout, its ``files`` by name, and ``pems`` by name (secret)."""

    layout: Layout
    files: dict[str, str]
    pems: dict[str, str]
    routes_path: str
    list_path: str
    certificate_directory: str

    def certificate_path(self, name: str) -> str:
        """How haproxy names a certificate."""
        return f"{self.certificate_directory}/{name}"


def plan(current: Current, wanted: Wanted) -> Plan:
    """The changes from ``current`` to ``wanted``; empty when there is nothing to do."""
    files = tuple(
        FileChange(name, current.files.get(name, ""), text)
        for name, text in wanted.files.items()
        if current.files.get(name) != text
    )
    steps: list[Step] = [StoreCertificate(name) for name in sorted(set(wanted.pems) - current.stored)]
    reason = ""
    if current.running:
        reason = _reload_reason(current.running, wanted)
        steps += [Reload(reason)] if reason else _runtime_steps(current.running, wanted)
    steps += [DiscardCertificate(name) for name in sorted(current.stored - set(wanted.pems))]
    return Plan(files, tuple(steps), reason)


def _reload_reason(running: Running, wanted: Wanted) -> str:
    layout = wanted.layout
    if not any(name.startswith(FINGERPRINT_PREFIX) for name in running.backends):
        return "haproxy has not loaded our configuration yet"
    if layout.fingerprint not in running.backends:
        new = sorted(set(layout.servers) - running.backends)
        gone = sorted(name for name in running.backends - set(layout.servers) if name.startswith("ng:"))
        changes = [f"new backend {name}" for name in new] + [f"backend {name} is gone" for name in gone]
        return ", ".join(changes) or "frontends or options changed"
    if running.routes is None or running.certificates is None:
        return "haproxy has not loaded our map or certificate list"
    for name in sorted(wanted.pems):
        size = len(wanted.pems[name]) + len(wanted.certificate_path(name)) + 64
        if wanted.certificate_path(name) not in running.certificates and size > MAX_COMMAND:
            return f"certificate {name} is too long for the run-time interface"
    return ""


def _runtime_steps(running: Running, wanted: Wanted) -> list[Step]:
    paths = {wanted.certificate_path(name): pem for name, pem in wanted.pems.items()}
    listed = running.certificates or frozenset()
    steps: list[Step] = [
        AddCertificate(wanted.list_path, path, paths[path]) for path in sorted(set(paths) - listed)
    ]
    added, drained = _server_steps(running.servers, wanted.layout.servers)
    steps += added
    steps += _route_steps(running.routes or {}, wanted)
    steps += drained
    steps += [RemoveCertificate(wanted.list_path, path) for path in sorted(listed - set(paths))]
    return steps


def _server_steps(
    running: dict[str, dict[str, RunningServer]], wanted: dict[str, dict[str, tuple[str, int]]]
) -> tuple[list[Step], list[Step]]:
    """What comes, before the routes change; and what goes, after."""
    added: list[Step] = []
    drained: list[Step] = []
    for backend, servers in wanted.items():
        known = running.get(backend, {})
        for name, (address, port) in sorted(servers.items()):
            if name not in known:
                added.append(AddServer(backend, name, address, port))
            elif known[name].draining:
                added.append(EnableServer(backend, name))
        drained += [
            DrainServer(backend, name)
            for name, server in sorted(known.items())
            if name not in servers and not server.draining
        ]
    return added, drained


def _route_steps(running: dict[str, str], wanted: Wanted) -> t.Iterable[Step]:
    routes = wanted.layout.routes
    if running == routes:
        return []
    common = running.keys() & routes.keys()
    changed = sum(running[key] != routes[key] for key in common)
    return [
        ReplaceRoutes(
            wanted.routes_path, routes, len(routes) - len(common), len(running) - len(common), changed
        )
    ]
