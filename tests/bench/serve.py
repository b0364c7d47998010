# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our rules cost: 5,000 hosts and certificates against a configuration written by hand with one map and one crt-list."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass

import edge
from ansible_collections.northgate.edge.plugins.module_utils._core import decide, desired
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import layout, servers
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import CERTIFICATES, ROUTES, Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.master import Master
from edge import ANSWER, HOST, HOSTS, POOL, hosts, snapshots
from figure import Figure, Measurement
from ports import free_port
from processes import CONNECTIONS, cores, haproxy, rate_and_cost, wrk_script

# wrk asks for one server name, so there is one for each of these hosts.
TLS_HOSTS = [HOST % number for number in range(100, 900, 100)]
ROUNDS = 5
SECONDS = 2
GOAL = 0.9
SIDES = ("ours", "hand-written", "hand-written-headers")
# What ours tells applications beside X-Forwarded-For and -Proto.
HEADERS = (
    "X-Forwarded-Host %[req.hdr(host)]", "X-Forwarded-Port %[dst_port]", "X-Real-IP %[src]",
    'Forwarded "for=%[src];host=\\"%[req.hdr(host)]\\";proto=http"',
)  # fmt: skip
LOADS = {"http": "HTTP, kept alive", "https": "HTTPS, kept alive", "handshake": "HTTPS, a handshake for each request"}

METHOD = f"""\
{HOSTS:,} hosts, a third of them offered by two clusters, each with a certificate (ECDSA) of its own. Ours is what `haproxy_ingress` renders;
the other one is what somebody would write by hand: `option forwardfor`, X-Forwarded-Proto, one map from host to backend, and one crt-list.
The third one is the same but for the other headers that ours sets, too, so it shows what these cost. All have the settings of the role
`haproxy`, log each request, and have the same servers. Each runs in a haproxy of its own with one thread, pinned to one core; the other core
has wrk with {CONNECTIONS} connections, and the server behind all: a haproxy that returns 200. All on loopback. HTTP asks for all
hosts at random; HTTPS for {len(TLS_HOSTS)} of them, each on connections of its own. {ROUNDS} rounds of {SECONDS} seconds for each load, in turn. Processor
time is haproxy's for one request; the figures are the medians of the rounds' ratios of it, the second one's to ours, which is that of the requests
a second that a saturated haproxy answers. Any answer but 200 makes the measurement fail.

Where the time goes, seen by leaving it out of HTTP on an otherwise idle machine, where a request took 48 us and one by hand 34 us: keeping each request
for a second try where a pod dies (`retry-on`) 6 us, headers 5 to 8 us, of which the one by hand has two, the cookie for affinity 3 us."""


@dataclass(frozen=True)
class Side:
    """One of the two configurations, with its ports."""

    name: str
    file: pathlib.Path
    http: int
    https: int


def measure() -> Measurement:
    """Requests a second of ours, divided by those of the one that is written by hand. Raises CouldNotMeasure."""
    haproxy_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="northgate-bench-") as name, contextlib.ExitStack() as outer:
        directory = pathlib.Path(name)
        answer = free_port()
        sink = outer.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        sink.bind(("127.0.0.1", 0))
        sides = write_configurations(directory, answer, sink.getsockname()[1])
        rates: dict[str, list[list[tuple[float, float]]]] = {kind: [] for kind in LOADS}
        with contextlib.ExitStack() as stack:
            stack.enter_context(haproxy(directory / "answer.cfg", load_core, (answer,)))
            running = [stack.enter_context(haproxy(side.file, haproxy_core, (side.http, side.https))) for side in sides]
            for number in range(ROUNDS):
                for kind in LOADS:
                    rates[kind].append([_one(kind, *pair, directory, load_core) for pair in zip(sides, running)])
                    shown = ", ".join(f"{side.name} {rate:,.0f}/s" for side, (rate, _cpu) in zip(sides, rates[kind][-1]))
                    print(f"  round {number + 1} of {ROUNDS}, {kind}: {shown}", file=sys.stderr)
        times = [_start_times(side, directory) for side in sides]
    figures = tuple(
        Figure(f"serve_{HOSTS}_hosts_{kind}_over_hand_written", _ratio(rates[kind]), "times", at_least=GOAL)
        for kind in LOADS
    )
    return Measurement("What our rules cost", figures, METHOD, _details(sides, rates, times))


def _ratio(rounds: list[list[tuple[float, float]]]) -> float:
    """Requests for the same processor time: what a saturated haproxy answers, whatever else this machine is busy with."""
    return statistics.median(by_hand[1] / ours[1] for ours, by_hand, _more in rounds)


def _details(sides: list[Side], rates: dict[str, list[list[tuple[float, float]]]], times: list[tuple[float, float]]) -> tuple[tuple[str, ...], ...]:
    rows = [("", *(f"{side.name}{of}" for side in sides for of in ("", ", processor time")))]
    for kind, title in LOADS.items():
        row = [title]
        for of_side in zip(*rates[kind]):
            rate, cpu = (statistics.median(values) for values in zip(*of_side))
            row += [f"{rate:,.0f}/s", f"{cpu:,.0f} us"]
        rows.append(tuple(row))
    for number, title in enumerate(("`haproxy -c`", "reload, until there is a new worker")):
        rows.append((title, *(text for of_side in times for text in (f"{of_side[number]:.1f} s", ""))))
    return tuple(rows)


def _one(kind: str, side: Side, process: subprocess.Popen, directory: pathlib.Path, core: int) -> tuple[float, float]:
    """Requests a second, and haproxy's processor time for one in microseconds."""
    if kind == "http":
        urls = {f"http://127.0.0.1:{side.http}": wrk_script(directory / "http.lua", hosts())}
    else:
        connection = "close" if kind == "handshake" else "keep-alive"
        urls = {f"https://{host}:{side.https}": wrk_script(directory / f"{host}.lua", [host], connection) for host in TLS_HOSTS}
    return rate_and_cost(process, urls, core, SECONDS)


def _start_times(side: Side, directory: pathlib.Path) -> tuple[float, float]:
    """Seconds of the check and of a reload."""
    began = time.monotonic()
    subprocess.run(["haproxy", "-c", "-f", str(side.file)], capture_output=True, check=True, timeout=120)
    checked = time.monotonic() - began
    router = edge.router(directory / side.name)
    (router.config_dir / "conf.d" / "00-northgate.cfg").write_text(side.file.read_text("utf-8"), encoding="utf-8")
    router.start()
    try:
        began = time.monotonic()
        Master(router.master_socket).reload()
        return checked, time.monotonic() - began
    finally:
        router.stop()


def write_configurations(directory: pathlib.Path, answer: int, log: int) -> list[Side]:
    """Ours, and those that are written by hand; and that of the server behind all, which listens on the port ``answer``.

    ``log``: UDP port that requests are logged to.
    """
    certificates = directory / "certs"
    certificates.mkdir()
    sides = [Side(name, directory / f"{name}.cfg", free_port(), free_port()) for name in SIDES]
    ours, *by_hand = sides
    options = Options((f"127.0.0.1:{ours.http}",), (f"127.0.0.1:{ours.https}",))
    wanted = layout.layout(_desired_state(answer), options, layout.Known(), str(certificates))
    texts = layout.render(wanted, str(directory), str(certificates))
    texts["ours.cfg"] = base(directory / "ours", log) + texts.pop(layout.CONFIG)
    for side, headers in zip(by_hand, ((), HEADERS)):
        texts[side.file.name] = base(directory / side.name, log) + _by_hand(side, headers, directory, answer)
    texts["hand-written.list"] = texts[CERTIFICATES]
    clusters = {wanted.stocks[0].taken[f"alpha:{POOL}"]: "alpha", wanted.stocks[0].taken[f"alpha:{POOL} beta:{POOL}"]: "both"}
    routes = ((key.removesuffix("/"), clusters[value.partition("|")[0]]) for key, value in wanted.maps[ROUTES].items())
    texts["hand-written.map"] = "".join(f"{host} {backend}\n" for host, backend in routes)
    texts["answer.cfg"] = base(directory / "answer", log) + ANSWER % answer
    for name, text in texts.items():
        # No checks: they would be one more thing that differs from run to run.
        (directory / name).write_text(text.replace(servers.CHECK_OPTIONS, ""), encoding="utf-8")
    for name, pem in wanted.pems.items():
        (certificates / name).write_text(pem, encoding="ascii")
    return sides


def base(directory: pathlib.Path, log: int) -> str:
    """The settings of the role and of the distribution, with one thread."""
    directory.mkdir()
    role = edge.base(directory, haproxy_maxconn=2000, haproxy_metrics_bind=[f"127.0.0.1:{free_port()}"])
    return f"global\n    nbthread 1\n    log 127.0.0.1:{log} local0\n" + role


def _by_hand(side: Side, headers: t.Iterable[str], directory: pathlib.Path, answer: int) -> str:
    sections = []
    tls = f" ssl crt-list {directory}/hand-written.list strict-sni alpn h2,http/1.1"
    for scheme, port, words in (("http", side.http, ""), ("https", side.https, tls)):
        sections.append(
            f"frontend {scheme} from ng_defaults\n    bind 127.0.0.1:{port}{words}\n    option forwardfor\n"
            f"    http-request set-header X-Forwarded-Proto {scheme}\n"
            + "".join(f"    http-request set-header {header}\n" for header in headers)
            + f"    use_backend %[req.hdr(host),host_only,lower,map_str({directory}/hand-written.map)]\n"
        )
    for backend, clusters in (("alpha", ("alpha",)), ("both", ("alpha", "beta"))):
        lines = "".join(f"    server {cluster} 127.0.0.1:{answer}\n" for cluster in clusters)
        sections.append(f"backend {backend} from ng_defaults\n    balance roundrobin\n{lines}")
    return "\n".join(sections)


def _desired_state(answer: int) -> desired.IngressState:
    now = int(time.time())
    certificates = [edge.certificate(host, now) for host in hosts()]
    # Hosts with a certificate are redirected to HTTPS, and here they are to answer.
    options = desired.EdgeOptions(redirect=False, now=now)
    return decide.ingress_state(snapshots(answer), options, certificates)
