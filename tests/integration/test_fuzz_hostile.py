# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile objects and files: no exception, no line of theirs in ours, no file outside, nothing that haproxy refuses."""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from northgate_fuzz import api, balancing, cases, grammar, hostile, wishes

from ansible_collections.northgate.edge.plugins.module_utils._core import codec, syntax
from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import OPEN_SCOPE, EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError, NotObserved, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.ingress import IngressAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import FILES, Known, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge

BASE = "defaults ng_defaults\n    mode http\n    timeout connect 1s\n    timeout client 10s\n    timeout server 10s\n"
OPTIONS = Options(("127.0.0.1:1",), ("127.0.0.1:2",), passthrough=True, spare_backends=16)
EDGE = EdgeOptions(claim_scope=OPEN_SCOPE, passthrough=True, now=int(time.time()))
CURRENT, CERTIFICATES = "/etc/haproxy/northgate/current", "/etc/haproxy/northgate/certs"
EMPTY = render(layout(ingress_state([], EDGE), OPTIONS, Known(), CERTIFICATES), CURRENT, CERTIFICATES)
# So many cases' snapshots make one configuration, for haproxy takes its time to check one.
AT_ONCE = 20


class Router:
    """A router on which no haproxy runs: the files are written, after haproxy has checked them."""

    def __init__(self, root: t.Any) -> None:
        self._root = root
        (root / "conf.d").mkdir(parents=True)
        (root / "haproxy.cfg").write_text("")
        (root / "conf.d" / "00.cfg").write_text(BASE)
        self._adapter = IngressAdapter(str(root), str(root / "none.sock"), str(root / "none.sock"))
        self._before = self._outside()
        self._waiting: list[Snapshot] = []

    def take(self, snapshot: Snapshot) -> None:
        """Adds a cluster to the next configuration."""
        assert not strange(snapshot)
        self._waiting.append(replace(snapshot, cluster=f"c{len(self._waiting)}"))
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        snapshots, self._waiting = self._waiting, []
        state = ingress_state(snapshots, EDGE)
        # All has been written and checked by then.
        with pytest.raises(ConvergeError, match="haproxy does not answer on .*none.sock"):
            converge(self._adapter, lambda current: self._adapter.wanted(current, state, OPTIONS), False)
        ours = self._root / "northgate"
        assert self._outside() == self._before
        assert {entry.name for entry in (ours / "current").iterdir()} == set(FILES)
        assert all(grammar.is_name_of_pem(entry.name) for entry in (ours / "certs").glob("*"))

    def _outside(self) -> set[str]:
        """All files beside our directory, but for the link to our configuration."""
        found = {os.path.join(place, name) for place, _directories, names in os.walk(self._root.parent) for name in names}
        return {path for path in found if not path.startswith(str(self._root / "northgate") + "/")} - {str(self._root / "conf.d" / "50-northgate-ingress.cfg")}


def strange(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Lines in the files of a snapshot, alone, that are none of ours."""
    laid_out = layout(ingress_state([snapshot], EDGE), OPTIONS, Known(), CERTIFICATES)
    assert all(grammar.is_name_of_pem(name) and syntax.is_pem(text) for name, text in laid_out.pems.items())
    return grammar.strangers(render(laid_out, CURRENT, CERTIFICATES), EMPTY, CERTIFICATES)


seeds = st.integers(0, 2**32)


def test_hostile_objects_are_served_or_quarantined(tmp_path_factory, pem):
    router, secrets = Router(tmp_path_factory.mktemp("router") / "etc"), wishes.secrets(pem)

    @cases()
    @given(wishes.wishes, seeds, st.integers(1, 10))
    def check(world, seed, number):
        cluster = sorted(world)[0]
        objects = hostile.spoiled(wishes.objects(world, cluster, 8080, secrets), seed, number)
        try:
            snapshot = wishes.observed(cluster, objects)
        except NotObserved as error:
            # The one Service that the operator named.
            assert "ingress class controller" in error.message
            return
        assert codec.load(codec.dump(snapshot), "its file") == snapshot
        assert all(str(one).isprintable() and len(str(one)) < 2000 for one in snapshot.quarantined)
        router.take(snapshot)

    check()
    router.flush()


def balanced(services, slices, nodes):
    """What is observed of a hostile tenant's objects beside a good service."""
    objects = {"services": [*services, balancing.service("good")], "endpointslices": slices, "nodes": nodes}
    return api.observed("alpha", objects, [balancing.POOL])


def test_hostile_services_and_nodes_are_served_held_or_quarantined():
    @cases()
    @given(balancing.objects, seeds, st.integers(1, 10))
    def check(objects, seed, number):
        found = balanced(*hostile.spoiled(objects, seed, number))
        balancing.check(found.snapshot)
        assert all(str(one).isprintable() and len(str(one)) < 2000 for one in found.snapshot.quarantined)
        assert not {one.name: one.held for one in found.snapshot.services}["good"]
        assert "demo/good" in json.loads(found.services.dump())["statuses"]

    check()


def test_edited_services_and_nodes_are_refused_or_harmless():
    @cases()
    @given(balancing.objects, seeds, st.integers(1, 2))
    def check(objects, seed, number):
        document = json.loads(codec.dump(balanced(*objects).snapshot))
        only = {key: document[key] for key in ("services", "nodes")}
        edited = {**document, **dict(zip(only, hostile.spoiled(list(only.values()), seed, number)))}
        try:
            snapshot = codec.load(json.dumps(edited).encode(), "an edited file")
        except SnapshotError:
            return
        balancing.check(replace(snapshot, services=tuple(sorted(snapshot.services)), nodes=tuple(sorted(snapshot.nodes))))

    check()


def test_an_edited_snapshot_is_refused_or_harmless(tmp_path_factory, pem):
    router, secrets = Router(tmp_path_factory.mktemp("router") / "etc"), wishes.secrets(pem)

    @cases()
    @given(wishes.wishes, seeds, st.integers(1, 2))
    def check(world, seed, number):
        cluster = sorted(world)[0]
        document = json.loads(codec.dump(wishes.observed(cluster, wishes.objects(world, cluster, 8080, secrets))))
        try:
            snapshot = codec.load(json.dumps(hostile.spoiled([document], seed, number)[0]).encode(), "an edited file")
        except SnapshotError:
            return
        router.take(snapshot)

    check()
    router.flush()
