# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness: thresholds, and real answers over loopback."""
from __future__ import annotations

import http.server
import socket
import threading

import pytest
from agent.lab_agent.probe import Probe


def test_without_a_probe_ready_means_started():
    probe = Probe({"name": "c"}, "127.0.0.1")
    assert not probe.ready
    probe.started(0)
    assert probe.ready


def test_thresholds():
    probe = Probe({"name": "c", "readinessProbe": {
        "tcpSocket": {"port": 1}, "successThreshold": 2, "failureThreshold": 2}}, "127.0.0.1")
    seen = []
    for success in (True, True, False, True, False, False, True, True):
        probe.record(success)
        seen.append(probe.ready)
    assert seen == [False, True, True, True, True, False, False, True]


def test_an_exec_probe_is_refused():
    with pytest.raises(ValueError, match="only httpGet and tcpSocket"):
        Probe({"name": "c", "readinessProbe": {"exec": {"command": ["true"]}}}, "127.0.0.1")


@pytest.mark.parametrize(("path", "ready"), [("/healthz", True), ("/nothing", False)])
def test_http(path, ready):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

        def log_message(self, *_):
            """Keep the tests' output clean."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        probe = Probe({"name": "c", "readinessProbe": {
            "httpGet": {"port": server.server_port, "path": path}}}, "127.0.0.1")
        probe.started(0)
        probe.run_when_due(1)
        server.shutdown()
    assert probe.ready is ready


def test_tcp_waits_for_its_delay_and_then_connects():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        probe = Probe({"name": "c", "readinessProbe": {
            "tcpSocket": {"port": port}, "initialDelaySeconds": 5, "failureThreshold": 1}}, "127.0.0.1")
        probe.started(100)
        probe.run_when_due(104)
        assert not probe.ready
        probe.run_when_due(105)
        assert probe.ready
    probe.run_when_due(200)
    assert not probe.ready
