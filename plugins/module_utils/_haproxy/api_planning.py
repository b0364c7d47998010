# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan of API servers: from what haproxy is to what it must be. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._core.plan import FileChange, Plan, Step
from .api_layout import CONFIG, FINGERPRINT, ApiLayout, is_api
from .parse import RunningServer
from .planning import server_steps
from .steps import DiscardCertificate, Reload, RetireServer, StoreCertificate


@dataclass(frozen=True)
class ApiRunning:
    """The running worker: the names of its backends, and the servers of each."""

    backends: frozenset[str]
    servers: dict[str, dict[str, RunningServer]]


@dataclass(frozen=True)
class ApiCurrent:
    """What is: ``files`` by name, names of ``stored`` PEM files, and the worker, or None when none answers."""

    files: dict[str, str]
    stored: frozenset[str]
    running: ApiRunning | None


@dataclass(frozen=True)
class ApiWanted:
    """What must be: the layout and its ``files`` by name."""

    layout: ApiLayout
    files: dict[str, str]


def plan(current: ApiCurrent, wanted: ApiWanted) -> Plan:
    """The changes from ``current`` to ``wanted``; empty when there is nothing to do."""
    if not wanted.layout.sections and CONFIG not in current.files:
        return Plan()  # Nothing is to be served here, and nothing was.
    before = current.files.get(CONFIG, "")
    files = tuple(FileChange(name, current.files.get(name, ""), text) for name, text in wanted.files.items() if current.files.get(name) != text)
    pems = wanted.layout.pems
    steps: list[Step] = [StoreCertificate(name) for name in sorted(set(pems) - current.stored)]
    reason = ""
    if current.running:
        reason = _reload_reason(current.running, wanted, before)
        if reason:
            steps.append(Reload(reason))
        else:
            added, retired = server_steps(_leaving(current.running), wanted.layout.servers, is_api, RetireServer)
            steps += added + retired
    steps += [DiscardCertificate(name) for name in sorted(current.stored - set(pems))]
    return Plan(files, tuple(steps), reason)


def _leaving(running: ApiRunning) -> dict[str, dict[str, RunningServer]]:
    """A server that is retired is on its way out as one in maintenance is."""
    return {
        backend: {name: replace(server, draining=server.draining or server.retired) for name, server in of.items()}
        for backend, of in running.servers.items()
    }


def _reload_reason(running: ApiRunning, wanted: ApiWanted, before: str) -> str:
    if wanted.layout.fingerprint in running.backends:
        return ""
    if not any(name.startswith(FINGERPRINT) for name in running.backends):
        return "haproxy has not loaded API servers yet"
    old, new = sections(before), sections(wanted.files[CONFIG])
    changed = [head for head in sorted({*old, *new}) if old.get(head) != new.get(head)]
    named = [head.split(" from ")[0] for head in changed if FINGERPRINT not in head]
    return f"changed: {', '.join(named[:10])}" if named else "haproxy runs with other API servers than the files have"


def sections(configuration: str) -> dict[str, list[str]]:
    """The lines of each section by its first one, without those of servers, from the text of our configuration."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in configuration.splitlines():
        if line[:1].strip() and not line.startswith("#"):
            lines = found.setdefault(line, [])
        elif line.strip() and not line.startswith(("    server ", "#")):
            lines.append(line.strip())
    return found
