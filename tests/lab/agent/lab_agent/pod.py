# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pod's life on this node, in a thread of its own."""
from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from . import network, spec, status
from .addresses import Pool
from .api import FAILURES, Api, ApiError
from .container import Container, timestamp
from .node import Node
from .probe import Probe

TICK = 0.5
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Pod(threading.Thread):
    """Runs the pod until its object is deleted; the object's news come by `update` and `vanish`."""

    def __init__(self, pod: dict, node: Node, api: Api, pool: Pool) -> None:
        super().__init__(name=f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", daemon=True)
        self.uid = pod["metadata"]["uid"]
        self._pod, self._node, self._api, self._pool = pod, node, api, pool
        self._path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        self._addresses: list[str] = []
        self._containers: list[Container] = []
        self._told: dict = {}
        self._vanished = False
        self._grace = pod["metadata"].get("deletionGracePeriodSeconds")
        self._wake = threading.Event()
        self._secrets = node.state / self.uid

    def update(self, pod: dict) -> None:
        """Take the newest version of the object."""
        self._pod = pod
        self._grace = pod["metadata"].get("deletionGracePeriodSeconds")
        if self._grace is not None:
            self._wake.set()

    def vanish(self) -> None:
        """The object is gone from the API: stop at once."""
        self._vanished, self._grace = True, 0
        self._wake.set()

    def run(self) -> None:
        try:
            self._set_up()
            while not self._leaving():
                self._step()
                self._wake.wait(TICK)
            self._stop()
        except ValueError as error:
            self._give_up(str(error))
        except Exception:  # noqa: BLE001 - one pod's failure must not be silent, nor the agent's end
            traceback.print_exc()
            self._give_up("the node agent failed; see its log")
        finally:
            self._tear_down()

    def _leaving(self) -> bool:
        return self._grace is not None

    def _set_up(self) -> None:
        if self._leaving():
            return
        old = self._pod.get("status", {})
        self._addresses = self._pool.take(old.get("podIP", ""))
        network.create(self.uid, self._addresses, self._node.addresses)
        secrets = self._service_account()
        base = {"PATH": PATH, "HOSTNAME": self._pod["metadata"]["name"],
                "KUBERNETES_SERVICE_HOST": self._node.service_host, "KUBERNETES_SERVICE_PORT": "443"}
        # A pod that ran before (the node was restarted) counts on from there, as kubelet does.
        before = {entry["name"]: entry["restartCount"] + 1 for entry in old.get("containerStatuses", [])
                  if "waiting" not in entry["state"] or entry["restartCount"]}
        for container in self._pod["spec"]["containers"]:
            env = spec.environment(self._pod, container, self._addresses, self._node.addresses, base)
            log = self._node.logs / f"{self._pod['metadata']['name']}-{container['name']}.log"
            self._containers.append(Container(
                container, self.uid, spec.command(container, env), env, Probe(container, self._addresses[0]),
                secrets, log, before.get(container["name"], 0)))
        for item in self._containers:
            item.start()

    def _service_account(self) -> Path:
        directory = self._secrets / "kubernetes.io" / "serviceaccount"
        directory.mkdir(parents=True, exist_ok=True)
        self._secrets.chmod(0o700)
        metadata, account = self._pod["metadata"], self._pod["spec"].get("serviceAccountName", "default")
        if self._pod["spec"].get("automountServiceAccountToken", True):
            answer = self._patiently(lambda: self._api.request(
                "POST", f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token",
                {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
                    # The value of kubelet; API servers extend exactly it to a year.
                    "expirationSeconds": 3607, "boundObjectRef": {
                        "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": self.uid}}}))
            (directory / "token").write_text(answer["status"]["token"] if answer else "")
            (directory / "namespace").write_text(metadata["namespace"])
            shutil.copyfile(self._node.ca_file, directory / "ca.crt")
        return self._secrets

    def _restarts(self, container: Container) -> bool:
        policy = self._pod["spec"].get("restartPolicy", "Always")
        return policy == "Always" or (policy == "OnFailure" and container.exit_code() != 0)

    def _step(self, stopping: bool = False) -> None:
        for container in self._containers:
            container.look(restart=not stopping and self._restarts(container))
            if container.running:
                container.probe.run_when_due(time.monotonic())
        codes = [None if stopping else item.finished() for item in self._containers]
        new = status.pod_status(self._pod, [item.status() for item in self._containers], codes, self._addresses,
                                self._node.addresses, timestamp())
        if status.without_times(new) != self._told:
            self._tell(new)

    def _tell(self, new: dict) -> None:
        try:
            answer = self._api.merge(f"{self._path}/status", {"metadata": {"uid": self.uid}, "status": new})
        except ApiError as error:
            # Deleted, or another pod of the same name: the watch will say so.
            if error.code not in (404, 409):
                print(f"{self.name}: {error}", file=sys.stderr)
            return
        except FAILURES:
            return  # told at the next step
        self._told = status.without_times(new)
        self._pod = answer

    def _stop(self) -> None:
        """SIGTERM, the grace period, SIGKILL; readiness is probed and told meanwhile."""
        began = time.monotonic()
        for container in self._containers:
            container.signal(signal.SIGTERM)
        # The grace period may be shortened meanwhile, by a second deletion.
        while time.monotonic() < began + self._grace and any(item.running for item in self._containers):
            self._step(stopping=True)
            time.sleep(TICK / 5)
        for container in self._containers:
            container.signal(signal.SIGKILL)

    def _give_up(self, message: str) -> None:
        print(f"{self.name}: {message}", file=sys.stderr)
        for container in self._containers:
            container.signal(signal.SIGKILL)
        self._patiently(lambda: self._api.merge(f"{self._path}/status", {
            "metadata": {"uid": self.uid}, "status": status.failed(self._pod, message, timestamp())}))
        while not self._leaving():
            self._wake.wait()

    def _tear_down(self) -> None:
        network.remove(self.uid)
        shutil.rmtree(self._secrets, ignore_errors=True)
        if self._addresses:
            self._pool.give_back(self._addresses)
        if not self._vanished:
            self._patiently(lambda: self._api.request(
                "DELETE", self._path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}))

    def _patiently(self, call):
        """Call until the API answers; an error about this pod ends it, for the object is gone or bad."""
        while not self._vanished:
            try:
                return call()
            except ApiError as error:
                if error.code < 500 and error.code != 429:
                    print(f"{self.name}: {error}", file=sys.stderr)
                    return None
            except FAILURES:
                pass
            time.sleep(1)
        return None
