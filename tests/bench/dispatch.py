# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast requests find their backend: our map against a chain of regular expressions, 5,000 hosts each."""

from __future__ import annotations

import pathlib
import statistics
import sys
import tempfile

from ansible_collections.northgate.edge.plugins.module_utils._core import decide
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import layout, servers
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import ROUTES, Options
from edge import ANSWER, HOSTS, hosts, snapshots
from figure import CouldNotMeasure, Figure, Measurement
from ports import free_port
from processes import CONNECTIONS, cores, haproxy, rate_and_cost, wrk_script

ROUNDS = 5
SECONDS = 3
GOAL = 20
# What only serves the look-up of the route.
LOOKUPS = ("set-var(txn.ng_path)", "set-var(txn.ng_route)", "unless { var(txn.ng_route)")

SETTINGS = """\
global
    nbthread 1
    maxconn 2000
    log /dev/null local0
defaults ng_defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""

METHOD = f"""\
{HOSTS:,} exact hosts, a third of them offered by two clusters, are rendered as `haproxy_ingress` renders them: one map. The chain has the
same frontend and the same backends, but for each host one `acl h_N hdr_reg(host) -i ^host-N\\.example\\.test(:\\d+)?$` and one
`use_backend ... if h_N` instead of the look-ups. Each runs in a haproxy of its own with one thread, pinned to one core; the other core
has wrk, with {CONNECTIONS} connections that are kept alive and hosts chosen at random, and the server behind both: a haproxy that
returns 200. All on loopback. {ROUNDS} rounds of {SECONDS} seconds each, in turn; the figure is the median of the rounds' ratios of
requests a second. Any answer but 200 makes the measurement fail."""


def measure() -> Measurement:
    """Requests a second of our layout, divided by those of the chain.

    Raises CouldNotMeasure when a haproxy does not start or a request is not answered.
    """
    haproxy_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="northgate-bench-") as name:
        directory = pathlib.Path(name)
        answer, ours, chain = free_port(), free_port(), free_port()
        _write_configurations(directory, answer, ours, chain)
        script = wrk_script(directory / "hosts.lua", hosts())
        with (
            haproxy(directory / "answer.cfg", load_core, (answer,)),
            haproxy(directory / "ours.cfg", haproxy_core, (ours,)) as our_process,
            haproxy(directory / "chain.cfg", haproxy_core, (chain,)) as chain_process,
        ):
            rounds = []
            for number in range(ROUNDS):
                both = ((our_process, ours), (chain_process, chain))
                row = [rate_and_cost(process, {f"http://127.0.0.1:{port}": script}, load_core, SECONDS) for process, port in both]
                print(f"  round {number + 1} of {ROUNDS}: map {row[0][0]:,.0f}/s, chain {row[1][0]:,.0f}/s", file=sys.stderr)
                rounds.append(row)
    value = statistics.median(map_[0] / chain_[0] for map_, chain_ in rounds)
    return Measurement(
        "A map instead of a chain of rules",
        (Figure(f"dispatch_{HOSTS}_hosts_map_over_regex_chain", value, "times", at_least=GOAL),),
        METHOD,
        (
            ("", "requests/s (median)", "requests/s (least to most)", "haproxy's processor time a request (median)"),
            _row("map (ours)", [row[0] for row in rounds]),
            _row("chain of regular expressions", [row[1] for row in rounds]),
        ),
    )


def _row(name: str, measured: list[tuple[float, float]]) -> tuple[str, ...]:
    rates = sorted(rate for rate, _cpu in measured)
    cpu = statistics.median(cpu for _rate, cpu in measured)
    return (name, f"{statistics.median(rates):,.0f}", f"{rates[0]:,.0f} to {rates[-1]:,.0f}", f"{cpu:,.0f} us")


def _write_configurations(directory: pathlib.Path, answer: int, ours: int, chain: int) -> None:
    (directory / "answer.cfg").write_text(SETTINGS + ANSWER % answer, encoding="utf-8")
    options = Options(http_bind=(f"127.0.0.1:{ours}",), https_bind=())
    wanted = layout.layout(decide.ingress_state(snapshots(answer)), options, layout.Known(), str(directory))
    texts = layout.render(wanted, str(directory), str(directory))
    # No checks: they would be one more thing that differs from run to run.
    ours_text = texts.pop(layout.CONFIG).replace(servers.CHECK_OPTIONS, "")
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    chain_text = _as_chain(ours_text, wanted.maps[ROUTES]).replace(f"127.0.0.1:{ours}", f"127.0.0.1:{chain}")
    for name, text in (("ours", ours_text), ("chain", chain_text)):
        (directory / f"{name}.cfg").write_text(SETTINGS + text, encoding="utf-8")


def _as_chain(text: str, routes: dict[str, str]) -> str:
    chain = []
    for key, value in routes.items():
        host, backend = key.removesuffix("/"), value.partition("|")[0]
        number = host.removeprefix("host-").removesuffix(".example.test")
        # haproxy's parser takes one level of backslashes away.
        pattern = host.replace(".", "\\\\.")
        chain += [f"    acl h_{number} hdr_reg(host) -i ^{pattern}(:\\\\d+)?$", f"    use_backend {backend} if h_{number}"]
    lines, found = [], 0
    for line in text.splitlines():
        if any(word in line for word in LOOKUPS):
            continue
        if "use_backend %[var(txn.ng_route)" in line:
            found += 1
            lines += chain
            continue
        lines.append(line)
    if not found:
        raise CouldNotMeasure("the layout has no look-up that a chain could stand for")
    return "\n".join(lines) + "\n"
