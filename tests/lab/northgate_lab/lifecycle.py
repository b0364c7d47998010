# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's life: up from whatever is there, down to nothing, and how it is."""
from __future__ import annotations

import concurrent.futures
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import cache, guests, hosts, image, inventory, kernel, network, processes, state, topology
from .progress import Progress
from .state import Lab

# A file in the state: the directory of network namespaces is there because of this lab.
MADE_DIRECTORY = "made-netns-directory"


def up(name: str, with_clusters: bool, progress: Progress) -> Lab:
    """Start a lab with a topology, or what does not run of it, and wait until it is ready.

    A lab of another topology, kernel, image or programs is taken down first.
    """
    text = topology.find(name).read_text()
    topology.parse(text)
    subprocess.run([cache.TOOLS / "packages", "lab"], check=True)
    parts = build(with_clusters, progress)
    with cache.lock("lab", progress):
        if changed := state.differences(text, parts):
            progress(f"the lab that is there differs ({', '.join(changed)}): taking it down")
            down(progress)
        lab = state.write(text, parts)
        _start(lab, progress)
        _wait(lab, progress)
    return lab


def build(with_clusters: bool, progress: Progress) -> dict[str, str]:
    """Make what is missing in the cache; return the directories of kernel, image and programs."""
    work: dict[str, Callable[[], Path]] = {"image": lambda: image.ensure(kernel.ensure(progress), progress)}
    if with_clusters:
        from . import binaries

        work["programs"] = lambda: binaries.ensure(progress)
    parts = {name: str(path) for name, path in _together(work, progress).items()}
    return {"kernel": str(kernel.ensure(progress)), "image": parts["image"], "programs": parts.get("programs", "")}


def down(progress: Progress) -> None:
    """End every process of the lab and remove its namespaces, mounts and files, whatever state they are in."""
    progress("ending the lab's processes")
    leaders = [processes.running(file) for file in state.root().glob("hosts/*/*.pid")]
    processes.end_sessions(pid for pid in leaders if pid)
    ours = processes.ancestors()
    while found := set(network.processes()) - ours:
        processes.end(found)
    network.remove(directory=(state.root() / MADE_DIRECTORY).exists())
    if state.root().exists():
        shutil.rmtree(state.root())
    progress("the lab is down")


def status(lab: Lab) -> list[tuple[str, str, str, str, str]]:
    """Return (host, role, address, state, cable) of each host."""
    rows = []
    for name, host in lab.topology.hosts.items():
        running = hosts.pids(lab, name)
        where = "running" if running or host.role == "prober" else "off"
        if host.role not in topology.GUESTS and running:
            where = " ".join(running)
        cable = "none" if network.LAB not in network.existing() else "cut" if network.is_cut(host) else "plugged"
        rows.append((name, host.role, guests.management(host) if name in lab.topology.guests else host.addresses[0], where, cable))
    return rows


def is_complete(lab: Lab) -> bool:
    """Return whether every host that should run does."""
    wanted = lab.topology.running if lab.clusters else lab.topology.guests
    return bool(network.existing()) and all(hosts.pids(lab, name) for name in wanted)


def _start(lab: Lab, progress: Progress) -> None:
    progress("network")
    if not network.is_mounted():
        (lab.state / MADE_DIRECTORY).touch()
    network.create(lab.topology)
    network.enter()
    (lab.state / "programs").mkdir(exist_ok=True)
    if any(hosts.pids(lab, name) for name in lab.topology.guests):
        progress("some of it runs: starting the rest")
    else:
        progress("credentials, configuration and inventory")
    guests.prepare(lab)
    if lab.clusters:
        from . import control_plane

        control_plane.prepare(lab.topology, lab.state)
    inventory.write(lab)
    # Control planes first: everybody waits for them.
    started = [name for name in lab.topology.running if hosts.start(lab, name)]
    progress(f"started {', '.join(started)}" if started else "every host runs")


def _wait(lab: Lab, progress: Progress) -> None:
    work: dict[str, Callable[[], None]] = {"guests": lambda: _guests_ready(lab, progress)}
    for cluster in lab.clusters:
        work[cluster] = lambda cluster=cluster: _cluster_ready(lab, cluster, progress)
    _together(work, progress)
    progress("the lab is ready")


def _guests_ready(lab: Lab, progress: Progress) -> None:
    guests.wait_ready(lab, lab.topology.guests, progress)
    progress("every guest answers")


def _cluster_ready(lab: Lab, cluster: str, progress: Progress) -> None:
    from . import control_plane, workloads

    control_plane.wait_ready(lab.topology, lab.state, cluster, progress)
    progress(f"{cluster}: API servers are ready")
    workloads.apply(lab.topology, lab.state, cluster)
    workloads.wait_ready(lab.topology, lab.state, cluster, progress)
    progress(f"{cluster}: nodes and workloads are ready")


def _together(work: dict[str, Callable], progress: Progress) -> dict:
    """Run functions in threads, and return their results by name; the first exception, or an interrupt, ends all."""
    with concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
        futures = {name: pool.submit(function) for name, function in work.items()}
        try:
            for future in concurrent.futures.as_completed(futures.values()):
                future.result()
        except BaseException:
            progress.cancel()
            raise
    return {name: future.result() for name, future in futures.items()}
