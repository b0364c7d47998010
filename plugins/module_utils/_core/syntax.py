# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What names, hosts, paths and addresses may look like.

Everything that comes from a Kubernetes object is written by a stranger, and ends up in
configuration files and commands. So only what these functions return may enter the model:
they return the canonical form, or raise InvalidValue. Each is idempotent.
"""

from __future__ import annotations

import ipaddress
import re
import reprlib
import socket
import typing as t

from .errors import InvalidValue

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# RFC 3986, section 3.3: pchar and "/". "?" can't occur, and closes our map keys.
_PATH = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
# The API server refuses these for Exact and Prefix, since proxies disagree on them.
_AMBIGUOUS_IN_PATH = ("//", "%2f", "%2F")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|$)")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PEM = re.compile(r"(?:-----BEGIN ([A-Z0-9 ]+)-----\n(?:[A-Za-z0-9+/=]+\n)+-----END \1-----\n)+")

MAX_HOST = 253
MAX_PATH = 1024

_limited = reprlib.Repr()
_limited.maxstring = _limited.maxother = 80


def shown(value: object) -> str:
    """A value for messages, cut: a stranger chooses its length."""
    return _limited.repr(value)[:120]


def dns_label(value: object, field: str) -> str:
    """A DNS label (RFC 1123, at most 63 characters): names of namespaces, services and clusters."""
    if isinstance(value, str) and _DNS_LABEL.fullmatch(value):
        return value
    raise InvalidValue(field, f"{shown(value)} is no DNS label (a-z, 0-9 and '-', at most 63)")


def dns_subdomain(value: object, field: str) -> str:
    """A DNS subdomain (RFC 1123, at most 253 characters): names of most Kubernetes objects."""
    if isinstance(value, str) and len(value) <= MAX_HOST and _DNS_SUBDOMAIN.fullmatch(value):
        return value
    raise InvalidValue(field, f"{shown(value)} is no DNS name (a-z, 0-9, '-' and '.', at most 253)")


def rule_host(value: object, field: str) -> str:
    """The host of an ingress rule in lower case: a DNS name, ``*.`` and a DNS name, or "" for every host."""
    if value is None or value == "":
        return ""
    # Beyond ASCII, some letters become ASCII ones in lower case (such as the Kelvin sign).
    name = value.lower() if isinstance(value, str) and value.isascii() else value
    if isinstance(name, str) and name.startswith("*."):
        return "*." + dns_subdomain(name[2:], field)
    return dns_subdomain(name, field)


def path(value: object, field: str) -> str:
    """An absolute path of an ingress rule (RFC 3986, section 3.3), at most 1,024 characters.

    In its normal form: unreserved characters are not percent-encoded, and hexadecimal digits are in
    upper case (RFC 3986, section 6.2.2), as haproxy normalises the paths of requests.
    """
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise InvalidValue(field, f"{shown(value)} is no absolute path of RFC 3986 characters")
    if len(value) > MAX_PATH:
        raise InvalidValue(field, f"the path has {len(value)} characters, {MAX_PATH} are the most")
    normal = _ESCAPE.sub(_normal_escape, value)
    if match := _DOT_SEGMENT.search(normal):
        raise InvalidValue(field, f"{shown(value)} has the dot segment {match.group(0)!r}, which no request can match")
    for sequence in _AMBIGUOUS_IN_PATH:
        if sequence in normal:
            raise InvalidValue(field, f"{shown(value)} has {sequence!r}, which proxies treat in different ways")
    return normal


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match.group(0)[1:], 16))
    return character if character in _UNRESERVED else match.group(0).upper()


def network(value: object, field: str) -> str:
    """An IPv4 or IPv6 network or address, in its canonical form ``ADDRESS/LENGTH``."""
    if found := _canonical(ipaddress.ip_network, value):
        return found
    raise InvalidValue(field, f"{shown(value)} is no network (such as 192.0.2.0/24 or 2001:db8::/32, without host bits)")


def pool_name(value: object, field: str) -> str:
    """class/NAME or service/NAMESPACE/NAME/PORT, where PORT is a name or a number."""
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) == 2 and parts[0] == "class":
        dns_subdomain(parts[1], field)
    elif len(parts) == 4 and parts[0] == "service":
        for part in parts[1:]:
            dns_label(part, field)
    else:
        raise InvalidValue(field, f"{shown(value)} is no name of a pool")
    return str(value)


def is_pem(text: str) -> bool:
    """Whether ``text`` is PEM blocks (RFC 7468) and nothing else: no comments, no blank lines."""
    return bool(_PEM.fullmatch(text))


def _canonical(parse: t.Callable[[str], t.Any], value: object) -> str:
    """What ``parse`` of the standard library makes of a value, as text; "" where it makes nothing of it."""
    try:
        text = str(parse(value)) if isinstance(value, str) and "%" not in value else ""
    except ValueError:
        return ""
    # IPv4 in IPv6: Python 3.13 writes it in another way than its forerunners, and such packets carry IPv4 addresses.
    return "" if text.startswith("::ffff:") else text


def _is_canonical(address: str) -> bool:
    """Whether the C library, which is quick, writes it so; False for IPv4 in IPv6, too."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, address)) == address and not (":" in address and "." in address)
    except (OSError, ValueError):
        return False


def address(value: object, field: str) -> str:
    """An IPv4 or IPv6 address, without a zone, in its canonical form."""
    # A snapshot may hold very many.
    if isinstance(value, str) and _is_canonical(value):
        return value
    if found := _canonical(ipaddress.ip_address, value):
        return found
    raise InvalidValue(field, f"{shown(value)} is no IP address")


def port(value: object, field: str) -> int:
    """A port number, 1 to 65535."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
        return value
    raise InvalidValue(field, f"{shown(value)} is no port number (1 to 65535)")
