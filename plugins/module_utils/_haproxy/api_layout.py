# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layout of API servers: how their desired state is written in haproxy's terms. Pure.

A backend for each cluster, a frontend for each set of clusters that share binds. Each API server is there twice: once with
health checks, and once as a backup without, which gets connections only when no server passes its checks. So a health check that is
mistaken, or an authority that has expired, closes nobody out, and the last server always stays in.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from .._core.api_servers import READYZ, ApiCluster, ApiOptions, ApiState, Socket, sharing
from .files import Place
from .servers import Server

CONFIG = "api.cfg"
API = Place("northgate/api", "40-northgate-api.cfg", CONFIG, (CONFIG,))
HEADER = "# Managed by northgate.edge.haproxy_apiserver: changes made here are lost.\n"
BACKEND, FRONTEND, FINGERPRINT = "ng_api_", "ng_apis_", "ng_api_layout_"
UNCHECKED = "_unchecked"
# haproxy takes 64 words and 2,047 characters a line; a name may have 253.
_A_LINE = 7

# A server that stops answering is out after one to five seconds. Its connections are closed then: their clients would wait for long.
_CHECK = "check check-ssl inter 1s fastinter 250ms downinter 1s fall 2 rise 2 on-marked-down shutdown-sessions"
# Watches and shells are silent for hours. Who is gone is noticed by TCP: after 25 s for a server, 90 s for a client.
_IDLE = "24h"
_CLIENTS = f"""\
    timeout client {_IDLE}
    timeout client-fin 30s
    option clitcpka
    clitcpka-idle 60s
    clitcpka-intvl 10s
    clitcpka-cnt 3
"""
# A connection that is refused or not answered waits for this long before it goes to another server.
_SERVERS = f"""\
    timeout connect 500ms
    balance leastconn
    option allbackups
    option log-health-checks
    timeout check 2s
    timeout server {_IDLE}
    timeout tunnel {_IDLE}
    timeout server-fin 30s
    option srvtcpka
    srvtcpka-idle 10s
    srvtcpka-intvl 5s
    srvtcpka-cnt 3
"""


@dataclass(frozen=True)
class ApiLayout:
    """What haproxy must hold. ``sections`` by their first line, without servers; ``servers``: backend to name to server."""

    sections: dict[str, str]
    fingerprint: str
    servers: dict[str, dict[str, Server]]
    pems: dict[str, str]
    loads: tuple[str, ...] = ()


def is_api(backend: str) -> bool:
    """Whether a backend is of a cluster's API: no cluster's name has a "_"."""
    return backend.startswith(BACKEND) and "_" not in backend[len(BACKEND) :]


def layout(state: ApiState, directory: str) -> ApiLayout:
    """The layout of ``state``; ``directory`` is where the authorities' files are."""
    sections: dict[str, str] = {}
    servers: dict[str, dict[str, Server]] = {}
    pems: dict[str, str] = {}
    options = {cluster: one.options for cluster, one in state.clusters.items()}
    for clusters, binds in sharing(options).items():
        sections |= _frontend(clusters, binds, options)
    for cluster, one in state.clusters.items():
        if one.authority:
            pems[_file_name(one.authority)] = one.authority
        checked = _checked(one, directory)
        sections[f"backend {BACKEND}{cluster} from ng_defaults"] = _backend(one.options, checked)
        servers[BACKEND + cluster] = _servers(cluster, one.servers, checked)
    return ApiLayout(sections, FINGERPRINT + _digest(*(f"{head}\n{body}" for head, body in sorted(sections.items()))), servers, pems)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _file_name(authority: str) -> str:
    return f"ca-{_digest(authority)}.pem"


def _frontend(clusters: tuple[str, ...], binds: t.Iterable[Socket], options: t.Mapping[str, ApiOptions]) -> dict[str, str]:
    name = clusters[0] if len(clusters) == 1 else f"shared_{_digest(*clusters)}"
    lines = ["mode tcp", "option tcplog", *map(_bind, binds)]
    limited = [cluster for cluster in clusters if options[cluster].allow]
    for cluster in limited:
        lines += _acl(f"from_{cluster} src", options[cluster].allow)
    if len(clusters) == 1:
        lines += [f"tcp-request connection reject unless from_{cluster}" for cluster in limited]
        lines += [f"default_backend {BACKEND}{clusters[0]}"]
    else:
        lines += _by_name(clusters, options)
    return {f"frontend {FRONTEND}{name} from ng_defaults": _CLIENTS + "".join(f"    {line}\n" for line in lines)}


def _by_name(clusters: tuple[str, ...], options: t.Mapping[str, ApiOptions]) -> list[str]:
    """Clusters that share a bind are told apart by the server name that a client sends first."""
    lines = ["tcp-request inspect-delay 5s"]
    for cluster in clusters:
        lines += _acl(f"to_{cluster} req.ssl_sni -i", options[cluster].names)
    for cluster in clusters:
        if options[cluster].allow:
            lines.append(f"tcp-request content reject if to_{cluster} !from_{cluster}")
        lines.append(f"tcp-request content accept if to_{cluster}")
    return [*lines, "tcp-request content reject", *(f"use_backend {BACKEND}{cluster} if to_{cluster}" for cluster in clusters)]


def _acl(start: str, values: tuple[str, ...]) -> list[str]:
    """Lines of the same name are one list."""
    return [f"acl {start} {' '.join(values[first : first + _A_LINE])}" for first in range(0, len(values), _A_LINE)]


def _bind(bind: Socket) -> str:
    """A VIP may be with another router, and must not keep haproxy from starting: a transparent socket may have an address that is not here."""
    words = [f"bind {bind}"] if bind.is_every_address else [f"bind {bind} transparent"]
    return " ".join([*words, "v6only"] if ":" in bind.address else words)


def _backend(options: ApiOptions, checked: str) -> str:
    lines = ["mode tcp"]
    if options.health == READYZ:
        lines += ["option httpchk", f"http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {options.server_name}", "http-check expect status 200"]
    # haproxy loads the authority's file here, for servers that are added while it runs.
    return _SERVERS + "".join(f"    {line}\n" for line in (*lines, f"default-server {checked}"))


def _checked(cluster: ApiCluster, directory: str) -> str:
    """A server's options. A name is verified beside the authority, for that may vouch for others, too."""
    name = cluster.options.server_name
    if not cluster.authority:
        return f"{_CHECK} check-sni {name} verify none"
    return f"{_CHECK} check-sni {name} verify required verifyhost {name} ca-file {directory}/{_file_name(cluster.authority)}"


def _servers(cluster: str, sockets: t.Iterable[Socket], checked: str) -> dict[str, Server]:
    found = {}
    for one in sockets:
        name = f"{cluster}_{one.address}_{one.port}"
        found[name] = Server(one.address, one.port, checked)
        found[name + UNCHECKED] = Server(one.address, one.port, "backup")
    return found


def render(wanted: ApiLayout) -> dict[str, str]:
    """The texts of a generation by file name."""
    blocks = [HEADER]
    for head, body in wanted.sections.items():
        servers = wanted.servers.get(head.split()[1], {}) if head.startswith("backend ") else {}
        blocks.append(f"{head}\n{body}{''.join(_line(name, server) for name, server in sorted(servers.items()))}")
    # The running process tells by this backend's name what it has loaded.
    blocks.append(f"backend {wanted.fingerprint} from ng_defaults\n")
    return {CONFIG: "\n".join(blocks)}


def _line(name: str, server: Server) -> str:
    # A server that is added at run time takes nothing from default-server, and no "no-check" either.
    return f"    server {name} {server.socket} {server.options}{'' if server.checked else ' no-check'}\n"
