# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probers of a run: what they ask, and their program."""
from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driver.command import STATE, LabFailed
from driver.program import TRAFFIC, Program
from driver.services import PORT
from northgate_lab.processes import apart

from .felt import Series

# Probers, in the order of tables. The first four are behind a VIP, the others behind an address of a pool that all routers announce.
BEHIND_VIP = ("http", "ingress", "api", "watch")
BEHIND_POOL = ("tcp", "udp", "stream")
PROBERS = (*BEHIND_VIP, *BEHIND_POOL)
INTERVALS = {"http": 0.02, "ingress": 0.1, "api": 0.1, "watch": 0.1, "tcp": 0.02, "udp": 0.02, "stream": 0.1}
STREAMS = 10
TIMEOUT, PATIENCE, SILENCE = 3.0, 30.0, 0.25
# How often client-go asks again when a connection ends before the answer (rest.Request.MaxRetries). A process that dies ends those that it has before
# it ends those that it has not accepted yet, so once is not enough.
AGAIN = 10
# The longest that one case may take, and how long probers have for their first answers.
SECONDS, READY_SECONDS = 1800.0, 60.0
# Served straight by pods of an application, and by those of an ingress controller, which needs a tenth of a core for ten requests a second in a guest.
HOST, INGRESS_HOST = "plain.example.test", "shared.example.test"
# They share two cores with all of the lab, and must not be late themselves.
PRIORITY = -10
# What a watch sees changes of.
NAMESPACE, OBJECT = "demo", "northgate-failover"
# Where probers run.
PROBER = "prober"


@dataclass(frozen=True)
class Places:
    """Where the probers ask: ADDRESS:PORT, both families."""

    http: tuple[str, ...]
    https: tuple[str, ...]
    api: tuple[str, ...]
    service: tuple[str, ...]
    # By which the API servers of the cluster are told from others on a port that they share.
    api_name: str


def place(address: str, port: int) -> str:
    """Return ADDRESS:PORT, with brackets where they have to be."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def vip_addresses(group: dict[str, Any]) -> list[str]:
    """Return the addresses of all VIPs of a router group."""
    return [address.split("/")[0] for vip in group["vips"].values() for address in vip["addresses"]]


def web_addresses(group: dict[str, Any]) -> list[str]:
    """Return the VIPs' addresses by which clients of a router group reach ingresses."""
    every = vip_addresses(group)
    return [address for address in group.get("ingress_addresses") or every if address in every] or every


def places(cluster: str, group: dict[str, Any], service: Sequence[str]) -> Places:
    """Return where to ask a router group for a cluster; ``service`` are addresses of a LoadBalancer service of the application echo-l4.

    Raises KeyError when the group has no VIP or no frontend of the cluster's API.
    """
    api = group["api"][cluster]
    bound: list[str] = []
    for bind in api["bind"]:
        address, _colon, port = bind.rpartition(":")
        # A frontend that listens everywhere is asked at the VIPs.
        every = address.strip("[]") in ("", "*", "0.0.0.0", "::")
        bound += [place(vip, int(port)) for vip in vip_addresses(group)] if every else [bind]
    return Places(
        http=tuple(place(address, 80) for address in web_addresses(group)), https=tuple(place(address, 443) for address in web_addresses(group)),
        api=tuple(dict.fromkeys(bound)),
        service=tuple(place(address, PORT) for address in service), api_name=next(iter(api.get("names") or ()), "kubernetes"))


def plan(cluster: str, found: Places, least: float = 0.0) -> dict[str, Any]:
    """Return the plan of traffic.probes; no interval is shorter than ``least``, in seconds."""
    pki = STATE / "clusters" / cluster
    tls = {"ca": str(pki / "ca.pem"), "server_name": found.api_name}
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps?fieldSelector=metadata.name%3D{OBJECT}"
    specs: dict[str, dict[str, Any]] = {
        "http": {"kind": "http", "places": found.http, "host": HOST, "path": "/"},
        "ingress": {"kind": "https", "places": found.https, "path": "/", "ca": str(STATE / "ca.pem"), "server_name": INGRESS_HOST},
        "api": {"kind": "https", "places": found.api, "path": "/version", "asks_again": AGAIN, **tls},
        "watch": {"kind": "watch", "places": found.api, "path": path, "token_file": str(pki / "tokens" / "admin"), "silence": SILENCE, **tls},
        "tcp": {"kind": "tcp", "places": found.service},
        "udp": {"kind": "udp", "places": found.service},
        "stream": {"kind": "stream", "places": found.service, "count": STREAMS, "patience": PATIENCE},
    }
    return {"seconds": SECONDS, "timeout": TIMEOUT, "probers": [{"name": name, "interval": max(INTERVALS[name], least), **specs[name]} for name in PROBERS]}


class Probes(Program):
    """All probers, behind the client, while the body of ``with`` runs. Then ``series`` are there, by prober."""

    def __init__(self, cluster: str, found: Places, least: float = 0.0) -> None:
        command = ["env", f"PYTHONPATH={TRAFFIC.parent}", sys.executable, "-m", "traffic.probes", json.dumps(plan(cluster, found, least))]
        super().__init__(apart(PRIORITY, command), READY_SECONDS, host=PROBER)

    def now(self) -> float:
        """Return the time of the probers' clock."""
        return float(self.tell("now", 30.0))

    def settled(self, seconds: float) -> float:
        """Wait until every prober has been answered for a while without a failure; return the time. Raises LabFailed."""
        try:
            return float(self.tell("settled", seconds))
        except LabFailed as error:
            raise LabFailed(f"{error}; not calm are {self.tell('restless', 30.0)} (see traffic.records)") from error

    @property
    def series(self) -> dict[str, list[Series]]:
        """What became of all attempts."""
        found: dict[str, list[Series]] = {name: [] for name in PROBERS}
        for result in self.summary["series"]:
            found[result["prober"]].append(Series.parse(result))
        return found

    def late(self, begin: float, end: float) -> float:
        """Return the longest delay of the probers themselves in a window, in seconds."""
        return max((late / 1000 for when, late in self.summary["late"] if begin <= when / 1000 < end), default=0.0)


def beats(cluster: str) -> Program:
    """Return a program that changes the watched object all the time, beside etcd and past every router."""
    files = sorted((STATE / "clusters" / cluster).glob(f"{cluster}-*-admin.kubeconfig"))
    command = [sys.executable, str(Path(__file__).with_name("beats.py")), str(INTERVALS["watch"]), NAMESPACE, OBJECT, *map(str, files)]
    return Program(command, READY_SECONDS, host=f"{cluster}-etcd")
