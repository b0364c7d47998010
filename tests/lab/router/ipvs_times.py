#!/usr/bin/env python3
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a router of the lab: what many services take, beside ipvsadm with the same rules.

    PYTHONPATH=DIRECTORY_OF_ansible_collections ipvs_times.py 10000

Each time is of a fresh process, Python's start and the reading of the snapshot included. Prints JSON, times in seconds.
The table of this kernel is emptied.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.balance import BalanceOptions, balance_state
from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import Forwarding, Prefixes
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Service, ServiceEndpoint, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.kernel import Kernel
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.memory import Memory
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.services import Files, ServicesAdapter
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.sources import Nft
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge

POOLS = Prefixes(["203.0.113.0/24"])


def snapshot(number: int, changed: bool) -> Snapshot:
    """``number`` services with two pods each, 50 ports on an address; of one of them a pod is another if ``changed``."""
    services = []
    for place in range(number):
        host, port = divmod(place, 50)
        second = f"10.99.2.{250 if changed and place == number // 2 else place % 200 + 1}"
        endpoints = tuple(ServiceEndpoint(address, 8080, "node") for address in (f"10.99.1.{place % 200 + 1}", second))
        ports = (ServicePort("TCP", 1000 + port, 0, endpoints),)
        services.append(Service("demo", f"service-{place:05}", "2026-01-01T00:00:00Z", ports, addresses=(f"203.0.113.{host + 1}",)))
    return Snapshot("alpha", services=tuple(services))


def run(directory: str, path: str) -> None:
    """What the module does, in this process; prints how it went."""
    gc.disable()
    with open(path, "rb") as file:
        state = balance_state([codec.load(file.read(), path)], BalanceOptions(POOLS, {"alpha": Forwarding(masquerade_to="pods")}))
    kernel = Kernel()
    adapter = ServicesAdapter(POOLS, Files(f"{directory}/rules", f"{directory}/sources"), Memory(directory), kernel, Nft(), 0, 3600)
    begin = time.monotonic()
    outcome = converge(adapter, lambda current: adapter.wanted(current, state), check_mode=False)
    json.dump({"steps": len(outcome.plan.steps), "sends": kernel.sends, "converge": round(time.monotonic() - begin, 3)}, sys.stdout)


def timed(command: list[str], source: str | None = None) -> tuple[float, str]:
    begin = time.monotonic()
    with open(source or os.devnull, encoding="utf-8") as given:
        done = subprocess.run(command, stdin=given, check=True, stdout=subprocess.PIPE, text=True)
    return round(time.monotonic() - begin, 3), done.stdout


def measure(number: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        for name, changed in (("before", False), ("after", True)):
            with open(f"{directory}/{name}", "wb") as file:
                file.write(codec.dump(snapshot(number, changed)))

        def ours(name: str) -> dict[str, object]:
            seconds, told = timed([sys.executable, __file__, "--run", directory, f"{directory}/{name}"])
            return {"seconds": seconds, **json.loads(told)}

        subprocess.run(["ipvsadm", "-C"], check=True)
        found: dict[str, object] = {"services": number, "apply": ours("before"), "nothing": ours("before"), "one_endpoint": ours("after")}
        found["ipvsadm_save"] = timed(["ipvsadm", "-Sn"])[0]
        subprocess.run(["ipvsadm", "-C"], check=True)
        found["ipvsadm_restore"] = timed(["ipvsadm", "-R"], f"{directory}/rules")[0]
        subprocess.run(["ipvsadm", "-C"], check=True)
        return found


def main(arguments: list[str]) -> None:
    # No argparse: its import would be part of each time.
    if arguments[:1] == ["--run"]:
        run(*arguments[1:])
    else:
        json.dump(measure(int(arguments[0])), sys.stdout)
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
