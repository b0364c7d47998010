# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's programs: Kubernetes, etcd, Traefik and echo, built from source once and kept in the cache."""
from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import cache

KUBERNETES, TRAEFIK = cache.LAB / "kubernetes", cache.LAB / "traefik"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl")
# What the tools of controller-runtime agree on to take from elsewhere.
FOREIGN = ("etcd", "kube-apiserver", "kubectl")
VERSION = "v1.36.3"
# No debug information, which also makes compiling cheaper; more memory for fewer collections in the compiler.
BUILD = ["build", "-v", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false"]
ENVIRONMENT = {"CGO_ENABLED": "0", "GOGC": "400", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
Progress = Callable[[str], None]


def path(directory: Path, name: str) -> Path:
    """Return where program `name` is: in KUBEBUILDER_ASSETS when that has it, else in `directory`."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and name in FOREIGN and (Path(assets) / name).exists():
        return Path(assets) / name
    return directory / name


def ensure(progress: Progress) -> Path:
    """Return the directory with all programs; build it when its inputs have changed.

    Safe to call from several processes at once. Raises CalledProcessError when a build fails;
    its output is in the cache beside the entry, in binaries.log.
    """
    go, version = _toolchain()

    def build(directory: Path) -> None:
        _build_kubernetes(go, directory, progress)
        # Beside the entry, which the cache removes with everything else of an unfinished build.
        _build_traefik(go, directory, directory.parent / "source", progress)

    return cache.ensure("binaries", key(version), build, progress)


def key(version: str) -> str:
    """Return twelve digits that change with the Go version and with every file that is built from."""
    files = [file for directory in (KUBERNETES, TRAEFIK) for file in directory.rglob("*")
             if file.is_file() and "__pycache__" not in file.parts]
    return cache.key(files, version, *BUILD)


@functools.cache
def _toolchain() -> tuple[str, str]:
    """Return the path of go and its version."""
    go = subprocess.run([cache.TOOLS / "go"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    answer = subprocess.run([go, "env", "GOVERSION"], check=True, stdout=subprocess.PIPE, text=True, cwd="/",
                            env=os.environ | ENVIRONMENT)
    return go, answer.stdout


def _build_kubernetes(go: str, directory: Path, progress: Progress) -> None:
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion={VERSION}"
    _go(go, [*BUILD, f"-ldflags={flags}", "-o", str(directory / "lab"), "."], KUBERNETES, "Kubernetes", progress)
    for name in COMPONENTS:
        (directory / name).symlink_to("lab")
    _go(go, [*BUILD, "-ldflags=-s -w", "-o", str(directory / "echo"), "./cmd/echo"], KUBERNETES, "echo", progress)


def _build_traefik(go: str, directory: Path, source: Path, progress: Progress) -> None:
    module, version, checksum = (TRAEFIK / "SOURCE").read_text().split()
    # Outside of any module, so that nobody's go.mod has a say.
    answer = subprocess.run([go, "mod", "download", "-json", f"{module}@{version}"], check=True, cwd="/",
                            stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT).stdout
    found = json.loads(answer)
    if found["Sum"] != checksum:
        raise RuntimeError(f"{module}@{version} has checksum {found['Sum']}, expected {checksum}")
    subprocess.run(["python3", TRAEFIK / "prune.py", found["Dir"], source], check=True)
    _go(go, [*BUILD, "-ldflags=-s -w", "-o", str(directory / "traefik"), "./cmd/traefik"], source, "Traefik", progress)


def _go(go: str, arguments: list[str], directory: Path, what: str, progress: Progress) -> None:
    """Run go with lower priority, and say every ten seconds how far it is."""
    started, log = time.monotonic(), cache.root() / "binaries.log"
    progress(f"building {what}")
    with open(log, "wb") as output:
        process = subprocess.Popen(["nice", go, *arguments], cwd=directory, env=os.environ | ENVIRONMENT,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                continue
            packages = log.read_bytes().count(b"\n")
            progress(f"building {what}: {packages} packages, {time.monotonic() - started:.0f} s")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        progress(log.read_text()[-2000:])
        raise subprocess.CalledProcessError(process.returncode, ["go", *arguments])
