# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each line of haproxy's files may be, written down a second time and apart from what writes them."""

from __future__ import annotations

import re
import typing as t

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_ANY_HOST = rf"(?:\*\.)?{_HOST}"
_PATH = r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)*"
_ADDRESS = r"[0-9a-f.:]+"
_ID = r"[0-9a-f]{12}"
_POOL = rf"{_LABEL}:(?:class/{_HOST}|service/{_LABEL}/{_LABEL}/{_LABEL})"
_POOLS = rf"{_POOL}(?: {_POOL})*"
_PEM = r"[A-Za-z0-9.-]+-[0-9a-f]{16}\.pem"
_CHECKS = r"check inter 2s fastinter 100ms fall 2 rise 20 observe layer4 error-limit 1 on-error sudden-death"
_TLS_FILES = r" ssl verify required ca-file @system-ca"
_TLS = rf"{_TLS_FILES} sni var\(txn\.ng_host\) alpn h2,http/1\.1"
_OPTIONS = rf"{_CHECKS}(?: proto h2 ws h1|{_TLS})?(?: send-proxy-v2 check-send-proxy)?(?: backup)?"
_NUMBER = r"\d*"

_LINES = {
    "routes.map": rf"!?(?:{_ANY_HOST})?{_PATH}/\??"
    rf" (?:ng_h\d{{5}})?\|r?\|(?:{_ID})?(?:\|ng_h\d{{5}}\|\d{{1,3}})?",
    "policies.map": rf"{_ID}/(?:[ad]/(?:8|32)/[0-9A-F]*|u/[0-9A-F]{{64}}) 1"
    rf"|{_ID}/p 1?\|a?d?\|1?\|{_NUMBER}\|{_NUMBER}\|(?:{_ID})?\|{_NUMBER}\|{_NUMBER}\|{_NUMBER}\|1?"
    rf"\|(?:off|max-age=\d+(?:; includeSubDomains)?(?:; preload)?)?\|{_NUMBER}\|{_PATH}",
    "certificates.map": rf"{_ANY_HOST} {_ID}",
    "passthrough.map": rf"{_ANY_HOST} ng_t\d{{5}}",
    "certificates.list": rf"@certificates@/{_PEM}(?: {_ANY_HOST})+",
    "backends.list": rf"ng_[ht]\d{{5}} (?:-|{_POOLS})",
    # Beside the lines of a configuration without any route.
    "ingress.cfg": rf"    server {_LABEL}_{_ADDRESS}_\d+(?:_[0-9a-f]{{6}})? {_ADDRESS}:\d+ {_OPTIONS}(?: weight \d+)?"
    rf"|backend ng_h\d{{5}} from ng_servers|backend ng_t\d{{5}} from ng_defaults|backend ng_layout_[0-9a-f]{{16}} from ng_defaults"
    rf"|    # [a-z].{{0,999}}|backend ng_tls_[0-9a-f]{{16}} from ng_servers|    server load 127\.0\.0\.1:9 disabled{_TLS_FILES}",
}
# What starts a longer list of pools than fits is cut, so it is told apart by its characters alone.
_COMMENT = re.compile(r"    # [a-z0-9:/ .-]*")
_PATTERNS = {name: re.compile(pattern) for name, pattern in _LINES.items()}


def strangers(files: dict[str, str], empty: dict[str, str], certificates: str) -> list[tuple[str, str]]:
    """The lines (file, line) that are none of ours. ``empty``: the files without any route; ``certificates``: their directory."""
    known = set(empty["ingress.cfg"].split("\n"))
    found = []
    for name, text in files.items():
        assert text.endswith("\n") or not text, name
        for line in text.split("\n")[:-1]:
            if name == "ingress.cfg" and line in known:
                continue
            shown = line.replace(certificates, "@certificates@", 1) if name == "certificates.list" else line
            if not _PATTERNS[name].fullmatch(shown) or name == "ingress.cfg" and "#" in line and not _COMMENT.fullmatch(line):
                found.append((name, line))
    return found


def is_name_of_pem(name: t.Any) -> bool:
    """Whether a file for a certificate may have this name."""
    return bool(re.fullmatch(_PEM, name)) and not name.startswith(".") and len(name) < 128
