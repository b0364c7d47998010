#!/usr/bin/env python3
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy Traefik's source without what the lab never uses: prune.py SOURCE DESTINATION.

Traefik links a hundred DNS providers, cloud SDKs, tracing vendors and an interpreter of Go, which
are nearly all of its compile time. They are replaced by the stubs beside this file; routing, the
Kubernetes Ingress provider and the servers stay as released. Go refuses overlays of its module
cache, so the copy becomes the main module, with the go.mod and go.sum beside this file.
"""
from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STUBS = {
    "provider": [
        "pkg/provider/consulcatalog", "pkg/provider/docker", "pkg/provider/ecs", "pkg/provider/marathon",
        "pkg/provider/nomad", "pkg/provider/rancher", "pkg/provider/kubernetes/crd", "pkg/provider/kubernetes/gateway",
        "pkg/provider/kv/consul", "pkg/provider/kv/etcd", "pkg/provider/kv/redis", "pkg/provider/kv/zk",
    ],
    "tracing": [f"pkg/tracing/{vendor}" for vendor in ("datadog", "elastic", "haystack", "instana", "jaeger", "zipkin")],
    "plugins": ["pkg/plugins"],
    "dns": ["pkg/provider/acme/dns"],
}
LEGO_DNS = "github.com/go-acme/lego/v4/providers/dns"


def stub(directory: Path, kind: str) -> None:
    """Replace the whole package in `directory` by the stub of that kind."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    text = (HERE / "stubs" / f"{kind}.go.in").read_text()
    (directory / "stub.go").write_text(text.replace("PACKAGE", directory.name))


def prune(source: Path, destination: Path) -> None:
    """Copy `source` to `destination`, which must not exist, with stubs and with our go.mod."""
    for part in ("cmd", "pkg", "webui"):
        # copyfile, for the module cache is read-only and its modes would stay so.
        shutil.copytree(source / part, destination / part, copy_function=shutil.copyfile,
                        ignore=shutil.ignore_patterns("*_test.go", "fixtures", "testdata", "src", "internal"))
    for directory in [destination, *destination.rglob("*")]:
        if directory.is_dir():
            directory.chmod(0o755)
    for kind, packages in STUBS.items():
        for package in packages:
            stub(destination / package, kind)
    acme = destination / "pkg/provider/acme/provider.go"
    text = acme.read_text()
    if LEGO_DNS not in text:
        raise SystemExit(f"{acme} does not import {LEGO_DNS}: the stubs do not fit this version of Traefik")
    acme.write_text(text.replace(LEGO_DNS, "github.com/traefik/traefik/v2/pkg/provider/acme/dns"))
    for name in ("go.mod", "go.sum"):
        if (HERE / name).exists():
            shutil.copyfile(HERE / name, destination / name)


if __name__ == "__main__":
    prune(Path(sys.argv[1]), Path(sys.argv[2]))
