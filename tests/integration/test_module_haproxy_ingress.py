# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module haproxy_ingress as a playbook runs it: shipping, last-known-good, check and diff mode."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ansible_collections.northgate.edge
import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Ingress, Path as Route, Pool, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import lock


class Site:
    """A controller and a router, both this machine."""

    def __init__(self, root: Path, haproxy: t.Any) -> None:
        self.root, self.haproxy = root, haproxy
        self.snapshots, self.certificates = root / "snapshots", root / "certificates"
        self.snapshots.mkdir()
        self.certificates.mkdir()
        self.state_dir = root / "state"

    def offer(self, cluster: str, port: int, *hosts: str, groups: tuple[str, ...] = ()) -> None:
        """Writes a snapshot in which ``cluster`` offers ``hosts`` by one pod."""
        paths = tuple(Route(Rule(host, "/", "Prefix"), "class/traefik") for host in hosts)
        ingress = Ingress("demo", "shop", "2026-01-01T00:00:00Z", "traefik", paths, groups=groups)
        snapshot = Snapshot(cluster, (ingress,), (Pool("class/traefik", (Endpoint("127.0.0.1", port),)),))
        (self.snapshots / f"{cluster}.json").write_bytes(codec.dump(snapshot))

    def run(self, *clusters: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """The module's result."""
        module = {
            **options,
            "clusters": list(clusters),
            "snapshots": str(self.snapshots),
            "certificates": str(self.certificates),
            "state_dir": str(self.state_dir),
            "config_dir": str(self.haproxy.config_dir),
            "socket": self.haproxy.socket,
            "master_socket": self.haproxy.master_socket,
            "http_bind": list(self.haproxy.options.http_bind),
            "https_bind": list(self.haproxy.options.https_bind),
        }
        result = self.root / "result.json"
        result.unlink(missing_ok=True)
        tasks: list[dict[str, t.Any]] = [
            {"northgate.edge.haproxy_ingress": module, "register": "result", "ignore_errors": True},
            {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(result)}, "check_mode": False},
        ]
        playbook = self.root / "play.json"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "router,", "-c", "local"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", "--diff", *(["--check"] if check else [])]
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self.root / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(Path(ansible_collections.northgate.edge.__path__[0]).parents[2]),
        }
        done = subprocess.run(
            [*command, str(playbook)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, self.output
        return json.loads(result.read_text())


@pytest.fixture
def site(tmp_path, haproxy):
    return Site(tmp_path, haproxy)


def test_a_run_ships_what_is_new_and_the_next_does_nothing(site, haproxy, pods, pem):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    (site.certificates / "shop.pem").write_text(pem("shop.example.test"))
    first = site.run("alpha", "beta")
    assert first["changed"]
    assert first["clusters"] == {"alpha": "observed", "beta": "never observed"}
    assert haproxy.get("shop.example.test")[0] == 308
    assert haproxy.get("shop.example.test", sni="shop.example.test")[0] == 200
    assert "PRIVATE KEY" not in site.output
    assert not site.run("alpha", "beta")["changed"]


def test_documents_arrive_whatever_controller_and_router_have_forgotten(site, haproxy, pods):
    pod = pods("a1")
    for number, forgotten in enumerate(("nothing", site.snapshots / ".shipped", site.state_dir / "inbox", "nothing")):
        shutil.rmtree(forgotten, ignore_errors=True)
        site.offer("alpha", pod.port, "shop.example.test", f"new-{number}.example.test")
        assert site.run("alpha")["changed"]
        assert haproxy.get(f"new-{number}.example.test")[0] == 200
    shutil.rmtree(site.state_dir / "inbox")
    assert not site.run("alpha")["changed"]


def test_a_cluster_that_was_not_observed_is_served_from_the_routers_memory(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    site.offer("beta", pods("b1").port, "beta.example.test")
    site.run("alpha", "beta")
    (site.snapshots / "beta.json").unlink()
    site.offer("alpha", pods("a2").port, "shop.example.test", "new.example.test")
    result = site.run("alpha", "beta")
    assert result["clusters"] == {"alpha": "observed", "beta": "last-known-good"}
    assert haproxy.get("beta.example.test")[1]["pod"] == "b1"
    assert haproxy.get("new.example.test")[1]["pod"] == "a2"
    assert result["reload_reason"] == ""


def test_check_mode_tells_the_same_changes_and_makes_none(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    foretold = site.run("alpha", check=True)
    assert haproxy.runtime.map_entries(str(haproxy.config_dir / "northgate" / "current" / "routes.map")) is None
    done = site.run("alpha")
    assert (foretold["changed"], foretold["changes"]) == (True, done["changes"])
    assert not site.run("alpha", check=True)["changed"]


def test_a_broken_certificate_is_named_and_the_others_are_served(site, haproxy, pods, pem):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    good, other = pem("shop.example.test"), pem("other.example.test")
    (site.certificates / "good.pem").write_text(good)
    (site.certificates / "mixed.pem").write_text(other.split("# the key")[0] + good.split("# the key")[1])
    (site.certificates / "empty.pem").write_text("")
    result = site.run("alpha")
    assert haproxy.certificate("shop.example.test") is not None
    skipped = "\n".join(result["quarantined"])
    assert "mixed.pem: " in skipped and "empty.pem: " in skipped and "good.pem" not in skipped


def test_a_snapshot_of_another_version_is_refused_and_nothing_changes(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    site.run("alpha")
    document = json.loads((site.snapshots / "alpha.json").read_text())
    (site.snapshots / "alpha.json").write_text(json.dumps({**document, "version": 99}))
    result = site.run("alpha")
    assert result["failed"] and "snapshot version 99" in result["msg"]
    assert haproxy.get("shop.example.test")[0] == 200


def test_a_snapshot_that_takes_much_away_is_held_back_until_somebody_confirms(site, haproxy, pods, pem):
    hosts = [f"h{number}.example.test" for number in range(5)]
    a = pods("a1")
    site.offer("alpha", a.port, *hosts)
    for host in hosts:
        (site.certificates / f"{host}.pem").write_text(pem(host))
    site.run("alpha", https_redirect=False)
    site.offer("alpha", a.port, hosts[0])
    for path in list(site.certificates.iterdir())[1:]:
        path.unlink()
    result = site.run("alpha", https_redirect=False)
    assert result["clusters"] == {"alpha": "held back"}
    assert result["held_back"] == {"alpha": "5 routes become 1", "certificates": "5 certificates become 1"}
    assert not result["changed"] and haproxy.get(hosts[4])[0] == 200
    assert "run once with confirm_shrink: [alpha]" in site.output
    confirmed = site.run("alpha", https_redirect=False, confirm_shrink="alpha, certificates")
    assert confirmed["clusters"] == {"alpha": "observed"} and confirmed["changed"]
    assert [haproxy.get(host)[0] for host in hosts] == [200, 404, 404, 404, 404]
    assert not site.run("alpha", https_redirect=False)["changed"]


def test_hosts_without_certificate_and_certificates_that_expire_are_told(site, haproxy, pods, pem):
    site.offer("alpha", pods("a1").port, "shop.example.test", "plain.example.test")
    (site.certificates / "shop.pem").write_text(pem("shop.example.test", days=5))
    result = site.run("alpha")
    assert result["hosts_without_certificate"] == ["plain.example.test"]
    assert len(result["expiring_certificates"]) == 1 and "shop.pem (shop.example.test) expires on" in result["expiring_certificates"][0]
    assert haproxy.get("plain.example.test")[0] == 200


def test_two_runs_at_once_wait_for_one_another(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    site.run("alpha")
    site.offer("alpha", pods("a2").port, "shop.example.test", "new.example.test")
    with ThreadPoolExecutor(1) as other:
        with lock(str(site.state_dir), 5):
            assert "another run has held" in site.run("alpha", lock_timeout=1)["msg"]
            waiting = other.submit(site.run, "alpha")
            assert haproxy.get("new.example.test")[0] == 404
        assert waiting.result()["changed"]
    assert haproxy.get("new.example.test")[0] == 200


def test_the_administrators_choices_are_checked(site, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    for options, message in (
        ({"shares": {"alpha": {"wieght": 3}}}, "shares.alpha: is no dictionary of weight and mode"),
        ({"shares": {"alpha": {"weight": 0}}}, "shares.alpha.weight: 0 is not within 1 and 1000"),
        ({"hsts": "max-age=1\nbad"}, "is no value of Strict-Transport-Security"),
        ({"trusted_proxies": ["10.0.0.0/8 }"]}, "is no network"),
        ({"affinity_cookie": "a b"}, "is no name"),
    ):
        result = site.run("alpha", **options)
        assert result["failed"] and message in result["msg"], result["msg"]


def everything(directory):
    """The texts of all files below a directory."""
    return "".join(path.read_text("utf-8", "replace") for path in directory.rglob("*") if path.is_file())


def test_a_router_that_serves_a_cluster_no_more_forgets_it(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    site.offer("beta", pods("b1").port, "beta.example.test")
    site.run("alpha", "beta")
    expected = ["forget alpha: it is not served here any more"]
    assert [change for change in site.run("beta", check=True)["changes"] if "forget" in change] == expected
    assert "shop.example.test" in everything(site.state_dir)
    result = site.run("beta")
    assert result["changed"] and [change for change in result["changes"] if "forget" in change] == expected
    assert haproxy.get("shop.example.test")[0] == 404 and haproxy.get("beta.example.test")[0] == 200
    for directory in (site.state_dir, haproxy.config_dir):
        assert "beta" in everything(directory) and "alpha" not in everything(directory) and "shop.example.test" not in everything(directory)
    assert not site.run("beta")["changed"]


def test_a_router_that_changes_its_group_has_the_certificates_of_the_new_one_alone(site, haproxy, pods, pem):
    site.offer("alpha", pods("a1").port, "shop.example.test")
    for number in range(4):
        (site.certificates / f"{number}.pem").write_text(pem(f"host{number}.example.test"))
    (site.certificates / "shop.pem").write_text(pem("shop.example.test"))
    site.run("alpha", router_group="edge-a")
    first = (site.certificates / "shop.pem").read_text()
    for path in site.certificates.iterdir():
        path.unlink()
    # The same loss within a group is held back.
    assert "certificates" in site.run("alpha", router_group="edge-a", check=True)["held_back"]
    result = site.run("alpha", router_group="edge-b")
    assert result["held_back"] == {} and result["changed"]
    key = first.split("PRIVATE KEY-----")[1].split("-----END")[0].strip().splitlines()[0]
    for directory in (site.state_dir, haproxy.config_dir):
        assert key not in everything(directory)
    assert not site.run("alpha", router_group="edge-b")["changed"]


def test_ingresses_that_ask_for_another_group_are_not_served(site, haproxy, pods):
    site.offer("alpha", pods("a1").port, "shop.example.test", groups=("edge-b",))
    assert site.run("alpha", router_group="edge-b")["routes"] == 1
    assert haproxy.get("shop.example.test")[0] == 200
    assert site.run("alpha", router_group="edge-a")["routes"] == 0
    assert haproxy.get("shop.example.test")[0] == 404
