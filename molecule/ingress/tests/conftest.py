# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests ask for: applications, classes and ingresses of both modes, applied once to both clusters."""
from __future__ import annotations

import pytest
from driver import clusters
from driver.clusters import application, apply, ingress, ingress_class, secret
from driver.command import STATE, converge

APPS = {f"app-{number}": 8080 + number for number in range(1, 7)}
# Certificates that the routers' directory gets beside the lab's own.
DIRECTORY_HOSTS = ("directory.traefik.example.test", "directory.direct.example.test")
MODES = ("traefik", "direct")


def path_rules(mode: str) -> list[dict]:
    return [
        ingress(f"exact-{mode}", mode, {f"exact.{mode}.example.test": [("/foo", "Exact", "app-1"), ("/bar/", "Exact", "app-2")]}),
        ingress(f"prefix-{mode}", mode, {f"prefix.{mode}.example.test": [
            ("/foo", "Prefix", "app-1"), ("/aaa", "Prefix", "app-2"), ("/aaa/bbb", "Prefix", "app-3"), ("/slash/", "Prefix", "app-4"),
            ("/either", "ImplementationSpecific", "app-5")]}),
        ingress(f"mixed-{mode}", mode, {f"mixed.{mode}.example.test": [
            ("/", "Prefix", "app-1"), ("/foo", "Prefix", "app-2"), ("/foo", "Exact", "app-3"), ("/foo/bar", "Exact", "app-4")]}),
    ]


def host_rules(mode: str) -> list[dict]:
    return [
        ingress(f"host-{mode}", mode, {f"host.{mode}.example.test": [("/", "Prefix", "app-1")]}),
        ingress(f"wildcard-{mode}", mode, {f"*.wildcard.{mode}.example.test": [("/", "Prefix", "app-2")]}),
        ingress(f"exact-host-{mode}", mode, {f"own.wildcard.{mode}.example.test": [("/", "Prefix", "app-3")]}),
        ingress(f"any-host-{mode}", mode, {"": [(f"/any-host-{mode}", "Prefix", "app-4")]}),
        ingress(f"default-{mode}", mode, {f"default.{mode}.example.test": [("/rule", "Prefix", "app-5")]}, default="app-6"),
    ]


def tls(mode: str) -> list[dict]:
    host = f"secret.{mode}.example.test"
    return [
        secret(host, host),
        ingress(f"secret-{mode}", mode, {host: [("/", "Prefix", "app-1")]}, secret=host),
        ingress(f"directory-{mode}", mode, {f"directory.{mode}.example.test": [("/", "Prefix", "app-2")]}),
    ]


def only_direct() -> list[dict]:
    """What is about classes, or needs no ingress controller to be proved."""
    exact = "exact.wild.example.test"
    return [
        ingress_class("by-controller", "northgate.edge/lab"),
        ingress_class("foreign", "example.test/foreign"),
        ingress("by-controller", "by-controller", {"by-controller.example.test": [("/", "Prefix", "app-1")]}),
        ingress("foreign", "foreign", {"foreign.example.test": [("/", "Prefix", "app-1")]}),
        ingress("no-class", None, {"no-class.example.test": [("/", "Prefix", "app-1")]}),
        secret(exact, exact),
        ingress("exact-wild", "direct", {exact: [("/", "Prefix", "app-1")]}, secret=exact),
        ingress("h2c", "direct", {"h2c.example.test": [("/", "Prefix", "app-2")]}, backend_protocol="h2c"),
    ]


def overlapping(cluster: str) -> list[dict]:
    """The rules that haproxytech/kubernetes-ingress#395 wishes for, as each of two clusters has them."""
    rules = {
        "alpha": {"mydomain.example.test": ("/app1", "/app2"), "sub1.example.test": ("/app1",)},
        "beta": {"mydomain.example.test": ("/", "/app1"), "sub1.example.test": ("/app1", "/app2")},
    }[cluster]
    return [ingress("overlapping", "direct", {host: [(path, "Prefix", "echo") for path in paths] for host, paths in rules.items()})]


@pytest.fixture(scope="session")
def objects():
    """Both clusters and both routers have everything; returns the run that brought it there."""
    for host in DIRECTORY_HOSTS:
        certificate, key = clusters.authority().issue(host, [host])
        path = STATE / "certificates" / f"{host}.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate + key)
    of_modes = [entry for mode in MODES for entry in (*path_rules(mode), *host_rules(mode), *tls(mode))]
    apply("alpha", *application("alpha", "apps", APPS), *only_direct(), *of_modes, *overlapping("alpha"))
    apply("beta", *overlapping("beta"))
    clusters.wait_deployed("alpha", "apps")
    return converge()


@pytest.fixture(params=MODES)
def mode(request):
    """Each mode, which is also the name of its class: by an ingress controller, or directly to pods."""
    return request.param
