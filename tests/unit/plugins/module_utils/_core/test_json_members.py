# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON that is read piece by piece."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.json_members import members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.sampled_from([None, 1]))
def test_the_members_together_are_the_object(document, indent):
    found = {}
    for name, is_entry, value in members(json.dumps(document, indent=indent)):
        if is_entry:
            found.setdefault(name, []).append(value)
        else:
            assert name not in found
            found[name] = value
    assert found == document


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":[1',
        '{"a":[1,]}',
        '{"a":[,1]}',
        '{"a":1,}',
        '{"a":1}}',
        '{"a":1} x',
        "{1:1}",
        '{"a":1,"a":2}',
        '{"a" 1}',
        "{}{}",
    ],
)
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError):
        list(members(text))


@given(st.text(alphabet='{}[]:,"a1 ', max_size=12))
def test_what_is_taken_is_what_the_standard_library_takes(text):
    try:
        list(members(text))
    except ValueError:
        return
    assert isinstance(json.loads(text), dict)
