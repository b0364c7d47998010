# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four verbs for API servers on haproxy: read, plan, apply, verify."""

from __future__ import annotations

import os

from .._core.api_servers import ApiState, Socket
from .._core.errors import ConvergeError, InvalidValue
from .._core.plan import Plan
from . import api_layout, api_planning, parse
from .adapter import Adapter
from .api_layout import API, ApiLayout, is_api
from .api_planning import ApiCurrent, ApiRunning, ApiWanted
from .master import configuration_files


class ApiAdapter(Adapter):
    """The API servers' part of haproxy on this host."""

    def __init__(self, config_dir: str, socket: str, master_socket: str) -> None:
        super().__init__(API, config_dir, socket, master_socket)

    def wanted(self, state: ApiState) -> ApiWanted:
        """The desired state in haproxy's terms; raises ConvergeError where somebody else listens already."""
        self._check_binds(state)
        layout = api_layout.layout(state, self._store.certificates)
        return ApiWanted(layout, api_layout.render(layout))

    def _check_binds(self, state: ApiState) -> None:
        """haproxy would bind an address twice without a word, and clients would meet one frontend or the other by chance."""
        binds = {str(bind): cluster for cluster, one in state.clusters.items() for bind in one.options.binds}
        try:
            paths = configuration_files(self._config_dir, {})
        except ConvergeError:
            return  # haproxy is not installed yet. In check mode that is no error.
        for path in paths:
            for bind in sorted(binds.keys() & _bound_in(path)):
                raise ConvergeError(f"api.{binds[bind]}.bind: {bind} is bound in {path} already", "Give one of them another address or port")

    def _texts(self, layout: ApiLayout, directory: str) -> dict[str, str]:
        return api_layout.render(layout)

    def read(self) -> ApiCurrent:
        running = ApiRunning(self._runtime.backends(), self._servers()) if self._answers() else None
        return ApiCurrent(self._store.read(), self._store.certificate_names(), running)

    def _servers(self) -> dict[str, dict[str, parse.RunningServer]]:
        return {backend: of for backend, of in self._runtime.servers().items() if is_api(backend)}

    def plan(self, current: ApiCurrent, wanted: ApiWanted) -> Plan:
        return api_planning.plan(current, wanted)

    def delete_retired(self, wanted: ApiWanted) -> None:
        """Deletes servers that are gone and have no connection any more; busy ones stay for a later run."""
        for backend, servers in self._servers().items():
            gone = [name for name in servers if name not in wanted.layout.servers.get(backend, {}) and (servers[name].retired or servers[name].draining)]
            health = self._runtime.health(backend) if gone else {}
            for name in gone:
                if name in health and not health[name].connections:
                    self._runtime.ask(f"set server {backend}/{name} state maint")
                    self._runtime.ask(f"del server {backend}/{name}")

    def down(self) -> dict[str, tuple[list[str], bool]]:
        """By cluster that has any: the servers that fail their health check, and whether none passes it."""
        found = {}
        for backend, servers in self._servers().items():
            checked = {name: one for name, one in servers.items() if not name.endswith(api_layout.UNCHECKED) and not one.retired}
            failing = [str(Socket(one.address, one.port)) for one in checked.values() if one.state == "down"]
            if failing:
                found[backend.removeprefix(api_layout.BACKEND)] = (sorted(failing), len(failing) == len(checked))
        return found


def _bound_in(path: str) -> set[str]:
    if os.path.basename(path) == API.entry:
        return set()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return _binds(file.read())
    except FileNotFoundError:
        return set()


def _binds(configuration: str) -> set[str]:
    """Where a configuration binds, as text of Sockets. What can't be read is left out: haproxy will say what it thinks of it."""
    found = set()
    for line in configuration.splitlines():
        words = line.split()
        for one in words[1].split(",") if words[:1] == ["bind"] and len(words) > 1 else ():
            address, _colon, port = one.removeprefix("ipv4@").removeprefix("ipv6@").rpartition(":")
            address = address.strip("[]")
            address = "0.0.0.0" if address in ("", "*") else address
            try:
                found.add(str(Socket.parse(f"[{address}]:{port}" if ":" in address else f"{address}:{port}", "bind")))
            except InvalidValue:
                continue
    return found
