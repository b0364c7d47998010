# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshot file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Ingress, Rule, Snapshot

SNAPSHOT = Snapshot("alpha", (Ingress("demo", "shop", "", "traefik", (Rule("a.example", "/", "Prefix"),)),))


def test_every_snapshot_survives_the_file(snapshot_lists):
    @given(snapshot_lists)
    def check(snapshots):
        for snapshot in snapshots:
            data = codec.dump(snapshot)
            assert codec.load(data, "test") == snapshot
            assert codec.dump(codec.load(data, "test")) == data

    check()


def test_the_order_of_objects_does_not_change_the_bytes():
    one, two = (Ingress("demo", name, "", "traefik", SNAPSHOT.ingresses[0].rules) for name in ("one", "two"))
    assert codec.dump(Snapshot("alpha", (one, two))) == codec.dump(Snapshot("alpha", (two, one)))


def edited(**changes):
    return json.dumps({**json.loads(codec.dump(SNAPSHOT)), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a snapshot"),
        (b"[]", "not a snapshot"),
        (b"\xff\xfe", "not a snapshot"),
        (edited(version=2), "snapshot version 2, this collection reads 1"),
        (edited(cluster="../../etc/passwd"), "no DNS label"),
        (edited(ingresses=[{"namespace": "demo"}]), "not a snapshot"),
        (edited(controllers=[{"class": "x", "endpoints": [{"address": "1.2.3.4\n", "port": 80}]}]), "not a snapshot"),
        (edited(quarantined=[{"object": 1, "field": "", "cause": ""}]), "is no text"),
    ],
)
def test_what_is_no_snapshot_is_refused_with_its_name_and_the_way_out(data, message):
    with pytest.raises(SnapshotError, match=message) as refused:
        codec.load(data, "snapshot of cluster alpha")
    assert "snapshot of cluster alpha" in str(refused.value)
    assert "Observe the cluster again" in str(refused.value)


@given(st.binary())
def test_no_bytes_raise_anything_else(data):
    with pytest.raises(SnapshotError):
        codec.load(data, "test")
