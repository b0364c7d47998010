# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a pod and of a node, as the API has them (pure)."""
from __future__ import annotations

OURS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


def conditions(old: list[dict], values: dict[str, bool], now: str) -> list[dict]:
    """Return the conditions `values`, keeping others and the time of each that did not change."""
    known = {entry["type"]: entry for entry in old}
    result = [entry for entry in old if entry["type"] not in values]
    for kind, value in values.items():
        status = "True" if value else "False"
        before = known.get(kind)
        if before and before["status"] == status:
            result.append(before)
        else:
            result.append({"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": now})
    return result


def phase(exit_codes: list[int | None]) -> str:
    """Return the pod's phase for its containers' final exit codes (None: runs, or will again)."""
    if any(code is None for code in exit_codes):
        return "Running"
    return "Failed" if any(exit_codes) else "Succeeded"


def pod_status(pod: dict, containers: list[dict], exit_codes: list[int | None], addresses: list[str],
               node_addresses: list[str], now: str) -> dict:
    """Return the whole status of a pod whose network exists."""
    old = pod.get("status", {})
    ready = all(container["ready"] for container in containers)
    values = {kind: True for kind in OURS} | {"ContainersReady": ready, "Ready": ready}
    return {
        "phase": phase(exit_codes),
        "conditions": conditions(old.get("conditions", []), {"PodScheduled": True} | values, now),
        "startTime": old.get("startTime") or now,
        "podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses],
        "hostIP": node_addresses[0], "hostIPs": [{"ip": address} for address in node_addresses],
        "containerStatuses": containers,
    }


def without_times(status: dict) -> dict:
    """Return what makes a status worth telling: everything but when a condition changed."""
    plain = [{"type": entry["type"], "status": entry["status"]} for entry in status["conditions"]]
    return status | {"conditions": sorted(plain, key=lambda entry: entry["type"])}


def failed(pod: dict, message: str, now: str) -> dict:
    """Return the status of a pod that this agent can't run."""
    old = pod.get("status", {}).get("conditions", [])
    return {"phase": "Failed", "reason": "Unsupported", "message": message,
            "conditions": conditions(old, {"ContainersReady": False, "Ready": False}, now)}


def node_status(addresses: list[str], name: str, facts: dict, now: str) -> dict:
    """Return a ready node's status; `facts` are kernel, os, boot and machine (identifiers), cpus and memory (KiB)."""
    capacity = {"cpu": str(facts["cpus"]), "memory": f"{facts['memory']}Ki", "pods": "110"}
    pressures = [{"type": kind, "status": "False", "reason": "Enough", "message": "", "lastHeartbeatTime": now,
                  "lastTransitionTime": now} for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    ready = {"type": "Ready", "status": "True", "reason": "AgentReady", "message": "the lab's agent runs",
             "lastHeartbeatTime": now, "lastTransitionTime": now}
    return {
        "addresses": [{"type": "InternalIP", "address": address} for address in addresses]
        + [{"type": "Hostname", "address": name}],
        "capacity": capacity, "allocatable": capacity, "conditions": [*pressures, ready],
        "nodeInfo": {
            "machineID": facts["machine"], "systemUUID": facts["machine"], "bootID": facts["boot"],
            "kernelVersion": facts["kernel"], "osImage": facts["os"], "operatingSystem": "linux",
            "architecture": "amd64", "containerRuntimeVersion": "lab://1.0.0", "kubeletVersion": "v1.36.3",
            "kubeProxyVersion": "",
        },
    }
