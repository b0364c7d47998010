# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods' network namespaces: a veth pair and routed addresses, with a link-local gateway as Calico has."""
from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

PREFIX = "pod-"
GATEWAY4, GATEWAY6 = "169.254.1.1", "fe80::1"
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
LAST_RESORT = "33000"


def namespace_name(uid: str) -> str:
    """Return the namespace's name for a pod's uid."""
    return PREFIX + uid


def interface_name(uid: str) -> str:
    """Return the name of the node's end of the pair: at most 15 characters, the same for the same uid."""
    return "lab" + hashlib.sha256(uid.encode()).hexdigest()[:11]


def prepare_node(addresses: list[str], service_prefixes: list[str]) -> None:
    """Let the node forward and reach services, and remove what an earlier agent left."""
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", setting).write_text("1\n")
    directory = Path("/run/netns")
    for name in os.listdir(directory) if directory.is_dir() else []:
        if name.startswith(PREFIX):
            remove(name.removeprefix(PREFIX))
    # kube-proxy rewrites the node's own packets to services only after they were routed, so they need some route, as a
    # default route is elsewhere. Asked after all other tables, and not for the pods' packets.
    for prefix in service_prefixes:
        family = "-6" if ":" in prefix else "-4"
        _ip([family, "rule", "delete", "preference", LAST_RESORT], check=False)
        _batch([family], [f"rule add preference {LAST_RESORT} iif lo lookup {LAST_RESORT}",
                          f"route replace {prefix} dev lo table {LAST_RESORT}{_source(prefix, addresses)}"])


def create(uid: str, addresses: list[str], node_addresses: list[str]) -> None:
    """Make the pod's namespace with these addresses; raise CalledProcessError when that fails.

    `node_addresses` are what the node's own packets to the pod come from.
    """
    name, interface = namespace_name(uid), interface_name(uid)
    _ip(["netns", "add", name])
    # The gateway exists only as permanent neighbours: the node needs no default route for it.
    _batch(["-n", name], [
        f"link add eth0 type veth peer name {interface} address {GATEWAY_MAC} netns {os.getpid()}",
        "link set lo up",
        "link set eth0 up",
        *[f"address add {address} dev eth0" + (" nodad" if ":" in address else "") for address in addresses],
        f"neighbour replace {GATEWAY4} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
        f"neighbour replace {GATEWAY6} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
    ])
    _batch([], [
        f"link set {interface} up",
        f"address add {GATEWAY6}/64 dev {interface} nodad",
        *[f"route replace {address} dev {interface}{_source(address, node_addresses)}" for address in addresses],
    ])
    _batch(["-n", name], [
        f"route add {GATEWAY4} dev eth0 scope link",
        f"route add default via {GATEWAY4} dev eth0",
        f"route add ::/0 via {GATEWAY6} dev eth0",
    ])


def remove(uid: str) -> None:
    """Remove the pod's namespace and interface; it is fine when they are gone."""
    _ip(["link", "delete", interface_name(uid)], check=False)
    _ip(["netns", "delete", namespace_name(uid)], check=False)


def _source(address: str, node_addresses: list[str]) -> str:
    for candidate in node_addresses:
        if (":" in candidate) == (":" in address):
            return f" src {candidate}"
    return ""


def _ip(arguments: list[str], check: bool = True, lines: str = "") -> None:
    subprocess.run(["ip", *arguments], check=check, input=lines, text=True, stderr=None if check else subprocess.DEVNULL)


def _batch(options: list[str], lines: list[str]) -> None:
    _ip([*options, "-batch", "-"], lines="\n".join(lines) + "\n")
