# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell: writes the status of ingresses, in several clusters side by side. No cluster's failure stops another."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

from .._core import syntax
from .._core.errors import InvalidValue, NorthgateError
from .._core.status import Change, Publication
from .client import Client
from .connection import Connection

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
            changes, unchanged = publication.compare(client.list(f"{_ROOT}/ingresses", page_size))
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
    with ThreadPoolExecutor(max_workers=_WRITES_AT_ONCE) as pool:
        writes: list[tuple[Change, Future[None]]] = [(c, pool.submit(_write, connection, c, deadline)) for c in changes]
        for change, write in writes:
            try:
                write.result()
                done.append(change)
            except CancelledError:
                failures.append(None)
            except NorthgateError as error:
                status = getattr(error, "status", None)
                conflicts += status == _CONFLICT
                if status not in (_CONFLICT, _GONE):
                    failures.append(error)
                if status in _HOPELESS:
                    for _change, waiting in writes:
                        waiting.cancel()
    return Outcome(tuple(done), unchanged, conflicts, _reason(connection.server, failures, len(changes)))


def _reason(server: str, failures: list[NorthgateError | None], number: int) -> str:
    """What the first failure says of all; those that were not tried after it are None."""
    if not failures or not (first := failures[0]):
        return ""
    reason = first if first.hint else NorthgateError(f"{server}: {first}", _HOPELESS.get(getattr(first, "status", None), ""))
    return f"{len(failures)} of {number} changes were not made. {reason}"


def _write(connection: Connection, change: Change, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NorthgateError(f"{connection.server} did not take them in time", "Raise timeout")
    namespace, _slash, name = change.name.partition("/")
    path = f"{_ROOT}/namespaces/{namespace}/ingresses/{name}/status"
    connection.request("patch", path, left, {}, change.patch(), content_type="application/merge-patch+json")
