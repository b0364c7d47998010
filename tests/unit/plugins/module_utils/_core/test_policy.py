# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies hold canonical values only: they end up in configuration files."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import CLOSED, MAX_TIMEOUT, NONE, Policy


def test_good_policies():
    assert NONE == Policy() != CLOSED
    Policy(hsts="max-age=31536000; includeSubDomains; preload", allow=("10.0.0.0/8",), deny=("fd00::/8",))
    Policy(rate_limit=2**31 - 1, rate_unit="m", max_body=2**50 - 1, timeout_server=MAX_TIMEOUT, users=("0" * 64,), rewrite="/new")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hsts": "max-age=1\r\nx: y"}, "hsts"),
        ({"hsts": "max-age=1; preload; includeSubDomains"}, "hsts"),
        ({"hsts": "max-age=1\n"}, "hsts"),
        ({"hsts": "max-age=\u0663"}, "hsts"),
        ({"allow": ("10.0.0.1/8",)}, "networks"),
        ({"deny": ("10.0.0.1",)}, "networks"),
        ({"rate_limit": -1}, "rate-limit"),
        ({"rate_limit": 2**31}, "rate-limit"),
        ({"rate_unit": "h"}, "rate-limit"),
        ({"max_body": -1}, "max-body"),
        ({"max_body": 2**50}, "max-body"),
        ({"timeout_server": MAX_TIMEOUT + 1}, "timeout"),
        ({"timeout_tunnel": -1}, "timeout"),
        ({"users": ("a" * 64,)}, "users"),
        ({"users": ("A" * 64 + "\n",)}, "users"),
        ({"rewrite": "new"}, "rewrite"),
        ({"rewrite": "/%41"}, "rewrite"),
    ],
)
def test_what_is_not_canonical_is_refused(values, field):
    with pytest.raises(InvalidValue) as refused:
        Policy(**values)
    assert refused.value.field == field
