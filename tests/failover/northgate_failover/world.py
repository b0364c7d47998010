# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as cases see it: who is who, what can be done to it, and whether it is well."""
from __future__ import annotations

import ipaddress
import json
from functools import partial
from typing import Any

from driver import clusters, services
from driver.command import CONFIRMED, STATE, converge, hosts, inventory, lab
from figure import CouldNotMeasure
from labs import play

from . import health
from .probing import Places, places, web_addresses

CLUSTER, SERVICE = "alpha", "l4-local"
BOOT_SECONDS, HEALTHY_SECONDS, NODE_SECONDS, UPGRADE_SECONDS = 180.0, 300.0, 150.0, 240.0
# Of seconds that haproxy has in maintenance for connections to end; a watch never does.
DRAIN_SECONDS = 10
CLIENT = "client"
# What is added to a VIP's addresses for another one.
BESIDE = 5


class World:
    """What the inventory says, read once, and the lab behind it. Raises CouldNotMeasure where the topology lacks what is needed."""

    def __init__(self) -> None:
        known = inventory()
        self._groups: dict[str, dict[str, Any]] = known["northgate_router_groups"]
        self._clusters = tuple(known["northgate_clusters"])
        self._hosts = hosts()
        # The addresses of each router, when it was looked at last.
        self._held: dict[str, set[str]] = {}
        self._service: list[str] = []
        serving = [name for name, group in self._groups.items() if CLUSTER in group["clusters"] and group.get("vips") and CLUSTER in group.get("api", {})]
        if not serving:
            raise CouldNotMeasure(f"no router group serves {CLUSTER} with a VIP and its API")
        self.group = serving[0]
        preferred = self._vip[1].get("preferred") or []
        members = self._members(self.group)
        self.routers = [*(name for name in preferred if name in members), *(name for name in members if name not in preferred)]
        if len(self.routers) < 2:
            raise CouldNotMeasure(f"router group {self.group} has only {', '.join(self.routers)}")
        self.workers = [name for name, variables in self._hosts.items() if variables.get("northgate_cluster") == CLUSTER]
        self.api_servers = {file.name.removesuffix("-admin.kubeconfig"): json.loads(file.read_text("utf-8"))["clusters"][0]["cluster"]["server"]
                            for file in sorted((STATE / "clusters" / CLUSTER).glob(f"{CLUSTER}-*-admin.kubeconfig"))}

    @property
    def first(self) -> str:
        """The router that has the VIP of HTTP when all is well."""
        return self.routers[0]

    @property
    def worker(self) -> str:
        """A worker that is lost."""
        return self.workers[0]

    @property
    def api_server(self) -> str:
        """An API server that is lost: its host."""
        return next(iter(self.api_servers))

    def places(self) -> Places:
        """Return where probers ask."""
        return places(CLUSTER, self._groups[self.group], self.service_addresses())

    def service_addresses(self) -> list[str]:
        """Return the addresses of the service that probers ask, which stay. Raises CouldNotMeasure when it has none."""
        self._service = self._service or services.addresses(CLUSTER, SERVICE)[SERVICE]
        if not self._service:
            raise CouldNotMeasure(f"service {SERVICE} has no address: {services.events(CLUSTER, SERVICE)}")
        return self._service

    def wait_healthy(self, seconds: float = HEALTHY_SECONDS) -> None:
        """Wait until all is well. Raises NotHealthy."""
        health.until_none(self.problems, seconds)

    def problems(self) -> list[str]:
        """Return all that is not well."""
        guests = [name for name, variables in self._hosts.items() if "northgate_addresses" in variables or name == CLIENT]
        wanted = dict.fromkeys(self.service_addresses(), len(self.routers))
        work = [*(partial(self._guest, guest) for guest in guests), *(partial(health.workloads, cluster) for cluster in self._clusters),
                partial(health.apis, CLUSTER, self.api_servers.values()), partial(health.routes, wanted)]
        self._held.clear()
        found = health.together(work)
        for name, group in self._groups.items():
            found += health.misplaced(group, {router: self._held[router] for router in self._members(name) if router in self._held})
        return found

    def _guest(self, guest: str) -> list[str]:
        is_router = "northgate_router_group" in self._hosts[guest]
        found = health.look(guest, is_router)
        if is_router:
            self._held[guest] = health.addresses(found)
        return health.problems(guest, found)

    def on(self, host: str, *command: str, timeout: float = 60.0) -> str:
        """Run a command on a host."""
        return lab("exec", host, "--", *command, timeout=timeout)

    def kill_unit(self, host: str, unit: str) -> None:
        """Kill all processes of a unit (-9)."""
        self.on(host, "systemctl", "kill", "--signal=KILL", unit)

    def start_unit(self, host: str, unit: str) -> None:
        """Start a unit that nothing has started again meanwhile."""
        self.on(host, "systemctl", "start", unit)

    def boot(self, host: str) -> None:
        """Switch a host on, and wait until it answers."""
        lab("start", host, timeout=BOOT_SECONDS)

    def maintain(self, router: str) -> None:
        """Take a router out."""
        self._play("maintenance", {"router": router, "maintenance_drain_time": DRAIN_SECONDS})

    def resume(self, router: str) -> None:
        """Put a router back."""
        self._play("maintenance", {"router": router, "state": "resume"})

    def upgrade(self, router: str) -> None:
        """Install the package haproxy again, as an upgrade does, on a router that is out."""
        self.maintain(router)
        self.on(router, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--reinstall", "-qy", "haproxy", timeout=UPGRADE_SECONDS)
        self.resume(router)

    def kill_ingress_pod(self) -> None:
        """Kill one pod of Traefik (-9) of several, on a worker of the cluster. Raises CouldNotMeasure when there is no other."""
        found = clusters.pods(CLUSTER, "traefik", "traefik")
        if len(found) < 2:
            raise CouldNotMeasure(f"only {len(found)} pods of Traefik are ready")
        items = clusters.get(CLUSTER, "-n", "traefik", "pods", "-l", "app=traefik")["items"]
        worker = min(item["spec"]["nodeName"] for item in items if item["metadata"]["name"] in found)
        self.on(worker, "pkill", "-KILL", "--oldest", "--exact", "traefik")

    def node_lost(self) -> None:
        """Wait until the cluster knows that the worker is gone, and converge."""
        clusters.eventually(lambda: not clusters.node_is_ready(CLUSTER, self.worker), NODE_SECONDS, f"{self.worker} not ready")
        self._converge()

    def node_back(self) -> None:
        """Wait until the cluster and its pods are complete, and converge."""
        clusters.eventually(lambda: not health.workloads(CLUSTER), HEALTHY_SECONDS, f"{CLUSTER} complete")
        self._converge()

    def site(self, groups: dict[str, Any] | None = None) -> None:
        """Run site.yml on the group's routers, one after the other, with other router groups than the inventory's."""
        self._play("site", {"northgate_router_groups": groups} if groups else {}, f"--limit={','.join(self._members(self.group))}", "--forks=1")

    def with_another_vip_address(self) -> dict[str, Any]:
        """Return the router groups, where the VIP of HTTP has one more address of each family."""
        name, vip = self._vip
        changed = {**self._groups[self.group]["vips"], name: {**vip, "addresses": [*vip["addresses"], *self._beside()]}}
        return {**self._groups, self.group: {**self._groups[self.group], "vips": changed}}

    def wait_another_vip(self, there: bool) -> None:
        """Wait until the first router has, or no longer has, the further addresses."""
        wanted = {text.split("/")[0] for text in self._beside()}

        def check() -> bool:
            found = wanted & health.addresses(health.look(self.first, True))
            return found == wanted if there else not found
        clusters.eventually(check, HEALTHY_SECONDS, f"addresses {sorted(wanted)} {'on' if there else 'off'} {self.first}")

    @property
    def _vip(self) -> tuple[str, dict[str, Any]]:
        """Name and entry of the VIP of HTTP."""
        group = self._groups[self.group]
        wanted = web_addresses(group)[0]
        return next((name, vip) for name, vip in group["vips"].items() if wanted in (text.split("/")[0] for text in vip["addresses"]))

    def _beside(self) -> list[str]:
        found = [ipaddress.ip_interface(text) for text in self._vip[1]["addresses"]]
        return [f"{interface.ip + BESIDE}/{interface.network.prefixlen}" for interface in found]

    def _converge(self) -> None:
        # One router after the other: what a guest does at its lowest priority is done at the guest's own on this machine's cores.
        health.patiently(lambda: converge(*CONFIRMED, "--forks=1"))

    def _play(self, name: str, variables: dict[str, Any], *options: str) -> None:
        health.patiently(lambda: play(name, variables, *options))

    def _members(self, group: str) -> list[str]:
        return [name for name, variables in self._hosts.items() if variables.get("northgate_router_group") == group]
