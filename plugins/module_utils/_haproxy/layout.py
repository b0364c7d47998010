# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layout: how the desired state is written in haproxy's terms. Pure.

Three files make a generation: the configuration, the map of routes and the list of
certificates. A request is dispatched by one look-up of host + path + "/?" in the map, where
the longest key wins (map_beg): "host/foo/" is a prefix by segment and "host/foo/?" an exact
path. The set of pools that offer a route names its backend, so a new host on known pools is
one map entry, and a pod that comes or goes is one server.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from .._core.model import EXACT, Endpoint, IngressState, PoolName, Rule

CONFIG = "ingress.cfg"
ROUTES = "routes.map"
CERTIFICATES = "certificates.list"

HEADER = "# Managed by northgate.edge.haproxy_ingress: changes made here are lost.\n"
NOT_FOUND = "ng_none"
FINGERPRINT_PREFIX = "ng_layout_"
# A server added at run time gets no default-server, so each one carries all its options.
SERVER_OPTIONS = "check inter 2s fastinter 500ms fall 2 rise 2 observe layer4 error-limit 3 on-error mark-down"


@dataclass(frozen=True)
class Options:
    """What the operator chooses: bind lines' addresses, as in haproxy's ``bind``."""

    http_bind: tuple[str, ...] = (":::80 v4v6",)
    https_bind: tuple[str, ...] = (":::443 v4v6",)


@dataclass(frozen=True)
class Layout:
    """What haproxy must hold.

    ``structure`` is the configuration without servers, ``servers`` maps backend to server name
    to (address, port), ``routes`` maps key to backend, ``certificates`` are names of PEM files.
    """

    structure: str
    fingerprint: str
    servers: dict[str, dict[str, tuple[str, int]]]
    routes: dict[str, str]
    certificates: frozenset[str] = field(default=frozenset())


def route_key(rule: Rule) -> str:
    """The key of a rule in the map of routes."""
    if rule.path_type == EXACT:
        return f"{rule.host}{rule.path}/?"
    return f"{rule.host}{rule.path.rstrip('/')}/"


def backend_name(pools: tuple[PoolName, ...]) -> str:
    """One name for each set of pools: ":" occurs in no cluster's or class's name."""
    return "ng:" + ":".join(str(pool) for pool in pools)


def server_name(pool: PoolName, endpoint: Endpoint) -> str:
    """Unique in a backend; "_" occurs in no cluster's, class's or address's name."""
    return f"{pool.cluster}_{pool.ingress_class}_{endpoint.address}_{endpoint.port}"


def layout(state: IngressState, options: Options, certificates: frozenset[str]) -> Layout:
    """The layout of ``state``, with the PEM files named in ``certificates``."""
    backends = {backend_name(pools): pools for pools in state.routes.values()}
    servers = {
        name: {
            server_name(pool, endpoint): (endpoint.address, endpoint.port)
            for pool in pools
            for endpoint in state.pools[pool]
        }
        for name, pools in sorted(backends.items())
    }
    structure = _structure(options, tuple(servers))
    return Layout(
        structure=structure,
        fingerprint=FINGERPRINT_PREFIX + hashlib.sha256(structure.encode()).hexdigest()[:16],
        servers=servers,
        routes={route_key(rule): backend_name(pools) for rule, pools in sorted(state.routes.items())},
        certificates=certificates,
    )


def render(wanted: Layout, directory: str, certificate_directory: str) -> dict[str, str]:
    """The texts of a generation by file name; ``directory`` is where the texts say that it lies."""
    return {
        CONFIG: _config(wanted, directory),
        ROUTES: "".join(f"{key} {backend}\n" for key, backend in sorted(wanted.routes.items())),
        CERTIFICATES: "".join(f"{certificate_directory}/{name}\n" for name in sorted(wanted.certificates)),
    }


_DIRECTORY = "@directory@"


def _config(wanted: Layout, directory: str) -> str:
    lines = [HEADER.rstrip()]
    for line in wanted.structure.splitlines():
        lines.append(line.replace(_DIRECTORY, directory))
        if line.startswith("backend "):
            for name, (address, port) in sorted(wanted.servers.get(line.split()[1], {}).items()):
                lines.append(f"    server {name} {socket_address(address, port)} {SERVER_OPTIONS}")
    # The running process tells by this backend's name which structure it has loaded.
    lines += ["", f"backend {wanted.fingerprint} from ng_defaults", ""]
    return "\n".join(lines)


def socket_address(address: str, port: int) -> str:
    """An address and port as haproxy reads them: the last colon parts them, IPv6 needs no brackets."""
    return f"{address}:{port}"


def _structure(options: Options, backends: tuple[str, ...]) -> str:
    sections = [
        _frontend("ng_http", [f"bind {address}" for address in options.http_bind], "http"),
        _frontend(
            "ng_https",
            [
                f"bind {address} ssl crt-list {_DIRECTORY}/{CERTIFICATES} strict-sni alpn h2,http/1.1"
                for address in options.https_bind
            ],
            "https",
        ),
        f"backend {NOT_FOUND} from ng_defaults\n    http-request return status 404 default-errorfiles\n",
    ]
    sections += [f"backend {name} from ng_defaults\n    balance roundrobin\n" for name in backends]
    return "\n".join(sections)


def _frontend(name: str, binds: list[str], scheme: str) -> str:
    return "\n".join(
        [f"frontend {name} from ng_defaults"]
        + [f"    {bind}" for bind in binds]
        + [
            "    # The client does not choose what the application is told of it.",
            "    http-request set-header X-Forwarded-For %[src]",
            f"    http-request set-header X-Forwarded-Proto {scheme}",
            "    http-request set-header X-Forwarded-Host %[req.hdr(host)]",
            "    http-request set-header X-Forwarded-Port %[dst_port]",
            "    http-request del-header Forwarded",
            '    http-request set-var-fmt(txn.ng_key) "%[req.hdr(host),host_only,rtrim(.),lower]%[path]/?"',
            f"    use_backend %[var(txn.ng_key),map_beg({_DIRECTORY}/{ROUTES},{NOT_FOUND})]",
            f"    default_backend {NOT_FOUND}",
            "",
        ]
    )
