# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may enter the model, and what may not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core import syntax
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue


@pytest.mark.parametrize(
    ("check", "value", "canonical"),
    [
        (syntax.rule_host, "Shop.Example.TEST", "shop.example.test"),
        (syntax.rule_host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (syntax.rule_host, "*.Example.TEST", "*.example.test"),
        (syntax.rule_host, "", ""),
        (syntax.rule_host, None, ""),
        (syntax.path, "/", "/"),
        (syntax.path, "/a%20b/~c", "/a%20b/~c"),
        (syntax.path, "/%7ec/%41/%c3%a9", "/~c/A/%C3%A9"),
        (syntax.path, "/.well-known/..a/...", "/.well-known/..a/..."),
        (syntax.address, "FD00:0::1", "fd00::1"),
        (syntax.address, "192.0.2.1", "192.0.2.1"),
        (syntax.network, "192.0.2.0/24", "192.0.2.0/24"),
        (syntax.network, "192.0.2.7", "192.0.2.7/32"),
        (syntax.network, "2001:DB8::/32", "2001:db8::/32"),
        (syntax.port, 65535, 65535),
        (syntax.dns_label, "alpha-1", "alpha-1"),
        (syntax.pool_name, "class/nginx.internal", "class/nginx.internal"),
        (syntax.pool_name, "service/demo/echo/80", "service/demo/echo/80"),
        (syntax.pool_name, "service/demo/echo/web", "service/demo/echo/web"),
    ],
)
def test_good_values_come_back_canonical(check, value, canonical):
    assert check(value, "field") == canonical


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (syntax.rule_host, "*"),
        (syntax.rule_host, "*."),
        (syntax.rule_host, "*.*.example"),
        (syntax.rule_host, "a.*.example"),
        (syntax.rule_host, "bad host"),
        (syntax.rule_host, "a\nb"),
        (syntax.rule_host, "example.test\n"),
        (syntax.rule_host, "example.test."),
        (syntax.rule_host, "bücher.example"),
        (syntax.rule_host, "\u212aelvin.example"),
        (syntax.rule_host, "-a.example"),
        (syntax.rule_host, "a..b"),
        (syntax.rule_host, "a." * 127 + "toolong"),
        (syntax.rule_host, ["example.test"]),
        (syntax.rule_host, False),
        (syntax.path, "relative"),
        (syntax.path, "/a b"),
        (syntax.path, "/a?b"),
        (syntax.path, "/a#b"),
        (syntax.path, "/a//b"),
        (syntax.path, "/a/../b"),
        (syntax.path, "/a/."),
        (syntax.path, "/a/%2E%2e/b"),
        (syntax.path, "/a%2fb"),
        (syntax.path, "/a%zz"),
        (syntax.path, "/\n"),
        (syntax.path, "/" + "a" * 1024),
        (syntax.path, 7),
        (syntax.address, "fe80::1%eth0"),
        (syntax.address, "::ffff:10.0.0.1"),
        (syntax.address, "example.test"),
        (syntax.address, 3221225985),
        (syntax.network, "192.0.2.1/24"),
        (syntax.network, "fe80::%eth0/64"),
        (syntax.network, "10.0.0.0/33"),
        (syntax.network, "::ffff:0:0/96"),
        (syntax.network, 10),
        (syntax.network, ""),
        (syntax.port, 0),
        (syntax.port, 65536),
        (syntax.port, True),
        (syntax.port, "80"),
        (syntax.dns_label, "a.b"),
        (syntax.dns_label, "a" * 64),
        (syntax.dns_subdomain, "a_b"),
        (syntax.pool_name, "class"),
        (syntax.pool_name, "class/../x"),
        (syntax.pool_name, "service/demo/echo"),
        (syntax.pool_name, "service/demo/echo/80/81"),
        (syntax.pool_name, "service/demo/ec.ho/80"),
        (syntax.pool_name, None),
    ],
)
def test_bad_values_are_refused_with_the_fields_name(check, value):
    with pytest.raises(InvalidValue) as refused:
        check(value, "spec.field")
    assert refused.value.field == "spec.field"
    assert len(refused.value.cause) < 250


CHECKS = (syntax.rule_host, syntax.path, syntax.address, syntax.network, syntax.dns_label, syntax.dns_subdomain, syntax.pool_name)
# Text near to what is taken, beside any text.
NEAR = st.text(alphabet="aA1-.*/%2eEfF:\n ", max_size=20)


@given(st.one_of(st.text(), NEAR, NEAR.map("/".__add__), st.none(), st.integers(), st.lists(st.text())))
def test_each_check_is_idempotent_and_lets_no_control_character_or_space_through(value):
    for check in CHECKS:
        try:
            taken = check(value, "field")
        except InvalidValue as refused:
            assert len(refused.cause) < 250
            continue
        assert check(taken, "field") == taken
        assert taken.isascii() and taken.isprintable() and " " not in taken


# Two bits of each group of IPv6, so that zeros stand together.
SPARSE = st.lists(st.integers(0, 3), min_size=8, max_size=8).map(lambda groups: ipaddress.IPv6Address(sum(g << 16 * i for i, g in enumerate(groups))))


@given(st.one_of(st.ip_addresses(), SPARSE))
def test_an_address_is_written_as_the_standard_library_does(address):
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return
    assert syntax.address(str(address), "field") == str(address)
    if address.version == 6:
        assert syntax.address(address.exploded, "field") == str(address)


BLOCK = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (BLOCK, True),
        (BLOCK + BLOCK.replace("CERTIFICATE", "EC PRIVATE KEY"), True),
        ("", False),
        (BLOCK[:-1], False),
        (BLOCK + "\n", False),
        (BLOCK + "\n" + BLOCK, False),
        ("# comment\n" + BLOCK, False),
        (BLOCK.replace("QUJD\n", ""), False),
        (BLOCK.replace("QUJD", "QU JD"), False),
        (BLOCK.replace("QUJD", "QUJD\n"), False),
        (BLOCK.replace("END CERTIFICATE", "END KEY"), False),
        (BLOCK.replace("\n", "\r\n"), False),
    ],
)
def test_pem_is_blocks_without_blank_lines_and_nothing_else(text, good):
    assert syntax.is_pem(text) is good
