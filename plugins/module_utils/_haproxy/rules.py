# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of requests: from host and path to a backend, and what the route's policy asks for. Pure.

They are for every request, so what is asked for more than once is kept in a variable.
"""

from __future__ import annotations

from .._core.policy import MAX_REWRITE_DEPTH
from .entries import RECORD, field_number
from .options import DIRECTORY, NAMES, POLICIES, ROUTES, Options

_LOOK_UP = f"map_beg({DIRECTORY}/{ROUTES})"
# What haproxy leaves alone when it brings a path to its normal form has none of these.
_UNUSUAL = "{ path -m sub % /. }"


def client(scheme: str, options: Options) -> list[str]:
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


def most_requests(scheme: str) -> list[str]:
    """Host and path in normal form, a rule of an exact host, and nothing more to do: these are through here.

    All others go on with the rules that follow, which take nothing from these.
    """
    here = "{ ssl_fc_sni,strcmp(txn.ng_host) eq 0 } { var(txn.ng_route) -m end | }" if scheme == "https" else "{ var(txn.ng_route) -m end || }"
    # Without a host, base is the path alone. A host with one of these would be another key: a path, a default backend, a wildcard.
    normal = "{ var(txn.ng_host) -m found } !{ var(txn.ng_host) -m sub / ! * } { path -m beg / } !" + _UNUSUAL
    return [
        f"http-request set-var(txn.ng_route) base,concat(/?),{_LOOK_UP} if {normal}",
        f"http-request allow if {here}",
    ]


def dispatch() -> list[str]:
    """From host and path to the route."""
    lines = [
        "http-request unset-var(txn.ng_route)",
        "http-request set-var(txn.ng_host) var(txn.ng_host),host_only,rtrim(.),lower",
        # RFC 9112, section 3.2. A host with a slash would be looked up as a path.
        "http-request deny deny_status 400 if !{ var(txn.ng_host) -m found } HTTP_1.1",
        "http-request deny deny_status 400 if { var(txn.ng_host) -m reg [^-a-z0-9._:\\[\\]] }",
        "http-request deny deny_status 405 if METH_CONNECT !{ req.hdr(upgrade) -m found }",
        # RFC 3986, section 6.2.2: what is equivalent must lead to the same route.
        f"http-request set-var(txn.ng_unusual) bool(true) if {_UNUSUAL}",
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
        f"http-request set-var(txn.ng_route) var(txn.ng_host),concat(,txn.ng_path),{_LOOK_UP}",
    ]
    path = "concat(,txn.ng_path)"
    for key in (
        f"var(txn.ng_host),regsub(^[^.]*,*),{path}", "var(txn.ng_path)",
        f"str(!),concat(,txn.ng_host),{path}", f"var(txn.ng_host),regsub(^[^.]*,!*),{path}", f"str(!),{path}",
    ):  # fmt: skip
        lines.append(f"http-request set-var(txn.ng_route) {key},{_LOOK_UP} if !{{ var(txn.ng_route) -m found }}")
    return [*lines, "http-request allow unless { var(txn.ng_route) -m found }"]


def redirect(options: Options) -> list[str]:
    """To HTTPS, unless a trusted proxy has it already."""
    plain = " !{ var(txn.ng_proto) -m str https }" if options.trusted_proxies else ""
    to = "http-request redirect code 308 location https://%[var(txn.ng_host)]%[pathq]"
    return [f"{to} if {{ var(txn.ng_route) -m sub |r| }}{plain}"]


def misdirected() -> list[str]:
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


def forwarding(scheme: str, options: Options) -> list[str]:
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


def policies() -> list[str]:
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
        *(f"acl p_{name} {_record(name)} -m len 1:9999" for name in RECORD),
        "http-request deny deny_status 403 if p_closed",
        *_access(policies),
        *_limits(),
        f"http-request set-var(txn.ng_timeout_server) {_record('timeout_server')} if p_timeout_server",
        f"http-request set-var(txn.ng_timeout_tunnel) {_record('timeout_tunnel')} if p_timeout_tunnel",
        "http-request set-var(txn.ng_affinity) str(1) if p_affinity",
        *_rewriting(),
    ]


def _access(policies: str) -> list[str]:
    """Who may ask: networks, users, and how often."""
    lines = []
    for kind, unless in (("d", ""), ("a", "!")):
        asked = f"{{ {_record('networks')} -m sub {kind} }}"
        lines += [
            f'http-request set-var-fmt(txn.ng_other) "%[var(txn.ng_policy)]/{kind}/%[src,hex,length]/%[src,hex]" if {asked}',
            f"http-request deny deny_status 403 if {asked} {unless}{{ var(txn.ng_other),{policies} -m found }}",
        ]
    for name in ("rate_second", "rate_minute"):
        lines += [
            f'http-request set-var-fmt(txn.ng_other) "%[src,ipmask(32,64)]/%[{_record("scope")}]" if p_{name}',
            f"http-request track-sc0 var(txn.ng_other) table ng_{name} if p_{name}",
            f"http-request set-var(txn.ng_limit) {_record(name)} if p_{name}",
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
        f"http-request set-var(txn.ng_limit) {_record('max_body')} if p_max_body",
        "http-request deny deny_status 413 if p_max_body { req.hdr(content-length),sub(txn.ng_limit) gt 0 }",
        untold + " !{ req.hdr(content-length) -m found } !{ method GET HEAD OPTIONS DELETE TRACE }",
        untold + " { req.hdr(transfer-encoding) -m found }",
    ]


def _rewriting() -> list[str]:
    """The path of the rule has a known number of segments, and makes way for another one."""
    lines = ["http-request allow unless p_depth"]
    for depth in range(MAX_REWRITE_DEPTH + 1):
        by = f'^(?:/[^/]*){{{depth}}}(.*)$ "%[{_record("rewrite")}]\\1"'
        lines.append(f"http-request replace-path {by} if {{ {_record('depth')} -m str {depth} }}")
    return [*lines, "http-request set-path / unless { path -m found }"]


def hsts(options: Options) -> list[str]:
    name = "Strict-Transport-Security"
    lines = []
    if options.hsts:
        lines.append(f'http-after-response set-header {name} "{options.hsts}"')
        lines.append(f"http-after-response del-header {name} if {{ {_record('hsts')} -m str off }}")
    own = f"{{ {_record('hsts')} -m beg max-age }}"
    lines.append(f"http-after-response set-header {name} %[{_record('hsts')}] if {own}")
    return lines


def _record(name: str) -> str:
    """haproxy's expression for a field of the request's policy."""
    return f"var(txn.ng_record),field({field_number(name)},|)"
