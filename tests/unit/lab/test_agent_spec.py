# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Pod object asks for: environment, command and ports."""
from __future__ import annotations

import pytest
from agent.lab_agent import spec

POD = {"metadata": {"name": "echo-1", "namespace": "demo", "uid": "u"}, "spec": {"nodeName": "w1"}}
ADDRESSES, NODE = ["10.100.1.2", "fd64::2"], ["10.90.0.21", "fd90::21"]


def container(**more):
    return {"name": "echo", "command": ["/opt/lab/echo"], **more}


@pytest.mark.parametrize(("path", "value"), [
    ("metadata.name", "echo-1"), ("metadata.namespace", "demo"), ("spec.nodeName", "w1"),
    ("status.podIP", "10.100.1.2"), ("status.podIPs", "10.100.1.2,fd64::2"), ("status.hostIP", "10.90.0.21"),
])
def test_downward_fields(path, value):
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert spec.environment(POD, container(env=env), ADDRESSES, NODE, {}) == {"X": value}


@pytest.mark.parametrize("source", [{"fieldRef": {"fieldPath": "metadata.labels"}}, {"secretKeyRef": {"name": "s"}}])
def test_other_sources_are_refused_by_name(source):
    with pytest.raises(ValueError, match="not supported|only"):
        spec.environment(POD, container(env=[{"name": "X", "valueFrom": source}]), ADDRESSES, NODE, {})


@pytest.mark.parametrize(("text", "expanded"), [
    ("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("", ""),
])
def test_references_expand_as_in_kubernetes(text, expanded):
    assert spec.expand(text, {"A": "1"}) == expanded


def test_a_variable_may_refer_to_an_earlier_one():
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}]
    assert spec.environment(POD, container(env=env), ADDRESSES, NODE, {})["B"] == "12"


def test_command_and_arguments_are_joined_and_expanded():
    assert spec.command(container(args=["--pod=$(POD)"]), {"POD": "p"}) == ["/opt/lab/echo", "--pod=p"]


@pytest.mark.parametrize("command", [[], ["echo"]])
def test_a_command_must_be_absolute(command):
    with pytest.raises(ValueError, match="absolute"):
        spec.command({"name": "echo", "command": command}, {})


def test_ports_by_number_and_by_name():
    named = container(ports=[{"name": "web", "containerPort": 8000}])
    assert (spec.port_number(named, 80), spec.port_number(named, "web")) == (80, 8000)
    with pytest.raises(ValueError, match="no port"):
        spec.port_number(named, "other")
