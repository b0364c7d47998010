# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of haproxy's configuration, but for backends' servers. Pure.

What changes often is in maps (``entries``) and in servers, so that the text is the same for the same options.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import InvalidValue
from .._core.policy import MAX_REWRITE_DEPTH
from .._core.syntax import network
from .entries import RECORD, field_number

CONFIG = "ingress.cfg"
ROUTES, POLICIES, NAMES, PASSTHROUGH = "routes.map", "policies.map", "certificates.map", "passthrough.map"
CERTIFICATES = "certificates.list"
MAPS = (ROUTES, POLICIES, NAMES, PASSTHROUGH)

HEADER = "# Managed by northgate.edge.haproxy_ingress: changes made here are lost.\n"
NOT_FOUND = "ng_none"
# Stand for what is known only where the files lie: their directory, and a name for a socket of this host.
DIRECTORY, INSTANCE = "@directory@", "@instance@"
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True)
class Options:
    """What the operator chooses: binds as in haproxy's ``bind``, networks, and the value of Strict-Transport-Security.

    ``trusted_proxies``: whose X-Forwarded-For and -Proto count. ``proxy_protocol_from``: who speaks PROXY protocol to us.
    """

    http_bind: tuple[str, ...] = ("0.0.0.0:80", ":::80 v6only")
    https_bind: tuple[str, ...] = ("0.0.0.0:443", ":::443 v6only")
    hsts: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol_from: tuple[str, ...] = ()
    passthrough: bool = False
    affinity_cookie: str = "NORTHGATE"
    spare_backends: int = 64

    def __post_init__(self) -> None:
        for name in ("trusted_proxies", "proxy_protocol_from"):
            for value in getattr(self, name):
                network(value, name)
        if not self.affinity_cookie or not _NAME.issuperset(self.affinity_cookie):
            raise InvalidValue("affinity_cookie", f"{self.affinity_cookie!r} is no name of letters, digits, _ and -")
        if not 0 <= self.spare_backends <= 10_000:
            raise InvalidValue("spare_backends", f"{self.spare_backends} is not within 0 and 10,000")


def record(name: str) -> str:
    """haproxy's expression for a field of the request's policy."""
    return f"var(txn.ng_record),field({field_number(name)},|)"


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


# The cookie's value is a hash of a pod's address and this; the same on all routers, so that any of them knows it.
AFFINITY_KEY = "northgate"


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
    lines += _client(scheme, options)
    lines += _forwarding(scheme, options)
    lines += [*(_hsts(options) if scheme == "https" else ()), *_most_requests(scheme)]
    lines += _dispatch()
    lines += _misdirected() if scheme == "https" else _redirect(options)
    lines += _policies()
    lines += [
        "use_backend %[var(txn.ng_canary)] if { var(txn.ng_canary) -m found }",
        "use_backend %[var(txn.ng_route),field(1,|)]",
        f"default_backend {NOT_FOUND}",
    ]
    return "\n    ".join(lines) + "\n"


def _client(scheme: str, options: Options) -> list[str]:
    """Who asks, and by which scheme: the client does not choose what the application is told of it."""
    lines = []
    if options.trusted_proxies:
        lines += [
            f"http-request set-var(txn.ng_proto) str({scheme})",
            f"acl trusted src {' '.join(options.trusted_proxies)}",
            "http-request set-var(txn.ng_proto) req.hdr(x-forwarded-proto) if trusted { req.hdr(x-forwarded-proto) -m str http https }",
            "http-request set-var-fmt(txn.ng_for) \"%[req.fhdr(x-forwarded-for)], %[src]\" if trusted { req.hdr(x-forwarded-for) -m found }",
            # Last: the rules after it see the client.
            "http-request set-src req.hdr_ip(x-forwarded-for,-1) if trusted { req.hdr(x-forwarded-for) -m found }",
        ]
    return lines


def _most_requests(scheme: str) -> list[str]:
    """Host and path in normal form, a rule of an exact host, and nothing more to do: these are through here.

    All others go on with the rules that follow, which take nothing from these.
    """
    here = "{ ssl_fc_sni,strcmp(txn.ng_host) eq 0 } { var(txn.ng_route) -m end | }" if scheme == "https" else "{ var(txn.ng_route) -m end || }"
    # A host with one of these would be another key: a path, a default backend, a wildcard.
    normal = "!{ var(txn.ng_host) -m sub / ! * } { path -m beg / } !{ path -m sub % /. }"
    return [
        f"http-request set-var(txn.ng_route) base,concat(/?),map_beg({DIRECTORY}/{ROUTES}) if {normal}",
        f"http-request allow if {here}",
    ]


def _dispatch() -> list[str]:
    """From host and path to the route."""
    routes = f"map_beg({DIRECTORY}/{ROUTES})"
    lines = [
        "http-request unset-var(txn.ng_route)",
        "http-request set-var(txn.ng_host) var(txn.ng_host),host_only,rtrim(.),lower",
        # RFC 9112, section 3.2. A host with a slash would be looked up as a path.
        "http-request deny deny_status 400 if !{ var(txn.ng_host) -m found } HTTP_1.1",
        "http-request deny deny_status 400 if { var(txn.ng_host) -m reg [^-a-z0-9._:\\[\\]] }",
        "http-request deny deny_status 405 if METH_CONNECT !{ req.hdr(upgrade) -m found }",
        # RFC 3986, section 6.2.2: what is equivalent must lead to the same route.
        "http-request set-var(txn.ng_unusual) bool(true) if { path -m sub % /. }",
        "acl unusual var(txn.ng_unusual) -m found",
        # The query is the pods' own business, so it waits aside.
        "http-request set-var(txn.ng_query) query if unusual",
        "http-request set-query %[str()] if unusual",
        "http-request normalize-uri percent-decode-unreserved strict if unusual",
        "http-request normalize-uri percent-to-uppercase strict if unusual",
        "http-request normalize-uri path-strip-dot if unusual",
        "http-request normalize-uri path-strip-dotdot full if unusual",
        "http-request set-query %[var(txn.ng_query)] if { var(txn.ng_query) -m found }",
        "http-request set-var(txn.ng_path) path,concat(/?)",
        f"http-request set-var(txn.ng_route) var(txn.ng_host),concat(,txn.ng_path),{routes}",
    ]
    path = "concat(,txn.ng_path)"
    for key in (
        f"var(txn.ng_host),regsub(^[^.]*,*),{path}", "var(txn.ng_path)",
        f"str(!),concat(,txn.ng_host),{path}", f"var(txn.ng_host),regsub(^[^.]*,!*),{path}", f"str(!),{path}",
    ):  # fmt: skip
        lines.append(f"http-request set-var(txn.ng_route) {key},{routes} if !{{ var(txn.ng_route) -m found }}")
    return [*lines, "http-request allow unless { var(txn.ng_route) -m found }"]


def _redirect(options: Options) -> list[str]:
    """To HTTPS, unless a trusted proxy has it already."""
    plain = " !{ var(txn.ng_proto) -m str https }" if options.trusted_proxies else ""
    to = "http-request redirect code 308 location https://%[var(txn.ng_host)]%[pathq]"
    return [f"{to} if {{ var(txn.ng_route) -m sub |r| }}{plain}"]


def _misdirected() -> list[str]:
    """RFC 9110, section 15.5.20: a connection that was opened for a name whose certificate is not for this host."""
    names = f"map_str({DIRECTORY}/{NAMES},none)"
    look_up = "http-request set-var(txn.ng_cert_{0}) {1},{2} if other_host"
    or_wildcard = "http-request set-var(txn.ng_cert_{0}) {1},regsub(^[^.]*,*),{2} if other_host {{ var(txn.ng_cert_{0}) -m str none }}"
    lines = [
        "http-request set-var(txn.ng_sni) ssl_fc_sni,lower",
        "http-request set-var(txn.ng_other_host) bool(true) unless { var(txn.ng_sni),strcmp(txn.ng_host) eq 0 }",
        "acl other_host var(txn.ng_other_host) -m found",
    ]
    for which, value in (("host", "var(txn.ng_host)"), ("sni", "var(txn.ng_sni)")):
        lines += [look_up.format(which, value, names), or_wildcard.format(which, value, names)]
    same = "{ var(txn.ng_cert_host),strcmp(txn.ng_cert_sni) eq 0 }"
    lines.append(f'http-request return status 421 content-type text/plain string "Misdirected request" if other_host !{same}')
    return lines


def _forwarding(scheme: str, options: Options) -> list[str]:
    proto, clients = scheme, ["http-request add-header X-Forwarded-For %[var(txn.ng_client)]"]
    if options.trusted_proxies:
        proto, told = "%[var(txn.ng_proto)]", "{ var(txn.ng_for) -m found }"
        clients = [f"{clients[0]} unless {told}", f"http-request add-header X-Forwarded-For %[var(txn.ng_for)] if {told}"]
    node = "http-request set-header Forwarded \"for={0};host=\\\"%[var(txn.ng_host)]\\\";proto={1}\""
    return [
        "http-request set-var(txn.ng_host) req.hdr(host)",
        'http-request set-var-fmt(txn.ng_client) "%[src]"',
        # So that what follows need not look for others of the same name.
        "http-request del-header x-forwarded- -m beg",
        *clients,
        "http-request set-header X-Real-IP %[var(txn.ng_client)]",
        f"http-request add-header X-Forwarded-Proto {proto}",
        "http-request add-header X-Forwarded-Host %[var(txn.ng_host)]",
        "http-request add-header X-Forwarded-Port %[dst_port]",
        # RFC 7239, section 6: an IPv6 address is quoted.
        node.format("%[var(txn.ng_client)]", proto),
        node.format('\\"[%[var(txn.ng_client)]]\\"', proto) + " if { var(txn.ng_client) -m sub : }",
    ]


def _policies() -> list[str]:
    """Everything by annotations. Most routes have none: they end with the separator of an empty policy."""
    policies = f"map_beg({DIRECTORY}/{POLICIES})"
    return [
        "http-request allow if { var(txn.ng_route) -m end | }",
        "http-request set-var(txn.ng_weight) var(txn.ng_route),field(5,|)",
        "http-request set-var(txn.ng_canary) var(txn.ng_route),field(4,|) if { var(txn.ng_weight) -m found } { rand(100),sub(txn.ng_weight) lt 0 }",
        "http-request set-var(txn.ng_policy) var(txn.ng_route),field(3,|)",
        "http-request allow unless { var(txn.ng_policy) -m len 1:9999 }",
        'http-request set-var-fmt(txn.ng_other) "%[var(txn.ng_policy)]/p"',
        f"http-request set-var(txn.ng_record) var(txn.ng_other),{policies}",
        # A policy without a record can't be known to allow anything.
        "http-request deny deny_status 403 unless { var(txn.ng_record) -m found }",
        *(f"acl p_{name} {record(name)} -m len 1:9999" for name in RECORD),
        "http-request deny deny_status 403 if p_closed",
        *_access(policies),
        *_limits(),
        f"http-request set-var(txn.ng_timeout_server) {record('timeout_server')} if p_timeout_server",
        f"http-request set-var(txn.ng_timeout_tunnel) {record('timeout_tunnel')} if p_timeout_tunnel",
        "http-request set-var(txn.ng_affinity) str(1) if p_affinity",
        *_rewriting(),
    ]


def _access(policies: str) -> list[str]:
    """Who may ask: networks, users, and how often."""
    lines = []
    for kind, unless in (("d", ""), ("a", "!")):
        asked = f"{{ {record('networks')} -m sub {kind} }}"
        lines += [
            f'http-request set-var-fmt(txn.ng_other) "%[var(txn.ng_policy)]/{kind}/%[src,hex,length]/%[src,hex]" if {asked}',
            f"http-request deny deny_status 403 if {asked} {unless}{{ var(txn.ng_other),{policies} -m found }}",
        ]
    for name in ("rate_second", "rate_minute"):
        lines += [
            f'http-request set-var-fmt(txn.ng_other) "%[src,ipmask(32,64)]/%[{record("scope")}]" if p_{name}',
            f"http-request track-sc0 var(txn.ng_other) table ng_{name} if p_{name}",
            f"http-request set-var(txn.ng_limit) {record(name)} if p_{name}",
            f"http-request deny deny_status 429 if p_{name} {{ sc_http_req_rate(0),sub(txn.ng_limit) gt 0 }}",
        ]
    user = "%[req.hdr(authorization),word(2,\\ ),b64dec,sha2(256),hex]"
    return [
        *lines,
        f'http-request set-var-fmt(txn.ng_other) "%[var(txn.ng_policy)]/u/{user}" if p_users',
        f"http-request auth realm Restricted if p_users !{{ var(txn.ng_other),{policies} -m found }}",
    ]


def _limits() -> list[str]:
    """How large a body may be. A length that is not told can't be compared."""
    untold = 'http-request return status 411 content-type text/plain string "Length required" if p_max_body'
    return [
        f"http-request set-var(txn.ng_limit) {record('max_body')} if p_max_body",
        "http-request deny deny_status 413 if p_max_body { req.hdr(content-length),sub(txn.ng_limit) gt 0 }",
        untold + " !{ req.hdr(content-length) -m found } !{ method GET HEAD OPTIONS DELETE TRACE }",
        untold + " { req.hdr(transfer-encoding) -m found }",
    ]


def _rewriting() -> list[str]:
    """The path of the rule has a known number of segments, and makes way for another one."""
    lines = ["http-request allow unless p_depth"]
    for depth in range(MAX_REWRITE_DEPTH + 1):
        by = f'^(?:/[^/]*){{{depth}}}(.*)$ "%[{record("rewrite")}]\\1"'
        lines.append(f"http-request replace-path {by} if {{ {record('depth')} -m str {depth} }}")
    return [*lines, "http-request set-path / unless { path -m found }"]


def _hsts(options: Options) -> list[str]:
    name = "Strict-Transport-Security"
    lines = []
    if options.hsts:
        lines.append(f'http-after-response set-header {name} "{options.hsts}"')
        lines.append(f"http-after-response del-header {name} if {{ {record('hsts')} -m str off }}")
    own = f"{{ {record('hsts')} -m beg max-age }}"
    lines.append(f"http-after-response set-header {name} %[{record('hsts')}] if {own}")
    return lines
