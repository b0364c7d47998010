# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_services keeps on a router beside the kernel: files, and a setting while destinations move."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from .._core.balance_model import Frontend
from .._core.errors import ConvergeError
from .._io.atomic import write
from .plan import Drain, Key

_SETTING = "/proc/sys/net/ipv4/vs/expire_nodest_conn"


def read_text(path: str) -> str:
    """The text of a file, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConvergeError(f"{path} can't be read: {error.strerror}", "Mend the file system, and run again") from error


def write_text(path: str, text: str) -> None:
    """Replaces a file as a whole; removes it where the text is ""."""
    if text:
        write(path, text.encode("utf-8", "surrogateescape"))
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise ConvergeError(f"{path} can't be removed: {error.strerror}", "Mend the file system, and run again") from error


class Memory:
    """Below ``state_dir``/ipvs_services. ``setting``: the kernel's net.ipv4.vs.expire_nodest_conn."""

    def __init__(self, state_dir: str, setting: str = _SETTING) -> None:
        directory = os.path.join(state_dir, "ipvs_services")
        self._drains = os.path.join(directory, "draining.json")
        self._saved = os.path.join(directory, "expire_nodest_conn")
        self._setting = setting

    def drains(self) -> dict[Key, Drain]:
        """Since when destinations drain. What can't be read counts as unknown: they then drain from now on."""
        try:
            return {
                (Frontend(protocol, address, port), (of_address, of_port)): Drain(since, weight)
                for protocol, address, port, of_address, of_port, since, weight in json.loads(read_text(self._drains) or "[]")
            }
        except (ValueError, TypeError):
            return {}

    def remember(self, drains: dict[Key, Drain]) -> None:
        """Writes since when destinations drain, where that has changed."""
        rows = [[f.protocol, f.address, f.port, *key, drain.since, drain.weight] for (f, key), drain in sorted(drains.items(), key=lambda item: item[0])]
        text = json.dumps(rows) + "\n" if rows else ""
        if text != read_text(self._drains):
            write_text(self._drains, text)

    @contextlib.contextmanager
    def keeping_connections(self) -> t.Iterator[None]:
        """While destinations are deleted to be added again, the kernel must not end their connections (expire_nodest_conn=1 does)."""
        value = self._setting_now()
        if value in ("", "0"):
            yield
            return
        write(self._saved, value.encode())
        try:
            self._set("0")
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Puts the setting back, also for a run that was killed."""
        saved = read_text(self._saved).strip()
        if saved:
            self._set(saved)
            write_text(self._saved, "")

    def _setting_now(self) -> str:
        with contextlib.suppress(OSError, ValueError), open(self._setting, encoding="ascii") as file:
            return file.read().strip()
        return ""

    def _set(self, value: str) -> None:
        with contextlib.suppress(OSError), open(self._setting, "w", encoding="ascii") as file:
            file.write(value)
