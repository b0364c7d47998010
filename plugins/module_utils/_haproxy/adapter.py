# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules that converge haproxy have in common: how a plan is applied and verified, whatever its files say."""

from __future__ import annotations

import os
import shutil
import time
import typing as t

from .._core.errors import ConvergeError
from .._core.plan import Plan
from .files import Place, Store
from .master import Master, check, configuration_arguments
from .runtime import Refused, Runtime, Unreachable
from .steps import DiscardCertificate, Reload, StoreCertificate

OLDEST = (2, 6)


class Layout(t.Protocol):
    """What a module wants of haproxy. The worker has loaded it when it has the backends ``fingerprint`` and ``loads``; ``pems`` are texts by file name."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def loads(self) -> t.Iterable[str]: ...
    @property
    def pems(self) -> dict[str, str]: ...


class Wanted(t.Protocol):
    """A layout and its texts by file name."""

    @property
    def layout(self) -> t.Any: ...
    @property
    def files(self) -> dict[str, str]: ...


class Adapter:
    """One module's part of haproxy on this host. ``config_dir`` is /etc/haproxy; the two sockets are the worker's and the master's.

    Subclasses say how a layout is written (``_texts``), and how ``read`` and ``plan`` are done.
    """

    def __init__(self, place: Place, config_dir: str, socket: str, master_socket: str) -> None:
        self._config_dir = config_dir
        self._store = Store(config_dir, place)
        self._runtime = Runtime(socket)
        self._master = Master(master_socket)

    def _texts(self, layout: t.Any, directory: str) -> dict[str, str]:
        raise NotImplementedError

    def plan(self, current: t.Any, wanted: t.Any) -> Plan:
        raise NotImplementedError

    def _answers(self) -> bool:
        """Whether a worker answers. Raises ConvergeError for one that is too old."""
        try:
            version = self._runtime.version()
        except Unreachable:
            return False
        if version < OLDEST:
            raise ConvergeError(
                "haproxy {}.{} runs here, and {}.{} is the oldest that can be converged".format(*version, *OLDEST),
                "Install a newer one, or restart it where one is installed already",
            )
        return True

    def apply(self, steps: Plan, wanted: Wanted) -> str:
        """Does what the plan says: the disk first, so that a restart gives the same state.

        Returns the reason of the reload, if there was one: a run-time change that haproxy
        refuses is made by a reload instead.
        """
        try:
            return self._apply(steps, wanted)
        except OSError as error:
            raise ConvergeError(
                f"{error.filename or self._store.root} can't be written: {error.strerror}",
                "What is live stays live; free space or mend the file system, and run again",
            ) from error

    def forget_former(self) -> None:
        """Removes what was live before: it may be of clusters that are none of this router's business any more."""
        self._store.prune(kept=1)

    def _apply(self, steps: Plan, wanted: Wanted) -> str:
        for step in steps.steps:
            if isinstance(step, StoreCertificate):
                self._store.write_certificate(step.name, wanted.layout.pems[step.name])
        before = self._store.live()
        if steps.files:
            self._check(wanted.layout)
            self._store.go_live(self._store.write_generation(wanted.files))
        reason = steps.reload_reason or self._change_running(steps)
        if reason:
            self._reload(reason, wanted.layout, before if steps.files else self._store.live())
        self._store.remove_certificates(s.name for s in steps.steps if isinstance(s, DiscardCertificate))
        if steps.files:
            self._store.prune()
        return reason

    def _check(self, layout: Layout) -> None:
        """haproxy's own opinion on a candidate, before anything live changes."""
        candidate = os.path.join(self._store.root, "candidate")
        try:
            self._store.write_texts(candidate, self._texts(layout, candidate))
            check(configuration_arguments(self._config_dir, self._store.place.entry, os.path.join(candidate, self._store.place.config)))
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

    def _reload(self, reason: str, layout: Layout, before: str | None) -> None:
        """Reloads, and asks the new worker what it has loaded; the files of before come back when that is not ours."""
        reloaded = False
        try:
            self._master.reload()
            reloaded = True
            self._await({layout.fingerprint, *layout.loads})
        except ConvergeError as error:
            self._store.back_to(before)
            if reloaded:
                self._master.reload()
            raise ConvergeError(
                f"{error.message}; the files of before are back and haproxy serves with them. Reload reason: {reason}",
                error.hint,
            ) from error

    def _await(self, backends: set[str], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                if backends <= self._runtime.backends():
                    return
            except Unreachable:  # The new worker takes the socket over.
                pass
            if time.monotonic() > deadline:
                raise ConvergeError(
                    f"the new worker of haproxy has not loaded our configuration within {timeout:g} s",
                    "Does the unit read conf.d? systemctl cat haproxy; the role haproxy makes it so",
                )
            time.sleep(0.05)

    def verify(self, current: t.Any, wanted: Wanted) -> None:
        """Raises ConvergeError that names what is not as it should be."""
        if current.running is None:
            raise ConvergeError(
                f"haproxy does not answer on {self._runtime.path}; the files are right and serve from its next start",
                "Start it: systemctl start haproxy",
            )
        left = self.plan(current, wanted)
        if left:
            named = [str(step) for step in left.steps] + [f"change {file.name}" for file in left.files]
            raise ConvergeError(f"haproxy is not as planned after the run: {'; '.join(named[:5])}", "Run it again")
