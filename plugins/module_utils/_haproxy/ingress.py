# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four verbs for HTTP(S) ingress on haproxy: read, plan, apply, verify."""

from __future__ import annotations

import os
import shutil

from .._core.errors import ConvergeError
from .._core.model import IngressState
from .._core.plan import Plan
from . import layout as layouts
from .files import Store
from .layout import Layout, Options
from .master import Master, check, configuration_arguments
from .planning import Current, Running, Wanted, plan
from .runtime import Refused, Runtime, Unreachable
from .steps import DiscardCertificate, Reload, StoreCertificate


class IngressAdapter:
    """haproxy on this host. ``config_dir`` is /etc/haproxy; the two sockets are the worker's and the master's."""

    def __init__(self, config_dir: str, socket: str, master_socket: str) -> None:
        self._config_dir = config_dir
        self._store = Store(config_dir)
        self._runtime = Runtime(socket)
        self._master = Master(master_socket)

    def wanted(self, state: IngressState, options: Options, pems: dict[str, str]) -> Wanted:
        """The desired state in haproxy's terms. ``pems``: normalised PEM texts by file name."""
        layout = layouts.layout(state, options, frozenset(pems))
        return Wanted(
            layout=layout,
            files=self._texts(layout, self._store.current),
            pems=pems,
            routes_path=os.path.join(self._store.current, layouts.ROUTES),
            list_path=os.path.join(self._store.current, layouts.CERTIFICATES),
            certificate_directory=self._store.certificates,
        )

    def _texts(self, layout: Layout, directory: str) -> dict[str, str]:
        return layouts.render(layout, directory, self._store.certificates)

    def read(self) -> Current:
        return Current(self._store.read(), self._store.certificate_names(), self._running())

    def _running(self) -> Running | None:
        try:
            backends = self._runtime.backends()
        except Unreachable:
            return None
        listed = self._runtime.certificate_list(os.path.join(self._store.current, layouts.CERTIFICATES))
        return Running(
            backends=backends,
            servers=self._runtime.servers(),
            routes=self._runtime.map_entries(os.path.join(self._store.current, layouts.ROUTES)),
            certificates=listed,
        )

    def plan(self, current: Current, wanted: Wanted) -> Plan:
        return plan(current, wanted)

    def apply(self, steps: Plan, wanted: Wanted) -> str:
        """Does what the plan says: the disk first, so that a restart gives the same state.

        Returns the reason of the reload, if there was one: a run-time change that haproxy
        refuses is made by a reload instead.
        """
        for step in steps.steps:
            if isinstance(step, StoreCertificate):
                self._store.write_certificate(step.name, wanted.pems[step.name])
        before = self._store.live()
        if steps.files:
            self._check(wanted.layout)
            self._store.go_live(self._store.write_generation(wanted.files))
        reason = steps.reload_reason or self._change_running(steps)
        if reason:
            self._reload(reason, before if steps.files else self._store.live())
        self._store.remove_certificates(s.name for s in steps.steps if isinstance(s, DiscardCertificate))
        if steps.files:
            self._store.prune()
        return reason

    def _check(self, layout: Layout) -> None:
        """haproxy's own opinion on a candidate, before anything live changes."""
        candidate = os.path.join(self._store.root, "candidate")
        try:
            self._store.write_texts(candidate, self._texts(layout, candidate))
            check(configuration_arguments(self._config_dir, os.path.join(candidate, layouts.CONFIG)))
        finally:
            shutil.rmtree(candidate, ignore_errors=True)

    def _change_running(self, steps: Plan) -> str:
        """The changes that need no reload; the reason for one when haproxy refuses a change."""
        try:
            for step in steps.steps:
                if not isinstance(step, (StoreCertificate, DiscardCertificate, Reload)):
                    step.run(self._runtime)  # type: ignore[attr-defined]
        except Refused as error:
            return f"a change at run time failed: {error.message}"
        return ""

    def _reload(self, reason: str, before: str | None) -> None:
        try:
            self._master.reload()
        except ConvergeError as error:
            self._store.back_to(before)
            raise ConvergeError(
                f"{error.message}; the files of before are back and the old worker serves on. Reload reason: {reason}",
                error.hint,
            ) from error

    def verify(self, wanted: Wanted) -> None:
        """Reads again; raises ConvergeError that names what is not as it should be."""
        current = self.read()
        if current.running is None:
            raise ConvergeError(
                f"haproxy does not answer on {self._runtime.path}; the files are right and serve from its next start",
                "Start it: systemctl start haproxy",
            )
        left = plan(current, wanted)
        if left:
            named = [str(step) for step in left.steps] + [f"change {file.name}" for file in left.files]
            raise ConvergeError(f"haproxy is not as planned after the run: {'; '.join(named[:5])}", "Run it again")

    def delete_drained(self, wanted: Wanted) -> None:
        """Deletes servers in maintenance that nothing uses any more; busy ones stay for a later run."""
        running = self._runtime.servers()
        for backend, ours in wanted.layout.servers.items():
            for name, server in running.get(backend, {}).items():
                if server.draining and name not in ours:
                    self._runtime.ask(f"del server {backend}/{name}")
