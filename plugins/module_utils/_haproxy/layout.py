# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layout: how the desired state is written in haproxy's terms. Pure.

A generation is the configuration, the maps, the list of certificates and the list of backends. A new host,
policy or certificate is an entry of a map or list, a new set of pools takes over a backend of the stock, and
a pod that comes or goes is one server: all of them without a reload.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from .._core.desired import IngressState
from . import backends as stocks
from . import config, entries
from .backends import BACKENDS, Stock
from .options import CERTIFICATES, CONFIG, DIRECTORY, INSTANCE, MAPS, NAMES, PASSTHROUGH, POLICIES, ROUTES, Options
from .pem import file_name
from .servers import Server, servers, tls_files, tls_load

FILES = (CONFIG, *MAPS, CERTIFICATES, BACKENDS)
FINGERPRINT_PREFIX = "ng_layout_"
LOAD_PREFIX = "ng_tls_"


@dataclass(frozen=True)
class Known:
    """What the layout keeps of what is: the list of backends on disk, and backends that running routes lead to."""

    backends: str = ""
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layout:
    """What haproxy must hold.

    ``structure`` is the configuration without the stocks' backends. ``loads``: name of a backend to options of its one server,
    which is there only to load the files that they name. ``servers``: backend to server name to server.
    ``maps``: file name to entries. ``certificates``: name of a PEM file to the server names that it is presented
    for. ``pems``: text by name of a PEM file, those for TLS to pods among them (secret).
    """

    structure: str
    fingerprint: str
    stocks: tuple[Stock, ...]
    loads: dict[str, str]
    servers: dict[str, dict[str, Server]]
    maps: dict[str, dict[str, str]]
    certificates: dict[str, tuple[str, ...]]
    pems: dict[str, str]

    def pools(self) -> dict[str, str]:
        """Set of pools by backend."""
        return {name: pools for stock in self.stocks for pools, name in stock.taken.items()}


def layout(state: IngressState, options: Options, known: Known, certificate_directory: str) -> Layout:
    """The layout of ``state``, which keeps as much as it can of what is ``known``."""
    of_routes = [pools for r in (*state.routes.values(), *state.defaults.values()) for pools in (r.pools, r.canary) if pools]
    http = {entries.pools_name(pools): pools for pools in of_routes}
    tcp = {entries.pools_name(pools): pools for pools in state.passthrough.values()}
    stock = [stocks.assign(stocks.HTTP, http, stocks.parse(known.backends, stocks.HTTP), known.busy, options.spare_backends)]
    if options.passthrough:
        stock.append(stocks.assign(stocks.TCP, tcp, stocks.parse(known.backends, stocks.TCP), known.busy, options.spare_backends))
    of_stock = [servers_of(one, pools, state, certificate_directory) for one, pools in zip(stock, (http, tcp))]
    routes, policies = entries.routes(state, stock[0].taken)
    maps = {ROUTES: routes, POLICIES: policies, NAMES: entries.certificate_names(state.certificates)}
    if options.passthrough:
        maps[PASSTHROUGH] = {host: stock[1].taken[entries.pools_name(pools)] for host, pools in state.passthrough.items()}
    tls = sorted({pool.tls for pool in state.pools.values() if pool.protocol == "https"})
    structure = f"{config.frontends(options)}\n{config.backend_defaults(options)}"
    names = {file_name(one.certificate, one.names): one for one in state.certificates}
    return Layout(
        structure=structure,
        fingerprint=_fingerprint(structure, stock),
        stocks=tuple(stock),
        loads=_loads(tls_load(one, certificate_directory) for one in tls),
        servers={backend: of for one in of_stock for backend, of in one.items()},
        maps=maps,
        certificates={name: one.names for name, one in names.items()},
        pems={name: one.certificate.pem for name, one in names.items()} | {n: text for one in tls for n, text in tls_files(one).items()},
    )


def servers_of(stock: Stock, pools: dict[str, tuple], state: IngressState, directory: str) -> dict[str, dict[str, Server]]:
    """The servers of every backend that is taken."""
    passthrough = stock.kind == stocks.TCP
    return {name: servers(pools[of], state, directory, passthrough) for of, name in sorted(stock.taken.items())}


_BACKENDS = {
    stocks.HTTP: ("from ng_servers", "    ignore-persist unless { var(txn.ng_affinity) -m found }\n"),
    stocks.TCP: ("from ng_defaults", "    mode tcp\n    option allbackups\n"),
}


def _loads(tls: t.Iterable[str]) -> dict[str, str]:
    """Backends by whose names the running process tells that servers with these files can be added."""
    return {LOAD_PREFIX + hashlib.sha256(files.encode()).hexdigest()[:16]: files for files in tls if files}


def _fingerprint(structure: str, stock: list[Stock]) -> str:
    shape = [structure, *(f"{one.kind} {one.size} {_BACKENDS[one.kind]}" for one in stock)]
    return FINGERPRINT_PREFIX + hashlib.sha256("\n".join(shape).encode()).hexdigest()[:16]


def render(wanted: Layout, directory: str, certificate_directory: str) -> dict[str, str]:
    """The texts of a generation by file name; ``directory`` is where the texts say that it lies."""
    return {
        CONFIG: _config(wanted, directory),
        **{name: "".join(f"{key} {value}\n" for key, value in sorted(of.items())) for name, of in wanted.maps.items()},
        CERTIFICATES: "".join(f"{certificate_directory}/{name} {' '.join(of)}\n" for name, of in sorted(wanted.certificates.items())),
        BACKENDS: stocks.render(wanted.stocks),
    }


def _config(wanted: Layout, directory: str) -> str:
    instance = hashlib.sha256(directory.encode()).hexdigest()[:8]
    pools = wanted.pools()
    sections = [config.HEADER, wanted.structure.replace(DIRECTORY, directory).replace(INSTANCE, instance)]
    sections += [f"backend {name} from ng_servers\n    server load 127.0.0.1:9 disabled ssl {of}\n" for name, of in wanted.loads.items()]
    for stock in wanted.stocks:
        start, lines = _BACKENDS[stock.kind]
        for name in stock.names:
            # haproxy refuses lines of over 2,047 characters, and many clusters may be named here.
            of = f"    # {pools[name][:1000]}\n" if name in pools else ""
            sections.append(f"backend {name} {start}\n{of}{lines}{_server_lines(wanted.servers.get(name, {}))}")
    # The running process tells by this backend's name which structure it has loaded.
    sections.append(f"backend {wanted.fingerprint} from ng_defaults\n")
    sections.append("# Files that follow start from haproxy's own defaults.\ndefaults\n    mode http\n")
    return "\n".join(sections)


def _server_lines(servers: dict[str, Server]) -> str:
    return "".join(
        f"    server {name} {server.socket} {server.options}{'' if server.weight == 1 else f' weight {server.weight}'}\n"
        for name, server in sorted(servers.items())
    )
