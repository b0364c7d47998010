# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that are watched, against an API server that behaves as told."""
from __future__ import annotations

import base64
import http.server
import json
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from northgate_failover import beats
from northgate_lab.credentials import Authority


class Server(http.server.ThreadingHTTPServer):
    """Answers requests with the statuses in turn, the last one also all that follow; 0 closes without an answer."""

    daemon_threads = True

    def __init__(self, tls, *statuses):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses, self.seen = list(statuses), []
        self.socket = tls.wrap_socket(self.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_error(self, *_):
        pass

    def _answer(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.command, self.path, self.headers["Authorization"], body))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PATCH = do_POST = _answer


@pytest.fixture(name="make")
def _make(tmp_path):
    """Makes servers, and kubeconfigs for them."""
    authority = Authority(tmp_path, "x")
    certificate, key = authority.issue("127.0.0.1", ["127.0.0.1"])
    (tmp_path / "server.pem").write_bytes(certificate + key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")

    def config(server):
        found = {"clusters": [{"cluster": {
            "server": f"https://127.0.0.1:{server.server_port}", "certificate-authority-data": base64.b64encode((tmp_path / "ca.pem").read_bytes()).decode()}}],
            "users": [{"user": {"token": "secret"}}]}
        file = tmp_path / f"{server.server_port}.kubeconfig"
        file.write_text(json.dumps(found))
        return found, file
    return lambda *statuses: Server(tls, *statuses), config


def test_the_object_is_made_and_then_changed_with_a_number_and_a_time(make):
    server, config = make
    with server(404, 201, 200) as api:
        found = beats.Beats([beats.Api(config(api)[0])], "demo", "x")
        assert found.beat() and found.beat()
    (first, *_rest), (made, path, token, body), (_method, changed_path, _token, changed) = api.seen
    assert (first, made, path, token) == ("PATCH", "POST", "/api/v1/namespaces/demo/configmaps", "Bearer secret")
    assert (body["metadata"], body["data"]["n"], changed["data"]["n"]) == ({"name": "x"}, "1", "2")
    assert changed_path == path + "/x" and float(changed["data"]["t"]) > float(body["data"]["t"])
    assert found.longest > 0


@pytest.mark.parametrize("bad", [0, 503])
def test_the_next_server_is_asked_when_one_does_not_do_it(make, bad):
    server, config = make
    with server(200, bad) as one, server(200) as two:
        found = beats.Beats([beats.Api(config(api)[0]) for api in (one, two)], "demo", "x")
        assert [found.beat() for _turn in range(4)] == [True, False, True, True]
    assert [entry[3]["data"]["n"] for entry in two.seen] == ["2", "3"]


def test_the_program_says_when_it_has_begun_and_what_it_did(make):
    server, config = make
    with server(200) as api:
        process = subprocess.Popen([sys.executable, str(Path(beats.__file__)), "0.01", "demo", "x", str(config(api)[1])],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        while len(api.seen) < 5:
            pass
        output, _errors = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(output)["changes"] >= 4
