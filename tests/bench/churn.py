# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of changes, one after the other, under load and with websockets that stay open."""

from __future__ import annotations

import collections
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import edge
from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Outcome, converge
from figure import CouldNotMeasure, Figure, Measurement
from world import STEADY, World

RUNS = 500
WEBSOCKETS = 50
LOOPS = 8
START_SECONDS = 30.0
BOUND_SECONDS = 900.0

METHOD = f"""\
A haproxy with the settings of the role `haproxy` is converged {RUNS} times in a row, each time to another state of two clusters (`IngressAdapter`
and `converge()`, what the module runs): routes come, go and move between clusters, controllers and services of their own; pods come, are drained
and end, as Kubernetes does it: an endpoint leaves first, its pod ends later; certificates come, are rotated and go; policies change. After each
run haproxy is asked whether the change is there: by whom a host is answered, with which status, or which certificate is presented.
All the while {LOOPS} connections, kept alive, ask for four hosts by HTTP and HTTPS, whose pods, policies and certificates are among what changes,
and {WEBSOCKETS} websockets, opened at the beginning, get an echo twice a second, also from pods that are drained, for those live on."""


def measure() -> Measurement:
    """Reloads, failed requests and broken websockets. Raises CouldNotMeasure when a change is not there after its run."""
    with tempfile.TemporaryDirectory(prefix="northgate-bench-") as name:
        haproxy = edge.router(pathlib.Path(name))
        world = World(random.Random(395))
        load = None
        try:
            haproxy.start()
            first = bring(haproxy, world)
            if not first.reload_reason:
                raise CouldNotMeasure("the first run did not load our configuration")
            load = start_load(haproxy)
            worker = haproxy.worker()
            runs = [_change(haproxy, world, number) for number in range(RUNS)]
            reloads = sum(bool(reason) for _change_, _seconds, reason in runs) or int(haproxy.worker() != worker)
            for reason in filter(None, (reason for _change_, _seconds, reason in runs)):
                print(f"  reload: {reason}", file=sys.stderr)
            summary = end_load(load)
        finally:
            if load:
                load.kill()
                load.wait()
            world.stop()
            haproxy.stop()
    return _measurement(runs, reloads, summary)


def _measurement(runs: list[tuple[str, float, str]], reloads: int, summary: dict) -> Measurement:
    if summary["websockets_opened"] < WEBSOCKETS or not summary["messages"]:
        raise CouldNotMeasure(f"the websockets did not open: {summary}")
    for reason in summary["reasons"]:
        print(f"  load: {reason}", file=sys.stderr)
    seconds = sorted(seconds for _change_, seconds, _reason in runs)
    changes = collections.Counter(change for change, _seconds, _reason in runs)
    rows = [
        ("", ""),
        ("requests", f"{summary['requests']:,}, the slowest {summary['slowest']:.2f} s"),
        ("of these repeated on a new connection", f"{summary['retried']:,} (RFC 9112, section 9.3.1)"),
        ("messages of websockets", f"{summary['messages']:,}"),
        ("a run, with reading and verifying", f"median {statistics.median(seconds) * 1000:.0f} ms, the slowest {seconds[-1] * 1000:.0f} ms"),
        ("changes", ", ".join(f"{number} {change}" for change, number in sorted(changes.items()))),
    ]
    broken = summary["websockets_broken"] + summary["websockets_ended"]
    figures = (
        Figure(f"churn_{RUNS}_runs_reloads_after_the_first", reloads, "reloads", at_most=0),
        Figure(f"churn_{RUNS}_runs_failed_requests", summary["failed"], "requests", at_most=0),
        Figure(f"churn_{RUNS}_runs_broken_websockets", broken, f"of {WEBSOCKETS} websockets", at_most=0),
    )
    return Measurement("Changes under load", figures, METHOD, tuple(rows))


def _change(haproxy: edge.HAProxy, world: World, number: int) -> tuple[str, float, str]:
    """Changes the world, converges, and looks whether the change is there: its kind, the run's seconds, the reason of a reload."""
    kind, is_there = world.change()
    began = time.monotonic()
    try:
        outcome = bring(haproxy, world)
    except NorthgateError as error:
        raise CouldNotMeasure(f"run {number} ({kind}): {error}") from error
    seconds = time.monotonic() - began
    if not outcome.plan:
        raise CouldNotMeasure(f"run {number} ({kind}) changed nothing")
    if found := is_there(haproxy):
        raise CouldNotMeasure(f"run {number}: {kind} is not there: {found}")
    if number % 50 == 49:
        print(f"  {number + 1} of {RUNS} runs", file=sys.stderr)
    return kind, seconds, outcome.reload_reason


def bring(haproxy: edge.HAProxy, world: World) -> Outcome:
    """One run, as the module does it."""
    state = ingress_state(world.snapshots(), EdgeOptions(now=int(time.time())), world.certificates.values())
    adapter = haproxy.adapter
    outcome = converge(adapter, lambda current: adapter.wanted(current, state, haproxy.options), check_mode=False)
    adapter.delete_drained(outcome.wanted)
    return outcome


def start_load(haproxy: edge.HAProxy) -> subprocess.Popen[str]:
    """The load, once every connection and websocket had its first answer."""
    urls = [f"--url={scheme}://{host}/" for host, scheme in STEADY.items()]
    sockets = [f"--websocket={scheme}://{host}/socket" for host, scheme in STEADY.items()] * -(-WEBSOCKETS // len(STEADY))
    process = subprocess.Popen(
        [
            sys.executable, "-m", "traffic", "--address=127.0.0.1", f"--http-port={haproxy.http}", f"--https-port={haproxy.https}",
            "load", *urls, *sockets[:WEBSOCKETS], f"--loops={LOOPS}", "--pause=0.02", "--beat=0.5", f"--seconds={BOUND_SECONDS}",
        ],
        cwd=edge.LAB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    if process.stdout.readline().strip() != "ready":
        raise CouldNotMeasure("the load did not get its first answers")
    return process


def end_load(process: subprocess.Popen[str]) -> dict:
    """Ends the load and returns its summary."""
    output, _nothing = process.communicate(timeout=START_SECONDS)
    return json.loads(output.splitlines()[-1])
