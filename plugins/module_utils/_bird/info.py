# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running BIRD knows, read through its control socket."""

from __future__ import annotations

import ipaddress
import itertools
import re
import typing as t

from .._core.errors import InvalidValue
from . import parse
from .control import Control, NotRunning, Refused

_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def gather(path: str, wanted: t.Sequence[str], prefix: str | None, protocol: str | None, table: str | None, limit: int) -> dict[str, t.Any]:
    """What the module bird_info returns. Raises InvalidValue for an argument that is none, Refused for a table or protocol that BIRD does not know."""
    command = route_command(prefix, protocol, table)
    shown: dict[str, t.Any] = {"running": False, "reason": "", "status": {}, **{subset: [] for subset in wanted}}
    if "routes" in wanted:
        shown["routes_left_off"] = False
    try:
        with Control(path) as control:
            shown["status"] = {**parse.status(control.ask("show status")), **_moods(control)}
            sessions = _bfd(control)
            if "bfd" in wanted:
                shown["bfd"] = sessions
            if "protocols" in wanted:
                shown["protocols"] = [_summed(entry, sessions) for entry in parse.protocols(control.ask("show protocols all"))]
            # Last, since it may be left off in the middle.
            if "routes" in wanted:
                found = parse.routes(control.lines(command))
                shown["routes"] = list(itertools.islice(found, limit or None))
                shown["routes_left_off"] = bool(limit) and next(found, None) is not None
        shown["running"] = True
    except NotRunning as error:
        shown.update({"reason": str(error), "status": {}, **{subset: [] for subset in wanted}})
    return shown


def route_command(prefix: str | None, protocol: str | None, table: str | None) -> str:
    """The command that shows these routes. Raises InvalidValue."""
    words = ["show route"]
    if prefix:
        try:
            words.append(str(ipaddress.ip_network(prefix)) if "/" in prefix else f"for {ipaddress.ip_address(prefix)}")
        except ValueError as error:
            raise InvalidValue("prefix", str(error)) from error
    for name, value in (("table", table), ("protocol", protocol)):
        if value:
            if not _SYMBOL.fullmatch(value):
                raise InvalidValue(name, f"{value!r} is no name of BIRD")
            words.append(f"{name} {value}")
    return " ".join([*words, "all"])


def _moods(control: Control) -> dict[str, bool | None]:
    """Whether the host drains, and whether the configuration still has to be confirmed."""
    try:
        draining = control.ask("eval ng_drain")[-1].strip() == "TRUE"
    except Refused:
        draining = None
    return {"draining": draining, "unconfirmed": any("unconfirmed" in line for line in control.ask("configure status"))}


def _bfd(control: Control) -> list[dict[str, t.Any]]:
    try:
        return parse.bfd_sessions(control.ask("show bfd sessions"))
    except Refused:
        # That is how BIRD says that its configuration has no BFD.
        return []


def _summed(protocol: dict[str, t.Any], sessions: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """A protocol with the state of its BFD session and the sums of its channels."""
    states = [session["state"] for session in sessions if session["address"] == protocol["neighbor_address"].partition("%")[0]]
    counts = {name: sum(channel[name] for channel in protocol["channels"]) for name in ("imported", "exported", "filtered")}
    return {**protocol, "bfd": states[0] if states else "", **counts}
