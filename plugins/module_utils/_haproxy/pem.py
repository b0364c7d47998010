# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of certificates' files."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from .._core.model import Certificate

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def file_name(certificate: Certificate, names: t.Iterable[str]) -> str:
    """A file name for a certificate that is presented for server ``names``.

    It is told apart by both, so one that is renewed or gets other names is a new file: haproxy takes it in
    before it lets go of the old one.
    """
    stem = _UNFIT.sub("-", os.path.splitext(os.path.basename(certificate.source))[0]).strip(".-")[:80] or "certificate"
    digest = hashlib.sha256("\n".join([certificate.pem, *sorted(names)]).encode()).hexdigest()
    return f"{stem}-{digest[:16]}.pem"
