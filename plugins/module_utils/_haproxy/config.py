# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of haproxy's configuration, but for backends' servers. Pure.

What changes often is in maps (``entries``) and in servers, so that the text is the same for the same options.
"""

from __future__ import annotations

import typing as t

from . import rules
from .options import AFFINITY_KEY, CERTIFICATES, DIRECTORY, INSTANCE, PASSTHROUGH, Options

HEADER = "# Managed by northgate.edge.haproxy_ingress: changes made here are lost.\n"
NOT_FOUND = "ng_none"


def frontends(options: Options) -> str:
    """All frontends, and what they need."""
    sections = ["global\n    # For normalize-uri.\n    expose-experimental-directives\n"]
    sections.append(_frontend("ng_http", [f"bind {address}" for address in options.http_bind], "http", options))
    tls = f"ssl crt-list {DIRECTORY}/{CERTIFICATES} strict-sni alpn h2,http/1.1"
    if options.passthrough:
        sections += [_passthrough(options)]
        binds = [f"bind abns@northgate-{INSTANCE} accept-proxy {tls}"]
    else:
        binds = [f"bind {address} {tls}" for address in options.https_bind]
    sections.append(_frontend("ng_https", binds, "https", options))
    sections.append(f"backend {NOT_FOUND} from ng_defaults\n    http-request return status 404 default-errorfiles\n")
    for name, period, expire in (("ng_rate_second", "1s", "10s"), ("ng_rate_minute", "1m", "2m")):
        table = f"stick-table type string len 64 size 200k expire {expire} store http_req_rate({period})"
        sections.append(f"backend {name} from ng_defaults\n    {table}\n")
    return "\n".join(sections)


def backend_defaults(options: Options) -> str:
    """The defaults of all backends that have servers."""
    return "\n".join(
        [
            "defaults ng_servers from ng_defaults",
            "    balance roundrobin",
            "    option allbackups",
            "    # A request that met a dying pod is repeated where it may be (RFC 9110, section 9.2.2).",
            "    retry-on conn-failure empty-response",
            "    http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }",
            f"    cookie {options.affinity_cookie} insert indirect nocache httponly dynamic attr SameSite=Lax",
            f"    dynamic-cookie-key {AFFINITY_KEY}",
            "    http-request set-timeout server var(txn.ng_timeout_server) if { var(txn.ng_timeout_server) -m found }",
            "    http-request set-timeout tunnel var(txn.ng_timeout_tunnel) if { var(txn.ng_timeout_tunnel) -m found }",
            "",
        ]
    )


def _proxy_protocol(options: Options) -> list[str]:
    if not options.proxy_protocol_from:
        return []
    return [f"tcp-request connection expect-proxy layer4 if {{ src {' '.join(options.proxy_protocol_from)} }}"]


def _passthrough(options: Options) -> str:
    """TLS connections are told apart by their server name before anything is decrypted."""
    name = f"map_str({DIRECTORY}/{PASSTHROUGH})"
    frontend = ["frontend ng_tls from ng_defaults", "mode tcp", "option tcplog"]
    frontend += [f"bind {address}" for address in options.https_bind]
    frontend += _proxy_protocol(options)
    frontend += [
        "tcp-request inspect-delay 5s",
        f"tcp-request content set-var(txn.ng_tls) req.ssl_sni,lower,{name}",
        f"tcp-request content set-var(txn.ng_tls) req.ssl_sni,lower,regsub(^[^.]*,*),{name} if !{{ var(txn.ng_tls) -m found }}",
        "tcp-request content accept if { req.ssl_hello_type 1 }",
        "tcp-request content reject if WAIT_END",
        "use_backend %[var(txn.ng_tls)] if { var(txn.ng_tls) -m found }",
        "default_backend ng_tls_here",
    ]
    here = ["backend ng_tls_here from ng_defaults", "mode tcp", f"server here abns@northgate-{INSTANCE} send-proxy-v2"]
    return "\n    ".join(frontend) + "\n\n" + "\n    ".join(here) + "\n"


def _frontend(name: str, binds: t.Iterable[str], scheme: str, options: Options) -> str:
    lines = [f"frontend {name} from ng_defaults", *binds]
    if scheme == "http" or not options.passthrough:
        lines += _proxy_protocol(options)
    lines += rules.client(scheme, options)
    lines += rules.forwarding(scheme, options)
    lines += [*(rules.hsts(options) if scheme == "https" else ()), *rules.most_requests(scheme)]
    lines += rules.dispatch()
    lines += rules.misdirected() if scheme == "https" else rules.redirect(options)
    lines += rules.policies()
    lines += [
        "use_backend %[var(txn.ng_canary)] if { var(txn.ng_canary) -m found }",
        "use_backend %[var(txn.ng_route),field(1,|)]",
        f"default_backend {NOT_FOUND}",
    ]
    return "\n    ".join(lines) + "\n"
