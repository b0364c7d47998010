# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From haproxy's maps, lists and answers back to rules, policies and servers: the inverse of ``entries`` and ``layout``. Pure.

What is no line of ours is skipped: somebody may have written to the running haproxy by hand.
"""

from __future__ import annotations

import csv
import ipaddress
import re
import ssl
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from .._core.errors import NorthgateError
from .._core.model import EXACT, PREFIX, Rule
from .._core.policy import CLOSED, Policy
from .entries import RECORD
from .servers import Server

_MAPPED = "00000000000000000000FFFF"
_PROCESS = re.compile(r"(?m)^\d+\s+master\s+(\d+)(?: \[failed: (\d+)\])?\s+(\d+)d(\d+)h(\d+)m(\d+)s\s")
_FORCED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x08
_MAINTENANCE, _DRAINING = _FORCED_MAINTENANCE | 0x02 | 0x04 | 0x20, 0x08 | 0x10


@dataclass(frozen=True)
class Target:
    """The value of a route. ``policy`` is its identifier, "" for none; ``backend`` is "" where nothing answers."""

    backend: str
    redirect: bool = False
    policy: str = ""
    canary: str = ""
    canary_weight: int = 0


def route_key(key: str) -> tuple[Rule, bool]:
    """The rule of a key of the map of routes, and whether it is a default backend's. Raises InvalidValue."""
    default = key.startswith("!")
    host, slash, rest = key[default:].partition("/")
    path = slash + rest
    if path.endswith("/?"):
        return Rule(host, path[:-2], EXACT), default
    return Rule(host, path.rstrip("/") or "/", PREFIX), default


def target(value: str) -> Target:
    """The value of a key of the map of routes. Raises ValueError."""
    backend, redirect, policy, *canary = value.split("|")
    name, weight = canary or ("", "0")
    return Target(backend, redirect == "r", policy, name, int(weight))


def routes(entries: dict[str, str]) -> t.Iterator[tuple[Rule, bool, Target]]:
    """All routes of a map."""
    for key, value in entries.items():
        try:
            yield (*route_key(key), target(value))
        except (NorthgateError, ValueError):
            continue


def policies(entries: dict[str, str]) -> dict[str, Policy]:
    """Policies by identifier; ``users`` are digests, and secret. One that can't be read is CLOSED, as haproxy treats it."""
    records: dict[str, str] = {}
    parts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key, value in entries.items():
        identifier, _slash, rest = key.partition("/")
        kind, _slash, name = rest.partition("/")
        records.setdefault(identifier, "")
        if kind == "p":
            records[identifier] = value
        else:
            parts[identifier][kind].append(name)
    return {identifier: _policy(record, parts[identifier]) for identifier, record in records.items()}


def _policy(record: str, parts: dict[str, list[str]]) -> Policy:
    try:
        values = dict(zip(RECORD, record.split("|"), strict=True))
        return Policy(
            closed=bool(values["closed"]),
            hsts=values["hsts"],
            allow=networks(parts["a"]),
            deny=networks(parts["d"]),
            rate_limit=int(values["rate_second"] or values["rate_minute"] or 0),
            rate_unit="m" if values["rate_minute"] else "s",
            max_body=int(values["max_body"] or 0),
            timeout_server=int(values["timeout_server"] or 0),
            timeout_tunnel=int(values["timeout_tunnel"] or 0),
            affinity=bool(values["affinity"]),
            users=tuple(sorted(parts["u"])),
            rewrite=values["rewrite"] or ("/" if values["depth"] else ""),
        )
    except (NorthgateError, ValueError):
        return CLOSED


def networks(beginnings: t.Iterable[str]) -> tuple[str, ...]:
    """Networks from the beginnings of ``LENGTH/HEX`` that stand for them, joined where they can be. Raises ValueError."""
    by_length: dict[str, set[str]] = {"8": set(), "32": set()}
    for beginning in beginnings:
        length, _slash, digits = beginning.partition("/")
        if length in by_length:
            by_length[length].add(digits)
    # Each IPv4 network is there as a mapped one, too.
    by_length["32"] -= {_MAPPED + digits for digits in by_length["8"]}
    found: list[str] = []
    for length, kind in (("8", ipaddress.IPv4Network), ("32", ipaddress.IPv6Network)):
        parsed = [kind((int(digits.ljust(int(length), "0"), 16), 4 * len(digits))) for digits in by_length[length]]
        found += map(str, ipaddress.collapse_addresses(parsed))
    return tuple(sorted(found))


def shown(policy: Policy) -> dict[str, t.Any]:
    """What a policy asks for, named as its annotations, without secrets."""
    rate = f"{policy.rate_limit}/{policy.rate_unit}" if policy.rate_limit else ""
    values = {
        "closed": policy.closed,
        "hsts": policy.hsts,
        "allow_networks": list(policy.allow),
        "deny_networks": list(policy.deny),
        "rate_limit": rate,
        "max_body": policy.max_body,
        "timeout_server": policy.timeout_server and f"{policy.timeout_server}ms",
        "timeout_tunnel": policy.timeout_tunnel and f"{policy.timeout_tunnel}ms",
        "affinity": "cookie" if policy.affinity else "",
        "basic_auth_users": len(policy.users),
        "rewrite_path": policy.rewrite,
    }
    return {name: value for name, value in values.items() if value}


def server_lines(configuration: str) -> dict[str, dict[str, Server]]:
    """Backend to server name to server, from the text of our configuration."""
    found: dict[str, dict[str, Server]] = defaultdict(dict)
    backend = ""
    for line in configuration.splitlines():
        words = line.split()
        if line[:1].strip():
            backend = words[1] if words[0] == "backend" and len(words) > 1 else ""
        elif backend and words[:1] == ["server"] and len(words) > 3:
            options, weight = (words[3:-2], words[-1]) if words[-2] == "weight" else (words[3:], "1")
            address, _colon, port = words[2].rpartition(":")
            if port.isdecimal() and weight.isdecimal():
                found[backend][words[1]] = Server(address, int(port), " ".join(options), int(weight))
    return found


@dataclass(frozen=True)
class RunningServer:
    """A server as it runs. ``draining``: put into maintenance by a command, so it gets nothing new.

    ``retired``: a command lets it keep its connections until they end, and gives it nothing new.
    ``state``, whatever led to it: up, down, drain (nothing new) or maint (out of use). Health checks change it at
    any time, so servers that differ in it alone are equal.
    """

    address: str
    port: int
    weight: int
    draining: bool
    state: str = field(default="up", compare=False)
    retired: bool = False


def running_servers(answer: str) -> dict[str, dict[str, RunningServer]]:
    """Backend to server name to server, from the answer to ``show servers state`` (management guide, section 9.3)."""
    found: dict[str, dict[str, RunningServer]] = defaultdict(dict)
    for line in answer.splitlines()[2:]:
        words = line.split()
        # 1 be_name, 3 srv_name, 4 srv_addr, 5 srv_op_state (0: stopped), 6 srv_admin_state, 7 srv_uweight, 18 srv_port
        if len(words) > 18:
            operation, administration, weight = (int(word) for word in words[5:8])
            if administration & _MAINTENANCE:
                state = "maint"
            elif not operation:
                state = "down"
            else:
                state = "drain" if administration & _DRAINING or not weight else "up"
            found[words[1]][words[3]] = RunningServer(
                words[4], int(words[18]), weight, bool(administration & _FORCED_MAINTENANCE), state, bool(administration & _FORCED_DRAIN)
            )
    return dict(found)


class Health(t.NamedTuple):
    """A server's current connections, and what its last health check said, such as "L7STS 500 HTTP status check returned code <500>"."""

    connections: int
    check: str


def health(answer: str) -> dict[str, Health]:
    """By server name, from the answer to ``show stat`` (CSV)."""
    lines = answer.removeprefix("# ").splitlines()
    rows = csv.DictReader(line for line in lines if line)
    return {
        row["svname"]: Health(int(row["scur"] or 0), " ".join(filter(None, (row["check_status"], row["check_code"], row["last_chk"])))) for row in rows
    }


def certificate_list(text: str) -> dict[str, tuple[str, ...]]:
    """Server names by path of the PEM file, from a crt-list or the answer to ``show ssl crt-list``."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {words[0]: tuple(words[1:]) for words in lines if words}


@dataclass(frozen=True)
class Presented:
    """A certificate that haproxy holds. ``not_after`` in seconds since the epoch, None where haproxy does not say."""

    not_after: int | None
    algorithm: str


def certificates(answer: str) -> dict[str, Presented]:
    """By path, from the answers to ``show ssl cert PATH``, one after the other."""
    found = {}
    for block in re.split(r"(?m)^(?=Filename: )", answer):
        values = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "Filename" in values:
            ends = values.get("notAfter")
            found[values["Filename"]] = Presented(ssl.cert_time_to_seconds(ends) if ends else None, values.get("Algorithm", ""))
    return found


@dataclass(frozen=True)
class Processes:
    """The master: its reloads since it started, ``uptime`` in seconds, and the workers that still finish connections."""

    reloads: int
    failed_reloads: int
    uptime: int
    old_workers: int


def processes(answer: str) -> Processes | None:
    """From the master's answer to ``show proc``; None when it is none."""
    match = _PROCESS.search(answer)
    if match is None:
        return None
    reloads, failed, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    old = len(re.findall(r"(?m)^\d+\s+worker\s", answer.partition("# old workers")[2]))
    return Processes(reloads, failed, ((days * 24 + hours) * 60 + minutes) * 60 + seconds, old)


def info(answer: str) -> dict[str, str]:
    """Values by name, from the answer to ``show info``."""
    return dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
