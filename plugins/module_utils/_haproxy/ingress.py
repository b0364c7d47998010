# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four verbs for HTTP(S) ingress on haproxy: read, plan, apply, verify."""

from __future__ import annotations

import os

from .._core.desired import IngressState
from .._core.plan import Plan
from . import layout as layouts
from .adapter import Adapter
from .options import CERTIFICATES, MAPS, Options
from .files import INGRESS
from .layout import BACKENDS, Known, Layout
from .planning import Current, Running, Wanted, ours, plan


class IngressAdapter(Adapter):
    """haproxy on this host. ``config_dir`` is /etc/haproxy; the two sockets are the worker's and the master's."""

    def __init__(self, config_dir: str, socket: str, master_socket: str) -> None:
        super().__init__(INGRESS, config_dir, socket, master_socket)

    def wanted(self, current: Current, state: IngressState, options: Options) -> Wanted:
        """The desired state in haproxy's terms, which keeps what it can of ``current``."""
        known = Known(current.files.get(BACKENDS, ""), current.running.busy() if current.running else frozenset())
        layout = layouts.layout(state, options, known, self._store.certificates)
        return Wanted(layout, self._texts(layout, self._store.current), self._store.current, self._store.certificates)

    def _texts(self, layout: Layout, directory: str) -> dict[str, str]:
        return layouts.render(layout, directory, self._store.certificates)

    def read(self) -> Current:
        return Current(self._store.read(), self._store.certificate_names(), self._running())

    def _running(self) -> Running | None:
        if not self._answers():
            return None
        listed = self._runtime.certificate_list(os.path.join(self._store.current, CERTIFICATES))
        return Running(
            backends=self._runtime.backends(),
            servers=self._runtime.servers(),
            maps={name: self._runtime.map_entries(os.path.join(self._store.current, name)) for name in MAPS},
            certificates=None if listed is None else frozenset(listed),
        )

    def plan(self, current: Current, wanted: Wanted) -> Plan:
        return plan(current, wanted)

    def delete_drained(self, wanted: Wanted) -> None:
        """Deletes servers in maintenance that nothing uses any more; busy ones stay for a later run."""
        for backend, servers in self._runtime.servers().items():
            for name, server in servers.items() if ours(backend) else ():
                if server.draining and name not in wanted.layout.servers.get(backend, {}):
                    self._runtime.ask(f"del server {backend}/{name}")
