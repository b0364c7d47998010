# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of addresses: what the operator may write, and what lies in them."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool, AddressPools
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Service


def pool(*addresses, name="public", **options):
    return AddressPool.parse(name, {"addresses": list(addresses), **options})


def service(namespace="mail", **labels):
    return Service(namespace, "smtp", "2026-01-01T00:00:00Z", labels=tuple(sorted(labels.items())))


@pytest.mark.parametrize(
    "entry, family, addresses",
    [
        ("192.0.2.0/29", 4, [f"192.0.2.{last}" for last in range(1, 7)]),
        ("192.0.2.4/30", 4, ["192.0.2.5", "192.0.2.6"]),
        ("192.0.2.4/31", 4, ["192.0.2.4", "192.0.2.5"]),
        ("192.0.2.4/32", 4, ["192.0.2.4"]),
        ("192.0.2.4", 4, ["192.0.2.4"]),
        ("192.0.2.0-192.0.2.2", 4, ["192.0.2.0", "192.0.2.1", "192.0.2.2"]),
        ("192.0.2.254 - 192.0.3.1", 4, ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]),
        ("2001:db8::/126", 6, ["2001:db8::1", "2001:db8::2", "2001:db8::3"]),
        ("2001:db8::/127", 6, ["2001:db8::", "2001:db8::1"]),
        ("2001:db8::8", 6, ["2001:db8::8"]),
        ("2001:DB8::-2001:db8::1", 6, ["2001:db8::", "2001:db8::1"]),
    ],
)
def test_what_a_prefix_or_a_range_gives(entry, family, addresses):
    found = pool(entry)
    assert list(found.walk(family)) == addresses and list(found.walk(10 - family)) == []
    assert all(found.offers(address) and found.contains(address) for address in addresses)
    assert found.has(family) and not found.has(10 - family)


def test_a_large_pool_is_walked_without_being_listed():
    found = pool("2001:db8::/32")
    assert list(itertools.islice(found.walk(6), 2)) == ["2001:db8::1", "2001:db8::2"]
    assert found.contains("2001:db8:ffff::1") and found.contains("2001:db8::") and not found.offers("2001:db8::")
    assert not found.contains("2001:db9::") and not found.contains("32.1.13.184")


def test_entries_that_touch_or_overlap_are_one_and_a_range_frees_the_first_of_a_prefix():
    found = pool("192.0.2.0/30", "192.0.2.0-192.0.2.9", "2001:db8::/64", "192.0.2.12")
    assert list(found.walk(4)) == [f"192.0.2.{last}" for last in (*range(10), 12)]
    assert found.prefixes == ("192.0.2.0/29", "192.0.2.8/31", "192.0.2.12/32", "2001:db8::/64")


def test_whom_a_pool_admits():
    assert pool("192.0.2.0/24").admits("alpha", service())
    narrow = pool("192.0.2.0/24", clusters=["alpha"], namespaces=["mail"], selector={"tier": "public"})
    assert narrow.admits("alpha", service(tier="public", other="label"))
    assert not narrow.admits("beta", service(tier="public"))
    assert not narrow.admits("alpha", service("web", tier="public"))
    assert not narrow.admits("alpha", service(tier="private")) and not narrow.admits("alpha", service())
    assert narrow.serves("alpha") and not narrow.serves("beta")
    assert not pool("192.0.2.0/24", clusters=[]).serves("alpha")


@pytest.mark.parametrize(
    "options, message",
    [
        ([], r"pools\.public: \[\] is no dictionary"),
        ({}, r"pools\.public\.addresses: is missing"),
        ({"addresses": "192.0.2.0/24"}, r"pools\.public\.addresses: '192.0.2.0/24' is no list"),
        ({"addresses": ["192.0.2.1/24"]}, r"pools\.public\.addresses\[0\]: .* without host bits"),
        ({"addresses": ["192.0.2.0/24", 7]}, r"pools\.public\.addresses\[1\]: 7 is no network"),
        ({"addresses": ["192.0.2.9-192.0.2.1"]}, "is no range"),
        ({"addresses": ["192.0.2.9-2001:db8::1"]}, "is no range"),
        ({"addresses": ["192.0.2.9-"]}, "'' is no IP address"),
        ({"addresses": ["192.0.2.1-192.0.2.2-192.0.2.3"]}, "is no IP address"),
        ({"addresses": ["127.0.0.0/8"]}, r"addresses in 127\.0\.0\.0/8"),
        ({"addresses": ["223.0.0.0-224.0.0.1"]}, r"addresses in 224\.0\.0\.0/4"),
        ({"addresses": ["0.0.0.0/0"]}, "which services can't have"),
        ({"addresses": ["::/0"]}, "which services can't have"),
        ({"addresses": ["fe80::1"]}, r"fe80::/10"),
        ({"addresses": ["192.0.2.0/24"], "adresses": []}, r"pools\.public\.adresses: is no key of a pool; there are addresses, auto_assign, clusters"),
        ({"addresses": ["192.0.2.0/24"], "clusters": "alpha"}, r"pools\.public\.clusters"),
        ({"addresses": ["192.0.2.0/24"], "clusters": ["Alpha"]}, r"pools\.public\.clusters\[0\]"),
        ({"addresses": ["192.0.2.0/24"], "namespaces": [None]}, r"pools\.public\.namespaces\[0\]"),
        ({"addresses": ["192.0.2.0/24"], "selector": {"tier": 1}}, r"pools\.public\.selector"),
        ({"addresses": ["192.0.2.0/24"], "quota": -1}, r"pools\.public\.quota"),
        ({"addresses": ["192.0.2.0/24"], "quota": True}, r"pools\.public\.quota"),
        ({"addresses": ["192.0.2.0/24"], "auto_assign": "yes"}, r"pools\.public\.auto_assign"),
        ({"addresses": ["192.0.2.0/24"], "share_between_namespaces": 1}, r"pools\.public\.share_between_namespaces"),
    ],
)
def test_a_mistake_is_named_with_pool_and_key(options, message):
    with pytest.raises(InvalidValue, match=message):
        AddressPool.parse("public", options)


def test_the_name_of_a_pool_is_a_label():
    with pytest.raises(InvalidValue, match=r"pools\.Public"):
        pool("192.0.2.0/24", name="Public")


def test_pools_find_the_one_of_an_address():
    pools = AddressPools.parse(
        {
            "two": {"addresses": ["192.0.2.128/25", "2001:db8::/64"]},
            "one": {"addresses": ["192.0.2.0/25", "198.51.100.0/24"]},
        }
    )
    assert [found.name for found in pools] == ["one", "two"]
    wanted = {"192.0.2.0": "one", "192.0.2.127": "one", "192.0.2.128": "two", "198.51.100.255": "one", "2001:db8::": "two"}
    assert {address: pools.find(address).name for address in wanted} == wanted
    assert [pools.find(address) for address in ("192.0.1.255", "192.0.3.0", "10.0.0.1", "2001:db8:0:1::", "::5")] == [None] * 5
    assert AddressPools.parse({}).find("192.0.2.1") is None


@pytest.mark.parametrize("other", ["192.0.2.0/24", "192.0.2.200", "192.0.2.255-192.0.3.9", "192.0.0.0/16"])
def test_pools_that_overlap_are_refused_with_both_names(other):
    with pytest.raises(InvalidValue, match="also in the pool") as error:
        AddressPools.parse({"one": {"addresses": ["192.0.2.0/24"]}, "two": {"addresses": ["10.0.0.0/8", other]}})
    assert "one" in str(error.value) and "two" in str(error.value)


def test_pools_are_a_dictionary():
    with pytest.raises(InvalidValue, match=r"pools: \[\] is no dictionary"):
        AddressPools.parse([])
