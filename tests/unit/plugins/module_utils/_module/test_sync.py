# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orchestration: check mode ends after the plan; verify always has the last word."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Ingress, Path, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.plan import FileChange, Plan
from ansible_collections.northgate.edge.plugins.module_utils._core.shrink import NONE_LEFT, OF_APIS, OF_SERVICES, ShrinkLimit
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Guard, converge, forget, receive, remember


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

    def verify(self, current, wanted):
        if current != wanted:
            raise ConvergeError("not as wanted")


def test_a_run_applies_and_verifies_and_the_next_has_nothing_to_do():
    number = Number(1)
    outcome = converge(number, lambda now: 2, check_mode=False)
    assert (number.now, bool(outcome.plan), outcome.reload_reason) == (2, True, "a reason")
    again = converge(number, lambda now: 2, check_mode=False)
    assert (bool(again.plan), again.reload_reason) == (False, "")


def test_check_mode_plans_the_same_and_touches_nothing():
    number = Number(1)
    outcome = converge(number, lambda now: 2, check_mode=True)
    assert number.now == 1
    assert outcome.plan == converge(Number(1), lambda now: 2, check_mode=False).plan


def test_what_did_not_become_as_wanted_is_an_error():
    with pytest.raises(ConvergeError):
        converge(Number(1, deaf=True), lambda now: 2, check_mode=False)


def snapshot(cluster, routes=0):
    paths = tuple(Path(Rule(f"h{number}.example", "/", "Prefix"), "class/traefik") for number in range(routes))
    return Snapshot(cluster, (Ingress("demo", "shop", "2026", "traefik", paths),) if routes else ())


@pytest.fixture
def inbox(tmp_path):
    """Documents by a digit, which stands for their SHA-256."""
    (tmp_path / "inbox").mkdir()
    for digit, document in {"a": snapshot("alpha"), "b": snapshot("beta", 1), "c": snapshot("alpha", 10)}.items():
        (tmp_path / "inbox" / (digit * 64)).write_bytes(codec.dump(document))
    return Inbox(str(tmp_path))


def origins(received):
    return {name: of.origin for name, of in received.items()}


def test_a_snapshot_comes_from_this_run_or_from_memory_or_not_at_all(tmp_path, inbox):
    accepted, guard = Accepted(str(tmp_path), "module"), Guard(ShrinkLimit())
    accepted.write("beta", codec.dump(snapshot("beta")))
    received = receive(["alpha", "beta", "gamma"], {"alpha": "a" * 64}, inbox, accepted, guard)
    assert origins(received) == {"alpha": "observed", "beta": "last-known-good"}
    with pytest.raises(SnapshotError, match="for cluster beta is of cluster alpha"):
        receive(["beta"], {"beta": "a" * 64}, inbox, accepted, guard)


def test_what_was_served_is_remembered_and_what_shrinks_is_held_back(tmp_path, inbox):
    accepted, guard = Accepted(str(tmp_path), "module"), Guard(ShrinkLimit())
    many = receive(["alpha"], {"alpha": "c" * 64}, inbox, accepted, guard)
    assert accepted.read("alpha") is None
    remember(many, accepted)
    held = receive(["alpha"], {"alpha": "a" * 64}, inbox, accepted, guard)["alpha"]
    assert (held.origin, held.reason, held.snapshot, held.data) == ("held back", "10 routes become 0", snapshot("alpha", 10), None)
    confirmed = receive(["alpha"], {"alpha": "a" * 64}, inbox, accepted, Guard(ShrinkLimit(), frozenset({"alpha"})))
    assert origins(confirmed) == {"alpha": "observed"}
    others = Guard(ShrinkLimit(), kinds=OF_SERVICES)
    assert origins(receive(["alpha"], {"alpha": "a" * 64}, inbox, accepted, others)) == {"alpha": "observed"}
    remember(confirmed, accepted)
    assert accepted.read("alpha") == codec.dump(snapshot("alpha"))


def test_memory_of_another_version_gives_way_to_a_new_snapshot_and_is_an_error_without_one(tmp_path, inbox):
    accepted, guard = Accepted(str(tmp_path), "module"), Guard(ShrinkLimit())
    accepted.write("alpha", b'{"version": 1}')
    assert origins(receive(["alpha"], {"alpha": "c" * 64}, inbox, accepted, guard)) == {"alpha": "observed"}
    with pytest.raises(SnapshotError, match="snapshot version 1"):
        receive(["alpha"], {}, inbox, accepted, guard)


def test_what_is_served_no_more_is_forgotten_and_so_is_all_that_the_inbox_had_beside_this_run(tmp_path, inbox):
    accepted = Accepted(str(tmp_path), "module")
    for cluster in ("alpha", "beta"):
        accepted.write(cluster, codec.dump(snapshot(cluster)))
    told = ["forget alpha: it is not served here any more"]
    assert forget(["beta"], accepted, inbox, ["b" * 64], check_mode=True) == told
    assert set(accepted.clusters()) == {"alpha", "beta"} and inbox.missing(["a" * 64]) == []
    assert forget(["beta"], accepted, inbox, ["b" * 64], check_mode=False) == told
    assert set(accepted.clusters()) == {"beta"} and inbox.missing(digit * 64 for digit in "abc") == ["a" * 64, "c" * 64]
    assert forget(["beta"], accepted, inbox, ["b" * 64], check_mode=False) == []


def test_the_inbox_is_cleared_when_a_router_leaves_its_group_and_otherwise_keeps_what_is_young(tmp_path, inbox):
    accepted = Accepted(str(tmp_path), "module")
    assert forget(["alpha"], accepted, inbox, ["a" * 64], check_mode=False) == []
    assert inbox.missing(["b" * 64]) == []
    assert forget(["alpha"], accepted, inbox, ["a" * 64], check_mode=False, left="edge-a") == []
    assert inbox.missing(["b" * 64, "a" * 64]) == ["b" * 64]


def test_a_snapshot_without_api_servers_is_held_back_whoever_confirms_it(tmp_path, inbox):
    accepted = Accepted(str(tmp_path), "module")
    accepted.write("alpha", codec.dump(Snapshot("alpha", api_servers=(Endpoint("10.0.0.1", 6443),))))
    for confirmed in (frozenset(), frozenset({"alpha"})):
        guard = Guard(ShrinkLimit(), confirmed, OF_APIS)
        held = receive(["alpha"], {"alpha": "a" * 64}, inbox, accepted, guard)["alpha"]
        assert (held.origin, held.reason) == ("held back", NONE_LEFT)
