# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell: writes the status of ingresses, in several clusters side by side. No cluster's failure stops another."""

from __future__ import annotations

import time
import typing as t

from .._core.status import Change, Publication
from .client import Client
from .connection import Connection
from .writing import MERGE_PATCH, Access, Outcome, Writer, in_each

_ROOT = "/apis/networking.k8s.io/v1"


def publish_all(
    wanted: t.Sequence[tuple[Access, Publication]], timeout: float, page_size: int, check_mode: bool
) -> dict[str, Outcome]:
    """Brings the status of all ingresses to what is wanted, by cluster. ``timeout`` in seconds, for each cluster."""
    return in_each({access.name: (access, publication) for access, publication in wanted}, lambda pair: _publish(*pair, timeout, page_size, check_mode))


def _publish(access: Access, publication: Publication, timeout: float, page_size: int, check_mode: bool) -> Outcome:
    deadline = time.monotonic() + timeout
    client = Client(access.kubeconfig, access.context, timeout)
    try:
        changes, unchanged = client.read(f"{_ROOT}/ingresses", publication.compare, page_size)
    finally:
        client.close()
    if check_mode or not changes:
        return Outcome(tuple(changes), unchanged)
    connection = Connection(access.kubeconfig, access.context)
    try:
        writer = Writer(connection, deadline)
        written = writer.write_all(changes, lambda change: _write(writer, change))
    finally:
        connection.close()
    return Outcome(written.done, unchanged, written.conflicts, written.failed)


def _write(writer: Writer, change: Change) -> None:
    namespace, _slash, name = change.name.partition("/")
    writer.request("patch", f"{_ROOT}/namespaces/{namespace}/ingresses/{name}/status", {}, change.patch(), content_type=MERGE_PATCH)
