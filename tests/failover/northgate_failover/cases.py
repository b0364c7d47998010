# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the edge, one case after the other, and what may be felt of it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from driver.command import lab

from .probing import BEHIND_VIP, PROBERS
from .world import World

OUTAGE_MS = 500
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


def _unit(unit: str, text: str, least: float = 10.0) -> Case:
    """A program of the master is killed, and started again if nothing has done that."""
    return Case(f"{unit}_killed", (
        Phase(f"{unit}_killed", text, lambda world: world.kill_unit(world.master, unit), least=least),
        Phase(f"{unit}_back", f"{unit} runs again and all is well", lambda world: world.start_unit(world.master, unit), _healthy),
    ), lambda world: world.start_unit(world.master, unit))


def _maintenance(number: int, text: str) -> tuple[Phase, Phase]:
    name = f"maintenance_{text}"
    return (
        Phase(name, f"maintenance.yml takes the {text} out", lambda world: world.maintain(world.routers[number]), whole=PROBERS),
        _back(f"{name}_resume", f"maintenance.yml puts the {text} back", lambda world: world.resume(world.routers[number])),
    )


def _resume_all(world: World) -> None:
    for router in world.routers:
        world.resume(router)


CASES = (
    Case("control", (Phase("control", "nothing", _nothing, least=10.0, whole=PROBERS),)),
    Case("router_plug", (
        Phase("router_plug", "plug of the master pulled", lambda world: lab("kill", world.master), short=PROBERS, whole=("stream",)),
        _back("router_back", "it boots and takes over again", lambda world: world.boot(world.master)),
    ), lambda world: world.boot(world.master), is_quick=True),
    Case("router_frozen", (
        Phase("router_frozen", "master frozen", lambda world: lab("freeze", world.master), short=PROBERS, whole=("stream",), least=5.0),
        Phase("router_thawed", "it is thawed: two masters for a moment", lambda world: lab("thaw", world.master), _healthy),
    ), lambda world: lab("thaw", world.master), is_quick=True),
    Case("router_cut", (
        Phase("router_cut", "all cables of the master cut: it thinks it still is", lambda world: lab("cut", world.master), least=8.0),
        Phase("router_mended", "they are mended", lambda world: lab("mend", world.master), _healthy),
    ), lambda world: lab("mend", world.master)),
    _unit("haproxy", "haproxy of the master killed"),
    _unit("bird", "BIRD of the master killed"),
    _unit("keepalived", "keepalived of the master killed"),
    Case("worker_plug", (
        # What a stream has on a worker ends with it.
        Phase("worker_plug", "plug of a worker pulled; converged when its node is not ready", lambda world: lab("kill", world.worker),
              World.node_lost, short=(*BEHIND_VIP, "tcp", "udp")),
        Phase("worker_back", "it boots; converged when its pods are ready", lambda world: world.boot(world.worker),
              lambda world: (world.node_back(), world.wait_healthy())),
    ), lambda world: (world.boot(world.worker), world.node_back())),
    Case("worker_bird", (
        Phase("worker_bird", "BIRD of a worker killed", lambda world: world.kill_unit(world.worker, "bird"), short=PROBERS, least=10.0),
        Phase("worker_bird_back", "it runs again", lambda world: world.start_unit(world.worker, "bird"), _healthy),
    ), lambda world: world.start_unit(world.worker, "bird")),
    Case("ingress_pod", (
        Phase("ingress_pod", "a pod of the ingress controller killed", World.kill_ingress_pod, _healthy, whole=("http",)),
    ), is_quick=True),
    Case("api_server", (
        Phase("api_server", "plug of one of two API servers pulled", lambda world: lab("kill", world.api_server), whole=("api",), least=6.0),
        _back("api_server_back", "it runs again", lambda world: world.boot(world.api_server)),
    ), lambda world: world.boot(world.api_server), is_quick=True),
    Case("maintenance", (*_maintenance(0, "master"), *_maintenance(1, "standby")), _resume_all, is_quick=True),
    Case("haproxy_upgrade", (
        Phase("haproxy_upgrade", "package haproxy of the master installed again, in maintenance", lambda world: world.upgrade(world.master), _healthy,
              whole=PROBERS),
    ), _resume_all),
    Case("haproxy_reload", (
        Phase("haproxy_reload", "haproxy of the master reloaded", lambda world: world.on(world.master, "systemctl", "reload", "haproxy"), whole=PROBERS),
    )),
    Case("changed_vip", (
        Phase("vip_added", "site.yml with one more address of each family for the VIP", lambda world: world.site(world.with_another_vip_address()),
              lambda world: world.wait_another_vip(True)),
        Phase("vip_removed", "site.yml with the inventory's again", World.site, lambda world: (world.wait_another_vip(False), world.wait_healthy())),
    ), World.site),
)
BY_NAME = {case.name: case for case in CASES}
QUICK = tuple(case.name for case in CASES if case.is_quick)
