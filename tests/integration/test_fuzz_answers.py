# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the real haproxy answers is what the Ingress objects say, in random worlds that change under it."""

from __future__ import annotations

import dataclasses
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from northgate_fuzz import cases, reference, worlds
from northgate_fuzz.proxy import Client, Pods
from ports import free_port

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import OPEN_SCOPE, PATH_SCOPE, EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import ingress
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge


@pytest.fixture
def all_pods(tmp_path):
    pods = Pods(tmp_path, worlds.EVERY_POD, free_port())
    try:
        pods.await_first(worlds.EVERY_POD[0])
        yield pods
    finally:
        pods.stop()


def sent_on(target: str) -> str:
    """What pods are asked for: the path in its normal form, and the query as it is."""
    path, mark, query = target.partition("?")
    return reference.normal(path) + mark + query


def expected(world: t.Any, host: str, path: str, tenants_share: bool) -> tuple[int, set[str]]:
    """The status and the pods that may answer, by the reference."""
    services = reference.answering(world, reference.normal_host(host), reference.normal(path.partition("?")[0]), tenants_share)
    ready = {pod for service in services for pod in worlds.pods(world, service)}
    return (200 if ready else 503 if services else 404), ready


def answered(client: Client, host: str, path: str, ready: set[str]) -> tuple[set[int], set[str]]:
    """All statuses and pods; asks until each of ``ready`` has answered, but not for ever."""
    statuses, pods = set(), set()
    deadline = time.monotonic() + 20
    while True:
        status, body = client.get(host, path)
        statuses.add(status)
        if status == 200:
            pod, target = body.split(" ", 1)
            assert target == sent_on(path)
            pods.add(pod)
        # One may be down for a moment, where this machine was too slow for a health check.
        if pods >= ready or not pods <= ready or time.monotonic() > deadline:
            return statuses, pods


def test_haproxy_answers_as_the_ingresses_say(haproxy, all_pods, monkeypatch):
    # Most of the time that a case takes; test_fuzz_hostile.py has the candidates checked.
    monkeypatch.setattr(ingress.IngressAdapter, "_check", lambda adapter, layout: None)
    monkeypatch.setattr("os.fsync", lambda file: None)
    client = Client(haproxy.http)
    options = dataclasses.replace(haproxy.options, spare_backends=64)
    converged = []

    @cases()
    @given(worlds.worlds, worlds.requests, st.booleans())
    def check(world, requests, tenants_share):
        edge = EdgeOptions(claim_scope=OPEN_SCOPE if tenants_share else PATH_SCOPE)
        state = ingress_state(worlds.snapshots(world, all_pods.port), edge)
        adapter = haproxy.adapter
        outcome = converge(adapter, lambda current: adapter.wanted(current, state, options), False)
        adapter.delete_drained(outcome.wanted)
        assert outcome.reload_reason == "" or not converged
        converged.append(True)
        for host, path in requests:
            status, ready = expected(world, host, path, tenants_share)
            assert answered(client, host, path, ready) == ({status}, ready), (host, path)

    check()
    client.close()
