# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing in several clusters side by side, many objects at once in each. No cluster's failure stops another."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .._core import syntax
from .._core.errors import InvalidValue, NorthgateError
from .connection import Connection, Object, RequestFailed

_CLUSTERS_AT_ONCE = 16
_WRITES_AT_ONCE = 8

CONFLICT, GONE = 409, 404
MERGE_PATCH = "application/merge-patch+json"
# After these the next request would fail in the same way.
_HOPELESS = {
    None: "Is the API server up and reachable?",
    401: "The token is not valid any more: run playbooks/cluster_access.yml again",
    403: "Run playbooks/cluster_access.yml again, with cluster_access_status",
}

Work = t.TypeVar("Work")
Change = t.TypeVar("Change")


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
    """What came of a cluster. ``changes`` were made, in check mode would be. ``conflicts`` of objects that changed meanwhile are for the next run.

    ``failed`` is the reason why not all was written, or "". ``warning`` is of what was written beside it.
    """

    changes: tuple[t.Any, ...] = ()
    unchanged: int = 0
    conflicts: int = 0
    failed: str = ""
    warning: str = ""


def in_each(wanted: t.Mapping[str, Work], work: t.Callable[[Work], Outcome]) -> dict[str, Outcome]:
    """What ``work`` makes of each cluster; an exception is its outcome."""

    def guarded(one: Work) -> Outcome:
        try:
            return work(one)
        except NorthgateError as error:
            return Outcome(failed=str(error))
        except ImportError as error:
            return Outcome(failed=f"The Python library kubernetes is needed where this task runs: {error}")
        except Exception as error:  # One cluster's surprise must not stop the others.
            return Outcome(failed=f"{type(error).__name__}: {error}. This is a defect: please report it")

    with ThreadPoolExecutor(max_workers=min(_CLUSTERS_AT_ONCE, len(wanted)) or 1) as pool:
        return dict(zip(wanted, pool.map(guarded, wanted.values())))


@dataclass(frozen=True)
class Written(t.Generic[Change]):
    """What came of many changes: ``done``, the number of ``conflicts``, and the reason why some ``failed``, or ""."""

    done: tuple[Change, ...]
    conflicts: int
    failed: str


class Writer:
    """Writes to one cluster in several threads; after a failure that would repeat itself nothing more is tried. ``deadline`` is a monotonic time."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._hopeless: NorthgateError | None = None

    def write_all(self, changes: t.Sequence[Change], write: t.Callable[[Change], t.Any]) -> Written[Change]:
        """``write`` makes one change by ``request``. A status of 409 that it raises is a conflict, and 404 is nothing."""
        done, conflicts, failures = [], 0, []
        with ThreadPoolExecutor(max_workers=_WRITES_AT_ONCE) as pool:
            for change, error in zip(changes, pool.map(lambda change: self._error(write, change), changes)):
                status = getattr(error, "status", None)
                if error is None:
                    done.append(change)
                elif status == CONFLICT:
                    conflicts += 1
                elif status != GONE:
                    failures.append(error)
        failed = ""
        if failures:
            first = failures[0]
            reason = first if first.hint else NorthgateError(f"{self._connection.server}: {first}", _HOPELESS.get(getattr(first, "status", 0), ""))
            failed = f"{len(failures)} of {len(changes)} changes were not made. {reason}"
        return Written(tuple(done), conflicts, failed)

    def _error(self, write: t.Callable[[Change], t.Any], change: Change) -> NorthgateError | None:
        try:
            write(change)
        except RequestFailed as error:
            if error.status in _HOPELESS:
                self._hopeless = error
            return error
        except NorthgateError as error:
            return error
        return None

    def request(self, method: str, path: str, query: Object, body: Object | None = None, **headers: str) -> t.Any:
        """The answer; raises NorthgateError when there is no time left, or no hope."""
        left = self._deadline - time.monotonic()
        if self._hopeless:
            raise self._hopeless
        if left <= 0:
            raise NorthgateError(f"{self._connection.server} did not take them in time", "Raise timeout")
        return self._connection.request(method, path, left, query, body, **headers)
