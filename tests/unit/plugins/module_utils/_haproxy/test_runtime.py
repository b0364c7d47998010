# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Payloads are cut so that haproxy 2.6 takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._haproxy.runtime import Refused, Runtime, Unreachable, _chunks


@given(st.lists(st.text("abc", max_size=30).map(lambda text: text + "\n")), st.integers(40, 100))
def test_chunks_keep_every_line_whole_and_in_order(lines, limit):
    chunks = list(_chunks(lines, limit))
    assert "".join(chunks) == "".join(lines)
    assert all(0 < len(chunk) <= limit for chunk in chunks)


def test_a_command_that_would_hang_haproxy_is_never_sent(tmp_path):
    with pytest.raises(Refused, match="20009 bytes, the run-time interface takes 14000"):
        Runtime(str(tmp_path / "none")).ask("show map" + "x" * 20_000)


def test_a_socket_that_is_not_there_is_named_with_the_way_out(tmp_path):
    with pytest.raises(Unreachable, match=r"none.*systemctl status haproxy"):
        Runtime(str(tmp_path / "none")).ask("show info")
