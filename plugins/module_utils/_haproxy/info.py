# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What haproxy on this host serves, for people: read only, from the running worker, or from disk where none answers."""

from __future__ import annotations

import os
import time
import typing as t

from .._core.policy import CLOSED, Policy
from . import backends as stocks
from . import parse
from .options import CERTIFICATES, CONFIG, PASSTHROUGH, POLICIES, ROUTES
from .files import Store
from .layout import BACKENDS
from .planning import ours
from .runtime import MAX_COMMAND, Runtime, Unreachable

Shown = dict[str, t.Any]


class Info:
    """One look at haproxy. ``running``: a worker answers; ``loaded``: it has our configuration. Raises OSError, ConvergeError.

    ``reason`` says why what is shown comes from disk; it is empty where it comes from the worker.
    """

    def __init__(self, config_dir: str, socket: str, master_socket: str) -> None:
        store = Store(config_dir)
        self.generation = os.path.basename(store.live() or "")
        self._current = store.current
        self._files = store.read()
        self._runtime = Runtime(socket)
        self._master = Runtime(master_socket)
        self._pools = {
            name: (kind, pools)
            for kind in (stocks.HTTP, stocks.TCP)
            for pools, name in stocks.parse(self._files.get(BACKENDS, ""), kind).taken.items()
        }
        self.running, self.loaded, self.reason = False, False, ""
        try:
            self._process = parse.info(self._runtime.ask("show info"))
            self.running = True
            self._routes = self._runtime.map_entries(self._path(ROUTES))
            self.loaded = self._routes is not None
            self.reason = "" if self.loaded else "haproxy runs without our configuration"
        except Unreachable as error:
            self.reason = str(error)

    def _path(self, name: str) -> str:
        return os.path.join(self._current, name)

    def _map(self, name: str) -> dict[str, str]:
        if self.loaded:
            known = self._routes if name == ROUTES else self._runtime.map_entries(self._path(name))
            return known or {}
        lines = (line.partition(" ") for line in self._files.get(name, "").splitlines())
        return {key: value for key, _space, value in lines}

    def _of(self, backend: str) -> list[str]:
        """The pools of a backend."""
        return self._pools.get(backend, ("", ""))[1].split()

    def routes(self) -> list[Shown]:
        """Every route in the order of its key: those of a host are together, default backends last."""
        policies = {name: parse.shown(policy) for name, policy in parse.policies(self._map(POLICIES)).items()}
        found = []
        for rule, default, target in parse.routes(dict(sorted(self._map(ROUTES).items()))):
            route: Shown = {
                "host": rule.host,
                "path": rule.path,
                "type": "default backend" if default else rule.path_type,
                "backend": target.backend,
                "pools": self._of(target.backend),
                "https_redirect": target.redirect,
                "policy": policies.get(target.policy, parse.shown(CLOSED if target.policy else Policy())),
            }
            if target.canary:
                route["canary"] = {"backend": target.canary, "pools": self._of(target.canary), "weight": target.canary_weight}
            found.append(route)
        found += [
            {"host": host, "path": "", "type": "TLS passthrough", "backend": backend, "pools": self._of(backend), "https_redirect": True, "policy": {}}
            for host, backend in sorted(self._map(PASSTHROUGH).items())
        ]
        return sorted(found, key=lambda route: route["type"] == "default backend")

    def backends(self) -> list[Shown]:
        """The backends that sets of pools have, or that still have servers, each with its servers."""
        servers = self._servers()
        return [
            {"name": name, "pools": self._of(name), "servers": [servers[name][server] for server in sorted(servers.get(name, ()))]}
            for name in sorted({*self._pools, *servers})
        ]

    def _servers(self) -> dict[str, dict[str, Shown]]:
        known: dict[str, dict[str, t.Any]]
        if self.loaded:
            known = self._runtime.servers()
        else:
            known = parse.server_lines(self._files.get(CONFIG, ""))
        return {
            backend: {
                name: {
                    "name": name,
                    "cluster": name.partition("_")[0],
                    "address": server.address,
                    "port": server.port,
                    "weight": server.weight,
                    "state": getattr(server, "state", "unknown"),
                }
                for name, server in of.items()
            }
            for backend, of in known.items()
            if ours(backend)
        }

    def spare_backends(self) -> int:
        """How many backends no set of pools has."""
        text = self._files.get(BACKENDS, "")
        return sum(stock.size - len(stock.taken) for stock in (stocks.parse(text, kind) for kind in (stocks.HTTP, stocks.TCP)))

    def certificates(self, now: float | None = None) -> list[Shown]:
        """The certificates that are presented, the first to expire first; without their dates where no worker answers."""
        if self.loaded:
            names = self._runtime.certificate_list(self._path(CERTIFICATES)) or {}
            presented = self._presented(sorted(names))
        else:
            names, presented = parse.certificate_list(self._files.get(CERTIFICATES, "")), {}
        found = [(presented.get(path, parse.Presented(None, "")), path) for path in names]
        found.sort(key=lambda one: (one[0].not_after or 0, one[1]))
        return [
            {
                "file": os.path.basename(path),
                "names": list(names[path]),
                "algorithm": of.algorithm,
                "not_after": stamp(of.not_after),
                "days_left": None if of.not_after is None else int((of.not_after - (now or time.time())) // 86400),
            }
            for of, path in found
        ]

    def _presented(self, paths: list[str]) -> dict[str, parse.Presented]:
        """Many questions in each command: there may be thousands of certificates."""
        answers = []
        command = ""
        for path in paths:
            question = f"show ssl cert {path}"
            if len(command) + len(question) + 1 >= MAX_COMMAND:
                answers.append(self._runtime.ask(command))
                command = ""
            command += f";{question}" if command else question
        if command:
            answers.append(self._runtime.ask(command))
        return parse.certificates("".join(answers))

    def process(self) -> Shown:
        """The worker's version and uptime, and how often the master has reloaded; None for what nobody answers."""
        shown: Shown = dict.fromkeys(("version", "uptime", "connections", "reloads", "failed_reloads", "old_workers", "master_uptime"))
        if self.running:
            shown["version"] = self._process.get("Version")
            shown["uptime"] = int(self._process.get("Uptime_sec", 0))
            shown["connections"] = int(self._process.get("CurrConns", 0))
        try:
            found = parse.processes(self._master.ask("show proc"))
        except Unreachable:
            found = None
        if found:
            shown.update(
                reloads=found.reloads, failed_reloads=found.failed_reloads, old_workers=found.old_workers, master_uptime=found.uptime
            )
        return shown


def stamp(seconds: float | None) -> str | None:
    """A time as RFC 3339 in UTC."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
