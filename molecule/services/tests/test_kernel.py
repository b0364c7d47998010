# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's own code on a router's real kernel, without playbooks."""
from __future__ import annotations

import json

import pytest
from driver import router_code
from driver.command import converge, lab

PROPERTY_SECONDS = 400.0


@pytest.fixture
def code():
    """Where r1 has the collection; afterwards its services are those of the clusters again."""
    before = sorted(lab("exec", "r1", "--", "ipvsadm", "-Sn").splitlines())
    yield router_code.install("r1")
    # One that failed leaves its own behind.
    lab("exec", "r1", "--", "ipvsadm", "-C")
    converge()
    assert sorted(lab("exec", "r1", "--", "ipvsadm", "-Sn").splitlines()) == before


def test_200_services_come_change_and_go_in_random_order(code):
    found = json.loads(router_code.run("r1", code, "property_test.py", "--services=200", timeout=PROPERTY_SECONDS))
    assert (found["created"], found["deleted"], found["differences"]) == (200, 200, []), found
