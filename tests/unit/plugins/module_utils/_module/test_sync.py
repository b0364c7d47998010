# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orchestration: check mode ends after the plan; verify always has the last word."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.plan import FileChange, Plan
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge, receive


class Number:
    """A subsystem whose state is one number."""

    def __init__(self, now, deaf=False):
        self.now, self.deaf = now, deaf

    def read(self):
        return self.now

    def plan(self, current, wanted):
        return Plan((FileChange("number", str(current), str(wanted)),) if current != wanted else ())

    def apply(self, steps, wanted):
        self.now = self.now if self.deaf else wanted
        return "a reason"

    def verify(self, wanted):
        if self.now != wanted:
            raise ConvergeError("not as wanted")


def test_a_run_applies_and_verifies_and_the_next_has_nothing_to_do():
    number = Number(1)
    outcome = converge(number, 2, check_mode=False)
    assert (number.now, bool(outcome.plan), outcome.reload_reason) == (2, True, "a reason")
    again = converge(number, 2, check_mode=False)
    assert (bool(again.plan), again.reload_reason) == (False, "")


def test_check_mode_plans_the_same_and_touches_nothing():
    number = Number(1)
    outcome = converge(number, 2, check_mode=True)
    assert number.now == 1
    assert outcome.plan == converge(Number(1), 2, check_mode=False).plan


def test_what_did_not_become_as_wanted_is_an_error():
    with pytest.raises(ConvergeError):
        converge(Number(1, deaf=True), 2, check_mode=False)


def test_a_snapshot_comes_from_this_run_or_from_memory_or_not_at_all(tmp_path):
    inbox, accepted = Inbox(str(tmp_path)), Accepted(str(tmp_path), "module")
    data = codec.dump(Snapshot("alpha"))
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / ("a" * 64)).write_bytes(data)
    accepted.write("beta", codec.dump(Snapshot("beta")))
    received = receive(["alpha", "beta", "gamma"], {"alpha": "a" * 64}, inbox, accepted)
    assert {name: of.observed for name, of in received.items()} == {"alpha": True, "beta": False}
    with pytest.raises(SnapshotError, match="for cluster beta is of cluster alpha"):
        receive(["beta"], {"beta": "a" * 64}, inbox, accepted)
