# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what README.md tells a stranger: the tarball installed by itself, the README's inventory with the lab's addresses, its commands in turn.

Run by ``make test-lab`` on a lab that is up. Exits with 1 when a command fails or the client does not get what it should.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "tools"), str(TESTS / "lab" / "demo")]

import readme  # noqa: E402
from lab import STATE, StepFailed  # noqa: E402
from probes import ROUTERS, redirect, summary, web  # noqa: E402

HOST = "alpha.example.test"
NUMBERS = {"192.0.2.11": 11, "192.0.2.12": 12, "192.0.2.21": 21, "192.0.2.22": 22}


def replacements(directory: pathlib.Path) -> dict[str, str]:
    """What a stranger would write otherwise: the lab's addresses and paths for the README's."""
    changes = {
        "/root/.kube/alpha.config": f"{STATE}/clusters/alpha/admin.kubeconfig",
        "/etc/northgate/alpha.kubeconfig": f"{directory}/alpha.kubeconfig",
        "/etc/northgate/certificates": f"{STATE}/certificates",
    }
    for address, number in NUMBERS.items():
        changes[f"ansible_host: {address}\n"] = f"ansible_host: 10.99.0.{number}\n"
        changes[f'[{address}, "2001:db8::{number}"]'] = f'[10.90.0.{number}, "fd90::{number}"]'
    return changes


def install(directory: pathlib.Path) -> None:
    """Build the tarball and install it, with nothing else, below ``directory``."""
    subprocess.run([TESTS / "tools" / "build", directory], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(
        ["ansible-galaxy", "collection", "install", "--offline", "-p", directory, *directory.glob("*.tar.gz")], check=True, stdin=subprocess.DEVNULL
    )


def play(command: str, directory: pathlib.Path) -> None:
    """One ``ansible-playbook`` line of the README, from the lab's network and with ssh as the lab wants it."""
    environment = {
        "ANSIBLE_CONFIG": f"{STATE}/ansible.cfg",
        "ANSIBLE_COLLECTIONS_PATH": str(directory),
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "XDG_CACHE_HOME": str(directory),
    }
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run(
        [*as_root, "ip", "netns", "exec", "northgate-lab", "env", *(f"{name}={value}" for name, value in environment.items()),
         "ansible-playbook", "-i", directory / "inventory.yml", *command.split()],
        check=True, stdin=subprocess.DEVNULL, cwd=directory,
    )  # fmt: skip


def main() -> int:
    """Follows the README; see the module."""
    with tempfile.TemporaryDirectory(prefix="northgate-stranger-") as name:
        directory = pathlib.Path(name)
        (directory / "inventory.yml").write_text(readme.inventory(replacements(directory)), "utf-8")
        try:
            install(directory)
            for command in readme.playbooks():
                print(f"== ansible-playbook -i inventory.yml {command}", flush=True)
                play(command, directory)
            probes = [probe for router in ROUTERS for probe in (
                web(router, HOST, "/", ("cluster", "host"), f"alpha {HOST}", "README", "https"), redirect(router, HOST))]
            results = [probe.run() for probe in probes]
        except (StepFailed, subprocess.CalledProcessError) as error:
            print(f"stranger: {error}", file=sys.stderr)
            return 1
    for result in results:
        print(f"{'ok  ' if result.ok else 'FAIL'}  {result.what}: {result.seen}")
    print(f"{summary(results)} with the README's inventory")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
