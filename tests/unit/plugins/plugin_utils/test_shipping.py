# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shipped to a router: the clusters and certificates of its group, and nothing else."""

from __future__ import annotations

import pytest
from northgate_lab.credentials import Authority

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.plugin_utils.shipping import ShippingAction


@pytest.fixture
def ship(tmp_path):
    """The documents of a task by what they are of; ``certificates`` is the name of a directory."""
    authority = Authority(tmp_path, "test")
    for cluster in ("alpha", "beta"):
        (tmp_path / f"{cluster}.json").write_bytes(codec.dump(Snapshot(cluster)))
    for group in ("edge-a", "edge-b"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "own.pem").write_bytes(b"".join(authority.issue(group, [f"{group}.example"])))

    def ship(certificates, *clusters):
        action = object.__new__(ShippingAction)
        arguments = {"clusters": list(clusters), "snapshots": str(tmp_path), "certificates": str(tmp_path / certificates)}
        _told, contents = action._documents(arguments)
        return [codec.load(data, "document") for data in contents.values()]

    return ship


def test_nothing_of_other_clusters_or_groups_is_shipped(ship):
    documents = ship("edge-b", "beta")
    assert sorted(document.cluster for document in documents) == ["beta", "certificates"]
    assert [certificate.names for document in documents for certificate in document.certificates] == [("edge-b.example",)]


def test_groups_take_turns_without_reading_all_certificates_anew(ship, tmp_path):
    for _time in range(2):
        for group in ("edge-a", "edge-b"):
            [(names,)] = [[c.names for c in document.certificates] for document in ship(group)]
            assert names == (f"{group}.example",)
        caches = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".certificates-*")}
        assert len(caches) == 2
    for group in ("edge-a", "edge-b"):
        ship(group)
    assert caches == {path: path.stat().st_mtime_ns for path in tmp_path.glob(".certificates-*")}
