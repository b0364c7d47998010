# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stock of backends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.backends import HTTP, TCP, Stock, assign, parse, render

NONE = Stock(HTTP, 0, {})


def test_a_stock_is_made_with_spares_and_lasts():
    first = assign(HTTP, ["a", "b"], NONE, frozenset(), 20)
    assert (first.size, first.taken) == (32, {"a": "ng_h00001", "b": "ng_h00002"})
    second = assign(HTTP, ["b", "c"], first, frozenset(), 20)
    # What "a" had stays unused in the run in which "a" goes.
    assert (second.size, second.taken) == (32, {"b": "ng_h00002", "c": "ng_h00003"})
    assert assign(HTTP, ["b", "c", "d"], second, frozenset(), 20).taken["d"] == "ng_h00001"


def test_a_backend_to_which_running_routes_lead_is_not_given_to_others():
    stock = assign(HTTP, ["a"], Stock(HTTP, 16, {}), frozenset({"ng_h00001", "ng_h00002"}), 0)
    assert stock.taken == {"a": "ng_h00003"}


def test_a_stock_that_is_used_up_grows():
    full = assign(HTTP, [f"p{number:02}" for number in range(16)], NONE, frozenset(), 0)
    assert full.size == 16
    grown = assign(HTTP, [*full.taken, "more"], full, frozenset(), 8)
    assert (grown.size, grown.taken["more"]) == (32, "ng_h00017")
    assert {pools: grown.taken[pools] for pools in full.taken} == full.taken


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcdefghij")), st.sets(st.sampled_from([f"ng_h0000{n}" for n in range(1, 9)])), st.integers(0, 9))))
def test_each_set_of_pools_has_a_backend_of_its_own_for_as_long_as_it_lasts(runs):
    stock = NONE
    for needed, busy, spare in runs:
        before, stock = stock, assign(HTTP, needed, stock, frozenset(busy), spare)
        assert set(stock.taken) == needed
        assert len(set(stock.taken.values())) == len(needed) and set(stock.taken.values()) <= set(stock.names)
        assert stock.size >= before.size
        for pools, name in stock.taken.items():
            if pools in before.taken:
                assert name == before.taken[pools]
            else:
                assert name not in busy and name not in before.taken.values()
        assert parse(render([stock]), HTTP) == stock


def test_lines_of_others_are_skipped():
    text = "# note\nng_h00002 a b\nng_h00002 c\nng_hx d\nng_t00001 -\nng_h00003\n\nrubbish\n"
    assert parse(text, HTTP) == Stock(HTTP, 2, {"a b": "ng_h00002"})
    assert parse(text, TCP) == Stock(TCP, 1, {})
    with pytest.raises(ConvergeError, match="backend with number 9999999"):
        parse("ng_h9999999 a\n", HTTP)
