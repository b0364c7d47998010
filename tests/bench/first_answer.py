# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the creation of a service to the first packet that a client gets from it, with converge.yml run at once."""

from __future__ import annotations

import concurrent.futures
import ipaddress
import statistics
import subprocess
import time

from driver import clusters, services
from driver.command import argv, environment
from driver.program import Program, python
from driver.streams import target
from figure import CouldNotMeasure, Figure, Measurement
from labs import inventory, running, told

TOPOLOGY, CLUSTER, NAME = "default", "alpha", "first-answer"
ROUNDS = 5
ANSWER_SECONDS = 120.0
CREATED, STARTED, ENDED = "kubectl has created the service", "ansible-playbook has started", "converge.yml has ended"

METHOD = f"""\
A service of {CLUSTER} (`direct`, TCP, pods ready) is created with an address that it asks for, so that a client can ask for answers from the start, every
20 ms or, where nothing refuses it, 200 ms. `converge.yml` is run as soon as `kubectl apply` has returned. {ROUNDS} rounds, each with a new service; times
begin with the start of `kubectl apply`, and a task's is when it had been done. The lab: two clusters, two routers, six guests, on two cores."""


def measure() -> Measurement:
    """Seconds until the first answer. Raises CouldNotMeasure when there is none."""
    with running(TOPOLOGY):
        rounds = [_round(number) for number in range(ROUNDS)]
    names = list(rounds[0][1])
    rows = [("", "after (median)", "from to")]
    for name in names:
        seconds = sorted(times[name] for _answer, times in rounds if name in times)
        rows.append((name, f"{statistics.median(seconds):.1f} s", f"{seconds[0]:.1f} to {seconds[-1]:.1f} s"))
    answers = sorted(answer for answer, _times in rounds)
    rows.append(("**first answer**", f"**{statistics.median(answers):.1f} s**", f"{answers[0]:.1f} to {answers[-1]:.1f} s"))
    return Measurement("A service's first answer", (Figure("service_first_answer", statistics.median(answers), "s"),), METHOD, tuple(rows))


def _round(number: int) -> tuple[float, dict[str, float]]:
    """Seconds to the first answer, and to each step."""
    address = _address(number)
    name = f"{NAME}-{number}"
    service = services.load_balancer(name, annotations={"load_balancer_ips": address}, protocols=("TCP",), ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"])
    with Program(python("traffic.streams", "first", target("tcp", address, services.PORT), f"--seconds={ANSWER_SECONDS}")) as waiting:
        began = time.monotonic()
        clusters.apply(CLUSTER, service)
        times = {CREATED: time.monotonic() - began}
        process = subprocess.Popen(
            argv("ansible", "--", "playbooks/converge.yml"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=environment())  # fmt: skip
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answered = pool.submit(_answered, waiting)
            _follow(process, began, times)
            seconds = answered.result() - began
    clusters.delete(CLUSTER, "service", name)
    told(f"round {number}: first answer after {seconds:.1f} s")
    return seconds, times


def _answered(waiting: Program) -> float:
    """When the client said that it was answered."""
    waiting.hear("answered", ANSWER_SECONDS + 30)
    return time.monotonic()


def _follow(process: subprocess.Popen[str], began: float, times: dict[str, float]) -> None:
    """Notes when each task of a playbook had been done: when the next one began."""
    task, lines = STARTED, []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(("TASK [", "PLAY RECAP")):
            times[task] = time.monotonic() - began
            task = f"task: {line.split('[', 1)[-1].split(']')[0]}"
    times[ENDED] = time.monotonic() - began
    if process.wait():
        raise CouldNotMeasure(f"converge.yml failed: {''.join(lines)[-3000:]}")


def _address(number: int) -> str:
    """An address of the pool ``public`` that nobody is given by itself: pools give from their beginning."""
    pool = inventory()["northgate_address_pools"]["public"]["addresses"]
    network = next(ipaddress.ip_network(text) for text in pool if ":" not in text and "-" not in text)
    return str(network[-2 - number])
