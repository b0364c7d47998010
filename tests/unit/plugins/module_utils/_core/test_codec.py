# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshot file."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Ingress, Path, Pool, PoolTls, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._core.services import (
    FAMILY_POLICIES,
    FORWARDING,
    PROTOCOLS,
    SCHEDULERS,
    AddressRequest,
    Node,
    Service,
    ServiceEndpoint,
    ServicePort,
)

PEM = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"
SNAPSHOT = Snapshot("alpha", (Ingress("demo", "shop", "", "traefik", (Path(Rule("a.example", "/", "Prefix"), "class/traefik"),)),))


def test_every_snapshot_survives_the_file(snapshot_lists):
    @given(snapshot_lists)
    def check(snapshots):
        for snapshot in snapshots:
            data = codec.dump(snapshot)
            assert codec.load(data, "test") == snapshot
            assert codec.dump(codec.load(data, "test")) == data
            assert "BEGIN" not in codec.dump_for_people(snapshot).replace(snapshot_authority(snapshot), "")

    check()


ADDRESSES = st.sampled_from(["10.0.0.1", "203.0.113.7", "2001:db8::7"])
ONE_OF_EACH = st.sampled_from([(), ("10.0.0.1",), ("2001:db8::7",), ("10.0.0.1", "2001:db8::7"), ("2001:db8::7", "10.0.0.1")])
ENDPOINTS = st.builds(ServiceEndpoint, ADDRESSES, st.sampled_from([80, 81]), st.sampled_from(["", "w1"]), st.booleans(), st.booleans(), st.booleans())
SERVICES = st.builds(
    Service,
    namespace=st.sampled_from(["demo", "mail"]),
    name=st.sampled_from(["a", "b", "c"]),
    created=st.just("2026-01-01T00:00:00Z"),
    ports=st.lists(
        st.builds(
            ServicePort, st.sampled_from(PROTOCOLS), st.integers(1, 65535), st.integers(0, 65535), st.lists(ENDPOINTS, max_size=3).map(sorted).map(tuple)
        ),
        max_size=3,
    )
    .map(sorted)
    .map(tuple),
    cluster_ips=ONE_OF_EACH,
    addresses=st.lists(ADDRESSES, max_size=2).map(tuple),
    request=st.builds(
        AddressRequest,
        st.sampled_from(["", "public"]),
        ONE_OF_EACH,
        st.sampled_from(["", "key"]),
        st.sampled_from([(4,), (6,), (4, 6), (6, 4)]),
        st.sampled_from(FAMILY_POLICIES),
        st.sampled_from([(), ("edge-a", "edge-b")]),
    ),
    labels=st.dictionaries(st.sampled_from(["tier", "example.com/x"]), st.sampled_from(["", "v"])).map(lambda found: tuple(sorted(found.items()))),
    local=st.booleans(),
    affinity=st.integers(0, 86400),
    source_ranges=st.sampled_from([(), ("10.0.0.0/8", "2001:db8::/32")]),
    forwarding=st.sampled_from(["", *FORWARDING]),
    scheduler=st.sampled_from(["", *SCHEDULERS]),
)
NODES = st.builds(Node, st.sampled_from(["w1", "w2", "w3.example"]), ONE_OF_EACH, st.booleans())


@given(st.lists(SERVICES, max_size=3), st.lists(NODES, max_size=3))
def test_services_and_nodes_survive_the_file_in_one_order(services, nodes):
    snapshot = Snapshot("alpha", services=tuple(sorted(services)), nodes=tuple(sorted(nodes)))
    data = codec.dump(snapshot)
    assert codec.load(data, "test") == snapshot
    assert codec.dump(dataclasses.replace(snapshot, services=tuple(services), nodes=tuple(nodes))) == data


def snapshot_authority(snapshot):
    """Authorities are public: they may be shown."""
    return next((json.dumps(pool.tls.authority)[1:-1] for pool in snapshot.pools if pool.tls.authority), "BEGIN nothing")


def test_the_order_of_objects_does_not_change_the_bytes(snapshot_lists):
    @given(snapshot_lists, st.randoms(use_true_random=False))
    def check(snapshots, dice: random.Random):
        def shuffled(items):
            return tuple(dice.sample(list(items), len(items)))

        for snapshot in snapshots:
            turned = dataclasses.replace(
                snapshot,
                ingresses=tuple(dataclasses.replace(i, paths=shuffled(i.paths), tls=shuffled(i.tls)) for i in shuffled(snapshot.ingresses)),
                pools=tuple(dataclasses.replace(pool, endpoints=shuffled(pool.endpoints)) for pool in shuffled(snapshot.pools)),
                certificates=shuffled(snapshot.certificates),
            )
            assert codec.dump(turned) == codec.dump(snapshot)

    check()


def test_fields_that_say_nothing_are_left_out():
    assert json.loads(codec.dump(SNAPSHOT)) == {
        "version": 2,
        "cluster": "alpha",
        "ingresses": [
            {
                "namespace": "demo",
                "name": "shop",
                "created": "",
                "ingress_class": "traefik",
                "paths": [[["a.example", "/", "Prefix"], "class/traefik"]],
            }
        ],
    }


def test_secrets_are_masked_for_people_and_their_changes_show():
    def shown(pem, user="A" * 64):
        return codec.dump_for_people(
            dataclasses.replace(
                SNAPSHOT,
                ingresses=(dataclasses.replace(SNAPSHOT.ingresses[0], policy=Policy(users=(user,))),),
                pools=(Pool("class/traefik", tls=PoolTls(client_certificate=pem)),),
                certificates=(Certificate("Secret demo/a", ("a.example",), "rsa", 0, 1, pem),),
            )
        )

    text = shown(PEM)
    assert "c2VjcmV0" not in text and "AAAA" not in text
    assert text.count("(secret ") == 2
    assert text != shown(PEM.replace("c2", "d2"))
    # A digest of a weak password would let somebody guess it.
    assert text == shown(PEM, "B" * 64)


def edited(**changes):
    return json.dumps({**json.loads(codec.dump(SNAPSHOT)), **changes}).encode()


def edited_service(**changes):
    return edited(services=[{"namespace": "demo", "name": "mail", "created": "", **changes}])


def edited_ingress(**changes):
    return edited(ingresses=[{**json.loads(codec.dump(SNAPSHOT))["ingresses"][0], **changes}])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a snapshot"),
        (b"[]", "not a snapshot"),
        (b"[" * 100_000, "not a snapshot"),
        (b"\xff\xfe", "not a snapshot"),
        (edited(version=1), "snapshot version 1, this collection reads 2"),
        (edited(cluster="../../etc/passwd"), "no DNS label"),
        (edited(surprise=1), "not a snapshot"),
        (edited(ingresses=[{"namespace": "demo"}]), "not a snapshot"),
        (edited(ingresses={}), "ingresses is dict instead of list"),
        (edited(pools=[{"name": "class/x", "endpoints": [["1.2.3.4\n", 80, True, True, False]]}]), "no IP address"),
        (edited(pools=[{"name": "class/x", "endpoints": [["1.2.3.4", 80, True, True]]}]), "not a snapshot"),
        (edited(pools=[{"name": "class/x", "endpoints": [["1.2.3.4", 80, 1, True, False]]}]), "ready is int instead of bool"),
        (edited(pools=[{"name": "class/x", "endpoints": [["1.2.3.4", True, True, True, False]]}]), "port is bool instead of int"),
        (edited(pools=[{"name": "../x"}]), "no name of a pool"),
        (edited(services=[{"namespace": "demo", "name": "a"}]), "not a snapshot"),
        (edited_service(labels=[["a"]]), "is no label"),
        (edited_service(labels=[[]]), "is no label"),
        (edited_service(addresses=["127.0.0.1"]), "no address of a service"),
        (edited_service(request={"families": [4.0]}), "families is float instead of int"),
        (edited_service(ports=[{"protocol": "TCP", "port": 25, "endpoints": [["10.0.0.1", 25, "w1", True, True]]}]), "not a snapshot"),
        (edited(nodes=[{"name": "w1", "addresses": ["10.0.0.1", "10.0.0.2"]}]), "more than one of a family"),
        (edited(quarantined=[["alpha", 1, "", ""]]), "object is int instead of str"),
        (edited_ingress(paths=[[["a.example", "/", "Prefix", "x"], "class/x"]]), "not a snapshot"),
        (edited_ingress(policy={"rewrite": "/new path"}), "no absolute path"),
        (edited_ingress(policy={"users": ["x"]}), "no SHA-256"),
        (edited_ingress(policy=None), "policy is NoneType instead of dict"),
        (edited_ingress(canary_weight=101), "no percentage"),
        (edited_ingress(canary_weight="1"), "canary_weight is str instead of int or NoneType"),
        (edited(certificates=[["secret"]]), "certificates is list instead of dict"),
        (
            edited(certificates=[{"source": "x", "names": [], "key_type": "rsa", "not_before": 0, "not_after": 0, "pem": PEM + "\nshow info\n"}]),
            "without blank lines",
        ),
    ],
)
def test_what_is_no_snapshot_is_refused_with_its_name_and_the_way_out(data, message):
    with pytest.raises(SnapshotError, match=message) as refused:
        codec.load(data, "snapshot of cluster alpha")
    assert "snapshot of cluster alpha" in str(refused.value)
    assert "Observe the cluster again" in str(refused.value)
    assert len(str(refused.value)) < 500 and "secret" not in str(refused.value)


@given(st.binary())
def test_no_bytes_raise_anything_else(data):
    with pytest.raises(SnapshotError):
        codec.load(data, "test")


def places(value):
    """Every (container, key) in parsed JSON."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


_SIMPLE = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
JUNK = _SIMPLE | st.lists(st.text(max_size=3), max_size=5) | st.dictionaries(st.text(), st.none(), max_size=2)


def test_no_edit_of_a_file_raises_anything_else_or_makes_another_type(snapshot_lists):
    @given(snapshot_lists.filter(len), st.randoms(use_true_random=False), JUNK)
    def check(snapshots, dice, junk):
        document = json.loads(codec.dump(snapshots[0]))
        container, key = dice.choice(list(places(document)))
        container[key] = junk
        data = json.dumps(document).encode()
        try:
            loaded = codec.load(data, "test")
        except SnapshotError:
            return
        assert codec.load(codec.dump(loaded), "test").cluster == loaded.cluster

    check()
