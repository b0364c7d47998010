# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates before haproxy sees them."""

from __future__ import annotations

import os
import tempfile

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.pem import file_name, normalise

KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAA
-----END PRIVATE KEY-----"""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "holds no certificate"),
        (KEY, "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + KEY, "can't be used together"),
        ("-----BEGIN CERTIFICATE-----\nshow stat; quit\n-----END CERTIFICATE-----\n" + KEY, "holds no certificate"),
    ],
)
def test_what_can_t_be_used_is_refused_and_leaves_no_file(text, cause, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InvalidValue, match=cause) as refused:
        normalise(text, "shop.pem")
    assert refused.value.field == "shop.pem"
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("source", "stem"),
    [("shop.pem", "shop-"), ("../../etc/*.example test.pem", "example-test-"), ("...", "certificate-")],
)
def test_file_names_can_t_leave_their_directory(source, stem):
    name = file_name(source, "text")
    assert name.startswith(stem) and name.endswith(".pem") and "/" not in name
    assert name != file_name(source, "another text")
