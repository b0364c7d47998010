# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of pods and nodes."""
from __future__ import annotations

import pytest
from agent.lab_agent import container, status

ADDRESSES, NODE = ["10.100.1.2", "fd64::2"], ["10.90.0.21", "fd90::21"]


def pod_status(pod, ready, now="now"):
    return status.pod_status(pod, [{"name": "c", "ready": ready}], [None], ADDRESSES, NODE, now)


def condition(found, kind):
    return next(entry for entry in found["conditions"] if entry["type"] == kind)


def test_ready_follows_the_containers_and_keeps_its_time():
    first = pod_status({}, False, "1")
    second = pod_status({"status": first}, True, "2")
    third = pod_status({"status": second}, True, "3")
    assert [condition(found, "Ready")["status"] for found in (first, second, third)] == ["False", "True", "True"]
    assert condition(third, "Ready")["lastTransitionTime"] == "2"
    assert third["startTime"] == "1"


def test_conditions_of_others_stay():
    other = {"type": "example.test/gate", "status": "True", "lastTransitionTime": "0"}
    assert other in pod_status({"status": {"conditions": [other]}}, True)["conditions"]


def test_both_families_are_told():
    found = pod_status({}, True)
    assert found["podIPs"] == [{"ip": "10.100.1.2"}, {"ip": "fd64::2"}]
    assert found["hostIPs"] == [{"ip": "10.90.0.21"}, {"ip": "fd90::21"}]


def test_a_later_clock_alone_is_no_news():
    first, second = pod_status({}, True, "1"), pod_status({"status": {"startTime": "1"}}, True, "2")
    assert status.without_times(first) == status.without_times(second)


@pytest.mark.parametrize(("codes", "phase"), [
    ([None, 0], "Running"), ([0, 0], "Succeeded"), ([0, 1], "Failed"),
])
def test_phase(codes, phase):
    assert status.phase(codes) == phase


def test_a_node_is_ready_with_all_its_addresses():
    facts = {"cpus": 1, "memory": "500", "machine": "m", "boot": "b", "kernel": "k", "os": "o"}
    found = status.node_status(NODE, "w1", facts, "now")
    assert [entry["address"] for entry in found["addresses"]] == [*NODE, "w1"]
    assert condition(found, "Ready")["status"] == "True"


def test_back_off_is_kubelets():
    assert [container.restart_delay(count) for count in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
