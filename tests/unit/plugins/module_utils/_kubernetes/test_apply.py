# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply against an API server that is a dictionary, behind the real client library and HTTP."""
from __future__ import annotations

import base64
import http.server
import json
import threading
import urllib.parse

import pytest
import yaml
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import apply as subject

RESOURCES = {
    "/api/v1": [{"name": "namespaces", "kind": "Namespace", "namespaced": False},
                {"name": "namespaces/status", "kind": "Namespace", "namespaced": False},
                {"name": "secrets", "kind": "Secret", "namespaced": True}],
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "edge"}, "data": {"password": "c2VjcmV0"}}


class Server(http.server.BaseHTTPRequestHandler):
    """Enough of an API server: discovery, GET, apply; `refuse` maps paths to (status, message)."""

    objects: dict = {}
    refuse: dict = {}
    queries: list = []

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path in RESOURCES:
            self.answer(200, {"resources": RESOURCES[path]})
        elif path in self.objects:
            self.answer(200, self.objects[path])
        else:
            self.answer(404, {"message": f"{path} not found"})

    def do_PATCH(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/apply-patch+yaml"
        self.queries.append(query)
        if url.path in self.refuse:
            return self.answer(*self.refuse[url.path])
        if "/namespaces/" in url.path.rpartition("/")[0] and url.path.split("/")[4] not in self.namespaces():
            return self.answer(404, {"message": "namespaces not found"})
        result = {**self.objects.get(url.path, {}), **body}
        result["metadata"] = {**body["metadata"], "resourceVersion": str(len(self.queries)), "managedFields": []}
        if "dryRun" not in query:
            self.objects[url.path] = result
        return self.answer(200, result)

    def namespaces(self):
        return [path.rpartition("/")[2] for path in self.objects]

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    handler = type("Fresh", (Server,), {"objects": {}, "refuse": {}, "queries": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}"
        yield handler
        running.shutdown()
        thread.join()


@pytest.fixture
def connect(tmp_path):
    def connect(url, **cluster):
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": "t"}}],
            "clusters": [{"name": "k", "cluster": {"server": url, **cluster}}], "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
        return subject.Api(str(path), None, 5)
    return connect


@pytest.fixture
def api(server, connect):
    return connect(server.url)


def test_new_and_unchanged_objects(api, server):
    before, after = subject.apply(api, NAMESPACE, "tester", False, False)
    assert (before, subject.shown(after)) == (None, NAMESPACE)
    before, after = subject.apply(api, NAMESPACE, "tester", True, False)
    assert subject.shown(before) == subject.shown(after)
    assert before != after, "bookkeeping changes, and must not count"
    assert server.queries == [{"fieldManager": "tester", "force": "false"}, {"fieldManager": "tester", "force": "true"}]


def test_a_dry_run_changes_nothing_and_sees_through_a_missing_namespace(api, server):
    assert subject.apply(api, NAMESPACE, "tester", False, True)[0] is None
    assert subject.apply(api, SECRET, "tester", False, True) == (None, SECRET)
    assert server.objects == {}
    assert all(query["dryRun"] == "All" for query in server.queries)
    with pytest.raises(subject.ApplyError, match="namespaces not found. Apply what it lives in first"):
        subject.apply(api, SECRET, "tester", False, False)


def test_secrets_are_masked_and_their_changes_still_show():
    changed = {**SECRET, "data": {"password": "b3RoZXI=", "new": "eA=="}}
    assert subject.shown(SECRET)["data"] == {"password": "********"}
    assert subject.shown(changed, SECRET)["data"] == {"password": "******** (differs)", "new": "********"}
    assert subject.shown({**SECRET, "stringData": {"a": "b"}}, None)["stringData"] == {"a": "********"}
    assert subject.shown(None) == {}


def test_waiting_for_a_field_that_a_controller_sets(api, server):
    path = "/api/v1/namespaces/edge/secrets/token"
    server.objects["/api/v1/namespaces/edge"] = NAMESPACE
    subject.apply(api, SECRET, "tester", False, False)
    with pytest.raises(subject.ApplyError, match="data.token still has no value after 0.1 s. Does the controller"):
        subject.wait_for(api, SECRET, ["data.token"], 0.1)
    threading.Timer(0.3, lambda: server.objects[path]["data"].update(token="dG9rZW4=")).start()
    assert subject.wait_for(api, SECRET, ["data.token"], 10)["data"]["token"] == "dG9rZW4="


REFUSALS = {401: "not, or no longer, valid", 403: "use an administrator's", 409: "take them over with force", 422: "no$"}


@pytest.mark.parametrize("status, hint", REFUSALS.items())
def test_each_refusal_says_what_to_do(api, server, status, hint):
    server.refuse["/api/v1/namespaces/edge"] = (status, {"message": "no"})
    with pytest.raises(subject.ApplyError, match=hint) as raised:
        subject.apply(api, NAMESPACE, "tester", False, False)
    assert raised.value.status == status
    assert server.url in str(raised.value)


def test_an_answer_that_is_no_status_object(api, server):
    server.refuse["/api/v1/namespaces/edge"] = (503, "overloaded")
    with pytest.raises(subject.ApplyError, match="HTTP 503 Service Unavailable"):
        subject.apply(api, NAMESPACE, "tester", False, False)


@pytest.mark.parametrize("manifest, message", [
    ({"kind": "Namespace"}, "each manifest needs apiVersion, kind and metadata.name"),
    ({**NAMESPACE, "apiVersion": "gone.example/v1beta1"}, "no kind Namespace in gone.example/v1beta1"),
    ({**NAMESPACE, "kind": "Gone"}, "no kind Gone in v1. Is the API version"),
])
def test_manifests_that_can_not_be_applied(api, manifest, message):
    with pytest.raises(subject.ApplyError, match=message):
        api.path(manifest)


def test_an_api_server_that_is_not_there(connect):
    with pytest.raises(subject.ApplyError, match="http://127.0.0.1:1 can't be reached: .*Is the API server up"):
        connect("http://127.0.0.1:1").find("/api/v1/namespaces/edge")


@pytest.mark.parametrize("text", [None, "", "a: [", "a: b", "[]"])
def test_kubeconfigs_that_can_not_be_used(tmp_path, text):
    path = tmp_path / "bad"
    if text is not None:
        path.write_text(text)
    with pytest.raises(subject.ApplyError, match=f"(?s)kubeconfig {path} can't be used: .*kubectl --kubeconfig"):
        subject.Api(str(path), None, 5)


def test_the_certificate_authority_for_another_kubeconfig(connect):
    data = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    assert connect("https://127.0.0.1:1", **{"certificate-authority-data": data}).certificate_authority() == data
    assert connect("https://127.0.0.1:1").certificate_authority() == ""
