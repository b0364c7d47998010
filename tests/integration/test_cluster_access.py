# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/cluster_access.yml and its module against a real kube-apiserver."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import ansible_collections.northgate.edge
import pytest

from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import Observed, observe_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

COLLECTION = Path(ansible_collections.northgate.edge.__path__[0])
NAMES = {"name": "northgate-edge", "namespace": "northgate"}


class Playbook:
    """Runs ansible-playbook on this machine; `output` is what it said last."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = ""

    def run(self, playbook: object, *arguments: str, **variables: object) -> str:
        """The line of the recap."""
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", json.dumps(variables), "--diff", *arguments, str(playbook)]
        environment = {**os.environ, "ANSIBLE_HOME": str(self.root / "ansible"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        self.output = done.stdout + done.stderr
        return self.output.partition("PLAY RECAP")[2].partition("\n")[2].partition("\n")[0]

    def apply(self, kubeconfig: object, *manifests: dict, check: bool = False, **options: object) -> dict:
        """The result of kubernetes_manifest."""
        result = self.root / "result.json"
        module = {"kubeconfig": str(kubeconfig), "manifests": list(manifests), **options}
        tasks = [
            {"northgate.edge.kubernetes_manifest": module, "register": "result", "ignore_errors": True},
            {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(result)}, "check_mode": False},
        ]
        play = self.root / "play.json"
        play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        recap = self.run(play, *(["--check"] if check else []), ansible_python_interpreter=sys.executable)
        assert "failed=0" in recap, self.output
        return json.loads(result.read_text())


@pytest.fixture
def playbook(tmp_path):
    return Playbook(tmp_path)


@pytest.fixture
def token_controller(kubernetes):
    """Gives the account's Secret a token, as the controller manager would."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.2):
            with contextlib.suppress(subprocess.CalledProcessError):
                kubernetes.kubectl("get", "secret", NAMES["name"], "-n", NAMES["namespace"])
                token = kubernetes.kubectl("create", "token", NAMES["name"], "-n", NAMES["namespace"]).strip()
                data = json.dumps({"data": {"token": base64.b64encode(token.encode()).decode()}})
                kubernetes.kubectl("patch", "secret", NAMES["name"], "-n", NAMES["namespace"], "-p", data)
                return

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join(60)


def test_the_kubeconfig_can_list_what_ingress_needs_and_nothing_else(kubernetes, playbook, token_controller, tmp_path):
    written = tmp_path / "access" / "alpha.kubeconfig"
    clusters = {"alpha": {"admin_kubeconfig": str(kubernetes.kubeconfig), "kubeconfig": str(written)}, "beta": {"kubeconfig": "/nowhere"}}

    def run(*arguments: str) -> str:
        return playbook.run(COLLECTION / "playbooks/cluster_access.yml", *arguments, northgate_clusters=clusters)

    assert "changed=3" in run("--check"), playbook.output
    assert "northgate" not in kubernetes.kubectl("get", "namespaces")
    assert "changed=4" in run(), playbook.output
    assert "changed=0" in run("--check"), playbook.output
    assert "changed=0" in run(), playbook.output
    token = json.loads(kubernetes.kubectl("get", "secret", NAMES["name"], "-n", NAMES["namespace"], "-o", "json"))["data"]["token"]
    assert token not in playbook.output and base64.b64decode(token).decode() not in playbook.output
    assert written.stat().st_mode & 0o777 == 0o600

    def may(verb: str, resource: str, *arguments: str) -> bool:
        try:
            return kubernetes.kubectl(f"--kubeconfig={written}", "auth", "can-i", verb, resource, "-A", *arguments) == "yes\n"
        except subprocess.CalledProcessError as refused:
            assert refused.stdout == "no\n", refused.stderr
            return False

    needed = ["ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io", "services", "endpointslices.discovery.k8s.io", "nodes"]
    assert [resource for resource in needed if not may("list", resource)] == []
    assert [(verb, resource) for verb in ("get", "watch", "patch", "update", "delete", "create") for resource in needed if may(verb, resource)] == []
    assert [verb for verb in ("get", "list", "watch", "update", "delete", "create") if may(verb, "secrets")] == ["get"]
    for resource in ("ingresses.networking.k8s.io", "services"):
        assert [verb for verb in ("get", "patch", "update") if may(verb, resource, "--subresource=status")] == ["patch"]
    assert [verb for verb in ("get", "list", "watch", "patch", "update", "delete", "create") if may(verb, "events")] == ["create"]

    options = {"kubeconfig": str(written), "ingress_classes": {"any": {"service": "default/kubernetes", "port": "https"}}}
    observed = observe_all([ClusterSource.parse("alpha", options)], 20.0, 500)["alpha"]
    assert isinstance(observed, Observed), observed


def test_applying_in_all_modes(kubernetes, playbook):
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apply"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "apply"}, "data": {"password": "c2VjcmV0"}}
    assert playbook.apply(kubernetes.kubeconfig, space, secret, check=True)["changed"]
    assert playbook.apply(kubernetes.kubeconfig, space, secret)["changed"]
    assert not playbook.apply(kubernetes.kubeconfig, space, secret, check=True)["changed"]
    assert not playbook.apply(kubernetes.kubeconfig, space, secret)["changed"]
    secret["data"] = {"password": "b3RoZXI="}
    result = playbook.apply(kubernetes.kubeconfig, secret)
    assert result["objects"][0]["data"] == {"password": "********"}
    assert "(differs)" in result["diff"][0]["after"]
    assert "c2VjcmV0" not in playbook.output.replace(json.dumps(secret), "")


def test_errors_say_what_to_do(kubernetes, playbook, tmp_path):
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "errors", "labels": {"a": "1"}}}
    nobody = tmp_path / "nobody.kubeconfig"
    nobody.write_text(kubernetes.kubeconfig_for("nobody-token"))
    stranger = tmp_path / "stranger.kubeconfig"
    stranger.write_text(kubernetes.kubeconfig_for("no-token"))
    assert "cannot get resource" in (message := playbook.apply(nobody, space)["msg"]) and "use an administrator's" in message
    assert "not, or no longer, valid" in playbook.apply(stranger, space)["msg"]
    kubernetes.apply(space)
    space["metadata"]["labels"]["a"] = "2"
    assert "take them over with force" in playbook.apply(kubernetes.kubeconfig, space)["msg"]
    assert playbook.apply(kubernetes.kubeconfig, space, force=True)["changed"]
