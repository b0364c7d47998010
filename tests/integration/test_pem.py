# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real certificates."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.pem import normalise


def test_comments_and_blank_lines_go_and_the_pair_stays(pem):
    text = pem("shop.example.test")
    clean = normalise("subject=CN = shop\r\n" + text.replace("\n", "\r\n"), "shop.pem")
    assert "\n\n" not in clean and "#" not in clean and "\r" not in clean and "subject" not in clean
    assert clean.count("-----BEGIN") == 2
    assert normalise(clean, "shop.pem") == clean


def test_a_key_of_another_certificate_is_refused(pem):
    certificate = pem("shop.example.test").split("# the key")[0]
    with pytest.raises(InvalidValue, match="can't be used together"):
        normalise(certificate + pem("shop.example.test").split("# the key")[1], "shop.pem")
