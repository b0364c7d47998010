# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the Kubernetes API, as small as the agent needs it."""
from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator

TIMEOUT = 15
# The server ends a watch after this time; a little later the client gives up on a silent one.
WATCH_SECONDS = 240
FAILURES = (OSError, http.client.HTTPException)


class ApiError(Exception):
    """An answer that is no success; `code` is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message.strip()[:200]}")
        self.code = code


class Api:
    """Requests over one connection, for all threads; a watch has a connection of its own."""

    def __init__(self, host: str, port: int, ca_file: str, token: str) -> None:
        self._host, self._port = host, port
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._connection: http.client.HTTPSConnection | None = None
        self._lock = threading.Lock()

    def request(self, method: str, path: str, body: dict | None = None, kind: str = "application/json") -> dict:
        """Send one request and return the decoded answer; raise ApiError, OSError or HTTPException.

        A connection that the server has closed meanwhile is opened again, once.
        """
        data = None if body is None else json.dumps(body)
        headers = self._headers | ({"Content-Type": kind} if body is not None else {})
        with self._lock:
            fresh = self._connection is None
            try:
                return self._send(method, path, data, headers)
            except FAILURES:
                self._close()
                if fresh:
                    raise
            try:
                return self._send(method, path, data, headers)
            except FAILURES:
                self._close()
                raise

    def merge(self, path: str, body: dict) -> dict:
        """Apply a JSON merge patch: lists are replaced as a whole."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def watch(self, path: str, selector: str, version: str) -> Iterator[dict]:
        """Yield watch events until the server ends the stream; raise like `request`."""
        query = urllib.parse.urlencode({
            "watch": "1", "fieldSelector": selector, "resourceVersion": version,
            "allowWatchBookmarks": "true", "timeoutSeconds": WATCH_SECONDS,
        })
        connection = self._connect(WATCH_SECONDS + TIMEOUT)
        try:
            connection.request("GET", f"{path}?{query}", headers=self._headers)
            response = connection.getresponse()
            if response.status != 200:
                raise ApiError(response.status, response.read().decode())
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _send(self, method: str, path: str, data: str | None, headers: dict) -> dict:
        if self._connection is None:
            self._connection = self._connect(TIMEOUT)
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise ApiError(response.status, text.decode(errors="replace"))
        return json.loads(text)
