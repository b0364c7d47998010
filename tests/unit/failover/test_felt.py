# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of outages."""
from __future__ import annotations

import pytest
from northgate_failover.felt import Attempt, Series, failures, felt

INTERVAL = 0.02


def attempts(outcomes, latency=0.002, timeout=1.0, interval=INTERVAL, start=0.0):
    """One attempt every interval, with a letter for each."""
    return [Attempt(start + number * interval, start + number * interval + (timeout if outcome == "T" else latency), outcome)
            for number, outcome in enumerate(outcomes)]


def series(found, in_turn=False, interval=INTERVAL):
    return Series("x", interval, in_turn, tuple(sorted(found)))


def all_of(*found, begin=0.0, end=100.0):
    return felt(found, begin, end)


def test_nothing_lost_is_no_outage():
    found = all_of(series(attempts("." * 100)), end=1.9)
    assert (found.attempts, found.lost, found.reset, found.reconnects) == (95, 0, 0, 0)
    assert found.outage == pytest.approx(0.0)
    assert found.longest == pytest.approx(0.002)


@pytest.mark.parametrize("outcome, reset", [("T", 0), ("R", 1), ("F", 1), ("C", 1), ("S", 0), ("U", 0), ("E", 0)])
def test_all_are_lost_for_a_while(outcome, reset):
    found = all_of(series(attempts("." * 50 + outcome * 20 + "." * 50)), end=2.0)
    assert (found.lost, found.reset) == (20, 20 * reset)
    assert found.outage == pytest.approx(0.4)


def test_what_was_asked_once_more_is_one_attempt_and_not_lost():
    found = all_of(series([*attempts("." * 50), Attempt(0.5, 0.51, "A"), Attempt(0.5, 0.53, ".")]), end=0.98)
    assert (found.attempts, found.lost, found.reset, found.reconnects) == (50, 0, 1, 0)


def test_answers_that_came_only_after_a_syn_was_sent_again_are_an_outage_without_a_loss():
    slow = [Attempt(entry.start, entry.start + 1.01, ".") if number in range(50, 70, 2) else entry for number, entry in enumerate(attempts("." * 200))]
    found = all_of(series(slow), end=3.9)
    assert found.lost == 0
    assert found.outage == pytest.approx(19 * INTERVAL)


def test_half_are_lost_for_a_while_though_the_others_are_answered_all_the_time():
    found = all_of(series(attempts("." * 50 + "T." * 20 + "." * 50)), end=2.0)
    assert found.lost == 20
    assert found.outage == pytest.approx(0.8 - INTERVAL)


def test_answers_that_all_come_late_are_an_outage_without_a_loss():
    frozen = [Attempt(1.0 + number * INTERVAL, 1.5 + number * 0.001, ".") for number in range(25)]
    found = all_of(series([*attempts("." * 50), *frozen, *attempts("." * 50, start=1.51)]), end=2.4)
    assert found.lost == 0
    # The last answer before came at 0.982.
    assert found.outage == pytest.approx(1.5 - 0.982 - INTERVAL)
    assert found.longest == pytest.approx(0.5)


def test_two_disturbances_far_apart_are_two():
    found = all_of(series(attempts("." * 50 + "R" + "." * 100 + "RR" + "." * 50)), end=4.0)
    assert found.lost == 3
    assert found.outage == pytest.approx(2 * INTERVAL)
    close = all_of(series(attempts("." * 50 + "R" + "." * 40 + "RR" + "." * 50)), end=2.8)
    assert close.outage == pytest.approx(43 * INTERVAL)


def test_what_was_under_way_when_the_window_began_counts_and_what_ended_before_does_not():
    found = series(attempts("R" * 10 + "." * 50 + "T" * 5 + "." * 100))
    assert all_of(found, begin=0.5, end=2.0).lost == 5
    assert all_of(found, begin=1.5, end=3.0).lost == 5
    assert all_of(found, begin=2.4, end=3.0).lost == 0


def test_a_silence_that_the_window_does_not_see_the_end_of_ends_with_the_next_answer_or_with_it():
    cut = series([*attempts("." * 50), *attempts("." * 10, start=3.0)])
    assert all_of(cut, begin=0.5, end=2.0).outage == pytest.approx(3.002 - 0.982 - INTERVAL)
    never = series(attempts("." * 50))
    assert all_of(never, begin=0.5, end=2.0).outage == pytest.approx(2.0 - 0.982 - INTERVAL)
    assert all_of(series([]), begin=1.0, end=2.0).outage == pytest.approx(1.0 - INTERVAL)


def test_streams_feel_their_longest_wait_and_the_worst_of_them_counts():
    calm = series(attempts("." * 20, interval=0.1), in_turn=True, interval=0.1)
    slow = series([*attempts("." * 10, interval=0.1), Attempt(1.0, 1.45, "."), *attempts("." * 5, interval=0.1, start=1.55)], in_turn=True, interval=0.1)
    found = all_of(calm, slow, end=2.0)
    assert (found.lost, found.reconnects, found.attempts) == (0, 0, 36)
    assert found.outage == found.longest == pytest.approx(0.45)
    # No attempt for long is no outage: nobody asked.
    assert all_of(series(attempts("..", interval=5.0), in_turn=True), end=10).outage == pytest.approx(0.002)


def test_a_stream_that_ended_is_lost_until_the_next_one_is_answered():
    found = all_of(series([Attempt(0.9, 0.91, "."), Attempt(1.0, 1.2, "R"), Attempt(1.31, 1.32, ".")], in_turn=True, interval=0.1), end=1.5)
    assert (found.lost, found.reset, found.reconnects) == (1, 1, 1)
    assert found.outage == pytest.approx(0.31)


def test_another_connection_of_a_watch_is_no_loss_and_a_change_never_seen_is():
    found = all_of(series([*attempts("..."), Attempt(1.0, 1.0, "N"), Attempt(1.0, 1.0, "M"), Attempt(1.01, 1.02, ".")], in_turn=True), end=1.1)
    assert (found.reconnects, found.lost, found.attempts) == (1, 1, 5)


def test_what_failed_is_told_by_what_it_met_and_when_it_began():
    found = [series(attempts("..TT.N", start=1.0)), series(attempts("..S", start=1.0))]
    assert failures(found, 1.0, 9.0) == "1 another status (0.04 to 0.04 s), 2 no answer in time (0.04 to 0.06 s)"
    assert failures([series(attempts("...N."))], 0.0, 9.0) == ""


def test_what_the_client_wrote_is_read():
    found = Series.parse({"prober": "http", "interval": 0.02, "in_turn": False, "starts": [20.5, 0.0], "latencies": [1.5, 1000.0], "outcomes": ".T"})
    assert found.attempts == (Attempt(0.0, 1.0, "T"), Attempt(0.0205, 0.022, "."))
