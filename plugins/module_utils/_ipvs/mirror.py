# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules as a file for ipvsadm -R, from which the distribution restores them at boot. Pure; inverses.

Lines of services outside our pools are the administrator's and stay as they are, before ours.
"""

from __future__ import annotations

import typing as t

from .._core.balance_model import GUE, IPIP, Destination, Frontend, VirtualService, where
from .._core.services import DIRECT, MASQUERADE, TUNNEL
from .plan import Drain, Key, Services

_PROTOCOLS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
_NAMES = {**{option: name for name, option in _PROTOCOLS.items()}, "--tcp-service": "TCP", "--udp-service": "UDP"}
_METHODS = {DIRECT: "-g", TUNNEL: "-i", MASQUERADE: "-m"}
_METHOD_NAMES = {option: name for name, option in _METHODS.items()}


def render(services: Services, drains: dict[Key, Drain]) -> str:
    """The lines of our services, in order. A destination that drains gets its weight first, as in the kernel."""
    return "".join(_block(frontend, service, drains) for frontend, service in services.items())


def _block(frontend: Frontend, service: VirtualService, drains: dict[Key, Drain]) -> str:
    at = f"{_PROTOCOLS[frontend.protocol]} {where(frontend.address, frontend.port)}"
    flags = f" -b {','.join(service.flags)}" if service.flags else ""
    persistence = f" -p {service.persistence}" if service.persistence else ""
    lines = [f"-A {at} -s {service.scheduler}{flags}{persistence}\n"]
    for d in service.destinations:
        lines.append(_line("-a", at, d, d.weight or drains.get((frontend, d.key), Drain(0)).weight))
        if not d.weight:
            lines.append(_line("-e", at, d, 0))
    return "".join(lines)


def _line(command: str, at: str, d: Destination, weight: int) -> str:
    tunnel = f" --tun-type gue --tun-port {d.tunnel_port}" if d.tunnel == GUE else ""
    return f"{command} {at} -r {d} {_METHODS[d.method]}{tunnel} -w {weight}\n"


def _address(text: str) -> tuple[str, int]:
    address, _colon, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def parse(text: str) -> tuple[Services, dict[Key, Drain]]:
    """What render made a text of; since when a destination drains is not in it (0)."""
    services: Services = {}
    drains: dict[Key, Drain] = {}
    for line in text.splitlines():
        command, protocol, at, *rest = line.split()
        frontend = Frontend(_NAMES[protocol], *_address(at))
        options = dict(zip(rest, [*rest[1:], ""]))
        if command == "-A":
            flags = tuple(filter(None, options.get("-b", "").split(",")))
            services[frontend] = VirtualService(options["-s"], flags, int(options.get("-p", 0)))
            continue
        method = next(name for option, name in _METHOD_NAMES.items() if option in options)
        tunnel = options.get("--tun-type", IPIP) if method == TUNNEL else ""
        found = Destination(*_address(options["-r"]), method, int(options["-w"]), tunnel, int(options.get("--tun-port", 0)))
        before = services[frontend].destinations
        if command == "-e":
            drains[(frontend, found.key)] = Drain(0, before[-1].weight)
            before = before[:-1]
        services[frontend] = services[frontend]._replace(destinations=(*before, found))
    return services, drains


def foreign(text: str, ours: t.Container[str], rendered: str = "") -> str:
    """The lines of ``text`` that are not ours. ``rendered``: what its end probably is, and need not be read again."""
    before = len(text) - len(rendered)
    if text.endswith(rendered) and (before == 0 or text[before - 1] == "\n"):
        text = text[:before]
    kept = [line for line in text.splitlines() if not _is_ours(line, ours)]
    return "".join(f"{line}\n" for line in kept)


def _is_ours(line: str, ours: t.Container[str]) -> bool:
    words = line.split()
    for option, value in zip(words, words[1:]):
        if option in _NAMES:
            try:
                return _address(value)[0] in ours
            except ValueError:  # A name, or a port by name: it is the administrator's.
                return False
    return False
