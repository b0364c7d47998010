# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which API servers haproxy on this host serves, for people: read only, from the running worker, or from disk where none answers."""

from __future__ import annotations

import re
import typing as t

from . import parse
from .api_layout import API, BACKEND, CONFIG, FINGERPRINT, UNCHECKED, is_api
from .api_planning import sections
from .files import Store
from .runtime import Runtime, Unreachable

_TO = re.compile(rf"(?:use_backend|default_backend) {BACKEND}(\S+)")


def apis(config_dir: str, socket: str) -> list[dict[str, t.Any]]:
    """By cluster: where its API is served, for whom, and by which servers. Raises OSError, ConvergeError."""
    text = Store(config_dir, API).read().get(CONFIG, "")
    servers: t.Mapping[str, t.Mapping[str, t.Any]] = parse.server_lines(text)
    health: dict[str, dict[str, parse.Health]] = {}
    runtime = Runtime(socket)
    try:
        if any(name.startswith(FINGERPRINT) for name in runtime.backends()):
            servers = runtime.servers()
            health = {name: runtime.health(name) for name in map(_name, sections(text)) if is_api(name)}
    except Unreachable:
        pass
    return [
        {"cluster": cluster, "backend": (name := BACKEND + cluster), **of, "servers": _servers(servers.get(name, {}), health.get(name, {}))}
        for cluster, of in sorted(_frontends(text).items())
    ]


def _name(head: str) -> str:
    return head.split()[1]


def _frontends(text: str) -> dict[str, dict[str, list[str]]]:
    """Binds, server names and allowed networks by cluster, from the text of our configuration."""
    found: dict[str, dict[str, list[str]]] = {}
    for lines in sections(text).values():
        binds = [line.split()[1] for line in lines if line.startswith("bind ")]
        for cluster in [match[1] for match in map(_TO.match, lines) if match]:
            of = found.setdefault(cluster, {"bind": [], "names": [], "allow": []})
            of["bind"] = sorted([*of["bind"], *binds])
            for key, start in (("names", f"acl to_{cluster} req.ssl_sni -i "), ("allow", f"acl from_{cluster} src ")):
                values = [value for line in lines if line.startswith(start) for value in line.removeprefix(start).split()]
                of[key] = sorted({*of[key], *values})
    return found


def _servers(servers: t.Mapping[str, t.Any], health: dict[str, parse.Health]) -> list[dict[str, t.Any]]:
    """Each API server once; its connections are those of both of its entries."""
    shown = []
    for name, server in sorted(servers.items()):
        if not name.endswith(UNCHECKED):
            known, backup = health.get(name), health.get(name + UNCHECKED)
            shown.append(
                {
                    "name": name,
                    "address": server.address,
                    "port": server.port,
                    "state": getattr(server, "state", "unknown"),
                    "check": known.check if known else "",
                    "connections": sum(one.connections for one in (known, backup) if one),
                }
            )
    return shown
