# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures and docs/reliability.md from results. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from figure import Figure

from .cases import OUTAGE_MS
from .felt import SLOW, TOGETHER, Felt
from .measure import MOMENT, Result
from .probing import AGAIN, BEHIND_POOL, BEHIND_VIP, INTERVALS, PATIENCE, PROBERS, SILENCE, STREAMS, TIMEOUT

TITLES = {"http": "HTTP", "ingress": "ingress", "api": "API", "watch": "watch", "tcp": "TCP", "udp": "UDP", "stream": "streams"}
NOT_MEASURED = "Not measured yet."
HEADING = """\
# Reliability

What a client feels when a part of the edge is lost, comes back or is maintained. Written by `make failover`, which prints a line for each figure:
`NAME VALUE UNIT GOAL ok|short`. It fails only when something could not be measured; then this file stays as it was. `make failover CASE=router_plug` runs
one case, and `make failover SHORT=1` the few that `make test` has; neither writes this file. `NORTHGATE_FAILOVER_SEED` repeats the moments of a run.
"""
METHOD = f"""\
## How it is measured

The lab's topology `shared` ([the lab](lab.md)): two routers serve two clusters, one of them with API servers behind the VIP. The client is the
upstream router. Behind it, in a network namespace, one program runs all probers at once, each at its own pace and whatever became of the attempt before:

| Prober | Where | What is one attempt | Every |
| --- | --- | --- | --- |
| HTTP | VIP | a new connection, a GET through haproxy straight to a pod of the application, status 200 and the whole answer | {{http}} |
| ingress | VIP | a new connection with TLS, a GET through haproxy and a pod of the ingress controller, status 200 and the whole answer | {{ingress}} |
| API | VIP | a new connection with TLS, a GET of /version, and like client-go up to {AGAIN} more when the connection ends before the answer | {{api}} |
| watch | VIP | a change of an object that a watch sees; changes are made at the API servers themselves | {{watch}} |
| TCP | address of a pool | a new connection, a word and its echo from a pod | {{tcp}} |
| UDP | address of a pool | a datagram from a new port and its answer | {{udp}} |
| streams | address of a pool | a numbered message and its echo, on each of {STREAMS} connections that stay open | {{stream}} |

IPv4 and IPv6 take turns. TLS and the ingress controller are dear, so what has them is asked less often. VIPs are in the probers' own segment. The pool is
announced by BGP, and the client spreads connections over both routers. The first router has the VIP of HTTP when all is well; the API's may be with the
second. Before each case everything has to be well: VIPs on the routers that are preferred, BGP and BFD sessions up, the client's routes over both routers,
servers of haproxy, nodes and deployments ready. Then probers run for {MOMENT[0]:.0f} to {MOMENT[1]:.0f} seconds; how long, the seed says. A case has one
thing after the other happen, each with a window of its own: from just before it until what should come of it has come and every prober has been calm for
two seconds. The clocks of machines are not compared: the probers note when they are told. Guests, control planes and Ansible share two cores; checks and
playbooks run at the lowest priority, so that what is measured is not their work.

- **Lost** is an attempt without its whole answer within {TIMEOUT:.0f} s, or one that is reset, refused, closed early, or answered with another status
  than 200. A stream is lost when it is reset or closed or when a message has no answer for {PATIENCE:.0f} s; another one is then opened. A change is lost
  when the watch goes on behind it.
- **Reset** are those that somebody ended: reset, refused or closed. They are lost, but for the API's that were asked again: haproxy passes TLS on,
  so nobody but the client can repeat what an API server had when it died. This client does so at once, and client-go after a second.
- **Outage** is the longest trouble that has a part in the window: a time without an answer, from one to the next, less the interval; or a time in which
  attempts failed or took {SLOW:.0f} s, even if others did not, from the start of the first of them to the start of the first after the last that was
  answered in time. So one whose SYN was lost is part of it, for that is sent again after a second. Failures within {TOGETHER:.0f} s are one trouble. For
  streams, of which the worst counts, and for the watch it is the longest time that an answer or a change took: TCP's own repetitions, whose pauses
  double from 0.2 s, are part of it.
- **Reconnects**: connections that the watch, or a stream, had to replace. Who only listens is told by nobody that the other side is gone; this watch tries
  another connection after {SILENCE} s without a change, and goes on from the version that it saw last. Clients of Kubernetes are slower to notice:
  client-go asks an HTTP/2 connection that has been silent for 30 s, and waits 15 s for the answer.
- **Longest answer** is of those that came.
- **Late** is by how much the probers themselves began an attempt too late: below that nothing says anything.

Goals: with the plug of a router pulled, or the router frozen, no outage is longer than {OUTAGE_MS} ms and no stream is lost; with a worker or its BIRD gone
none is longer than {OUTAGE_MS} ms, but that streams to pods of a worker without power end with it; nothing is lost where a pod of the ingress controller
(HTTP, ingress) or an API server (API) is killed; nothing is lost or reset where a router or an API server comes back, and in maintenance, reload and upgrade.

Pods of a worker without power stay in their cluster's lists until its node is called not ready, 40 to 50 s later. haproxy passes them over (HTTP).
The lab's ingress controller asks up to four pods, and now and then only such ones (ingress).
"""


def figures(result: Result) -> list[Figure]:
    """Return the figures of a phase: outage, lost and reset of each prober."""
    found = []
    for prober in PROBERS:
        felt, name = result.felt[prober], f"failover_{result.phase.name}_{prober}"
        found += [
            Figure(f"{name}_outage", round(felt.outage * 1000), "ms", at_most=OUTAGE_MS if prober in result.phase.short else None),
            Figure(f"{name}_lost", felt.lost, f"of {felt.attempts}", at_most=0 if prober in result.phase.whole else None),
            Figure(f"{name}_reset", felt.reset, f"of {felt.attempts}", at_most=0 if result.phase.is_gentle else None),
        ]
    return found


def cell(felt: Felt, is_short: bool) -> str:
    """Return outage and losses, in bold where a goal is not reached."""
    text = f"{felt.outage * 1000:.0f} ms" + (f", {felt.lost} lost" if felt.lost else "")
    return f"**{text}**" if is_short else text


def document(results: Sequence[Result], where: str) -> str:
    """Return docs/reliability.md; ``where`` says with what seed and on what it was measured."""
    every = {prober: f"{interval * 1000:.0f} ms" for prober, interval in INTERVALS.items()}
    return "\n".join([HEADING, *(_tables(results, where) if results else [NOT_MEASURED, ""]), METHOD.format_map(every)]).rstrip() + "\n"


def _tables(results: Sequence[Result], where: str) -> list[str]:
    return [
        where, "",
        f"Outages and losses; in bold what misses its goal. {_list(BEHIND_VIP)} are behind a VIP, {_list(BEHIND_POOL)} behind an address of a pool.", "",
        *_table(["", *TITLES.values()], ([result.phase.text, *_cells(result)] for result in results)), "",
        "Attempts, resets, reconnects and the longest answer of each prober, and what the probers themselves were late:", "",
        *_table(["", *TITLES.values(), "late"], ([result.phase.text, *_details(result), f"{result.late * 1000:.0f} ms"] for result in results)), "",
        "The figures with a goal:", "", "```",
        *(figure.line() for result in results for figure in figures(result) if figure.at_most is not None), "```", "",
    ]


def _cells(result: Result) -> list[str]:
    short = {figure.name for figure in figures(result) if not figure.reached}
    names = {prober: {f"failover_{result.phase.name}_{prober}_{what}" for what in ("outage", "lost")} for prober in PROBERS}
    return [cell(result.felt[prober], bool(short & names[prober])) for prober in TITLES]


def _details(result: Result) -> list[str]:
    found = []
    for prober in TITLES:
        felt = result.felt[prober]
        parts = [f"{felt.attempts}", *([f"{felt.reset} reset"] if felt.reset else []), *([f"{felt.reconnects} reconnects"] if felt.reconnects else []),
                 f"{felt.longest * 1000:.0f} ms"]
        found.append(", ".join(parts))
    return found


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows)]


def _list(probers: Sequence[str]) -> str:
    *first, last = (TITLES[prober] for prober in probers)
    return f"{', '.join(first)} and {last}"
