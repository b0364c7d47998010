# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module haproxy_info on a real haproxy: it tells what is served, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ansible_collections.northgate.edge
from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Ingress, Pool, PoolTls, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Path as Route
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted

MODULE = Path(ansible_collections.northgate.edge.__path__[0]) / "plugins" / "modules" / "haproxy_info.py"
ROOT = Rule("shop.example.test", "/", "Prefix")
CREATED = "2026-01-01T00:00:00Z"


@pytest.fixture
def info(haproxy, tmp_path):
    """The module's result, as a dictionary; with ``gather`` only that."""

    def run(*gather):
        arguments = {
            "config_dir": str(haproxy.config_dir),
            "socket": haproxy.socket,
            "master_socket": haproxy.master_socket,
            "state_dir": str(tmp_path / "state"),
            **({"gather": gather} if gather else {}),
        }
        done = subprocess.run(
            [sys.executable, str(MODULE)], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True, check=False, timeout=60
        )
        return json.loads(done.stdout)

    return run


def test_routes_with_their_pools_policies_and_canaries(haproxy, pods, cluster, info):
    guarded = Policy(allow=("10.0.0.0/9", "2001:db8::/32"), users=("A" * 64,), rate_limit=20, rewrite="/new", redirect=False)
    of = {"namespace": "demo", "created": CREATED, "ingress_class": "traefik"}
    alpha = Snapshot(
        "alpha",
        (
            Ingress(name="shop", paths=(Route(ROOT, "class/traefik"), Route(Rule("shop.example.test", "/buy", "Exact"), "class/traefik")), **of),
            Ingress(name="try", paths=(Route(ROOT, "class/canary"),), canary_weight=20, **of),
            Ingress(name="wild", paths=(Route(Rule("*.example.test", "/api", "Prefix"), "class/traefik"),), policy=guarded, **of),
            Ingress(name="rest", default_pool="class/traefik", **of),
        ),
        tuple(Pool(name, (Endpoint("127.0.0.1", pods(name).port),)) for name in ("class/canary", "class/traefik")),
    )
    haproxy.bring(alpha, cluster("beta", [ROOT], [pods("beta").port]))
    routes = {(route["host"], route["path"], route["type"]): route for route in info()["routes"]}
    assert set(routes) == {
        ("shop.example.test", "/", "Prefix"),
        ("shop.example.test", "/buy", "Exact"),
        ("*.example.test", "/api", "Prefix"),
        ("", "/", "default backend"),
    }
    shop = routes[("shop.example.test", "/", "Prefix")]
    assert shop["pools"] == ["alpha:class/traefik", "beta:class/traefik"]
    assert (shop["canary"]["pools"], shop["canary"]["weight"]) == (["alpha:class/canary"], 20)
    assert routes[("shop.example.test", "/buy", "Exact")]["pools"] == ["alpha:class/traefik"]
    assert routes[("*.example.test", "/api", "Prefix")]["policy"] == {
        "allow_networks": ["10.0.0.0/9", "2001:db8::/32"],
        "basic_auth_users": 1,
        "rate_limit": "20/s",
        "rewrite_path": "/new",
    }
    assert "A" * 64 not in json.dumps(info())


def test_backends_with_the_states_of_their_servers(haproxy, pods, cluster, info, wait):
    ready, dead, ending = pods("ready"), pods("dead"), pods("ending")
    endpoints = [Endpoint("127.0.0.1", pod.port) for pod in (ready, dead)]
    endpoints.append(Endpoint("127.0.0.1", ending.port, ready=False, terminating=True))
    haproxy.bring(cluster("alpha", [ROOT], endpoints), cluster("beta", [Rule("other.example.test", "/", "Prefix")], []))
    dead.stop()

    def states():
        return {server["port"]: server["state"] for backend in info("backends")["backends"] for server in backend["servers"]}

    wait(lambda: states() == {ready.port: "up", dead.port: "down", ending.port: "drain"}, "the states of the servers")
    found = info("backends")
    assert "routes" not in found
    assert {tuple(backend["pools"]): len(backend["servers"]) for backend in found["backends"]} == {("alpha:class/traefik",): 3, ("beta:class/traefik",): 0}
    assert found["spare_backends"] == len(haproxy.runtime.backends() & {f"ng_h{number:05d}" for number in range(1, 200)}) - 2
    server = next(server for backend in found["backends"] for server in backend["servers"] if server["port"] == ready.port)
    assert server == {
        "name": f"alpha_127.0.0.1_{ready.port}", "cluster": "alpha", "address": "127.0.0.1", "port": ready.port, "weight": 1, "state": "up",
    }  # fmt: skip
    haproxy.runtime.expect(r"\A\n", f"set server {found['backends'][0]['name']}/{server['name']} state maint")
    assert states()[ready.port] == "maint"


def test_certificates_the_first_to_expire_first(haproxy, pods, cluster, pem, info):
    rules = [ROOT, Rule("news.example.test", "/", "Prefix"), Rule("old.example.test", "/", "Prefix")]
    days = {"shop.example.test": 30, "news.example.test": 5, "old.example.test": -3}
    haproxy.bring(cluster("alpha", rules, [pods("a").port]), pems={f"{name}.pem": pem(name, days=number) for name, number in days.items()})
    found = info("certificates")["certificates"]
    assert [(one["names"], one["days_left"]) for one in found] == [
        (["old.example.test"], -4), (["news.example.test"], 4), (["shop.example.test"], 29),
    ]  # fmt: skip
    assert found[2]["algorithm"] == "EC256" and found[2]["not_after"].endswith("Z")
    assert "PRIVATE" not in json.dumps(info())


def test_reloads_are_counted_and_failed_ones_too(haproxy, pods, cluster, info):
    before = info("process")["process"]
    assert (before["reloads"], before["failed_reloads"]) == (0, 0)
    haproxy.bring(cluster("alpha", [ROOT], [pods("a").port]))
    after = info("process")["process"]
    assert (after["reloads"], after["failed_reloads"]) == (1, 0)
    assert after["version"] == haproxy.runtime.expect(r"(?m)^Version: (\S+)", "show info").group(1)
    assert 0 <= after["uptime"] < 60


def test_the_disk_is_shown_while_haproxy_is_down(haproxy, pods, cluster, pem, info):
    a = pods("a")
    haproxy.bring(cluster("alpha", [ROOT], [a.port]), pems={"shop.pem": pem("shop.example.test")})
    up = info()
    assert (up["running"], up["reason"]) == (True, "")
    haproxy.stop()
    down = info()
    assert not down["running"]
    assert "haproxy does not answer on" in down["reason"]
    assert (down["routes"], down["generation"]) == (up["routes"], up["generation"])
    assert [(s["port"], s["state"]) for b in down["backends"] for s in b["servers"]] == [(a.port, "unknown")]
    assert [(one["names"], one["not_after"]) for one in down["certificates"]] == [(["shop.example.test"], None)]
    assert set(down["process"].values()) == {None}


def test_a_haproxy_without_our_configuration_and_no_run_yet(haproxy, info):
    found = info()
    assert (found["running"], found["reason"], found["generation"]) == (True, "haproxy runs without our configuration", "")
    assert found["routes"] == found["backends"] == found["certificates"] == []
    assert found["clusters"] == {}


def test_what_is_remembered_of_clusters_and_how_old_it_is(cluster, info, tmp_path):
    accepted = Accepted(str(tmp_path / "state"), "haproxy_ingress")
    accepted.write("alpha", codec.dump(cluster("alpha", [ROOT], [80])))
    accepted.write("beta", b"{}")
    os.utime(tmp_path / "state" / "haproxy_ingress" / "accepted" / "alpha.json", (0, 1_767_268_800))
    found = info("clusters")["clusters"]
    assert (found["alpha"]["accepted"], found["alpha"]["ingresses"], found["alpha"]["error"]) == ("2026-01-01T12:00:00Z", 1, "")
    assert found["alpha"]["age"] > 0
    assert "snapshot of cluster beta: not a snapshot" in found["beta"]["error"]


def test_passed_through_hosts_and_the_hop_that_they_share(haproxy, pods, cluster, info):
    haproxy.options = replace(haproxy.options, passthrough=True)
    through = Ingress("demo", "raw", CREATED, "traefik", (Route(Rule("raw.example.test", "/", "Prefix"), "class/traefik"),), passthrough=True)
    pool = Pool("class/traefik", (Endpoint("127.0.0.1", pods("a").port),), passthrough=(Endpoint("127.0.0.1", pods("tls").port),))
    tls = Pool("class/tls", (Endpoint("127.0.0.1", 9),), protocol="https", tls=PoolTls(verify=False))
    secure = Ingress("demo", "tls", CREATED, "tls", (Route(ROOT, "class/tls"),))
    snapshot = Snapshot("alpha", (through, secure), (tls, pool))
    haproxy.bring(snapshot, passthrough=True)
    found = info("routes", "backends")
    (route,) = (route for route in found["routes"] if route["type"] == "TLS passthrough")
    assert (route["host"], route["pools"]) == ("raw.example.test", ["alpha:class/traefik"])
    assert {backend["name"][:4] for backend in found["backends"]} == {"ng_h", "ng_t"}
    # The second run leaves the servers alone that belong to no set of pools.
    assert not haproxy.bring(snapshot, passthrough=True).plan


def test_it_stays_quick_with_thousands_of_routes(haproxy, cluster, info, pods):
    rules = [Rule(f"host-{number}.example.test", "/", "Prefix") for number in range(5000)]
    haproxy.bring(cluster("alpha", rules, [pods("a").port]))
    assert len(info("routes", "backends")["routes"]) == 5000


def test_what_can_not_be_read_is_named(haproxy, cluster, pods, info):
    haproxy.bring(cluster("alpha", [ROOT], [pods("a").port]))
    routes = haproxy.config_dir / "northgate" / "current" / "routes.map"
    routes.unlink()
    routes.mkdir()
    found = info()
    assert found["failed"] and "routes.map can't be read: Is a directory" in found["msg"]
