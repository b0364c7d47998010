# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes, policies, certificate names and passed-through hosts as entries of haproxy's maps. Pure.

routes: the key is host + path + "/?", and the longest entry wins (map_beg): "host/foo/" is a prefix by
segments, "host/foo/?" an exact path ("?" can't occur in a path). "*.rest/foo/" is for wildcard hosts, "/foo/" for
every host, and a "!" before the host marks a default backend. The value is BACKEND|REDIRECT|POLICY|CANARY|WEIGHT.

policies: entries of a policy begin with its identifier, which is made of its content; so no entry ever changes.
ID/p is its record, ID/a/... and ID/d/... are client networks, ID/u/... users. Users' digests are not part of the
identifier: it is shown to people, who could try passwords against it.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import typing as t
from collections import defaultdict
from dataclasses import replace

from .._core.desired import IngressState, Served
from .._core.model import EXACT, PREFIX, Rule
from .._core.policy import NONE, Policy

# Fields of a policy's record, in order.
RECORD = (
    "closed", "networks", "users", "rate_second", "rate_minute", "scope", "max_body", "timeout_server", "timeout_tunnel",
    "affinity", "hsts", "depth", "rewrite",
)  # fmt: skip


def field_number(name: str) -> int:
    """Where a field is in a policy's record, from 1, for haproxy's converter ``field``."""
    return RECORD.index(name) + 1


def route_key(rule: Rule, default: bool = False) -> str:
    """The key of a rule in the map of routes."""
    mark = "!" if default else ""
    if rule.path_type == EXACT:
        return f"{mark}{rule.host}{rule.path}/?"
    return f"{mark}{rule.host}{rule.path.rstrip('/')}/"


def routes(state: IngressState, backends: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The maps of routes and policies. ``backends``: backend by the name of a set of pools (``pools_name``)."""
    keyed = [(route_key(rule), rule, route) for rule, route in state.routes.items()]
    keyed += [(route_key(Rule(host, "/", PREFIX), True), Rule(host, "/", PREFIX), route) for host, route in state.defaults.items()]
    entries: dict[str, str] = {}
    of_policies: dict[str, str] = {}
    identifiers: dict[tuple[t.Any, ...], str] = {}
    for key, rule, route in sorted(keyed):
        identifier = ""
        if _asks(route.policy):
            scope = route.owner if route.policy.rate_limit or route.policy.users else ""
            depth = len([part for part in rule.path.split("/") if part]) if route.policy.rewrite else 0
            shape = (route.policy, scope, depth)
            if shape not in identifiers:
                identifiers[shape], added = policy(route.policy, scope, depth)
                of_policies |= added
            identifier = identifiers[shape]
        fields = [backends.get(pools_name(route.pools), ""), "r" if route.redirect else "", identifier]
        if route.canary and route.canary_weight:
            fields += [backends[pools_name(route.canary)], str(route.canary_weight)]
        entries[key] = "|".join(fields)
    return entries, of_policies


@functools.lru_cache(maxsize=1024)
def _asks(policy: Policy) -> bool:
    """Whether there is more to do than to redirect, which the route itself says."""
    return replace(policy, redirect=None) != NONE


def pools_name(pools: t.Iterable[t.Any]) -> str:
    """One name for each set of pools: no space occurs in a pool's name."""
    return " ".join(str(pool) for pool in pools)


def policy(asked: Policy, scope: str, depth: int) -> tuple[str, dict[str, str]]:
    """The identifier and the entries of a policy. ``scope``: whose rate and users these are; ``depth``: segments to rewrite."""
    rate = str(asked.rate_limit) if asked.rate_limit else ""
    values = {
        "closed": "1" if asked.closed else "",
        "networks": ("a" if asked.allow else "") + ("d" if asked.deny else ""),
        "users": "1" if asked.users else "",
        "rate_second": rate if asked.rate_unit == "s" else "",
        "rate_minute": rate if asked.rate_unit == "m" else "",
        "scope": _digest(scope) if scope else "",
        "max_body": str(asked.max_body or ""),
        "timeout_server": str(asked.timeout_server or ""),
        "timeout_tunnel": str(asked.timeout_tunnel or ""),
        "affinity": "1" if asked.affinity else "",
        "hsts": asked.hsts,
        "depth": str(depth) if asked.rewrite else "",
        "rewrite": asked.rewrite.rstrip("/"),
    }
    record = "|".join(values[name] for name in RECORD)
    entries = {f"/a/{prefix}": "1" for network in asked.allow for prefix in _prefixes(network)}
    entries |= {f"/d/{prefix}": "1" for network in asked.deny for prefix in _prefixes(network)}
    entries["/p"] = record
    identifier = _digest("\n".join(f"{key} {value}" for key, value in sorted(entries.items())))
    entries |= {f"/u/{user}": "1" for user in asked.users}
    return identifier, {identifier + key: value for key, value in entries.items()}


def _prefixes(network: str) -> t.Iterator[str]:
    """A network as beginnings of "LENGTH/HEX", haproxy's address in hexadecimal with the number of its digits.

    A listener of both families sees IPv4 clients as mapped addresses (RFC 4291, section 2.5.5.2).
    """
    parsed = ipaddress.ip_network(network)
    digits, rest = divmod(parsed.prefixlen, 4)
    text = f"{int(parsed.network_address):0{parsed.max_prefixlen // 4}X}"
    heads = [text[:digits]]
    if rest:
        first = int(text[digits], 16)
        heads = [f"{text[:digits]}{digit:X}" for digit in range(first, first + (1 << (4 - rest)))]
    for head in heads:
        yield f"{parsed.max_prefixlen // 4}/{head}"
        if parsed.version == 4:
            yield f"32/00000000000000000000FFFF{head}"


def certificate_names(served: t.Iterable[Served]) -> dict[str, str]:
    """Server name to an identifier of the certificates for it: two names with the same one share a connection."""
    of_names: dict[str, list[str]] = defaultdict(list)
    for entry in served:
        for name in entry.names:
            of_names[name].append(entry.certificate.pem)
    return {name: _digest("".join(sorted(pems))) for name, pems in of_names.items()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
