# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots for property tests: small worlds, so that objects meet."""

from __future__ import annotations

import base64

import pytest
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
    PROTOCOLS,
    Certificate,
    Endpoint,
    Ingress,
    Path,
    Pool,
    PoolTls,
    Quarantined,
    Rule,
    Snapshot,
    Tls,
)
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, NONE, Policy

CLUSTERS = ("alpha", "beta", "gamma")
NAMESPACES = ("demo", "shop")
POOLS = ("class/nginx", "class/traefik", "service/demo/echo/80", "service/demo/echo/web", "service/shop/cart/http")
HOSTS = ("", "*.example", "*.b.example", "a.example", "b.example", "a.b.example")


def fake_pem(text: str) -> str:
    """PEM by its form only: a certificate and a key that say ``text``."""
    body = base64.b64encode(text.encode()).decode()
    return "".join(f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n" for kind in ("CERTIFICATE", "PRIVATE KEY"))


def lists(elements, **options):
    """Sorted tuples, as the model's canonical form wants them."""
    return st.lists(elements, **options).map(lambda found: tuple(sorted(found)))


rules = st.builds(
    Rule,
    host=st.sampled_from(HOSTS),
    path=st.sampled_from(["/", "/foo", "/foo/bar", "/foobar", "/a/b/c"]),
    path_type=st.sampled_from(["Exact", "Prefix"]),
)
paths = st.builds(Path, rule=rules, pool=st.sampled_from(POOLS))
endpoints = st.builds(
    Endpoint,
    address=st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]),
    port=st.sampled_from([80, 8000]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
)
endpoint_lists = lists(endpoints, max_size=4, unique_by=lambda e: (e.address, e.port))
networks = st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]), max_size=2, unique=True).map(lambda found: tuple(sorted(found)))
policies = st.one_of(
    st.just(NONE),
    st.just(CLOSED),
    st.builds(
        Policy,
        redirect=st.sampled_from([None, True, False]),
        hsts=st.sampled_from(["", "off", "max-age=300", "max-age=31536000; includeSubDomains; preload"]),
        allow=networks,
        deny=networks,
        rate_limit=st.sampled_from([0, 5, 600]),
        rate_unit=st.sampled_from(["s", "m"]),
        max_body=st.sampled_from([0, 1024, 8 << 20]),
        timeout_server=st.sampled_from([0, 5000]),
        timeout_tunnel=st.sampled_from([0, 3600000]),
        affinity=st.booleans(),
        users=st.sampled_from([(), ("A" * 64,), ("0" * 64, "F" * 64)]),
        rewrite=st.sampled_from(["", "/", "/new"]),
    ),
)
pool_tls = st.builds(
    PoolTls,
    authority=st.sampled_from(["", fake_pem("authority").partition("-----BEGIN PRIVATE")[0]]),
    client_certificate=st.sampled_from(["", fake_pem("client")]),
    server_name=st.sampled_from(["", "pods.example"]),
    verify=st.booleans(),
)


def _certificate(source, names, key_type, dates):
    return Certificate(source, names, key_type, *dates, fake_pem(f"{source} {names} {key_type} {dates}"))


# One is expired, one not yet valid, and some end alike.
_DATES = [(0, 1_000), (0, 2_000_000_000), (0, 2_100_000_000), (1_900_000_000, 2_000_000_000)]


def certificates(sources):
    """At most one certificate for each source."""
    one = st.builds(
        _certificate,
        source=st.sampled_from(sources),
        names=st.lists(st.sampled_from(HOSTS[1:]), min_size=1, max_size=2, unique=True).map(lambda found: tuple(sorted(found))),
        key_type=st.sampled_from(["ecdsa", "rsa"]),
        dates=st.sampled_from(_DATES),
    )
    return lists(one, max_size=4, unique_by=lambda certificate: certificate.source)


def _ingress(found):
    """An ingress of one of the namespaces, whose tls entries name the certificates ``found``."""
    by_namespace = {namespace: [c.source for c in found if c.source.startswith(f"Secret {namespace}/")] for namespace in NAMESPACES}

    def of(namespace):
        sources = by_namespace[namespace]
        tls = st.builds(
            Tls,
            hosts=st.lists(st.sampled_from(HOSTS[1:]), max_size=2, unique=True).map(lambda hosts: tuple(sorted(hosts))),
            certificate=st.sampled_from(sources or [""]),
        )
        return st.builds(
            Ingress,
            namespace=st.just(namespace),
            name=st.sampled_from(["one", "two", "three"]),
            created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
            ingress_class=st.sampled_from(["nginx", "traefik"]),
            paths=lists(paths, max_size=4, unique_by=lambda path: path.rule),
            default_pool=st.sampled_from(["", "", *POOLS]),
            policy=policies,
            canary_weight=st.sampled_from([None, None, None, 0, 20, 100]),
            passthrough=st.sampled_from([False, False, True]),
            tls=lists(tls, max_size=2) if sources else st.just(()),
            groups=st.sampled_from([(), (), ("edge-a",), ("edge-a", "edge-b")]),
        )

    return st.sampled_from(NAMESPACES).flatmap(of)


def _pool(name):
    return st.builds(
        Pool,
        name=st.just(name),
        endpoints=endpoint_lists,
        protocol=st.sampled_from(PROTOCOLS),
        proxy_protocol=st.booleans(),
        tls=pool_tls,
        passthrough=endpoint_lists,
    )


def _snapshot(cluster):
    sources = [f"Secret {namespace}/{name}" for namespace in NAMESPACES for name in ("cert", "other")]
    return certificates(sources).flatmap(
        lambda found: st.builds(
            Snapshot,
            cluster=st.just(cluster),
            ingresses=st.lists(_ingress(found), max_size=6, unique_by=lambda i: (i.namespace, i.name)).map(
                lambda ingresses: tuple(sorted(ingresses, key=lambda i: (i.namespace, i.name)))
            ),
            pools=st.tuples(*(_pool(name) for name in POOLS)),
            certificates=st.just(found),
            default_pool=st.sampled_from(["", *POOLS]),
            quarantined=st.just((Quarantined(cluster, "Ingress demo/bad", "spec", "cause"),)),
        )
    )


@pytest.fixture(scope="session")
def snapshot_lists():
    """Strategy: one snapshot for each of up to three clusters."""
    return st.sets(st.sampled_from(CLUSTERS)).flatmap(lambda clusters: st.tuples(*(_snapshot(cluster) for cluster in sorted(clusters))))


@pytest.fixture(scope="session")
def certificate_lists():
    """Strategy: certificates of the operator's directory."""
    return certificates(["/pem/one.pem", "/pem/two.pem", "/pem/three.pem"])
