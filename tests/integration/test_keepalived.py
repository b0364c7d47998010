# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VIPs held by the real keepalived, in network namespaces: what moves them, and what a move costs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from conftest import wait_for
from namespaces import Host, Network

from ansible_collections.northgate.edge.plugins.filter.vrrp_vips import vrrp_vips

ROLE = Path(__file__).parents[2] / "roles/keepalived"
VIPS = ("10.91.0.50", "fd91::50")
NAT = "10.90.0.90"
GROUP = {"edge": {"vips": {"public": {"addresses": [*VIPS], "preferred": ["r1"]}}, "nat_addresses": [NAT]}}
# A haproxy that takes connections on all addresses, and says the router's name in front of each message.
HAPROXY = """\
defaults
    timeout connect 1s
    timeout client 1m
    timeout server 1m
frontend health
    mode http
    bind 127.0.0.1:8404
    http-request return status 200
frontend vip
    mode tcp
    bind :::80 v4v6
    default_backend echo
backend echo
    mode tcp
    server echo 127.0.0.1:9000
"""
ECHO = """
import socket, sys, threading
def answer(peer):
    while data := peer.recv(65536):
        peer.sendall(sys.argv[1].encode() + b" " + data)
listener = socket.create_server(("127.0.0.1", 9000))
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""


class Router:
    """A router with haproxy and keepalived, as the role configures it."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host, self.root = host, root
        self.keepalived: subprocess.Popen[t.Any] | None = None
        self.bird: subprocess.Popen[t.Any] | None = None
        for directory in ("keepalived", "northgate", "sysctl.d"):
            (host.etc / directory).mkdir(exist_ok=True)
        (root / host.name / "lib/northgate").mkdir()
        for name in ("northgate-vips", "northgate_health.py"):
            shutil.copy(ROLE / "files" / name, host.etc / "keepalived" / name)
        shutil.copy(ROLE / "files/vips.nft", host.etc / "northgate/vips.nft")
        # The machine may have a BIRD, the router has none.
        (host.etc / "systemd/system/multi-user.target.wants/bird.service").unlink(missing_ok=True)
        (root / "haproxy.cfg").write_text(HAPROXY)
        host.start(sys.executable, "-c", ECHO, host.name, log=root / f"{host.name}-echo.log")
        self.start_haproxy()
        host.start("python3", "/etc/keepalived/northgate_health.py", "--settle=1", "127.0.0.1:8404/healthz", "80", log=root / f"{host.name}-health.log")

    def start_haproxy(self) -> None:
        self.haproxy = self.host.start("haproxy", "-f", str(self.root / "haproxy.cfg"), log=self.root / f"{self.host.name}-haproxy.log")

    def start_bird(self, neighbor: str = "") -> None:
        """A BIRD with no neighbour, or one that never answers."""
        (self.host.etc / "systemd/system/multi-user.target.wants").mkdir(parents=True, exist_ok=True)
        (self.host.etc / "systemd/system/multi-user.target.wants/bird.service").touch()
        session = f"protocol bgp one {{ local as 64500; neighbor {neighbor} as 64601; ipv4 {{ import all; export none; }}; }}" if neighbor else ""
        (self.root / f"{self.host.name}-bird.conf").write_text(f"router id 10.0.0.1;\nprotocol device {{ }}\n{session}\n")
        (self.root / self.host.name / "run/bird").mkdir(exist_ok=True)
        if self.bird:
            self.host.run("birdc", "configure")
        else:
            self.bird = self.host.start("bird", "-f", "-c", str(self.root / f"{self.host.name}-bird.conf"), log=self.root / f"{self.host.name}-bird.log")

    def configure(self, groups: dict[str, t.Any], hostvars: dict[str, t.Any], pools: dict[str, t.Any] | None = None) -> None:
        vips = vrrp_vips(self.host.name, hostvars, {"routers": list(hostvars)}, groups, pools or {}, self.host.interfaces())
        variables = {**yaml.safe_load((ROLE / "defaults/main.yml").read_text()), "keepalived_vips": vips, "inventory_hostname": self.host.name,
                     "keepalived_realtime": False}
        for template, target in (("keepalived.conf", "keepalived/keepalived.conf"), ("vips.conf", "northgate/vips.conf"),
                                 ("vips.settings", "northgate/vips.settings"), ("sysctl.conf", "sysctl.d/61-northgate-vips.conf")):
            text = (ROLE / "templates" / f"{template}.j2").read_text()
            rendered = Templar(loader=DataLoader(), variables=variables).template(trust_as_template("#jinja2: trim_blocks:True\n" + text))
            (self.host.etc / target).write_text(rendered + "\n")
        self.host.run("keepalived", "-t", "-f", "/etc/keepalived/keepalived.conf")
        self.host.run("/etc/keepalived/northgate-vips")

    def start(self) -> None:
        self.keepalived = self.host.start("keepalived", "--dont-fork", "--log-console", log=self.root / f"{self.host.name}-keepalived.log")

    def signal(self, number: int) -> None:
        assert self.keepalived
        self.keepalived.send_signal(number)

    def kill(self) -> None:
        """Without a chance to say goodbye; its child follows, as systemd has it."""
        assert self.keepalived
        children = subprocess.run(["pgrep", "-P", str(self.keepalived.pid)], capture_output=True, text=True, check=True).stdout.split()
        self.keepalived.kill()
        self.keepalived.wait()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        # Nobody may collect the orphan here, and its number is taken for a running daemon's.
        (self.root / self.host.name / "run/vrrp.pid").unlink()

    def maintenance(self, value: int) -> None:
        (self.root / self.host.name / "lib/northgate/maintenance").write_text(f"{value}\n")

    def holds(self) -> bool:
        """All of the group, or none of it."""
        held = {self.host.has(address, "outside") for address in VIPS} | {self.host.has(NAT, "fabric")}
        return held == {True}

    def holds_none(self) -> bool:
        return not any(self.host.has(address, "outside") for address in VIPS) and not self.host.has(NAT, "fabric")


class Connection:
    """A TCP connection to a VIP that stays open; ``ask`` says which router answered."""

    SCRIPT = ("import socket, sys\npeer = socket.create_connection((sys.argv[1], 80), timeout=8)\n"
              "for line in sys.stdin.buffer:\n    peer.sendall(line)\n    sys.stdout.buffer.write(peer.recv(65536))\n    sys.stdout.flush()\n")

    def __init__(self, host: Host, address: str) -> None:
        self._process = subprocess.Popen(host.command(sys.executable, "-c", self.SCRIPT, address), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)

    def ask(self) -> str:
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write("hello\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        return answer.removesuffix(" hello\n") if answer else self._process.stderr.read()[-200:]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(name="network")
def _network(tmp_path: Path) -> t.Iterator[Network]:
    both = ("outside", "fabric")
    network = Network(tmp_path, {"outside": ("10.91.0.", "fd91::"), "fabric": ("10.90.0.", "fd90::")},
                      {"client": (100, ("outside",)), "r1": (11, both), "r2": (12, both)})
    yield network
    network.end()


HOSTVARS = {f"r{number}": {"northgate_router_group": "edge", "northgate_addresses": [f"10.90.0.1{number}", f"fd90::1{number}"]} for number in (1, 2)}


@pytest.fixture(name="routers")
def _routers(network: Network, tmp_path: Path) -> list[Router]:
    """Both serve, and the first has the VIPs."""
    routers = [Router(network.hosts[name], tmp_path) for name in ("r1", "r2")]
    for router in routers:
        router.configure(GROUP, HOSTVARS)
        router.start()
    wait_for(lambda: routers[0].holds() and routers[1].holds_none(), "the VIPs on r1")
    return routers


@pytest.fixture(name="connections")
def _connections(network: Network, routers: list[Router]) -> t.Iterator[list[Connection]]:
    """One to each VIP, which the first router accepted."""
    found = [Connection(network.hosts["client"], address) for address in VIPS]
    assert [connection.ask() for connection in found] == ["r1", "r1"]
    yield found
    for connection in found:
        connection.end()


def asked(network: Network) -> list[str]:
    """Who accepts new connections, by VIP."""
    found = [Connection(network.hosts["client"], address) for address in VIPS]
    try:
        return [connection.ask() for connection in found]
    finally:
        for connection in found:
            connection.end()


def test_a_planned_move_loses_no_connection_and_neither_does_the_way_back(network, routers, connections):
    r1, r2 = routers
    r1.maintenance(1)
    wait_for(lambda: r2.holds() and r1.holds_none(), "the VIPs on r2")
    assert [connection.ask() for connection in connections] == ["r1", "r1"]
    assert asked(network) == ["r2", "r2"]
    later = [Connection(network.hosts["client"], address) for address in VIPS]
    assert [connection.ask() for connection in later] == ["r2", "r2"]
    r1.maintenance(0)
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs back on r1")
    assert [connection.ask() for connection in connections + later] == ["r1", "r1", "r2", "r2"]
    for connection in later:
        connection.end()


def test_a_router_without_bgp_has_the_vips_only_where_no_other_can(network, routers):
    r1, r2 = routers
    for router in routers:
        router.start_bird(neighbor="10.90.0.77")
    # Both are without.
    wait_for(lambda: "from 199 to 99" in (router.root / "r2-keepalived.log").read_text(), "r2 without BGP")
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs on r1, as before")
    r2.start_bird()
    wait_for(lambda: r2.holds() and r1.holds_none(), "the VIPs on r2")
    r1.start_bird()
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs back on r1")


def test_rules_that_are_missing_count_like_bgp(network, routers):
    r1, r2 = routers
    (r1.host.etc / "ipvsadm.rules").write_text("-A -t 203.0.113.1:80 -s mh\n")
    wait_for(lambda: r2.holds() and r1.holds_none(), "the VIPs on r2")


def test_addresses_of_a_segments_pool_move_with_the_vip(network, tmp_path):
    group = {"edge": {"vips": {"public": {"addresses": [*VIPS], "preferred": ["r1"], "pools": ["office"], "unicast": True}}, "nat_addresses": [NAT]}}
    hostvars = {name: {**values, "northgate_vrrp_addresses": [f"10.91.0.1{name[1]}", f"fd91::1{name[1]}"]} for name, values in HOSTVARS.items()}
    r1, r2 = (Router(network.hosts[name], tmp_path) for name in ("r1", "r2"))
    for router in (r1, r2):
        router.configure(group, hostvars, {"office": {"addresses": ["10.91.0.128/31", "fd91::128/127"]}})
        router.start()
    pool = ["10.91.0.128", "10.91.0.129", "fd91::128", "fd91::129"]
    wait_for(lambda: r1.holds() and all(r1.host.has(address, "outside") for address in pool), "pool and VIPs on r1")
    r1.maintenance(1)
    wait_for(lambda: r2.holds() and all(r2.host.has(address, "outside") for address in pool), "pool and VIPs on r2")
    assert not any(r1.host.has(address, "outside") for address in pool)


def test_a_haproxy_that_is_gone_takes_the_vips_away_until_it_is_back(network, routers):
    r1, r2 = routers
    r1.haproxy.kill()
    wait_for(r2.holds, "the VIPs on r2")
    assert asked(network) == ["r2", "r2"]
    r1.start_haproxy()
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs back on r1")


def test_a_router_that_dies_is_replaced_and_its_connections_end_at_once(network, routers, connections):
    r1, r2 = routers
    # In this order nobody asks r1 by the one segment when it is gone from the other.
    for segment in ("fabric", "outside"):
        network.cut("r1", segment)
    wait_for(r2.holds, "the VIPs on r2")
    assert asked(network) == ["r2", "r2"]
    answers = [connection.ask() for connection in connections]
    assert all("ConnectionResetError" in answer for answer in answers), answers
    for segment in ("outside", "fabric"):
        network.mend("r1", segment)
    wait_for(lambda: r1.holds() and r2.holds_none(), "one master")
    assert asked(network) == ["r1", "r1"]


def test_a_killed_keepalived_leaves_vips_that_are_taken_away(network, routers, connections):
    r1, r2 = routers
    r1.kill()
    wait_for(r2.holds, "the VIPs on r2")
    # As systemd does then.
    r1.host.run("/etc/keepalived/northgate-vips", "release")
    assert r1.holds_none()
    assert asked(network) == ["r2", "r2"]
    assert [connection.ask() for connection in connections] == ["r1", "r1"]
    r1.start()
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs back on r1")


def test_a_reload_keeps_the_vips_that_stay_also_while_routers_differ(network, routers, connections):
    r1, r2 = routers
    more = {"edge": {**GROUP["edge"], "vips": {"public": {"addresses": [*VIPS, "10.91.0.51"], "preferred": ["r1"]}}}}
    watched = subprocess.Popen(r1.host.command("ip", "monitor", "address"), stdout=subprocess.PIPE, text=True)
    r1.configure(more, HOSTVARS)
    r1.signal(signal.SIGHUP)
    wait_for(lambda: r1.host.has("10.91.0.51", "outside"), "the further VIP")
    assert r2.holds_none()
    r2.configure(more, HOSTVARS)
    r2.signal(signal.SIGHUP)
    assert [connection.ask() for connection in connections] == ["r1", "r1"]
    r1.configure(GROUP, HOSTVARS)
    r1.signal(signal.SIGHUP)
    wait_for(lambda: not r1.host.has("10.91.0.51", "outside"), "the further VIP gone")
    watched.terminate()
    said = watched.communicate()[0]
    assert not [line for line in said.splitlines() if line.startswith("Deleted") and any(f" {address}/" in line for address in VIPS)], said
    assert r1.holds() and r2.holds_none()


def test_the_vips_stay_where_they_are_with_nopreempt(network, tmp_path):
    group = {"edge": {"vips": {"public": {"addresses": [*VIPS], "preferred": ["r1"], "nopreempt": True}}, "nat_addresses": [NAT]}}
    r1, r2 = (Router(network.hosts[name], tmp_path) for name in ("r1", "r2"))
    for router in (r1, r2):
        router.configure(group, HOSTVARS)
    r2.start()
    wait_for(r2.holds, "the VIPs on r2")
    r1.start()
    wait_for(lambda: "Entering BACKUP STATE" in (tmp_path / "r1-keepalived.log").read_text(), "r1 ready")
    r2.maintenance(1)
    wait_for(lambda: r1.holds() and r2.holds_none(), "the VIPs on r1")
    r2.maintenance(0)
    wait_for(lambda: "Entering BACKUP STATE" in (tmp_path / "r2-keepalived.log").read_text().rpartition("FAULT")[2], "r2 ready again")
    assert r1.holds() and r2.holds_none()
