# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots for property tests: small worlds, so that objects meet."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
    Endpoint,
    Ingress,
    IngressController,
    Quarantined,
    Rule,
    Snapshot,
)

CLUSTERS = ("alpha", "beta", "gamma")
CLASSES = ("nginx", "traefik")

rules = st.builds(
    Rule,
    host=st.sampled_from(["a.example", "b.example", "a.b.example"]),
    path=st.sampled_from(["/", "/foo", "/foo/bar", "/foobar"]),
    path_type=st.sampled_from(["Exact", "Prefix"]),
)
endpoints = st.builds(
    Endpoint,
    address=st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]),
    port=st.sampled_from([80, 8000]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
)
ingresses = st.builds(
    Ingress,
    namespace=st.sampled_from(["demo", "shop"]),
    name=st.sampled_from(["one", "two", "three"]),
    created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    ingress_class=st.sampled_from([*CLASSES, "foreign"]),
    rules=st.lists(rules, min_size=1, max_size=4, unique=True).map(lambda found: tuple(sorted(found))),
)


def _controller(ingress_class):
    unique = st.lists(endpoints, max_size=4, unique_by=lambda e: (e.address, e.port))
    return unique.map(lambda found: IngressController(ingress_class, tuple(sorted(found))))


def _snapshot(cluster):
    return st.builds(
        Snapshot,
        cluster=st.just(cluster),
        ingresses=st.lists(ingresses, max_size=6, unique_by=lambda i: (i.namespace, i.name)).map(
            lambda found: tuple(sorted(found, key=lambda i: (i.namespace, i.name)))
        ),
        controllers=st.tuples(*(_controller(name) for name in CLASSES)),
        quarantined=st.just((Quarantined(cluster, "Ingress demo/bad", "spec", "cause"),)),
    )


@pytest.fixture(scope="session")
def snapshot_lists():
    """Strategy: one snapshot for each of up to three clusters."""
    return st.sets(st.sampled_from(CLUSTERS)).flatmap(
        lambda clusters: st.tuples(*(_snapshot(cluster) for cluster in sorted(clusters)))
    )
