# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The four verbs for LoadBalancer services on IPVS: read, plan, apply, verify."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass

from .._core.balance_model import BalanceState, Prefixes, where
from .._core.errors import ConvergeError
from .._core.plan import FileChange, Plan, Step
from .._io.atomic import write
from . import mirror, plan, sources
from .kernel import Failure, Kernel, refusal
from .memory import Memory, read_text, write_text
from .plan import Change, Drain, Key, Services
from .sources import Nft
from .table import Table


@dataclass(frozen=True)
class Current:
    """``table``: our services in the kernel. ``rules``, ``sources``: texts of the files. ``loaded``: the digest that the loaded nftables table carries."""

    table: Table
    rules: str
    sources: str
    loaded: str | None


@dataclass(frozen=True)
class Wanted:
    """``services`` with their ``draining`` destinations; the texts of the two files."""

    services: Services
    draining: dict[Key, Drain]
    rules: str
    sources: str

    def draining_shown(self) -> list[str]:
        """What drains, and since when, for the operator."""
        since = {key: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(drain.since)) for key, drain in self.draining.items()}
        return [f"{where(*destination)} of {frontend} since {since[(frontend, destination)]}" for frontend, destination in sorted(since)]


@dataclass(frozen=True)
class LoadSources:
    """The step that replaces the table of source ranges."""

    text: str

    def __str__(self) -> str:
        if not self.text:
            return f"remove table {sources.TABLE}: no service has source ranges"
        return f"load table {sources.TABLE}: {len(sources.parse(self.text))} frontends have source ranges"


@dataclass(frozen=True)
class Files:
    """Where the rules are mirrored for the next boot."""

    rules: str = "/etc/ipvsadm.rules"
    sources: str = "/etc/northgate/sources.nft"


class ServicesAdapter:
    """IPVS on this host. ``pools``: frontends within are ours, all others are somebody else's. ``now`` is in seconds since the epoch."""

    def __init__(self, pools: Prefixes, files: Files, memory: Memory, kernel: Kernel, nft: Nft, now: int, drain_time: int) -> None:
        self._pools, self._files, self._memory, self._kernel, self._nft = pools, files, memory, kernel, nft
        self._now, self._drain_time = now, drain_time

    def read(self) -> Current:
        return Current(self._kernel.table(self._pools), read_text(self._files.rules), read_text(self._files.sources), self._nft.loaded())

    def wanted(self, current: Current, state: BalanceState) -> Wanted:
        """The desired state with what drains, as this router has it."""
        drains = plan.draining(current.table, state.services, self._memory.drains(), self._now, self._drain_time)
        services = plan.with_draining(current.table, state.services, drains)
        ours = mirror.render(services, drains)
        return Wanted(services, drains, mirror.foreign(current.rules, self._pools, ours) + ours, sources.render(state.sources))

    def plan(self, current: Current, wanted: Wanted) -> Plan:
        """Sources are told first; ``apply`` says when each is loaded."""
        files = ((self._files.rules, current.rules, wanted.rules), (self._files.sources, current.sources, wanted.sources))
        steps: list[Step] = []
        if (current.loaded or "") != sources.digest(wanted.sources) or (current.loaded is not None and not wanted.sources):
            steps.append(LoadSources(wanted.sources))
        steps += plan.plan(current.table, wanted.services, wanted.draining)
        return Plan(tuple(FileChange(*file) for file in files if file[1] != file[2]), tuple(steps))

    def apply(self, steps: Plan, wanted: Wanted) -> str:
        """Restricts first, then changes the rules, then opens. Files go before the kernel, so that a restart gives the same state.

        Commands that the kernel refuses hinder no others; they are an error in the end.
        """
        # A run that is killed must not forget which weight a destination had before it drains.
        self._memory.remember({**self._memory.drains(), **wanted.draining})
        changed = {file.name for file in steps.files}
        sourced = self._files.sources in changed or any(isinstance(step, LoadSources) for step in steps.steps)
        first = sources.render(sources.strictest(sources.parse(read_text(self._files.sources)), sources.parse(wanted.sources)))
        if sourced:
            self._load_sources(first)
        if self._files.rules in changed:
            write(self._files.rules, wanted.rules.encode("utf-8", "surrogateescape"))
        # What somebody else added meanwhile may be just what is wanted: verify judges it.
        failed = [failure for failure in self._change_kernel([step for step in steps.steps if isinstance(step, Change)]) if failure.code != errno.EEXIST]
        if sourced and first != wanted.sources:
            self._load_sources(wanted.sources)
        if failed:
            raise refusal(failed)
        return ""

    def _load_sources(self, text: str) -> None:
        if text:
            self._nft.check(text)
        write_text(self._files.sources, text)
        self._nft.load(text)

    def _change_kernel(self, changes: list[Change]) -> list[Failure]:
        still, moving = ([o for change in changes if change.moves == moves for o in change.operations] for moves in (False, True))
        failed = self._kernel.apply(still)
        if moving:
            with self._memory.keeping_connections():
                failed += self._kernel.apply(moving)
        return failed

    def verify(self, current: Current, wanted: Wanted) -> None:
        """Raises ConvergeError that names what is not as it should be."""
        left = self.plan(current, wanted)
        if left:
            named = [str(step) for step in left.steps] + [f"change {file.name}" for file in left.files]
            raise ConvergeError(f"IPVS is not as planned after the run: {'; '.join(named[:5])}", "Does somebody else change it? Run it again")
