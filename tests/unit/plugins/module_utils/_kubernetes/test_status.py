# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing status: which failures end a cluster's writing, and how they are told."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue, NorthgateError, NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._core.status import Address, Publication
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import status
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.connection import RequestFailed
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.status import publish_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.writing import Access

NAMES = [f"shop-{number:03}" for number in range(100)]


class API:
    """API servers by kubeconfig, in place of Client and Connection. ``answers`` by name of the ingress: an exception, or nothing."""

    def __init__(self):
        self.answers, self.unreadable, self.written, self.opened = {}, {}, [], 0
        self.lock = threading.Lock()

    def client(self, kubeconfig, context, timeout):
        return _Client(self, kubeconfig)

    def connection(self, kubeconfig, context):
        return _Connection(self)


class _Client:
    def __init__(self, api, kubeconfig):
        self.api, self.kubeconfig = api, kubeconfig
        api.opened += 1

    def read(self, path, build, page_size):
        if self.kubeconfig in self.api.unreadable:
            raise self.api.unreadable[self.kubeconfig]
        return build(iter([{"metadata": {"namespace": "demo", "name": name, "resourceVersion": "1"}} for name in NAMES]))

    def close(self):
        self.api.opened -= 1


class _Connection:
    server = "https://api.example"

    def __init__(self, api):
        self.api = api
        api.opened += 1

    def request(self, method, path, timeout, query, body, **headers):
        name = path.split("/")[-2]
        if error := self.api.answers.get(name, self.api.answers.get("*")):
            raise error
        with self.api.lock:
            self.api.written.append(name)

    def close(self):
        self.api.opened -= 1


@pytest.fixture
def api(monkeypatch):
    found = API()
    monkeypatch.setattr(status, "Client", found.client)
    monkeypatch.setattr(status, "Connection", found.connection)
    yield found
    assert found.opened == 0


def publish(*clusters, timeout=20.0, check_mode=False):
    wanted = {f"demo/{name}": frozenset({Address("ip", "192.0.2.80")}) for name in NAMES}
    pairs = [(Access(cluster, cluster, None), Publication(cluster, wanted)) for cluster in clusters or ("alpha",)]
    found = publish_all(pairs, timeout, 500, check_mode)
    return found if clusters else found["alpha"]


def test_all_that_differs_is_written_once(api):
    outcome = publish()
    assert sorted(api.written) == NAMES
    assert (len(outcome.changes), outcome.unchanged, outcome.conflicts, outcome.failed) == (100, 0, 0, "")


def test_check_mode_tells_the_same_and_writes_nothing(api):
    assert publish(check_mode=True) == publish()
    assert sorted(api.written) == NAMES


def test_what_changed_or_went_away_meanwhile_is_no_failure(api):
    api.answers = {NAMES[3]: RequestFailed("changed", 409), NAMES[4]: RequestFailed("gone", 404)}
    outcome = publish()
    assert (len(outcome.changes), outcome.conflicts, outcome.failed) == (98, 1, "")
    assert not {NAMES[3], NAMES[4]} & {change.name.partition("/")[2] for change in outcome.changes}


def test_one_refused_ingress_does_not_stop_the_others(api):
    api.answers = {NAMES[5]: RequestFailed("is invalid", 422)}
    outcome = publish()
    assert len(outcome.changes) == 99
    assert outcome.failed == "1 of 100 changes were not made. https://api.example: is invalid"


@pytest.mark.parametrize("code, hint", [(403, "cluster_access_status"), (401, "cluster_access.yml"), (None, "reachable")])
def test_a_failure_that_would_repeat_itself_ends_the_writing(api, code, hint):
    tried = []
    error = RequestFailed("no", code)
    api.answers = {"*": error}
    original = _Connection.request

    def request(self, *arguments, **headers):
        tried.append(1)
        return original(self, *arguments, **headers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Connection, "request", request)
        outcome = publish()
    assert outcome.changes == () and len(tried) <= 8
    assert outcome.failed.startswith("100 of 100 changes were not made. https://api.example: no. ") and hint in outcome.failed


def test_writing_ends_with_the_time(api):
    outcome = publish(timeout=0.0)
    assert api.written == []
    assert outcome.failed == "100 of 100 changes were not made. https://api.example did not take them in time. Raise timeout"


def test_a_cluster_that_fails_stops_no_other(api):
    api.unreadable = {"beta": NotObserved("no answer", "Is it up?"), "gamma": KeyError("surprise"), "delta": ImportError("no kubernetes")}
    outcomes = publish("alpha", "beta", "gamma", "delta")
    assert len(outcomes["alpha"].changes) == 100
    assert outcomes["beta"].failed == "no answer. Is it up?"
    assert "KeyError" in outcomes["gamma"].failed and "defect" in outcomes["gamma"].failed
    assert "library kubernetes" in outcomes["delta"].failed


def test_nothing_to_tell_is_nothing_to_do(api):
    assert publish_all([], 1.0, 500, False) == {}


def test_access_names_cluster_and_key():
    assert Access.parse("alpha", {"kubeconfig": "/k", "asn": 1}) == Access("alpha", "/k", None)
    for options in ({}, {"kubeconfig": 3}, "x"):
        with pytest.raises(InvalidValue, match=r"clusters\.alpha\.kubeconfig: is missing"):
            Access.parse("alpha", options)
    with pytest.raises(NorthgateError, match="clusters.Alpha"):
        Access.parse("Alpha", {"kubeconfig": "/k"})
