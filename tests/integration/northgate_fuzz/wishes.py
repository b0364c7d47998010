# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Worlds whose ingresses ask for everything: annotations, certificates, both modes, passthrough, canaries."""

from __future__ import annotations

import base64
import typing as t
from dataclasses import replace

from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.desired import CLAIM_SCOPES, CLAIM_WINNERS, MODES, EdgeOptions, Share
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot

from . import worlds
from .api import on_loopback, snapshot
from .worlds import CLUSTERS, NAMESPACES, Object

# Right values, and a wrong one.
ANNOTATIONS = {
    "affinity": ("cookie", "sticky"),
    "allow-networks": ("127.0.0.0/8", "192.0.2.0/25, 2001:db8::/33", "127.0.0.1/8"),
    "backend-protocol": ("http", "http", "h2c", "https", "spdy"),
    "basic-auth-secret": ("users", "users, others", "absent"),
    "canary-weight": ("0", "20", "100", "101"),
    "deny-networks": ("198.51.100.7", "0.0.0.0/0", "nobody"),
    "hsts": ("off", "max-age=300", "max-age=31536000; includeSubDomains; preload", "max-age=1\r\nx: y"),
    "max-body": ("8m", "1024", "lots"),
    "rate-limit": ("20/s", "600/m", "1/h"),
    "rewrite-path": ("/", "/new", "new"),
    "ssl-redirect": ("true", "false", "yes"),
    "timeout-server": ("30s", "5m", "never"),
    "timeout-tunnel": ("1h", "25h"),
    "tls-passthrough": ("true", "true", "false", "maybe"),
    "unknown": ("1",),
}
CERTIFICATES = ("rsa", "a", "ab", "wildcard", "old", "broken")
_CLASSES = {"direct": {"mode": "direct"}, "controller": {"service": "demo/web", "port": "http", "tls_port": 80}}


def secrets(pem: t.Callable[..., str]) -> dict[str, Object]:
    """Raw Secrets by NAMESPACE/NAME. ``pem`` makes a certificate with its key."""
    texts = {
        "rsa": pem("a.test", rsa_key=True),
        "a": pem("a.test"),
        "ab": pem("a.test", "b.test", days=60),
        "wildcard": pem("*.test", "*.a.test"),
        "old": pem("x.a.test", days=-2),
    }
    pairs = {name: text.partition("# the key") for name, text in texts.items()}
    pairs["broken"] = (pairs["a"][0], "", pairs["ab"][2])
    found = {name: _secret("kubernetes.io/tls", {"tls.crt": chain, "tls.key": key}) for name, (chain, _mark, key) in pairs.items()}
    found["users"] = _secret("kubernetes.io/basic-auth", {"username": "somebody", "password": "secret of somebody"})
    found["others"] = _secret("kubernetes.io/basic-auth", {"username": "other", "password": "secret of other"})
    return {f"{namespace}/{name}": secret for namespace in NAMESPACES for name, secret in found.items()}


def _secret(kind: str, texts: dict[str, str]) -> Object:
    return {"type": kind, "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}


def _asking(raw: Object, ingress_class: str, asked: list[tuple[str, int]], tls: list[tuple[str, list[str]]]) -> Object:
    annotations = {f"northgate.edge/{name}": ANNOTATIONS[name][number % len(ANNOTATIONS[name])] for name, number in asked}
    entries = [{"secretName": name, **({"hosts": hosts} if hosts else {})} for name, hosts in tls]
    spec = {**raw["spec"], "ingressClassName": ingress_class, **({"tls": entries} if entries else {})}
    return {**raw, "metadata": {**raw["metadata"], "annotations": annotations}, "spec": spec}


_asked = st.one_of(
    st.just([]),
    st.sampled_from([[("canary-weight", 1)], [("canary-weight", 0)], [("tls-passthrough", 0)]]),
    st.lists(st.tuples(st.sampled_from(sorted(ANNOTATIONS)), st.integers(0, 4)), min_size=1, max_size=3),
)
_tls = st.tuples(st.sampled_from(CERTIFICATES), st.lists(st.sampled_from(worlds.HOSTS[:-1]), max_size=2))
_ingresses = st.builds(_asking, worlds.ingresses, st.sampled_from(["direct", "direct", "controller", "other"]), _asked, st.lists(_tls, max_size=2))
wishes = worlds.of(_ingresses)

shares = st.builds(Share, weight=st.sampled_from([None, 1, 30, 1000]), mode=st.sampled_from(MODES))


def edges(now: int) -> st.SearchStrategy[EdgeOptions]:
    """What the operator of the routers decides."""
    return st.builds(
        EdgeOptions,
        shares=st.dictionaries(st.sampled_from(CLUSTERS), shares, max_size=2),
        claim_winner=st.sampled_from(CLAIM_WINNERS),
        claim_scope=st.sampled_from(CLAIM_SCOPES),
        redirect=st.booleans(),
        passthrough=st.just(True),
        now=st.just(now),
    )


def objects(world: dict[str, Object], cluster: str, port: int, of_secrets: dict[str, Object]) -> dict[str, t.Any]:
    """All raw objects of a cluster, by kind."""
    return {"ingresses": world[cluster]["ingresses"], "secrets": of_secrets, **worlds.services(world, cluster, port)}


def observed(cluster: str, of_kinds: dict[str, t.Any], default: str = "") -> Snapshot:
    """What is observed of raw objects, with pods on loopback. ``default``: NAMESPACE/NAME of the operator's default backend."""
    backend = {"service": default, "port": 80} if default else None
    found = snapshot(cluster, of_kinds, ingress_classes=_CLASSES, default_backend=backend)
    return replace(found, pools=tuple(map(on_loopback, found.pools)))
