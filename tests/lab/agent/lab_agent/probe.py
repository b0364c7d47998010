# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness probes: httpGet and tcpSocket, with the thresholds of Kubernetes."""
from __future__ import annotations

import http.client
import socket

from . import spec


class Probe:
    """One container's readiness probe; a container without one is ready while it runs."""

    def __init__(self, container: dict, address: str) -> None:
        self._probe = container.get("readinessProbe") or {}
        self._address = address
        self._successes = self._failures = 0
        self._due = 0.0
        self.ready = False
        action = self._probe.get("httpGet") or self._probe.get("tcpSocket")
        if self._probe and not action:
            raise ValueError(f"container {container['name']}: only httpGet and tcpSocket probes are supported")
        self._port = spec.port_number(container, action["port"]) if action else 0

    def started(self, now: float) -> None:
        """Begin anew: the container was (re)started at `now`, in seconds of the monotonic clock."""
        self._successes = self._failures = 0
        self._due = now + self._probe.get("initialDelaySeconds", 0)
        self.ready = not self._probe

    def run_when_due(self, now: float) -> None:
        """Probe if it is time to, and change `ready` when a threshold is reached."""
        if not self._probe or now < self._due:
            return
        # Probing faster until the first success makes a rolling change quicker than kubelet's.
        period = self._probe.get("periodSeconds", 10)
        self.record(self._answers(self._probe.get("timeoutSeconds", 1)))
        self._due = now + (period if self.ready else min(period, 1))

    def record(self, success: bool) -> None:
        """Count one result."""
        self._successes, self._failures = (self._successes + 1, 0) if success else (0, self._failures + 1)
        if self._successes >= self._probe.get("successThreshold", 1):
            self.ready = True
        if self._failures >= self._probe.get("failureThreshold", 3):
            self.ready = False

    def _answers(self, timeout: float) -> bool:
        try:
            if "tcpSocket" in self._probe:
                socket.create_connection((self._address, self._port), timeout).close()
                return True
            request = self._probe["httpGet"]
            connection = http.client.HTTPConnection(self._address, self._port, timeout=timeout)
            try:
                headers = {entry["name"]: entry["value"] for entry in request.get("httpHeaders", [])}
                connection.request("GET", request.get("path", "/"), headers=headers)
                return 200 <= connection.getresponse().status < 400
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False
