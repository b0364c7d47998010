# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where programs come from, and when they are built again."""
from __future__ import annotations

from northgate_lab import binaries


def test_foreign_programs_only_for_what_the_variable_is_meant(tmp_path, monkeypatch):
    assets, ours = tmp_path / "assets", tmp_path / "ours"
    assets.mkdir()
    for name in ("etcd", "kube-proxy"):
        (assets / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.path(ours, "etcd") == assets / "etcd"
    assert binaries.path(ours, "kubectl") == ours / "kubectl"
    assert binaries.path(ours, "kube-proxy") == ours / "kube-proxy"


def test_the_key_changes_with_sources_and_with_go(tmp_path, monkeypatch):
    for name in ("kubernetes", "traefik"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.sum").write_text("1")
    monkeypatch.setattr(binaries.cache, "LAB", tmp_path)
    monkeypatch.setattr(binaries, "KUBERNETES", tmp_path / "kubernetes")
    monkeypatch.setattr(binaries, "TRAEFIK", tmp_path / "traefik")
    first = binaries.key("go1.26.8")
    assert first == binaries.key("go1.26.8") != binaries.key("go1.27.0")
    (tmp_path / "traefik" / "go.sum").write_text("2")
    assert binaries.key("go1.26.8") != first
