# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: brings the lab up, converges it with the collection's playbooks, probes it and prints a table.

Run by ``make demo``; leaves the lab running. Exits with 1 when a step or a probe fails.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import time
import typing as t

from lab import COMMAND, ROOT, StepFailed, playbook
from probes import LEAST_SECONDS, ROUTERS, SETTLE_SECONDS, Result, balanced, outside, pulled_plug, requests, routes, summary

WIDTHS = (62, 40, 40, 4)
LOOK_AROUND = """\
The lab goes on running. To look around:
  {lab} status
  {lab} exec client -- curl -s --resolve shared.example.test:80:10.91.0.11 http://shared.example.test/
  {lab} exec r1 -- birdc show protocols
  {lab} exec r1 -- ipvsadm -Ln
  {lab} kubectl alpha -n demo get services
  {lab} exec r1 -- cat /etc/haproxy/conf.d/50-northgate-ingress.cfg
  {lab} kubectl alpha get pods -A -o wide
  {lab} logs r1
  {lab} ansible -- playbooks/converge.yml --check --diff
  make demo-down    stops it and removes everything"""


def main() -> int:
    """Runs steps and probes; see the module."""
    started = time.monotonic()
    steps = (
        ("the lab", _up),
        ("cluster_access: an account for the routers' controller in each cluster", lambda: playbook("playbooks/cluster_access.yml")),
        ("site.yml: haproxy and IPVS on the routers, BGP everywhere", lambda: playbook("playbooks/site.yml")),
        ("converge.yml: the clusters' ingresses and services on the routers", lambda: playbook("playbooks/converge.yml")),
    )
    for number, (title, step) in enumerate(steps, 1):
        print(f"step {number} of {len(steps)}: {title}", flush=True)
        step_started = time.monotonic()
        try:
            step()
        except StepFailed as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        print(f"  done in {time.monotonic() - step_started:.0f} s", flush=True)
    print("probes", flush=True)
    try:
        results = list(_shown(_probes()))
    except StepFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(table(results))
    print(f"\n{summary(results)}; the demo took {time.monotonic() - started:.0f} s\n")
    print(LOOK_AROUND.format(lab=COMMAND.relative_to(ROOT)))
    return 0 if all(result.ok for result in results) else 1


def _up() -> None:
    if subprocess.run([str(COMMAND), "up"], stdin=subprocess.DEVNULL, check=False).returncode:
        raise StepFailed("lab up failed")


def _probes() -> t.Iterator[Result]:
    settled = time.monotonic() + SETTLE_SECONDS
    for probe in [probe for router in ROUTERS for of in (routes, requests, balanced) for probe in of(router)] + outside():
        yield probe.run(max(LEAST_SECONDS, settled - time.monotonic()))
    yield from pulled_plug("r1", "r2")


def _shown(results: t.Iterable[Result]) -> t.Iterator[Result]:
    """Passes results on and says how each one went."""
    started = time.monotonic()
    for result in results:
        print(f"  {time.monotonic() - started:5.0f} s  {'ok  ' if result.ok else 'FAIL'}  {result.what}", flush=True)
        yield result


def table(results: list[Result]) -> str:
    """The results as a table with the columns what, expected, seen, ok; long cells go on in the next line."""
    rows = [("what", "expected", "seen", "ok")]
    rows += [(r.what, r.expected, r.seen or "nothing", "ok" if r.ok else "FAIL") for r in results]
    lines = [""]
    for row in rows:
        cells = [textwrap.wrap(cell, width, break_long_words=False) or [""] for cell, width in zip(row, WIDTHS, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            lines.append("  ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
