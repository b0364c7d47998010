# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of services: what is to be written, what a fresh look stops, and events."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.assign import Problem
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Service, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import service_status
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.connection import RequestFailed
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.service_status import (
    MOST_EVENTS, Task, change_of, event, release_of, shown, write_all,
)
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

POOLS = AddressPools.parse({"public": {"addresses": ["192.0.2.0/24", "2001:db8::/64"]}})
PORTS = [{"port": 25, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
SMTP = Service("mail", "smtp", "2026-01-01T00:00:00Z", (ServicePort("TCP", 25), ServicePort("UDP", 53)))
V4, V6 = ({"ip": address, "ipMode": "VIP", "ports": PORTS} for address in ("192.0.2.1", "2001:db8::1"))
FOREIGN = [{"ip": "198.51.100.1"}, {"hostname": "lb.example"}, "rubbish", {"ip": 7}]


def change(before, *addresses):
    return change_of("alpha", SMTP, addresses, before, POOLS)


def test_addresses_are_written_with_mode_and_ports_before_what_is_somebody_elses():
    found = change([*FOREIGN, {"ip": "192.0.2.9"}], "192.0.2.1", "2001:db8::1")
    assert found.after == [V4, V6, *FOREIGN] and found.gives and found.ours
    assert change([*FOREIGN, V4]).after == FOREIGN and not change([V4]).gives
    assert str(change([V4], "192.0.2.1", "2001:db8::1")) == "alpha: mail/smtp: 192.0.2.1 -> 192.0.2.1, 2001:db8::1"
    assert str(change([], "192.0.2.1")) == "alpha: mail/smtp: none -> 192.0.2.1"


@pytest.mark.parametrize(
    "before",
    [
        [V4, V6],
        [V4, *FOREIGN, V6],
        # An API server before 1.30 leaves ipMode out, and one may order ports in its way.
        [{"ip": "192.0.2.1", "ports": PORTS}, {**V6, "ports": PORTS[::-1]}],
        [{**V4, "ip": "192.0.2.1"}, {**V6, "ip": "2001:DB8::1".lower()}],
    ],
)
def test_a_status_that_is_right_is_left(before):
    assert change(before, "192.0.2.1", "2001:db8::1") is None


@pytest.mark.parametrize("before", [[V6, V4], [V4], [{**V4, "ipMode": "Proxy"}, V6], [{**V4, "ports": PORTS[:1]}, V6], [V4, V6, {"ip": "192.0.2.7"}], []])
def test_a_status_that_is_not_right_is_written(before):
    assert change(before, "192.0.2.1", "2001:db8::1").after == [V4, V6]


def test_a_change_of_ports_is_told_as_such():
    found = change([{**V4, "ports": PORTS[:1]}], "192.0.2.1")
    assert str(found) == "alpha: mail/smtp: 192.0.2.1: 25/TCP -> 25/TCP, 53/UDP"
    assert shown(found.before) == "192.0.2.1 25/TCP" and shown([]) == "none"


def test_of_a_service_that_is_not_ours_any_more_only_our_addresses_go():
    found = release_of("alpha", "mail/old", [V4, *FOREIGN], POOLS)
    assert found.after == FOREIGN and not found.ours and not found.gives
    assert release_of("alpha", "mail/old", FOREIGN, POOLS) is None


class API:
    """An API server in place of Connection. ``answers`` by the last word of the path or of the query: an exception."""

    server = "https://api.example"

    def __init__(self):
        self.items, self.answers, self.requests, self.opened = {}, {}, [], 0

    def __call__(self, kubeconfig, context):
        if "*" in self.answers:
            raise self.answers["*"]
        self.opened += 1
        return self

    def request(self, method, path, timeout, query, body=None, **headers):
        self.requests.append((method, path, body))
        if error := self.answers.get(method):
            raise error
        if method == "get":
            name = query["fieldSelector"].removeprefix("metadata.name=")
            return {"items": [self.items[name]] if name in self.items else []}
        return {}

    def close(self):
        self.opened -= 1

    def written(self, method):
        return [(path, body) for verb, path, body in self.requests if verb == method]


def raw(name="smtp", entries=(), **spec):
    metadata = {"namespace": "mail", "name": name, "resourceVersion": "7", "uid": "u"}
    return {"metadata": metadata, "spec": {"type": "LoadBalancer", **spec}, "status": {"loadBalancer": {"ingress": list(entries)}}}


@pytest.fixture
def api(monkeypatch):
    found = API()
    found.items = {"smtp": raw()}
    monkeypatch.setattr(service_status, "Connection", found)
    yield found
    assert found.opened == 0


def write(changes=(), problems=(), timeout=20.0, check_mode=False):
    task = Task(ClusterSource("alpha", "/kubeconfig", None), tuple(changes), tuple(problems), 3)
    return write_all([task], timeout, check_mode)["alpha"]


def problem(message="the pool public has no free IPv4 address", name="mail/smtp"):
    return Problem("alpha", name, "AddressPoolExhausted", message, "Service of a stranger")


def test_a_status_is_written_with_the_version_that_was_looked_at(api):
    outcome = write([change([], "192.0.2.1")])
    patch = {"metadata": {"resourceVersion": "7"}, "status": {"loadBalancer": {"ingress": [V4]}}}
    assert api.written("patch") == [("/api/v1/namespaces/mail/services/smtp/status", patch)]
    assert (len(outcome.changes), outcome.unchanged, outcome.conflicts, outcome.failed, outcome.warning) == (1, 3, 0, "", "")


def test_check_mode_and_nothing_to_do_ask_nobody(api):
    assert len(write([change([], "192.0.2.1")], [problem()], check_mode=True).changes) == 1
    assert write().unchanged == 3
    assert api.requests == []


@pytest.mark.parametrize(
    "fresh",
    [
        raw(type="ClusterIP"), raw(loadBalancerClass="example.com/other"), raw(entries=[V4]),
        {**raw(), "metadata": {**raw()["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)  # fmt: skip
def test_a_service_that_changed_meanwhile_is_for_the_next_run(api, fresh):
    api.items = {"smtp": fresh}
    outcome = write([change([], "192.0.2.1")])
    assert (outcome.changes, outcome.conflicts, outcome.failed, api.written("patch")) == ((), 1, "", [])


def test_a_service_that_became_ours_again_is_not_released(api):
    api.items = {"smtp": raw(entries=[V4])}
    released = release_of("alpha", "mail/smtp", [V4], POOLS)
    assert write([released]).conflicts == 1
    api.items = {"smtp": raw(entries=[V4], type="ClusterIP")}
    assert write([released]).changes == (released,)


def test_a_conflict_and_a_service_that_is_gone_are_no_failures(api):
    api.answers = {"patch": RequestFailed("changed", 409)}
    assert (write([change([], "192.0.2.1")]).conflicts, api.items.clear()) == (1, None)
    outcome = write([change([], "192.0.2.1")])
    assert (outcome.changes, outcome.conflicts, outcome.failed) == ((), 0, "")


def test_failures_are_told_with_the_way_out_and_events_are_tried_all_the_same(api):
    api.answers = {"patch": RequestFailed("services is forbidden", 403)}
    outcome = write([change([], "192.0.2.1")], [problem()])
    assert outcome.failed.startswith("1 of 1 changes were not made. https://api.example: services is forbidden.") and "cluster_access_status" in outcome.failed
    assert len(api.written("post")) == 1


def test_an_event_is_written_for_each_problem_and_one_that_is_there_is_well(api):
    outcome = write(problems=[problem(), problem("another")])
    bodies = [body for _path, body in api.written("post")]
    assert [path for path, _body in api.written("post")] == ["/api/v1/namespaces/mail/events"] * 2
    assert len({body["metadata"]["name"] for body in bodies}) == 2
    assert bodies[0]["involvedObject"]["uid"] == "u" and "stranger" not in str(bodies)
    assert (outcome.failed, outcome.warning, outcome.changes) == ("", "", ())
    api.answers = {"post": RequestFailed("already exists", 409)}
    api.requests.clear()
    assert write(problems=[problem(), problem("another")]).warning == "" and len(api.written("post")) == 2


def test_events_that_can_not_be_written_only_warn(api):
    api.answers = {"post": RequestFailed("events is forbidden", 403)}
    outcome = write([change([], "192.0.2.1")], [problem()])
    assert len(outcome.changes) == 1 and outcome.failed == ""
    assert outcome.warning.startswith("events: 1 of 1 changes were not made.") and "cluster_access" in outcome.warning
    api.answers = {"*": NorthgateError("kubeconfig can't be used")}
    assert (write(problems=[problem()]).failed, write(problems=[problem()]).warning) == ("", "kubeconfig can't be used")
    assert write([change([], "192.0.2.1")], [problem()]).failed == "kubeconfig can't be used"


def test_not_every_service_of_very_many_gets_an_event_in_a_run(api):
    names = [f"s{number}" for number in range(MOST_EVENTS + 5)]
    api.items = {name: raw(name) for name in names}
    write(problems=[problem(name=f"mail/{name}") for name in names])
    assert len(api.written("post")) == MOST_EVENTS


def test_no_time_left_is_told(api):
    assert "did not take them in time. Raise timeout" in write([change([], "192.0.2.1")], timeout=0.0).failed


def test_the_name_of_an_event_is_that_of_what_it_says():
    one = event(problem(), "u", "2026-01-01T00:00:00Z")
    assert event(problem(), "u", "2026-01-02T00:00:00Z")["metadata"] == one["metadata"]
    others = [event(problem(), "v", "now"), event(problem("else"), "u", "now")]
    assert len({found["metadata"]["name"] for found in [one, *others]}) == 3
    assert one["type"] == "Warning" and one["reason"] == "AddressPoolExhausted" and one["metadata"]["name"].startswith("smtp.")
