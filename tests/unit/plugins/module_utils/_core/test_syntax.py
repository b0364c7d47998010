# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may enter the model, and what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import syntax
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue


@pytest.mark.parametrize(
    ("check", "value", "canonical"),
    [
        (syntax.host, "Shop.Example.TEST", "shop.example.test"),
        (syntax.host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (syntax.path, "/", "/"),
        (syntax.path, "/a%20b/~c", "/a%20b/~c"),
        (syntax.address, "FD00:0::1", "fd00::1"),
        (syntax.address, "192.0.2.1", "192.0.2.1"),
        (syntax.port, 65535, 65535),
        (syntax.dns_label, "alpha-1", "alpha-1"),
    ],
)
def test_good_values_come_back_canonical(check, value, canonical):
    assert check(value, "field") == canonical


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (syntax.host, None),
        (syntax.host, ""),
        (syntax.host, "*.example.test"),
        (syntax.host, "bad host"),
        (syntax.host, "a\nb"),
        (syntax.host, "example.test\n"),
        (syntax.host, "-a.example"),
        (syntax.host, "a..b"),
        (syntax.host, "a." * 127 + "toolong"),
        (syntax.host, ["example.test"]),
        (syntax.path, "relative"),
        (syntax.path, "/a b"),
        (syntax.path, "/a?b"),
        (syntax.path, "/a#b"),
        (syntax.path, "/a//b"),
        (syntax.path, "/a/../b"),
        (syntax.path, "/a%2fb"),
        (syntax.path, "/a%zz"),
        (syntax.path, "/\n"),
        (syntax.path, "/" + "a" * 1024),
        (syntax.path, 7),
        (syntax.address, "fe80::1%eth0"),
        (syntax.address, "example.test"),
        (syntax.address, 3221225985),
        (syntax.port, 0),
        (syntax.port, 65536),
        (syntax.port, True),
        (syntax.port, "80"),
        (syntax.dns_label, "a.b"),
        (syntax.dns_label, "a" * 64),
        (syntax.dns_subdomain, "a_b"),
    ],
)
def test_bad_values_are_refused_with_the_fields_name(check, value):
    with pytest.raises(InvalidValue) as refused:
        check(value, "spec.field")
    assert refused.value.field == "spec.field"
    assert len(refused.value.cause) < 300


@given(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text())))
def test_each_check_is_idempotent_and_lets_no_control_character_or_space_through(value):
    for check in (syntax.host, syntax.path, syntax.address, syntax.dns_label, syntax.dns_subdomain):
        try:
            taken = check(value, "field")
        except InvalidValue:
            continue
        assert check(taken, "field") == taken
        assert taken.isascii() and taken.isprintable() and " " not in taken
