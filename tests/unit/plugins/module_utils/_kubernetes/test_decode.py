# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Ingress objects to the model: hostile input costs the object that it came in, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Path, Rule, Tls
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, NONE, Policy
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import decode
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.hostile import Quarantine
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClassSource, ServicePort

CONTROLLER = ClassSource(ServicePort("traefik", "traefik", "web"))
WITH_TLS = ClassSource(ServicePort("traefik", "traefik", "web"), "websecure")
DIRECT = ClassSource()
ECHO = {"service": {"name": "echo", "port": {"number": 80}}}
NOWHERE = "service/demo/unusable/0"


def raw_ingress(*paths, host="shop.example", backend=..., annotations=None, tls=None, default=None, **metadata):
    found = {"name": "shop", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata}
    if annotations:
        found["annotations"] = {f"northgate.edge/{name}": value for name, value in annotations.items()}
    backend = ECHO if backend is ... else backend
    spec = {"rules": [{"host": host, "http": {"paths": [{"path": p, "pathType": kind, "backend": backend} for p, kind in paths]}}]}
    return {"metadata": found, "spec": {**spec, **({"tls": tls} if tls else {}), **({"defaultBackend": default} if default else {})}}


def test_a_default_backend_of_hosts_that_can_t_be_read_is_not_one_for_every_host():
    draft, quarantined = decoded(raw_ingress(("/", "Prefix"), host="bad host", default=ECHO), DIRECT)
    assert draft is None and [field for field, _cause in quarantined] == ["spec.rules", "spec.rules[0].host"]


def decoded(raw, source=CONTROLLER):
    """The draft, and (field, cause) of what is quarantined."""
    quarantine = Quarantine("alpha")
    draft = decode.ingress(raw, "traefik", source, quarantine)
    return draft, sorted((q.field, q.cause) for q in quarantine.found)


def taken(raw, source=CONTROLLER):
    draft, quarantined = decoded(raw, source)
    assert not quarantined
    return draft.ingress


@pytest.mark.parametrize(
    ("path", "path_type", "rule"),
    [
        ("/foo", "Exact", Rule("shop.example", "/foo", "Exact")),
        ("/foo/", "Exact", Rule("shop.example", "/foo/", "Exact")),
        ("/foo", "Prefix", Rule("shop.example", "/foo", "Prefix")),
        ("/foo/", "Prefix", Rule("shop.example", "/foo", "Prefix")),
        ("/", "Prefix", Rule("shop.example", "/", "Prefix")),
        (None, "ImplementationSpecific", Rule("shop.example", "/", "Prefix")),
        ("", "ImplementationSpecific", Rule("shop.example", "/", "Prefix")),
    ],
)
def test_paths(path, path_type, rule):
    assert taken(raw_ingress((path, path_type))).paths == (Path(rule, "class/traefik"),)


@pytest.mark.parametrize(("host", "canonical"), [("Shop.Example", "shop.example"), ("*.example", "*.example"), (None, ""), ("", "")])
def test_hosts(host, canonical):
    assert taken(raw_ingress(("/", "Prefix"), host=host)).hosts == (canonical,)


def test_in_mode_direct_each_path_has_the_pool_of_its_backend():
    raw = raw_ingress(("/", "Prefix"), default={"service": {"name": "rest", "port": {"name": "web"}}})
    ingress = taken(raw, DIRECT)
    assert ingress.paths[0].pool == "service/demo/echo/80"
    assert ingress.default_pool == "service/demo/rest/web"


def test_in_mode_controller_the_default_backend_is_the_controllers_affair():
    assert taken(raw_ingress(default={"resource": {"kind": "Bucket"}})).default_pool == "class/traefik"


@pytest.mark.parametrize("rule", [{"host": "a.example"}, {"host": "a.example", "http": None}, {"host": "a.example", "http": {"paths": []}}])
def test_all_paths_of_a_rule_without_paths_go_to_the_default_backend(rule):
    raw = raw_ingress(("/x", "Exact"), default=ECHO)
    raw["spec"]["rules"].append(rule)
    assert Path(Rule("a.example", "/", "Prefix"), "service/demo/echo/80") in taken(raw, DIRECT).paths
    del raw["spec"]["defaultBackend"]
    assert taken(raw, DIRECT).hosts == ("shop.example",)


@pytest.mark.parametrize(
    ("backend", "field"),
    [
        ({"resource": {"kind": "Bucket", "name": "x"}}, "backend"),
        (None, "backend"),
        ({"service": {"name": "../x", "port": {"number": 80}}}, "backend.service.name"),
        ({"service": {"name": "echo", "port": {"name": "a b"}}}, "backend.service.port.name"),
        ({"service": {"name": "echo", "port": {"number": 0}}}, "backend.service.port.number"),
        ({"service": {"name": "echo"}}, "backend.service.port.number"),
    ],
)
def test_a_rule_whose_backend_is_no_use_keeps_its_path_so_that_nothing_broader_takes_it(backend, field):
    draft, quarantined = decoded(raw_ingress(("/x", "Exact"), backend=backend), DIRECT)
    assert draft.ingress.paths == (Path(Rule("shop.example", "/x", "Exact"), NOWHERE),)
    assert [found for found, _cause in quarantined] == [f"spec.rules[0].http.paths[0].{field}"]


def test_one_bad_rule_is_quarantined_with_its_field_and_the_others_are_served():
    draft, quarantined = decoded(raw_ingress(("/good", "Prefix"), ("/bad path", "Prefix")))
    assert [path.rule.path for path in draft.ingress.paths] == ["/good"]
    assert quarantined == [("spec.rules[0].http.paths[1].path", "'/bad path' is no absolute path of RFC 3986 characters")]


def test_the_first_of_two_backends_of_one_rule_counts():
    raw = raw_ingress(("/x", "Prefix"), ("/x/", "Prefix"))
    raw["spec"]["rules"][0]["http"]["paths"][1]["backend"] = {"service": {"name": "other", "port": {"number": 80}}}
    draft, quarantined = decoded(raw, DIRECT)
    assert [path.pool for path in draft.ingress.paths] == ["service/demo/echo/80"]
    assert "repeats the host and path" in quarantined[0][1]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (raw_ingress(("/", "Prefix"), host="a.*.example"), "spec.rules[0].host"),
        (raw_ingress(("/", "Prefix"), host="x\nbackend evil"), "spec.rules[0].host"),
        (raw_ingress(("/", "Regex")), "spec.rules[0].http.paths[0].pathType"),
        (raw_ingress(("/", "Prefix"), namespace="../etc"), "metadata.namespace"),
        (raw_ingress(("/", "Prefix"), name="a\nb"), "metadata.name"),
        (raw_ingress(("/", "Prefix"), creationTimestamp=None), "metadata.creationTimestamp"),
        (raw_ingress(), "spec.rules"),
        ({"metadata": raw_ingress()["metadata"], "spec": {"rules": "all"}}, "spec.rules"),
        ({"metadata": raw_ingress()["metadata"], "spec": {"rules": [7]}}, "spec.rules[0]"),
        ({"metadata": [], "spec": []}, "metadata.namespace"),
    ],
)
def test_an_ingress_of_which_nothing_is_left_is_named(raw, field):
    draft, quarantined = decoded(raw)
    assert draft is None
    assert field in [found for found, _cause in quarantined]


def test_policies_come_from_annotations():
    raw = raw_ingress(("/", "Prefix"), annotations={"max-body": "1k", "canary-weight": "20", "basic-auth-secret": "users"})
    draft, quarantined = decoded(raw)
    assert (draft.ingress.policy, draft.ingress.canary_weight, draft.auth) == (Policy(max_body=1024), 20, ("users",))
    assert not quarantined


def test_a_mistake_in_an_annotation_costs_the_ingress_that_protects_nothing():
    draft, quarantined = decoded(raw_ingress(("/", "Prefix"), annotations={"ssl-redirect": "yes"}))
    assert draft is None
    assert quarantined == [("annotation northgate.edge/ssl-redirect", "'yes' is not one of true, false")]


@pytest.mark.parametrize(
    "annotations",
    [
        {"allow-networks": "10.0.0.1/8"},
        {"deny-networks": "x"},
        {"basic-auth-secret": "a b"},
        {"rate-limit": "0/s"},
        {"max-body": "many"},
        {"max-body": "1m", "ssl-redirect": "yes"},
        {"max-body": "1m", "tls-passthrough": "true"},
    ],
)
def test_a_mistake_beside_what_protects_closes_the_ingress(annotations):
    draft, quarantined = decoded(raw_ingress(("/", "Prefix"), annotations=annotations), WITH_TLS)
    assert draft.ingress.policy == CLOSED and not draft.ingress.passthrough
    assert draft.ingress.paths and quarantined


def test_a_canary_with_a_mistake_is_skipped_for_what_it_is_a_canary_of_is_protected_itself():
    assert decoded(raw_ingress(("/", "Prefix"), annotations={"canary-weight": "101", "max-body": "1m"}))[0] is None


def test_an_unknown_annotation_is_reported_and_the_ingress_is_served():
    draft, quarantined = decoded(raw_ingress(("/", "Prefix"), annotations={"alow-networks": "10.0.0.0/8"}))
    assert draft.ingress.policy == NONE
    assert quarantined[0][0] == "annotation northgate.edge/alow-networks" and "is unknown" in quarantined[0][1]


def test_tls_passthrough_needs_a_port_for_it():
    raw = raw_ingress(("/", "Prefix"), annotations={"tls-passthrough": "true"})
    assert decoded(raw)[0] is None
    assert taken(raw, WITH_TLS).passthrough and taken(raw, DIRECT).passthrough


def test_the_protocol_of_pods_is_the_ingresss_affair_in_mode_direct_only():
    raw = raw_ingress(("/", "Prefix"), annotations={"backend-protocol": "h2c"})
    draft, quarantined = decoded(raw)
    assert draft.protocol == "" and "no effect" in quarantined[0][1]
    draft, quarantined = decoded(raw, DIRECT)
    assert draft.protocol == "h2c" and not quarantined


@pytest.mark.parametrize(("annotations", "closed"), [({}, False), ({"deny-networks": "10.0.0.0/8"}, True)])
def test_a_rule_that_is_too_deep_to_be_rewritten_opens_no_way_around(annotations, closed):
    raw = raw_ingress(("/1/2/3/4/5/6/7/8", "Prefix"), ("/1/2/3/4/5/6/7/8/9", "Prefix"), annotations={"rewrite-path": "/new", **annotations})
    draft, quarantined = decoded(raw)
    assert (draft.ingress.policy == CLOSED, len(draft.ingress.paths)) == (closed, 1 + closed)
    assert [field for field, _cause in quarantined] == ["spec.rules[0].http.paths[1].path"]


def test_a_rule_of_an_unknown_type_opens_no_way_around_what_is_protected():
    draft, _quarantined = decoded(raw_ingress(("/x", "Regex"), annotations={"rate-limit": "5/s"}))
    assert draft.ingress.paths == (Path(Rule("shop.example", "/x", "Prefix"), NOWHERE),)


def test_tls_names_a_secret_of_its_own_namespace_for_hosts():
    tls = [{"hosts": ["Shop.Example", "*.example"], "secretName": "cert"}, {"secretName": "all"}, {"hosts": ["a.example"]}]
    assert taken(raw_ingress(("/", "Prefix"), tls=tls)).tls == (
        Tls(("*.example", "shop.example"), "Secret demo/cert"),
        Tls(("shop.example",), "Secret demo/all"),
    )


def test_what_is_wrong_with_tls_costs_no_rule():
    tls = [{"hosts": ["bad host", "a.example"], "secretName": "cert"}, {"secretName": "../other/cert"}, 7]
    draft, quarantined = decoded(raw_ingress(("/", "Prefix"), tls=tls))
    assert draft.ingress.tls == (Tls(("a.example",), "Secret demo/cert"),)
    assert [field for field, _cause in quarantined] == ["spec.tls[0].hosts[0]", "spec.tls[1].secretName"]
    assert draft.ingress.paths


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(["name", "service", "port", "host"]), inner, max_size=3),
    max_leaves=8,
)
VALUES = st.sampled_from(["true", "cookie", "10.0.0.0/8", "5/s", "1m", "30s", "20", "h2c", "/new", "max-age=1", "users", "\n"]) | JUNK
NAMES = st.sampled_from(["affinity", "allow-networks", "basic-auth-secret", "canary-weight", "hsts", "max-body", "rewrite-path", "tls-passthrough"])


@given(JUNK, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK, st.dictionaries(NAMES | st.text(), VALUES, max_size=4), st.sampled_from([CONTROLLER, DIRECT]))
def test_strange_fields_raise_nothing_and_pass_nothing_strange(name, host, path, path_type, backend, tls, default, annotations, source):
    raw = raw_ingress((path, path_type), ("/good", "Exact"), host=host, name=name, backend=backend, annotations=annotations, default=default)
    raw["spec"]["tls"] = tls
    draft, quarantined = decoded(raw, source)
    assert draft or quarantined
    assert all(len(cause) < 400 and len(field) < 400 for field, cause in quarantined)


@given(JUNK, JUNK)
def test_strange_objects_raise_nothing(metadata, spec):
    assert decoded({"metadata": metadata, "spec": spec}) != (None, [])
