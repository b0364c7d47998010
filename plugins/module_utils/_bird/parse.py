# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What BIRD 2 shows, as data. Pure; every function takes the lines of one reply without their codes."""

from __future__ import annotations

import re
import typing as t

# Name, type, table, state and since are one word each; what follows is free text.
_PROTOCOL = re.compile(r"(\S+)\s+([A-Z]\w*)\s+(\S+)\s+(up|down|start|stop|flush)\s+(\d\S*)\s*(.*)")
_CHANNEL = re.compile(r"  Channel (\S+)")
_DETAIL = re.compile(r"\s+([A-Z][A-Za-z- ]*): *(.*)")
_ROUTE = re.compile(r"(?P<prefix>[0-9a-f]\S*)?\s+(?P<kind>\w+) \[(?P<protocol>\S+) (?P<since>\S+)(?: from (?P<source>\S+))?\](?P<marks>[ *!]*)"
                    r"\((?P<preference>\d+)(?P<stale>s?)[^)]*\)")
_NEXT_HOP = re.compile(r"\t(?:via (?P<address>\S+) on |dev )(?P<interface>\S+)(?:.* weight (?P<weight>\d+))?")
_COMMUNITY = re.compile(r"\(([^)]*)\)")


def status(lines: t.Iterable[str]) -> dict[str, str]:
    """The daemon: version, router_id, last_reboot, last_reconfiguration and state."""
    found = {"version": "", "router_id": "", "last_reboot": "", "last_reconfiguration": "", "state": ""}
    begins = {"BIRD ": "version", "Router ID is ": "router_id", "Last reboot on ": "last_reboot", "Last reconfiguration on ": "last_reconfiguration"}
    for line in lines:
        for start, key in begins.items():
            if line.startswith(start):
                found[key] = line.removeprefix(start).strip()
        found["state"] = line.strip()
    return found


def protocols(lines: t.Iterable[str]) -> list[dict[str, t.Any]]:
    """The reply to `show protocols all`: an entry for each protocol, with its channels."""
    found: list[dict[str, t.Any]] = []
    channel: dict[str, t.Any] | None = None
    for line in lines:
        if head := _PROTOCOL.match(line):
            name, kind, table, state, since, info = head.groups()
            channel = None
            found.append({"name": name, "type": kind, "table": "" if table == "---" else table, "state": state, "since": since, "info": info.strip(),
                          "neighbor_address": "", "neighbor_as": None, "local_as": None, "bgp_state": "", "last_error": "",
                          "hold_timer": None, "graceful_restart": False, "channels": []})
        elif not found:
            continue
        elif begin := _CHANNEL.match(line):
            channel = {"name": begin[1], "table": "", "state": "", "imported": 0, "exported": 0, "preferred": 0, "filtered": 0,
                       "import_limit": None, "limit_hit": False, "limit_action": ""}
            found[-1]["channels"].append(channel)
        elif channel is not None:
            _channel_detail(channel, line)
        else:
            _protocol_detail(found[-1], line)
    return found


def _protocol_detail(protocol: dict[str, t.Any], line: str) -> None:
    if line.strip() == "Neighbor graceful restart active":
        protocol["graceful_restart"] = True
    detail = _DETAIL.match(line)
    if not detail:
        return
    name, value = detail.groups()
    if name in ("Neighbor AS", "Local AS"):
        protocol[name.lower().replace(" ", "_")] = int(value)
    elif name in ("Neighbor address", "BGP state", "Last error"):
        protocol[name.lower().replace(" ", "_")] = value.strip()
    elif name == "Hold timer":
        left, _slash, whole = value.partition("/")
        protocol["hold_timer"] = {"left": float(left), "time": float(whole)}


def _channel_detail(channel: dict[str, t.Any], line: str) -> None:
    detail = _DETAIL.match(line)
    if not detail:
        return
    name, value = detail.groups()
    if name in ("State", "Table"):
        channel[name.lower()] = value.strip()
    elif name == "Routes":
        for count, what in re.findall(r"(\d+) (\w+)", value):
            if what in ("imported", "exported", "preferred"):
                channel[what] = int(count)
    elif name == "Import updates":
        channel["filtered"] = int(value.split()[2])
    elif name == "Import limit":
        channel["import_limit"], channel["limit_hit"] = int(value.split()[0]), "[HIT]" in value
    elif name == "Action" and channel["import_limit"] is not None and not channel["limit_action"]:
        channel["limit_action"] = value.strip()


def bfd_sessions(lines: t.Iterable[str]) -> list[dict[str, t.Any]]:
    """The reply to `show bfd sessions`; times in seconds."""
    found, protocol = [], ""
    for line in lines:
        words = line.split()
        if len(words) == 1 and words[0].endswith(":"):
            protocol = words[0][:-1]
        elif len(words) == 6 and words[0] != "IP":
            found.append({"protocol": protocol, "address": words[0], "interface": "" if words[1] == "---" else words[1], "state": words[2], "since": words[3],
                          "interval": float(words[4]), "timeout": float(words[5])})
    return found


def routes(lines: t.Iterable[str]) -> t.Iterator[dict[str, t.Any]]:
    """The reply to `show route ... all`: an entry for each route, the best of a prefix first."""
    table, prefix, route = "", "", None
    for line in lines:
        if line.startswith("Table ") and line.rstrip().endswith(":"):
            table = line.split()[1].rstrip(":")
        elif head := _ROUTE.match(line):
            if route:
                yield route
            prefix = head["prefix"] or prefix
            route = {"prefix": prefix, "table": table, "type": head["kind"], "protocol": head["protocol"], "since": head["since"], "best": "*" in head["marks"],
                     "preference": int(head["preference"]), "stale": head["stale"] == "s", "next_hops": [], "as_path": [], "local_pref": None, "med": None,
                     "communities": [], "large_communities": []}
        elif route and line.startswith("\t"):
            _route_detail(route, line)
    if route:
        yield route


def _route_detail(route: dict[str, t.Any], line: str) -> None:
    if hop := _NEXT_HOP.match(line):
        route["next_hops"].append({"address": hop["address"] or "", "interface": hop["interface"], "weight": int(hop["weight"] or 1)})
        return
    name, _colon, value = line.strip().partition(":")
    value = value.strip()
    if name == "BGP.as_path":
        route["as_path"] = [int(word) if word.isdigit() else word for word in re.findall(r"\{[^}]*\}|\S+", value)]
    elif name in ("BGP.local_pref", "BGP.med"):
        route[name.removeprefix("BGP.")] = int(value)
    elif name == "BGP.community":
        route["communities"] = [text.replace(",", ":") for text in _COMMUNITY.findall(value)]
    elif name == "BGP.large_community":
        route["large_communities"] = [text.replace(", ", ":") for text in _COMMUNITY.findall(value)]
