# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python beats.py INTERVAL NAMESPACE NAME KUBECONFIG...``: changes a ConfigMap all the time, until standard input ends.

Each change has its number ``n`` and its time ``t``, for who watches. It talks to the API servers themselves, to the next one of the kubeconfigs when one
does not answer, and never to a router. It prints ``ready`` after the first change, and at its end how many there were and the longest time between two.
"""
from __future__ import annotations

import http.client
import itertools
import json
import select
import ssl
import sys
import time
import urllib.parse
from base64 import b64decode
from pathlib import Path
from typing import Any

# How long an API server may take, and how soon the next one is asked.
SECONDS, AGAIN = 0.3, 0.02


class Api:
    """One API server, as a kubeconfig of the lab (JSON, with a token) says, over a connection that is kept."""

    def __init__(self, config: dict[str, Any]) -> None:
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        place = urllib.parse.urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        self._connection = http.client.HTTPSConnection(place.hostname, place.port, timeout=SECONDS, context=context)
        self._headers = {"Authorization": f"Bearer {user['token']}"}

    def send(self, method: str, path: str, body: dict[str, Any], kind: str) -> int:
        """Return the status of the answer. Raises OSError and HTTPException; then the next request is on a new connection."""
        try:
            self._connection.request(method, path, json.dumps(body), {**self._headers, "Content-Type": kind})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return answer.status


class Beats:
    """Changes one ConfigMap."""

    def __init__(self, apis: list[Api], namespace: str, name: str) -> None:
        self._apis = itertools.cycle(apis)
        self._api = next(self._apis)
        self._path, self._name = f"/api/v1/namespaces/{namespace}/configmaps", name
        self.changes, self.longest = 0, 0.0
        self._changed_at = 0.0

    def beat(self) -> bool:
        """Make the next change, and return whether that was done; else the next API server is asked the next time."""
        now = time.monotonic()
        data = {"data": {"n": str(self.changes + 1), "t": repr(now)}}
        try:
            status = self._api.send("PATCH", f"{self._path}/{self._name}", data, "application/merge-patch+json")
            if status == 404:
                status = self._api.send("POST", self._path, data | {"metadata": {"name": self._name}}, "application/json")
        except (OSError, http.client.HTTPException):
            status = 0
        if status not in (200, 201):
            self._api = next(self._apis)
            return False
        self.longest = max(self.longest, now - self._changed_at) if self.changes else 0.0
        self.changes, self._changed_at = self.changes + 1, now
        return True


def main(interval: float, namespace: str, name: str, *files: str) -> None:
    """Beat until the input ends."""
    beats = Beats([Api(json.loads(Path(file).read_text("utf-8"))) for file in files], namespace, name)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        if not beats.beat():
            due = time.monotonic() + AGAIN
            continue
        due = max(due + interval, time.monotonic())
        if beats.changes == 1:
            print("ready", flush=True)
    print(json.dumps({"changes": beats.changes, "longest": round(beats.longest, 3)}))


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
