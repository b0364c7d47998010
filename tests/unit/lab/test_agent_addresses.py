# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods' addresses: the same number in both families, none twice, freed ones last."""
from __future__ import annotations

import pytest
from agent.lab_agent.addresses import HIGHEST, LOWEST, Pool
from hypothesis import given
from hypothesis import strategies as st

PREFIXES = ["10.100.1.0/24", "fd64:100:0:1::/64"]


def test_both_families_have_the_same_number():
    assert Pool(PREFIXES).take() == ["10.100.1.2", "fd64:100:0:1::2"]


def test_a_free_preferred_address_is_given():
    assert Pool(PREFIXES).take("10.100.1.77")[0] == "10.100.1.77"


@pytest.mark.parametrize("preferred", ["10.100.2.5", "10.100.1.1", "10.100.1.255", ""])
def test_another_preferred_address_is_not(preferred):
    assert Pool(PREFIXES).take(preferred)[0] == "10.100.1.2"


def test_a_full_node_says_so():
    pool = Pool(PREFIXES)
    for _ in range(LOWEST, HIGHEST + 1):
        pool.take()
    with pytest.raises(IndexError):
        pool.take()


@given(st.lists(st.booleans(), max_size=400))
def test_no_address_is_given_twice(steps):
    pool, taken = Pool(PREFIXES), []
    for take in steps:
        if take and len(taken) <= HIGHEST - LOWEST:
            addresses = pool.take()
            assert addresses not in taken
            taken.append(addresses)
        elif taken:
            pool.give_back(taken.pop(0))


def test_a_freed_address_comes_back_last():
    pool = Pool(PREFIXES)
    pool.give_back(pool.take())
    assert pool.take() == ["10.100.1.3", "fd64:100:0:1::3"]
