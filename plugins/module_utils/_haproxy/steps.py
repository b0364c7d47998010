# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a plan for haproxy. Each knows the run-time commands that do it, and what a good answer is."""

from __future__ import annotations

from dataclasses import dataclass, field

from .backends import HTTP
from .options import AFFINITY_KEY
from .runtime import Runtime
from .servers import Server

_SILENT = r"\A\n*\Z"


@dataclass(frozen=True)
class _OfServer:
    backend: str
    name: str

    @property
    def _path(self) -> str:
        return f"{self.backend}/{self.name}"


@dataclass(frozen=True)
class AddServer(_OfServer):
    """A server that haproxy does not know yet. Its options are repeated: default-server does not reach it."""

    server: Server

    def __str__(self) -> str:
        return f"add server {self._path}"

    def run(self, runtime: Runtime) -> None:
        weight = f" weight {self.server.weight}"
        runtime.expect("New server registered", f"add server {self._path} {self.server.socket} {self.server.options}{weight}")
        if self.backend.startswith(HTTP):
            # Without this haproxy 2.6 gives no cookie to a server that was added.
            runtime.expect(_SILENT, f"set dynamic-cookie-key backend {self.backend} {AFFINITY_KEY}")
        EnableServer(self.backend, self.name, self.server.checked).run(runtime)


@dataclass(frozen=True)
class EnableServer(_OfServer):
    """A known server that is in maintenance or drains: an interrupted addition, or an address that came back."""

    checked: bool = True

    def __str__(self) -> str:
        return f"enable server {self._path}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"set server {self._path} state ready")
        if self.checked:
            runtime.expect(_SILENT, f"enable health {self._path}")


@dataclass(frozen=True)
class SetWeight(_OfServer):
    """Another part of the requests; 0 leaves a server the sessions that it has."""

    weight: int

    def __str__(self) -> str:
        return f"set weight of server {self._path} to {self.weight}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"set server {self._path} weight {self.weight}")


@dataclass(frozen=True)
class DrainServer(_OfServer):
    """A server that goes: it gets nothing new, and is deleted when its last connection has ended."""

    def __str__(self) -> str:
        return f"drain server {self._path}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"set server {self._path} state maint")


@dataclass(frozen=True)
class RetireServer(_OfServer):
    """A server that goes, and whose connections would be closed by maintenance: it keeps them, and gets nothing new."""

    def __str__(self) -> str:
        return f"retire server {self._path}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"set server {self._path} state drain")


@dataclass(frozen=True)
class ReplaceMap:
    """A whole map, swapped atomically. ``name`` is its file's."""

    name: str
    path: str
    entries: dict[str, str] = field(repr=False)
    added: int
    removed: int
    changed: int

    def __str__(self) -> str:
        return f"replace {self.name}: {self.added} added, {self.removed} removed, {self.changed} changed"

    def run(self, runtime: Runtime) -> None:
        runtime.replace_map(self.path, self.entries)


@dataclass(frozen=True)
class AddCertificate:
    """A certificate that haproxy does not present yet, for server ``names``."""

    certificate_list: str
    path: str
    names: tuple[str, ...]
    pem: str = field(repr=False)

    def __str__(self) -> str:
        return f"add certificate {self.path}"

    @property
    def size(self) -> int:
        """Bytes of its longest command, at most."""
        return max(len(self.pem), sum(len(name) + 1 for name in self.names) + len(self.certificate_list)) + len(self.path) + 64

    def run(self, runtime: Runtime) -> None:
        if self.path not in runtime.certificates():
            runtime.expect("New empty certificate store", f"new ssl cert {self.path}")
        try:
            runtime.expect("Transaction (created|updated)", f"set ssl cert {self.path}", self.pem)
            runtime.expect("Success!", f"commit ssl cert {self.path}")
            runtime.expect("Success!", f"add ssl crt-list {self.certificate_list}", f"{self.path} {' '.join(self.names)}\n")
        except Exception:
            # The empty store would stay behind.
            runtime.ask(f"abort ssl cert {self.path}")
            runtime.ask(f"del ssl cert {self.path}")
            raise


@dataclass(frozen=True)
class RemoveCertificate:
    """A certificate that is presented no more."""

    certificate_list: str
    path: str

    def __str__(self) -> str:
        return f"remove certificate {self.path}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect("deleted|Success!", f"del ssl crt-list {self.certificate_list} {self.path}")
        runtime.expect("deleted", f"del ssl cert {self.path}")


@dataclass(frozen=True)
class StoreCertificate:
    """A PEM file that is written to disk."""

    name: str

    def __str__(self) -> str:
        return f"store certificate {self.name}"


@dataclass(frozen=True)
class DiscardCertificate:
    """A PEM file that is removed from disk."""

    name: str

    def __str__(self) -> str:
        return f"discard certificate {self.name}"


@dataclass(frozen=True)
class Reload:
    """A reload of haproxy."""

    reason: str

    def __str__(self) -> str:
        return f"reload haproxy: {self.reason}"
