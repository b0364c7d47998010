# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Pod object asks for, as plain values (pure)."""
from __future__ import annotations

import re

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def field(pod: dict, path: str, addresses: list[str], node_addresses: list[str]) -> str:
    """Return the value of a downward API field; raise ValueError for one that the lab lacks."""
    fields = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"]["nodeName"],
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": addresses[0],
        "status.podIPs": ",".join(addresses),
        "status.hostIP": node_addresses[0],
    }
    if path not in fields:
        raise ValueError(f"fieldRef {path} is not supported")
    return fields[path]


def environment(pod: dict, container: dict, addresses: list[str], node_addresses: list[str], base: dict) -> dict:
    """Return the container's environment: `base` and then its own variables, in order."""
    result = dict(base)
    for entry in container.get("env", []):
        source = entry.get("valueFrom")
        if source is None:
            result[entry["name"]] = expand(entry.get("value", ""), result)
        elif "fieldRef" in source:
            result[entry["name"]] = field(pod, source["fieldRef"]["fieldPath"], addresses, node_addresses)
        else:
            raise ValueError(f"variable {entry['name']}: only value and fieldRef are supported")
    return result


def expand(text: str, variables: dict) -> str:
    """Replace $(NAME) as Kubernetes does: unknown names stay as they are, $$ stands for $."""
    def value(match: re.Match) -> str:
        if match.group(1) is None:
            return "$"
        return variables.get(match.group(1), match.group(0))
    return REFERENCE.sub(value, text)


def command(container: dict, variables: dict) -> list[str]:
    """Return the argument vector of a container; there are no images, so it must be given and absolute."""
    argv = [expand(word, variables) for word in container.get("command", []) + container.get("args", [])]
    if not argv or not argv[0].startswith("/"):
        raise ValueError(f"container {container['name']}: command must be an absolute path")
    return argv


def port_number(container: dict, port: int | str) -> int:
    """Return the number of a probe's port, which may be the name of a container port."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            return entry["containerPort"]
    raise ValueError(f"container {container['name']}: no port is named {port}")
