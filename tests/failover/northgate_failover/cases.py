# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the edge, one case after the other, and what may be felt of it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from driver.command import lab

from .probing import BEHIND_VIP, PROBERS
from .world import DRAIN_SECONDS, World

OUTAGE_MS = 500
# The first router has the VIP of HTTP when all is well, the second takes it; other VIPs may be the other way round.
ORDER = ("first", "second")
Act = Callable[[World], None]


def _nothing(_world: World) -> None:
    """Nothing has to be done, or to have happened."""


@dataclass(frozen=True)
class Phase:
    """One thing that happens, with a window of its own: from just before ``act`` until ``after`` has returned and every prober is calm again.

    Probers in ``short`` may feel no more than OUTAGE_MS, those in ``whole`` may lose nothing.
    """

    name: str
    text: str
    act: Act
    after: Act = _nothing
    # The window is open for as many seconds at least.
    least: float = 4.0
    short: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    @property
    def is_gentle(self) -> bool:
        """Whether nothing is torn down that a connection needs: none may be reset."""
        return self.whole == PROBERS


@dataclass(frozen=True)
class Case:
    """Phases one after the other, with the lab healthy before. ``restore`` is what puts it right again when one of them failed."""

    name: str
    phases: tuple[Phase, ...]
    restore: Act = _nothing
    # Whether it is among the few that `make test` runs.
    is_quick: bool = False


def _healthy(world: World) -> None:
    world.wait_healthy()


def _back(name: str, text: str, act: Act, after: Act = _healthy) -> Phase:
    """Something comes back: nobody may lose anything, and all is well at the end."""
    return Phase(name, text, act, after, whole=PROBERS)


def _unit(unit: str, program: str) -> Case:
    """A program of the first router is killed, and started again if nothing has done that."""
    return Case(f"{unit}_killed", (
        Phase(f"{unit}_killed", f"{program} of the first router killed", lambda world: world.kill_unit(world.first, unit), least=10.0),
        Phase(f"{unit}_back", f"{program} runs again and all is well", lambda world: world.start_unit(world.first, unit), _healthy),
    ), lambda world: world.start_unit(world.first, unit))


def _plug(number: int, suffix: str = "") -> Case:
    """A router loses its power, and boots."""
    return Case(f"router_plug{suffix}", (
        Phase(f"router_plug{suffix}", f"plug of the {ORDER[number]} router pulled", lambda world: lab("kill", world.routers[number]),
              short=PROBERS, whole=("stream",)),
        _back(f"router_back{suffix}", "it boots and takes over again", lambda world: world.boot(world.routers[number])),
    ), lambda world: world.boot(world.routers[number]), is_quick=not number)


def _frozen(number: int, suffix: str = "") -> Case:
    """A router stops where it is, and goes on later."""
    return Case(f"router_frozen{suffix}", (
        Phase(f"router_frozen{suffix}", f"{ORDER[number]} router frozen", lambda world: lab("freeze", world.routers[number]),
              short=PROBERS, whole=("stream",), least=5.0),
        Phase(f"router_thawed{suffix}", "it is thawed: two masters for a moment", lambda world: lab("thaw", world.routers[number]), _healthy),
    ), lambda world: lab("thaw", world.routers[number]))


def _maintenance(number: int, suffix: str = "") -> Case:
    """A router is taken out by the playbook, and put back."""
    return Case(f"maintenance{suffix}", (
        Phase(f"maintenance{suffix}", f"maintenance.yml takes the {ORDER[number]} router out; a watch through it is ended after {DRAIN_SECONDS} s",
              lambda world: world.maintain(world.routers[number]), whole=PROBERS),
        _back(f"resume{suffix}", "maintenance.yml puts it back", lambda world: world.resume(world.routers[number])),
    ), lambda world: world.resume(world.routers[number]), is_quick=not number)


CASES = (
    Case("control", (Phase("control", "nothing", _nothing, least=10.0, whole=PROBERS),)),
    _plug(0),
    _frozen(0),
    _plug(1, "_second"),
    _frozen(1, "_second"),
    Case("router_cut", (
        Phase("router_cut", "all cables of the first router cut: both think they are master", lambda world: lab("cut", world.first), least=8.0),
        Phase("router_mended", "they are mended", lambda world: lab("mend", world.first), _healthy),
    ), lambda world: lab("mend", world.first)),
    _unit("haproxy", "haproxy"),
    _unit("bird", "BIRD"),
    _unit("keepalived", "keepalived"),
    Case("worker_plug", (
        # What a stream has on a worker ends with it.
        Phase("worker_plug", "plug of a worker pulled", lambda world: lab("kill", world.worker), short=(*BEHIND_VIP, "tcp", "udp"), least=20.0),
        Phase("worker_unready", "its node is not ready; converged", World.node_lost),
        Phase("worker_back", "it boots; converged when its pods are ready", lambda world: world.boot(world.worker),
              lambda world: (world.node_back(), world.wait_healthy())),
    ), lambda world: (world.boot(world.worker), world.node_back())),
    Case("worker_bird", (
        Phase("worker_bird", "BIRD of a worker killed", lambda world: world.kill_unit(world.worker, "bird"), short=PROBERS, least=10.0),
        Phase("worker_bird_back", "it runs again", lambda world: world.start_unit(world.worker, "bird"), _healthy),
    ), lambda world: world.start_unit(world.worker, "bird")),
    Case("ingress_pod", (
        Phase("ingress_pod", "a pod of the ingress controller killed", World.kill_ingress_pod, _healthy, whole=("http", "ingress")),
    ), is_quick=True),
    Case("api_server", (
        Phase("api_server", "plug of one of two API servers pulled", lambda world: lab("kill", world.api_server), whole=("api",), least=6.0),
        _back("api_server_back", "it runs again", lambda world: world.boot(world.api_server)),
    ), lambda world: world.boot(world.api_server), is_quick=True),
    _maintenance(0),
    _maintenance(1, "_second"),
    Case("haproxy_upgrade", (
        Phase("haproxy_upgrade", "package haproxy of the first router installed again, in maintenance", lambda world: world.upgrade(world.first), _healthy,
              whole=PROBERS),
    ), lambda world: world.resume(world.first)),
    Case("haproxy_reload", (
        Phase("haproxy_reload", "haproxy of the first router reloaded", lambda world: world.on(world.first, "systemctl", "reload", "haproxy"), whole=PROBERS),
    )),
    Case("changed_vip", (
        Phase("vip_added", "site.yml with one more address of each family for the VIP", lambda world: world.site(world.with_another_vip_address()),
              lambda world: world.wait_another_vip(True)),
        Phase("vip_removed", "site.yml with the inventory's again", World.site, lambda world: (world.wait_another_vip(False), world.wait_healthy())),
    ), World.site),
)
BY_NAME = {case.name: case for case in CASES}
QUICK = tuple(case.name for case in CASES if case.is_quick)
