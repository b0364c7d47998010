# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API servers behind a real haproxy: servers that speak TLS and answer /readyz stand for kube-apiservers."""

from __future__ import annotations

import http.client
import socket
import ssl
import typing as t
from pathlib import Path

import pytest
from northgate_apis import NAME, ApiServer, Authority, connect, get
from ports import free_port

from ansible_collections.northgate.edge.plugins.module_utils._core.api_servers import api_state, parse_all
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import api_layout
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api import ApiAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api_info import apis
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge


class Edge:
    """A router that serves APIs, and its clients."""

    def __init__(self, haproxy: t.Any) -> None:
        self.haproxy = haproxy
        self.port = free_port()

    @property
    def adapter(self) -> ApiAdapter:
        return ApiAdapter(str(self.haproxy.config_dir), self.haproxy.socket, self.haproxy.master_socket)

    def bring(self, check_mode: bool = False, observed: t.Mapping[str, t.Iterable[int]] | None = None, **api: dict[str, t.Any]) -> t.Any:
        """Converges with ``api`` by cluster, whose bind is ours unless it has another; ``observed`` ports of API servers go before its seeds."""
        options = parse_all({cluster: {"bind": [f"127.0.0.1:{self.port}"], **of} for cluster, of in api.items()}, list(api))
        snapshots = {
            cluster: Snapshot(cluster, api_servers=tuple(Endpoint("127.0.0.1", port) for port in ports)) for cluster, ports in (observed or {}).items()
        }
        wanted = self.adapter.wanted(api_state(options, snapshots))
        outcome = converge(self.adapter, lambda current: wanted, check_mode)
        if not check_mode:
            self.adapter.delete_retired(wanted)
        return outcome

    def get(self, sni: str | None = NAME, port: int = 0) -> str:
        return get(port or self.port, sni)

    def watch(self, sni: str | None = NAME) -> http.client.HTTPResponse:
        """A response that does not end; each line is the name of the server."""
        connection = connect(self.port, sni)
        connection.request("GET", "/watch")
        return connection.getresponse()

    def connections(self) -> int:
        """How many alpha's servers have."""
        return sum(one.connections for one in self.haproxy.runtime.health("ng_api_alpha").values())

    def states(self, cluster: str = "alpha") -> dict[int, str]:
        """The state of each checked server by its port."""
        servers = self.haproxy.runtime.servers().get(f"ng_api_{cluster}", {})
        return {one.port: one.state for name, one in servers.items() if not name.endswith(api_layout.UNCHECKED)}


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(name="edge")
def _edge(haproxy: t.Any) -> Edge:
    return Edge(haproxy)


@pytest.fixture(name="servers")
def _servers(authority: Authority) -> t.Iterator[t.Callable[..., ApiServer]]:
    """Starts API servers by name."""
    started: list[ApiServer] = []

    def start(name: str, *names: str, port: int = 0) -> ApiServer:
        started.append(ApiServer(name, authority.context(*(names or (NAME,))), port))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def seeds(*servers: ApiServer) -> list[str]:
    return [f"127.0.0.1:{server.port}" for server in servers]


def test_no_get_fails_while_one_of_two_servers_is_killed_and_comes_back(edge, servers, authority, wait):
    a, b = servers("a"), servers("b")
    first = edge.bring(alpha={"servers": seeds(a, b), "ca": authority.pem})
    assert first.reload_reason == "haproxy has not loaded API servers yet"
    wait(lambda: edge.states() == {a.port: "up", b.port: "up"} and a.asked > 1 and b.asked > 1, "health checks")
    assert {edge.get() for number in range(8)} == {"a", "b"}
    a.kill()
    assert {edge.get() for number in range(40)} == {"b"}
    wait(lambda: edge.states()[a.port] == "down", "the dead server to be noticed")
    a = servers("a", port=a.port)
    wait(lambda: edge.states()[a.port] == "up", "the server to be back")
    assert {edge.get() for number in range(8)} == {"a", "b"}
    assert not edge.bring(alpha={"servers": seeds(a, b), "ca": authority.pem}).plan


def test_a_watch_survives_servers_that_come_and_go_without_a_reload(edge, servers, authority, wait):
    a, b, c = servers("a"), servers("b"), servers("c")
    options = {"servers": seeds(a), "ca": authority.pem}
    edge.bring(alpha=options)
    worker = edge.haproxy.worker()
    watch = edge.watch()
    assert watch.readline() == b"a\n"

    outcome = edge.bring(alpha=options, observed={"alpha": [a.port, b.port, c.port]})
    assert outcome.reload_reason == "" and len([s for s in outcome.plan.steps if str(s).startswith("add server")]) == 4
    others = [edge.watch() for number in range(3)]
    assert sorted(other.readline() for other in others) == [b"a\n", b"b\n", b"c\n"], "those with the fewest connections come first"
    for other in others:
        other.close()
    wait(lambda: [server.tick() for server in (a, b, c)] and edge.connections() == 1, "the other watches to end")
    edge.bring(alpha=options, observed={"alpha": [b.port, c.port]})
    assert {edge.get() for number in range(9)} == {"b", "c"}
    assert edge.states()[a.port] == "drain"
    wait(lambda: edge.connections() == 1, "what was asked of b to end")
    edge.bring(alpha=options, observed={"alpha": [c.port]})
    assert set(edge.states()) == {a.port, c.port}, "b had no connection"
    a.tick()
    assert watch.readline() == b"a\n"
    watch.close()
    wait(lambda: [a.tick()] and edge.connections() == 0, "the watch to end")
    assert not edge.bring(alpha=options, observed={"alpha": [c.port]}).plan
    assert set(edge.states()) == {c.port}
    assert edge.haproxy.worker() == worker
    edge.haproxy.stop()
    edge.haproxy.start()
    assert edge.get() == "c"
    assert not edge.bring(alpha=options, observed={"alpha": [c.port]}).plan


def test_a_server_that_leaves_and_comes_back_keeps_its_watch(edge, servers, authority):
    a, b = servers("a"), servers("b")
    options = {"ca": authority.pem}
    edge.bring(alpha=options, observed={"alpha": [a.port]})
    watch = edge.watch()
    watch.readline()
    edge.bring(alpha=options, observed={"alpha": [b.port]})
    outcome = edge.bring(alpha=options, observed={"alpha": [a.port, b.port]})
    assert f"enable server ng_api_alpha/alpha_127.0.0.1_{a.port}" in map(str, outcome.plan.steps)
    others = [edge.watch() for number in range(3)]
    assert {other.readline() for other in others} == {b"a\n", b"b\n"}
    a.tick()
    assert watch.readline() == b"a\n"


def test_a_server_that_is_not_ready_is_out_with_its_watches_and_the_last_one_stays_in(edge, servers, authority, wait):
    a, b = servers("a"), servers("b")
    edge.bring(alpha={"servers": seeds(a, b), "ca": authority.pem})
    watches = [edge.watch() for number in range(2)]
    by_name = {watch.readline(): watch for watch in watches}
    a.readyz = 500
    wait(lambda: edge.states()[a.port] == "down", "the server to be out")
    assert by_name[b"a\n"].readline() == b""
    assert {edge.get() for number in range(8)} == {"b"}
    b.readyz = 500
    wait(lambda: edge.states()[b.port] == "down", "the other to be out, too")
    assert edge.adapter.down() == {"alpha": (sorted(seeds(a, b)), True)}
    assert {edge.get() for number in range(8)} == {"a", "b"}
    b.readyz = 200
    wait(lambda: edge.states()[b.port] == "up", "the other to be back")
    assert {edge.get() for number in range(8)} == {"b"}
    assert edge.adapter.down() == {"alpha": (seeds(a), False)}


def test_servers_are_verified_by_authority_and_name(edge, servers, authority, tmp_path, wait):
    a = servers("a")
    wrong_name = servers("wrong name", "other.example")
    (tmp_path / "other").mkdir()
    foreign = ApiServer("foreign", Authority(tmp_path / "other").context(NAME))
    all_of_them = {"servers": seeds(a, wrong_name, foreign), "ca": authority.pem}
    edge.bring(alpha=all_of_them)
    wait(lambda: edge.states() == {a.port: "up", wrong_name.port: "down", foreign.port: "down"}, "verification")
    assert {edge.get() for number in range(6)} == {"a"}
    edge.bring(alpha={**all_of_them, "server_name": "other.example"})
    wait(lambda: edge.states() == {a.port: "down", wrong_name.port: "up", foreign.port: "down"}, "verification of another name")
    edge.bring(alpha={**all_of_them, "verify": False})
    wait(lambda: set(edge.states().values()) == {"up"} and foreign.asked > 1, "health without verification")
    foreign.kill()


def test_health_by_handshake_is_for_servers_that_refuse_anonymous_requests(edge, servers, authority, wait):
    a = servers("a")
    a.readyz = 401
    edge.bring(alpha={"servers": seeds(a), "ca": authority.pem})
    wait(lambda: edge.states()[a.port] == "down", "the refusal")
    edge.bring(alpha={"servers": seeds(a), "ca": authority.pem, "health": "tls"})
    before = a.asked
    wait(lambda: len(a.connections) > 20 or edge.adapter.down() == {}, "handshakes")
    assert edge.states()[a.port] == "up" and edge.get() == "a" and a.asked <= before + 1


def test_two_clusters_on_one_port_by_server_name(edge, servers, authority):
    a, b = servers("a"), servers("b")
    own = free_port()
    api = {
        "alpha": {"servers": seeds(a), "ca": authority.pem, "names": ["api.alpha.example", "Alpha.example"]},
        "beta": {"servers": seeds(b), "ca": authority.pem, "names": ["api.beta.example"], "bind": [f"127.0.0.1:{edge.port}", f"127.0.0.1:{own}"]},
    }
    edge.bring(**api)
    assert [edge.get(sni=name) for name in ("api.alpha.example", "alpha.example", "API.Beta.example")] == ["a", "a", "b"]
    assert edge.get(sni=None, port=own) == "b"
    for unknown in (None, "alpha", "example", "api.gamma.example", "x.api.alpha.example"):
        with pytest.raises(OSError):
            edge.get(sni=unknown)
    with socket.create_connection(("127.0.0.1", edge.port), 10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: api.alpha.example\r\n\r\n")
        assert plain.recv(100) == b""


def test_only_allowed_sources_connect(edge, servers, authority):
    a, b = servers("a"), servers("b")
    alpha = {"servers": seeds(a), "ca": authority.pem}
    for allow in (["192.0.2.0/24"], ["2001:db8::/32"], [f"10.{n}.0.0/16" for n in range(100)]):
        edge.bring(alpha={**alpha, "allow": allow})
        with pytest.raises(OSError):
            edge.get()
    edge.bring(alpha={**alpha, "allow": ["192.0.2.0/24", "127.0.0.0/8"]})
    assert edge.get() == "a"
    beta = {"servers": seeds(b), "ca": authority.pem, "names": ["beta.example"]}
    outcome = edge.bring(alpha={**alpha, "names": ["alpha.example"], "allow": ["192.0.2.0/24"]}, beta=beta)
    assert "frontend ng_apis_alpha" in outcome.reload_reason and "frontend ng_apis_shared_" in outcome.reload_reason
    assert edge.get(sni="beta.example") == "b"
    with pytest.raises(OSError):
        edge.get(sni="alpha.example")


def test_ipv6_and_an_address_that_is_not_here(edge, servers, authority):
    a = servers("a")
    port = free_port()
    binds = [f"127.0.0.1:{edge.port}", f"[::1]:{port}", "192.0.2.77:6443", "[2001:db8:77::1]:6443"]
    edge.bring(alpha={"servers": seeds(a), "ca": authority.pem, "bind": binds})
    assert edge.get() == "a"
    with socket.create_connection(("::1", port), 10) as raw:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_what_haproxy_refuses_changes_nothing(edge, servers, authority):
    a = servers("a")
    options = {"servers": seeds(a), "ca": authority.pem}
    edge.bring(alpha=options)
    live = edge.adapter.read()
    damaged = authority.pem.replace("\nMII", "\nMIJ")
    with pytest.raises(ConvergeError, match="refuses the candidate configuration, nothing was changed"):
        edge.bring(alpha={**options, "ca": damaged})
    found = edge.adapter.read()
    assert (found.files, found.running) == (live.files, live.running) and edge.get() == "a"
    (edge.haproxy.config_dir / "conf.d" / "30-theirs.cfg").write_text(f"listen theirs from ng_defaults\n    bind :{edge.port + 1}\n")
    with pytest.raises(ConvergeError, match=r"api.beta.bind: 0.0.0.0:.* is bound in .*30-theirs.cfg already"):
        edge.bring(alpha=options, beta={**options, "bind": [f"0.0.0.0:{edge.port + 1}"]})
    assert edge.get() == "a"
    assert list(map(str, edge.bring(alpha=options).plan.steps)) == [f"discard certificate {name}" for name in sorted(found.stored - live.stored)]
    assert not edge.bring(alpha=options).plan


def test_check_mode_changes_nothing_and_apis_that_are_served_no_more_go(edge, servers, authority):
    a = servers("a")
    options = {"servers": seeds(a), "ca": authority.pem}
    assert not edge.bring().plan
    foretold = edge.bring(check_mode=True, alpha=options)
    assert edge.adapter.read().files == {} and edge.adapter.read().stored == frozenset()
    assert foretold.plan.steps == edge.bring(alpha=options).plan.steps
    outcome = edge.bring()
    assert outcome.reload_reason == "changed: backend ng_api_alpha, frontend ng_apis_alpha"
    with pytest.raises(OSError):
        edge.get()
    assert not edge.bring().plan


def test_ingress_and_apis_do_not_disturb_one_another(edge, servers, authority, cluster, pods):
    a, pod = servers("a"), pods("pod")
    options = {"servers": seeds(a), "ca": authority.pem}
    snapshot = cluster("alpha", [Rule("shop.example.test", "/", "Prefix")], [pod.port])
    edge.haproxy.bring(snapshot)
    edge.bring(alpha=options)
    assert not edge.haproxy.bring(snapshot).plan and not edge.bring(alpha=options).plan
    assert edge.haproxy.get("shop.example.test")[0] == 200 and edge.get() == "a"


def test_what_is_served_is_shown_with_the_reason_why_a_server_is_down(edge, servers, authority, wait):
    a, b = servers("a"), servers("b")
    config_dir, socket_ = str(edge.haproxy.config_dir), edge.haproxy.socket
    assert apis(config_dir, socket_) == []
    networks = sorted(f"127.{n}.0.0/16" for n in range(20))
    alpha = {"servers": seeds(a, b), "ca": authority.pem, "allow": networks, "names": ["alpha.example"]}
    own = f"127.0.0.1:{free_port()}"
    edge.bring(alpha=alpha, beta={"servers": seeds(b), "ca": authority.pem, "names": ["beta.example"], "bind": [f"127.0.0.1:{edge.port}", own]})
    b.readyz = 503
    wait(lambda: edge.states()[b.port] == "down" and edge.states("beta")[b.port] == "down", "the server to be out")
    watch = edge.watch(sni="alpha.example")
    watch.readline()
    shown = {api["cluster"]: api for api in apis(config_dir, socket_)}
    assert shown["alpha"]["bind"] == [f"127.0.0.1:{edge.port}"] and shown["beta"]["bind"] == sorted([f"127.0.0.1:{edge.port}", own])
    assert [(shown[cluster]["names"], shown[cluster]["allow"]) for cluster in shown] == [(["alpha.example"], networks), (["beta.example"], [])]
    found = {one["port"]: (one["state"], one["check"], one["connections"]) for one in shown["alpha"]["servers"]}
    assert found[a.port][::2] == ("up", 1) and found[a.port][1].startswith("L7OK 200")
    assert found[b.port][::2] == ("down", 0) and found[b.port][1].startswith("L7STS 503")
    edge.haproxy.stop()
    (still,) = (api for api in apis(config_dir, socket_) if api["cluster"] == "alpha")
    assert {(one["port"], one["state"]) for one in still["servers"]} == {(a.port, "unknown"), (b.port, "unknown")}
