# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module haproxy_apiserver as a playbook runs it: from seeds to what clusters say of themselves, with real kube-apiservers too."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import ansible_collections.northgate.edge
import pytest
from northgate_apis import NAME, ApiServer, Authority, get
from northgate_lab import binaries
from ports import free_port

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import observe_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource


class Site:
    """A controller and a router, both this machine, and a cluster alpha that is served at ``port``."""

    def __init__(self, root: Path, haproxy: t.Any) -> None:
        self.root, self.haproxy, self.port = root, haproxy, free_port()
        self.snapshots = root / "snapshots"
        self.output = ""

    def observed(self, *servers: str, ca: str = "", cluster: str = "alpha") -> None:
        """Writes a snapshot in which the cluster names ADDRESS:PORT of ``servers``."""
        endpoints = tuple(Endpoint(address, int(port)) for address, _colon, port in (server.rpartition(":") for server in servers))
        self.snapshots.mkdir(exist_ok=True)
        (self.snapshots / f"{cluster}.api.json").write_bytes(codec.dump(Snapshot(cluster, api_servers=endpoints, api_authority=ca)))

    def run(self, check: bool = False, clusters: t.Sequence[str] = ("alpha",), options: dict[str, t.Any] | None = None, **alpha: t.Any) -> dict[str, t.Any]:
        """The module's result, with ``alpha`` and a bind as the options of that cluster's API."""
        module = {
            "api": {"alpha": {"bind": [f"127.0.0.1:{self.port}"], **alpha}},
            **(options or {}),
            "clusters": list(clusters),
            "snapshots": str(self.snapshots),
            "state_dir": str(self.root / "state"),
            "config_dir": str(self.haproxy.config_dir),
            "socket": self.haproxy.socket,
            "master_socket": self.haproxy.master_socket,
        }
        result = self.root / "result.json"
        tasks: list[dict[str, t.Any]] = [
            {"northgate.edge.haproxy_apiserver": module, "register": "result", "ignore_errors": True},
            {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(result)}, "check_mode": False},
        ]
        playbook = self.root / "play.json"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "router,", "-c", "local", "--diff", *(["--check"] if check else [])]
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self.root / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(Path(ansible_collections.northgate.edge.__path__[0]).parents[2]),
        }
        done = subprocess.run(
            [*command, "-e", f"ansible_python_interpreter={sys.executable}", str(playbook)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, self.output
        return json.loads(result.read_text())


@pytest.fixture(name="site")
def _site(tmp_path: Path, haproxy: t.Any) -> Site:
    return Site(tmp_path, haproxy)


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(name="servers")
def _servers(authority: Authority) -> t.Iterator[t.Callable[[str], str]]:
    """Starts API servers by name, and says where they are."""
    started: list[ApiServer] = []

    def start(name: str) -> str:
        started.append(ApiServer(name, authority.context(NAME)))
        return f"127.0.0.1:{started[-1].port}"

    yield start
    for server in started:
        server.kill()


def test_seeds_serve_until_the_cluster_is_observed_and_its_servers_are_remembered(site, servers, authority, tmp_path):
    a, b = servers("a"), servers("b")
    (tmp_path / "ca.crt").write_text("# the authority of alpha\n\n" + authority.pem)
    options = {"servers": [a], "ca": str(tmp_path / "ca.crt")}
    foretold = site.run(check=True, **options)
    first = site.run(**options)
    assert (first["clusters"], first["servers"]) == ({"alpha": "seeds"}, {"alpha": [a]})
    assert first["changes"] == foretold["changes"] and first["changed"] and foretold["changed"]
    assert get(site.port) == "a" and not site.run(**options)["changed"]

    site.observed(b)
    second = site.run(**options)
    assert (second["clusters"], second["servers"], second["reload_reason"]) == ({"alpha": "observed"}, {"alpha": [b]}, "")
    assert get(site.port) == "b" and not site.run(**options)["changed"]

    (site.snapshots / "alpha.api.json").unlink()
    third = site.run(**options)
    assert (third["clusters"], third["changed"]) == ({"alpha": "last-known-good"}, False)

    site.observed()
    empty = site.run(**options, options={"confirm_shrink": ["alpha"]})
    assert (empty["clusters"], empty["changed"]) == ({"alpha": "held back"}, False)
    assert empty["held_back"] == {"alpha": "it names no API server any more"} and "The servers of before stay" in site.output

    (site.snapshots / "alpha.api.json").unlink()
    seeds = site.run(**options, options={"use_seeds": ["alpha"]})
    assert (seeds["clusters"], seeds["servers"], seeds["reload_reason"]) == ({"alpha": "seeds"}, {"alpha": [a]}, "")
    assert get(site.port) == "a"
    assert site.run(**options)["clusters"] == {"alpha": "seeds"}, "what was remembered is forgotten"
    site.observed(b)
    assert site.run(**options)["servers"] == {"alpha": [b]}


def test_a_cluster_that_is_served_no_more_is_forgotten_also_in_what_was_live_before(site, servers, authority):
    site.observed(servers("a"), ca=authority.pem)
    site.observed(servers("b"), ca=authority.pem, cluster="beta")
    beta = {"beta": {"bind": [f"127.0.0.1:{free_port()}"]}}
    site.run(clusters=["alpha", "beta"], options={"api": {"alpha": {"bind": [f"127.0.0.1:{site.port}"]}, **beta}})
    result = site.run(clusters=["beta"], options={"api": beta})
    assert "forget alpha: it is not served here any more" in result["changes"]
    texts = [path.read_text("utf-8", "replace") for root in (site.haproxy.config_dir, site.root / "state") for path in root.rglob("*") if path.is_file()]
    assert any("beta" in text for text in texts) and not any("alpha" in text for text in texts)
    assert not site.run(clusters=["beta"], options={"api": beta})["changed"]


def test_the_authority_of_the_kubeconfig_serves_where_the_inventory_has_none(site, servers, authority, wait):
    a = servers("a")
    message = site.run(servers=[a])["msg"]
    assert "api.alpha.ca: is missing" in message and "or say verify: false" in message
    site.observed(a, ca=authority.pem)
    site.run()
    wait(lambda: site.haproxy.runtime.servers()["ng_api_alpha"][f"alpha_127.0.0.1_{a.rpartition(':')[2]}"].state == "up", "the server")
    assert not site.run()["changed"]
    # It is remembered, also where the servers are to be forgotten.
    (site.snapshots / "alpha.api.json").unlink()
    assert site.run(servers=[a], options={"use_seeds": ["alpha"]})["clusters"] == {"alpha": "seeds"}


def test_what_cannot_be_served_is_an_error_that_changes_nothing(site, servers, authority, tmp_path):
    a = servers("a")
    good = {"servers": [a], "ca": authority.pem}
    site.run(**good)
    beta = {"beta": {"bind": [f"127.0.0.1:{site.port}"], "servers": [a], "ca": authority.pem}}
    alpha = {"alpha": {"bind": [f"127.0.0.1:{site.port}"], **good}}
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for options, message in (
        ({"ca": authority.pem}, "api.alpha.servers: is missing: no API server of this cluster was ever observed"),
        ({**good, "ca": "/nowhere/ca.crt"}, "api.alpha.ca: /nowhere/ca.crt can't be read"),
        ({**good, "ca": str(tmp_path / "key.pem")}, "api.alpha.ca: holds no certificate"),
        ({**good, "servers": [f"127.0.0.1:{site.port}"]}, "is an address of this frontend itself"),
        ({"options": {"api": {**alpha, **beta}}, "clusters": ["alpha", "beta"]}, "share a bind, and are told apart by server names"),
    ):
        result = site.run(**options)
        assert result.get("failed") and message in result["msg"], result
        assert get(site.port) == "a"
    assert not site.run(**good)["changed"]


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path, authority: Authority, kubernetes_api: t.Any) -> t.Iterator[t.Any]:
    """Two kube-apiservers on one etcd, at addresses of this machine."""
    addresses = ["198.51.100.21", "198.51.100.22"]
    programs = binaries.ensure(lambda message: print(message, file=sys.stderr, flush=True))
    root = tmp_path / "kubernetes"
    root.mkdir()
    (root / "apiserver.crt").write_text(authority.pem)
    api = kubernetes_api(root, programs, addresses, authority.certificate(NAME, "127.0.0.1", *addresses))
    try:
        for address in addresses:
            subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)
        api.start()
        yield api
    finally:
        api.stop()
        for address in addresses:
            subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", "lo"], check=False)


def test_a_cluster_of_two_kube_apiservers(site, cluster, authority, wait):
    first, second = (f"198.51.100.{host}:{cluster.port}" for host in (21, 22))
    site.run(servers=[first], ca=authority.pem)
    kubeconfig = site.root / "edge.kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig_for("admin-token", server=f"https://127.0.0.1:{site.port}"))
    through_the_edge = [f"--kubeconfig={kubeconfig}", "get", "--raw"]
    assert cluster.kubectl(*through_the_edge, "/version")

    def observe() -> Snapshot:
        return observe_all([ClusterSource.parse("alpha", {"kubeconfig": str(kubeconfig)})], 20.0, 500)["alpha"].api  # type: ignore[union-attr]

    api = wait(lambda: (found := observe()) and len(found.api_servers) == 2 and found, "both to name themselves", 60)
    assert api.api_authority == authority.pem and api.quarantined == ()
    watch = subprocess.Popen(
        [str(binaries.path(cluster._programs, "kubectl")), f"--kubeconfig={kubeconfig}", "get", "configmaps", "--watch-only", "-o", "name"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait(lambda: any(one.connections for one in site.haproxy.runtime.health("ng_api_alpha").values()), "the watch")
        (site.snapshots).mkdir(exist_ok=True)
        (site.snapshots / "alpha.api.json").write_bytes(codec.dump(api))
        result = site.run(servers=[first])
        assert (result["servers"], result["reload_reason"]) == ({"alpha": [first, second]}, "")
        cluster.kubectl("create", "configmap", "one")
        assert watch.stdout.readline() == "configmap/one\n"
    finally:
        watch.kill()
        watch.wait()
    wait(lambda: {one.state for one in site.haproxy.runtime.servers()["ng_api_alpha"].values()} == {"up"}, "health checks")

    answers, between, end = [], threading.Lock(), threading.Event()

    def probe() -> None:
        while not end.is_set():
            with between:
                try:
                    answers.append(get(site.port, path="/readyz"))
                except (OSError, http.client.HTTPException) as error:
                    answers.append(repr(error))

    thread = threading.Thread(target=probe)
    thread.start()
    wait(lambda: len(answers) > 10, "answers")
    with between:
        cluster.servers[0].kill()
        cluster.servers[0].wait()
    before = len(answers)
    wait(lambda: site.haproxy.runtime.servers()["ng_api_alpha"][f"alpha_{first.replace(':', '_')}"].state == "down", "the dead one to be noticed")
    wait(lambda: len(answers) > before + 50, "more answers")
    end.set()
    thread.join()
    assert set(answers) == {"ok"}
