# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a plan for haproxy. Each knows the run-time commands that do it, and what a good answer is."""

from __future__ import annotations

from dataclasses import dataclass, field

from .layout import SERVER_OPTIONS, socket_address
from .runtime import Runtime

_SILENT = r"\A\n*\Z"


@dataclass(frozen=True)
class AddServer:
    """A server that haproxy does not know yet. Its options are repeated: default-server does not reach it."""

    backend: str
    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"add server {self.backend}/{self.name}"

    def run(self, runtime: Runtime) -> None:
        server = f"{self.backend}/{self.name}"
        where = socket_address(self.address, self.port)
        runtime.expect("New server registered", f"add server {server} {where} {SERVER_OPTIONS}")
        EnableServer(self.backend, self.name).run(runtime)


@dataclass(frozen=True)
class EnableServer:
    """A known server that is in maintenance: an interrupted addition, or an address that came back."""

    backend: str
    name: str

    def __str__(self) -> str:
        return f"enable server {self.backend}/{self.name}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"enable server {self.backend}/{self.name}")
        runtime.expect(_SILENT, f"enable health {self.backend}/{self.name}")


@dataclass(frozen=True)
class DrainServer:
    """A server that goes: it gets nothing new, and is deleted when its last connection has ended."""

    backend: str
    name: str

    def __str__(self) -> str:
        return f"drain server {self.backend}/{self.name}"

    def run(self, runtime: Runtime) -> None:
        runtime.expect(_SILENT, f"set server {self.backend}/{self.name} state maint")


@dataclass(frozen=True)
class ReplaceRoutes:
    """The whole map, swapped atomically."""

    path: str
    routes: dict[str, str]
    added: int
    removed: int
    changed: int

    def __str__(self) -> str:
        return f"replace routes: {self.added} added, {self.removed} removed, {self.changed} changed"

    def run(self, runtime: Runtime) -> None:
        runtime.replace_map(self.path, self.routes)


@dataclass(frozen=True)
class AddCertificate:
    """A certificate that haproxy does not serve yet."""

    certificate_list: str
    path: str
    pem: str = field(repr=False)

    def __str__(self) -> str:
        return f"add certificate {self.path}"

    def run(self, runtime: Runtime) -> None:
        if self.path not in runtime.certificates():
            runtime.expect("New empty certificate store", f"new ssl cert {self.path}")
        try:
            runtime.expect("Transaction (created|updated)", f"set ssl cert {self.path}", self.pem)
            runtime.expect("Success!", f"commit ssl cert {self.path}")
            runtime.expect("Success!", f"add ssl crt-list {self.certificate_list} {self.path}")
        except Exception:
            # The empty store would stay behind.
            runtime.ask(f"abort ssl cert {self.path}")
            runtime.ask(f"del ssl cert {self.path}")
            raise


@dataclass(frozen=True)
class RemoveCertificate:
    """A certificate that is served no more."""

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
