# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a cluster's API as raw JSON: the client library's models are slow and heavy on long lists."""

from __future__ import annotations

import time
import typing as t

from .._core.errors import NotObserved
from .connection import Connection, Object, RequestFailed

Result = t.TypeVar("Result")

_HINTS = {
    None: "Is the API server up and reachable?",
    401: "The token is not valid any more: run playbooks/cluster_access.yml again",
    403: "The role lacks a permission: run playbooks/cluster_access.yml again",
}


class Client:
    """Lists below one deadline. ``timeout`` is for all requests of this client together, in seconds."""

    def __init__(self, kubeconfig: str, context: str | None, timeout: float) -> None:
        self._connection = Connection(kubeconfig, context)
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout

    @property
    def authority(self) -> str:
        """What the kubeconfig trusts, PEM text; "" where it trusts what the system does."""
        return self._connection.authority()

    def _get(self, path: str, query: dict[str, t.Any]) -> Object:
        left = self._deadline - time.monotonic()
        if left <= 0:
            server = self._connection.server
            raise NotObserved(f"{server} did not answer completely within {self._timeout:g} s", "Raise timeout")
        return self._connection.request("get", path, left, query)

    def _not_observed(self, path: str, error: RequestFailed) -> NotObserved:
        status = f"HTTP {error.status}: " if error.status else ""
        return NotObserved(f"{self._connection.server}{path}: {status}{error.message}", _HINTS.get(error.status, ""))

    def read(self, path: str, build: t.Callable[[t.Iterator[t.Any]], Result], page_size: int = 500, **query: t.Any) -> Result:
        """What ``build`` makes of the items of the list at ``path``, which it gets while they come, page by page.

        It is called again from the beginning, once, when the list expired half-way.
        """
        try:
            try:
                return build(self._items(path, page_size, query))
            except RequestFailed as error:
                if error.status != 410:
                    raise
                return build(self._items(path, page_size, query))
        except RequestFailed as error:
            raise self._not_observed(path, error) from error

    def _items(self, path: str, page_size: int, query: dict[str, t.Any]) -> t.Iterator[t.Any]:
        position = ""
        while True:
            page = self._get(path, {"limit": page_size, **query, **({"continue": position} if position else {})})
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise NotObserved(f"{self._connection.server}{path}: the answer is no list")
            yield from page["items"]
            position = (page.get("metadata") or {}).get("continue") or ""
            if not position:
                return
            # It need not be in memory while the next one comes.
            del page

    def find(self, path: str) -> Object | int:
        """The object at ``path``, or the HTTP status 403 or 404 where it may not be read or is not there."""
        try:
            return self._get(path, {})
        except RequestFailed as error:
            if error.status in (403, 404):
                return error.status
            raise self._not_observed(path, error) from error

    def close(self) -> None:
        self._connection.close()
