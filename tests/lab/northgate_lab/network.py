# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: one namespace with a bridge for each segment, taps for guests, namespaces for hosted hosts."""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
from pathlib import Path

from .topology import Host, Topology

LAB = "northgate-lab"
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
# Cables that `cut` cuts; Ansible keeps its way.
CUTTABLE = ("fabric", "outside")
SETTINGS = ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_ra=0",
            "net.ipv6.conf.default.accept_ra=0", "net.ipv4.ip_unprivileged_port_start=0",
            # A prober stays behind its gateway, which is on the routers' segment as it is itself.
            "net.ipv4.conf.all.accept_redirects=0", "net.ipv4.conf.default.accept_redirects=0",
            "net.ipv6.conf.all.accept_redirects=0", "net.ipv6.conf.default.accept_redirects=0")


def namespace(host: str) -> str:
    """Return the name of a hosted host's network namespace."""
    return f"{LAB}-{host}"


def port(host: str, segment: str) -> str:
    """Return the name of a host's port at the bridge of a segment."""
    return f"{host}-{segment[0]}"


def create(topology: Topology) -> None:
    """Make what is missing of the network. A port that exists stays as it is, also when its cable is cut."""
    _add_namespace(LAB)
    links = _links(LAB)
    commands = []
    for segment in topology.segments:
        if segment not in links:
            commands += [f"link add {segment} type bridge mcast_snooping 0 forward_delay 0", f"link set {segment} up"]
            if segment != "outside":
                commands += [f"address add {address} dev {segment}" for address in topology.controller(segment)]
    for name in topology.guests:
        for segment in topology.hosts[name].interfaces:
            if port(name, segment) not in links:
                commands += [f"tuntap add {port(name, segment)} mode tap"] + _plug(name, segment)
    _batch(LAB, commands)
    for name in topology.hosted:
        if not (NAMESPACES / namespace(name)).exists() or _segment(topology.hosts[name]) not in _links(namespace(name)):
            _add_hosted(topology.hosts[name], links, topology.gateways(name))


def enter() -> None:
    """Move this thread, and what it starts, into the lab's network; raise FileNotFoundError when there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(NAMESPACES / LAB) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter the network namespace {LAB}")


def cut(host: Host) -> None:
    """Cut a host's cables but that to mgmt."""
    _batch(LAB, [f"link set {port(host.name, segment)} nomaster" for segment in host.interfaces if segment in CUTTABLE])


def mend(host: Host) -> None:
    """Mend what `cut` cut."""
    _batch(LAB, [f"link set {port(host.name, segment)} master {segment}"
                 for segment in host.interfaces if segment in CUTTABLE])


def is_cut(host: Host) -> bool:
    """Return whether a cable of the host is cut."""
    links = _links(LAB)
    return any("master" not in links.get(port(host.name, segment), {"master": ""})
               for segment in host.interfaces if segment in CUTTABLE)


def existing() -> list[str]:
    """Return the names of the lab's namespaces that exist, also of a lab that was not started to its end."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(name for name in os.listdir(NAMESPACES) if name == LAB or name.startswith(f"{LAB}-"))


def processes() -> list[int]:
    """Return the pids in the lab's namespaces."""
    found = []
    for name in existing():
        answer = subprocess.run(["ip", "netns", "pids", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found += [int(pid) for pid in answer.stdout.split()]
    return found


def is_mounted() -> bool:
    """Return whether the directory of namespaces is mounted: `ip netns add` mounts it on itself the first time."""
    return _mounted(NAMESPACES)


def remove(directory: bool) -> None:
    """Remove the namespaces with everything in them, and their directory if `directory` and nobody else uses it."""
    for name in existing():
        subprocess.run(["ip", "netns", "delete", name], check=True)
    if directory and NAMESPACES.is_dir() and not os.listdir(NAMESPACES):
        while is_mounted():
            subprocess.run(["umount", NAMESPACES], check=True)
        NAMESPACES.rmdir()


def _mounted(path: Path) -> bool:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(path) for line in mounts)


def _add_namespace(name: str) -> None:
    path = NAMESPACES / name
    # A file without a namespace mounted on it is what an interrupted run leaves.
    if path.exists() and not _mounted(path):
        path.unlink()
    if not path.exists():
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-q", "-w", *SETTINGS], check=True)
        _batch(name, ["link set lo up"])


def _segment(host: Host) -> str:
    """The segment of a hosted host, and the name of its interface."""
    return next(iter(host.interfaces))


def _add_hosted(host: Host, links: dict[str, dict], gateways: list[str]) -> None:
    segment = _segment(host)
    inner, outer = namespace(host.name), port(host.name, segment)
    _add_namespace(inner)
    if outer in links:
        _batch(LAB, [f"link delete {outer}"])
    _batch(LAB, [f"link add {outer} type veth peer name {segment} netns {inner} address {host.mac(segment)}",
                 *_plug(host.name, segment)])
    _batch(inner, [*(f"address add {address} dev {segment}" for address in host.interfaces[segment]), f"link set {segment} up",
                   *(f"route add default via {gateway}" for gateway in gateways)])


def _plug(host: str, segment: str) -> list[str]:
    name = port(host, segment)
    # In mgmt hosts see only the controller.
    isolated = [f"link set {name} type bridge_slave isolated on"] if segment == "mgmt" else []
    return [f"link set {name} addrgenmode none", f"link set {name} master {segment}", *isolated, f"link set {name} up"]


def _links(name: str) -> dict[str, dict]:
    answer = subprocess.run(["ip", "-n", name, "-json", "link", "show"], check=True, stdout=subprocess.PIPE, text=True)
    return {link["ifname"]: link for link in json.loads(answer.stdout or "[]")}


def _batch(name: str, commands: list[str]) -> None:
    if commands:
        subprocess.run(["ip", "-n", name, "-batch", "-"], check=True, input="\n".join(commands), text=True)
