# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing that is not canonical enters the model, whichever way it comes."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
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

PEM = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


def certificate(**changes):
    return Certificate(**{"source": "Secret demo/a", "names": ("a.example",), "key_type": "rsa", "not_before": 0, "not_after": 1, "pem": PEM, **changes})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Rule("A.example", "/", "Prefix"), "host"),
        (lambda: Rule("a.*.example", "/", "Prefix"), "host"),
        (lambda: Rule("a.example", "/%41", "Prefix"), "path"),
        (lambda: Rule("a.example", "/foo/", "Prefix"), "path"),
        (lambda: Rule("a.example", "/", "ImplementationSpecific"), "pathType"),
        (lambda: Path(Rule("a.example", "/", "Prefix"), "class/a b"), "pool"),
        (lambda: Tls(("bad host",), "x"), "spec.tls.hosts"),
        (lambda: Ingress("../etc", "a", "", "c"), "metadata.namespace"),
        (lambda: Ingress("demo", "a\nb", "", "c"), "metadata.name"),
        (lambda: Ingress("demo", "a", "", ""), "spec.ingressClassName"),
        (lambda: Ingress("demo", "a", "", "c", default_pool="c"), "default_pool"),
        (lambda: Ingress("demo", "a", "", "c", canary_weight=101), "canary-weight"),
        (lambda: Endpoint("fe80::1%eth0", 80), "address"),
        (lambda: Endpoint("FD00::1", 80), "address"),
        (lambda: Endpoint("10.0.0.1", 0), "port"),
        (lambda: PoolTls(server_name="a b"), "tls.server_name"),
        (lambda: Pool("traefik"), "pool"),
        (lambda: Pool("class/traefik", protocol="h3"), "protocol"),
        (lambda: certificate(names=("a b",)), "names"),
        (lambda: certificate(key_type="dsa"), "key_type"),
        (lambda: certificate(pem=PEM + "\n" + PEM), "pem"),
        (lambda: Snapshot("a/b"), "cluster"),
        (lambda: Snapshot("alpha", default_pool="class/\n"), "default_pool"),
    ],
)
def test_what_is_not_canonical_is_refused(make, field):
    with pytest.raises(InvalidValue) as refused:
        make()
    assert refused.value.field == field


def test_an_ingress_knows_its_hosts_and_its_age():
    paths = tuple(Path(Rule(host, path, "Exact"), "class/x") for host in ("b.example", "", "a.example") for path in ("/", "/x"))
    older, younger = (Ingress("demo", name, created, "x", paths) for name, created in (("b", "2025-12-31T23:59:59Z"), ("a", "2026-01-01T00:00:00Z")))
    assert older.hosts == ("", "a.example", "b.example")
    assert min(younger, older, key=lambda ingress: ingress.age_key) is older
    assert str(older) == "Ingress demo/b"


def test_secrets_are_not_in_representations():
    assert "BEGIN" not in repr(certificate()) and "BEGIN" not in repr(PoolTls(client_certificate=PEM))


def test_a_quarantined_object_is_named_with_field_and_cause():
    assert str(Quarantined("alpha", "Ingress demo/a", "spec.rules", "no")) == "cluster alpha: Ingress demo/a: spec.rules: no"
