# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order the API lists objects, and the controller ships clusters and certificates, never matters."""

from __future__ import annotations

import random
import time
import typing as t
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from northgate_fuzz import cases, wishes

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import Known, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import certificates

CURRENT, CERTIFICATES = "/etc/haproxy/northgate/current", "/etc/haproxy/northgate/certs"


def shuffled(objects: dict[str, t.Any], order: random.Random) -> dict[str, t.Any]:
    """The objects in another order, and the endpoints in their slices. Rules stay: of two equal ones the first counts."""
    endpoints = [{**one, "endpoints": _shuffled(one["endpoints"], order)} for one in objects["endpointslices"]]
    found = {**objects, "endpointslices": endpoints}
    return {kind: _shuffled(of, order) if isinstance(of, list) else of for kind, of in found.items()}


def _shuffled(values: t.Iterable[t.Any], order: random.Random) -> list[t.Any]:
    found = list(values)
    order.shuffle(found)
    return found


def _inside_out(snapshot: Snapshot, order: random.Random) -> Snapshot:
    fields = ("ingresses", "pools", "certificates", "quarantined")
    return replace(snapshot, **{name: tuple(_shuffled(getattr(snapshot, name), order)) for name in fields})


def test_order_of_input_changes_neither_snapshots_nor_state_nor_files(pem):
    secrets = wishes.secrets(pem)
    texts = {"ours.pem": pem("b.test", "*.test"), "a.pem": pem("a.test", days=90), "rsa.pem": pem("a.test", "*.test", rsa_key=True)}
    ours = [certificates.read(text, name) for name, text in texts.items()]

    @cases()
    @given(wishes.wishes, wishes.edges(int(time.time())), st.integers(0, 2**32))
    def check(world, edge, seed):
        order = random.Random(seed)

        def outcome(arranged: t.Callable[[dict[str, t.Any]], t.Any], clusters: t.Iterable[str], of_operator: list[Certificate]) -> t.Any:
            raw = {c: arranged(wishes.objects(world, c, 8080, secrets)) for c in clusters}
            snapshots = [wishes.observed(c, raw[c], world[c]["default_backend"]) for c in clusters]
            files = {s.cluster: codec.dump(s) for s in snapshots}
            if of_operator is not ours:
                snapshots = [_inside_out(snapshot, order) for snapshot in snapshots]
            state = ingress_state(snapshots, edge, of_operator)
            laid_out = layout(state, Options(passthrough=True), Known(), CERTIFICATES)
            return files, state, laid_out, render(laid_out, CURRENT, CERTIFICATES)

        expected = outcome(lambda objects: objects, sorted(world), ours)
        assert outcome(lambda objects: shuffled(objects, order), _shuffled(world, order), _shuffled(ours, order)) == expected

    check()
