#!/usr/bin/env python3
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a router of the lab: services come, change and go in random order, and after each step the kernel's table is as expected.

    PYTHONPATH=DIRECTORY_OF_ansible_collections property_test.py [--services 200] [--seed 1]

Everything goes through the collection's own code; ipvsadm is asked as a second opinion, and a service of somebody
else's must stay as it is. Prints JSON; the status is 1 at the first difference.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time

from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import BalanceState, Destination, Frontend, Prefixes, VirtualService
from ansible_collections.northgate.edge.plugins.module_utils._ipvs import mirror
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.kernel import Kernel
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.memory import Memory
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.services import Files, ServicesAdapter
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.sources import Nft
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge

POOLS = Prefixes(["203.0.113.0/24", "2001:db8:100::/64"])
FOREIGN = ["-A -t 192.0.2.77:80 -s rr", "-a -t 192.0.2.77:80 -r 10.99.0.1:80 -m -w 7"]
METHODS = (("direct", "", 0), ("masquerade", "", 0), ("tunnel", "ipip", 0), ("tunnel", "gue", 6080))
SCHEDULERS = (("mh", ("mh-fallback", "mh-port")), ("mh", ("mh-fallback",)), ("rr", ()), ("wrr", ()), ("lc", ()), ("sh", ("sh-fallback", "sh-port")))
# How often ipvsadm is asked until it tells what is expected, with so many seconds between.
LOOKS, PAUSE = 20, 0.05


def frontend(chance: random.Random) -> Frontend:
    address = f"203.0.113.{chance.randint(1, 254)}" if chance.random() < 0.5 else f"2001:db8:100::{chance.randint(1, 0xFFFF):x}"
    return Frontend(chance.choice(("TCP", "UDP", "SCTP")), address, chance.randint(1, 65535))


def service(chance: random.Random, address: str) -> VirtualService:
    """Of up to five destinations of the address's family."""
    network = "10.99.1." if "." in address else "fd99::"
    numbers = chance.sample(range(1, 100), chance.randint(0, 5))
    method, tunnel, tunnel_port = chance.choice(METHODS)
    found = [Destination(f"{network}{number}", chance.choice((80, 8080)), method, chance.choice((1, 1, 3)), tunnel, tunnel_port) for number in numbers]
    return VirtualService(*chance.choice(SCHEDULERS), chance.choice((0, 0, 300)), tuple(sorted(found)))


class NoSources(Nft):
    """No service has source ranges here, and to ask nft each time takes long."""

    def loaded(self) -> None:
        return None


def step(kernel: Kernel, directory: str, wanted: dict[Frontend, VirtualService]) -> None:
    """One run, as the module makes it. Its end is that a further one has nothing to do."""
    adapter = ServicesAdapter(POOLS, Files(f"{directory}/rules", f"{directory}/sources"), Memory(directory), kernel, NoSources(), 0, 3600)
    ordered = {key: wanted[key] for key in sorted(wanted)}
    converge(adapter, lambda current: adapter.wanted(current, BalanceState(ordered)), check_mode=False)


def differences(kernel: Kernel, wanted: dict[Frontend, VirtualService]) -> list[str]:
    """What the kernel (in the order of its lists) and ipvsadm tell otherwise."""
    found = {key: known.service for key, known in kernel.table(POOLS).items()}
    told = [
        f"{key}: netlink tells {found.get(key)} instead of {wanted.get(key)}"
        for key in found.keys() | wanted.keys()
        if not alike(found.get(key), wanted.get(key))
    ]
    for _look in range(LOOKS):
        if not (of_ipvsadm := told_by_ipvsadm(wanted)):
            break
        time.sleep(PAUSE)
    return told + of_ipvsadm


def told_by_ipvsadm(wanted: dict[Frontend, VirtualService]) -> list[str]:
    """What ipvsadm tells otherwise. It can miss services for a moment: the kernel's dump is not whole while the table is made larger or smaller."""
    told = []
    saved = subprocess.run(["ipvsadm", "-Sn"], check=True, capture_output=True, text=True).stdout
    theirs, _drains = mirror.parse(saved)
    for key in (theirs.keys() | wanted.keys()) - {Frontend("TCP", "192.0.2.77", 80)}:
        if sorted_destinations(theirs.get(key)) != sorted_destinations(wanted.get(key)):
            told.append(f"{key}: ipvsadm tells {theirs.get(key)} instead of {wanted.get(key)}")
    if not set(FOREIGN) <= {line.strip() for line in saved.splitlines()}:
        told.append("somebody else's service is not as it was")
    return told


def alike(one: VirtualService | None, other: VirtualService | None) -> bool:
    """Where a hash chooses, the order counts."""
    return one == other if one and one.scheduler in ("mh", "sh") else sorted_destinations(one) == sorted_destinations(other)


def sorted_destinations(one: VirtualService | None) -> object:
    return one and (one.scheduler, one.flags, one.persistence, sorted(one.destinations))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, kernel = random.Random(arguments.seed), Kernel()
    subprocess.run(["ipvsadm", "-R"], input="\n".join(FOREIGN) + "\n", text=True, check=True)
    wanted: dict[Frontend, VirtualService] = {}
    created = deleted = steps = 0
    told: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        while not told and (deleted < arguments.services):
            if created < arguments.services and (not wanted or chance.random() < 0.6):
                new = frontend(chance)
                wanted[new] = service(chance, new.address)
                created += 1
            elif chance.random() < 0.3:
                changed = chance.choice(sorted(wanted))
                wanted[changed] = service(chance, changed.address)
            else:
                del wanted[chance.choice(sorted(wanted))]
                deleted += 1
            step(kernel, directory, wanted)
            steps += 1
            told = differences(kernel, wanted)
    subprocess.run(["ipvsadm", "-D", "-t", "192.0.2.77:80"], check=True)
    json.dump({"seed": arguments.seed, "steps": steps, "created": created, "deleted": deleted, "differences": told}, sys.stdout)
    print()
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
