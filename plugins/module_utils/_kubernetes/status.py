# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell: writes the status of ingresses, in several clusters side by side. No cluster's failure stops another."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .._core import syntax
from .._core.errors import InvalidValue, NorthgateError
from .._core.status import Change, Publication
from .client import Client
from .connection import Connection, RequestFailed

_CLUSTERS_AT_ONCE = 16
_WRITES_AT_ONCE = 8

_ROOT = "/apis/networking.k8s.io/v1"
_CONFLICT, _GONE = 409, 404
# After these the next request would fail in the same way.
_HOPELESS = {
    None: "Is the API server up and reachable?",
    401: "The token is not valid any more: run playbooks/cluster_access.yml again",
    403: "Run playbooks/cluster_access.yml again, with cluster_access_status",
}


@dataclass(frozen=True)
class Access:
    """How to reach a cluster."""

    name: str
    kubeconfig: str
    context: str | None

    @classmethod
    def parse(cls, name: str, options: t.Any) -> Access:
        """From an entry of northgate_clusters; raises InvalidValue that names the cluster and the key."""
        where = f"clusters.{name}"
        syntax.dns_label(name, where)
        kubeconfig = options.get("kubeconfig") if isinstance(options, dict) else None
        if not isinstance(kubeconfig, str):
            raise InvalidValue(f"{where}.kubeconfig", "is missing")
        return cls(name, kubeconfig, options.get("context"))


@dataclass(frozen=True)
class Outcome:
    """What came of a cluster. ``changes`` were made, in check mode would be. ``conflicts`` of ingresses that changed meanwhile are for the next run.

    ``failed`` is the reason why not all was written, or "".
    """

    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    conflicts: int = 0
    failed: str = ""


def publish_all(
    wanted: t.Sequence[tuple[Access, Publication]], timeout: float, page_size: int, check_mode: bool
) -> dict[str, Outcome]:
    """Brings the status of all ingresses to what is wanted, by cluster. ``timeout`` in seconds, for each cluster."""
    with ThreadPoolExecutor(max_workers=min(_CLUSTERS_AT_ONCE, len(wanted)) or 1) as pool:
        outcomes = pool.map(lambda pair: _publish(*pair, timeout, page_size, check_mode), wanted)
        return {access.name: outcome for (access, _publication), outcome in zip(wanted, outcomes)}


def _publish(access: Access, publication: Publication, timeout: float, page_size: int, check_mode: bool) -> Outcome:
    deadline = time.monotonic() + timeout
    try:
        client = Client(access.kubeconfig, access.context, timeout)
        try:
            changes, unchanged = client.read(f"{_ROOT}/ingresses", publication.compare, page_size)
        finally:
            client.close()
        if check_mode or not changes:
            return Outcome(tuple(changes), unchanged)
        connection = Connection(access.kubeconfig, access.context)
        try:
            return _write_all(connection, changes, unchanged, deadline)
        finally:
            connection.close()
    except NorthgateError as error:
        return Outcome(failed=str(error))
    except ImportError as error:
        return Outcome(failed=f"The Python library kubernetes is needed where this task runs: {error}")
    except Exception as error:  # One cluster's surprise must not stop the others.
        return Outcome(failed=f"{type(error).__name__}: {error}. This is a defect: please report it")


def _write_all(connection: Connection, changes: list[Change], unchanged: int, deadline: float) -> Outcome:
    done, conflicts, failures = [], 0, []
    writer = _Writer(connection, deadline)
    with ThreadPoolExecutor(max_workers=_WRITES_AT_ONCE) as pool:
        for change, error in zip(changes, pool.map(writer.write, changes)):
            status = getattr(error, "status", None)
            if error is None:
                done.append(change)
            elif status == _CONFLICT:
                conflicts += 1
            elif status != _GONE:
                failures.append(error)
    failed = ""
    if failures:
        first = failures[0]
        reason = first if first.hint else NorthgateError(f"{connection.server}: {first}", _HOPELESS.get(getattr(first, "status", 0), ""))
        failed = f"{len(failures)} of {len(changes)} changes were not made. {reason}"
    return Outcome(tuple(done), unchanged, conflicts, failed)


class _Writer:
    """Writes in several threads; after a failure that would repeat itself nothing more is tried."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._hopeless: NorthgateError | None = None

    def write(self, change: Change) -> NorthgateError | None:
        """Returns what went wrong."""
        left = self._deadline - time.monotonic()
        if self._hopeless or left <= 0:
            return self._hopeless or NorthgateError(f"{self._connection.server} did not take them in time", "Raise timeout")
        namespace, _slash, name = change.name.partition("/")
        path = f"{_ROOT}/namespaces/{namespace}/ingresses/{name}/status"
        try:
            self._connection.request("patch", path, left, {}, change.patch(), content_type="application/merge-patch+json")
        except RequestFailed as error:
            if error.status in _HOPELESS:
                self._hopeless = error
            return error
        return None
