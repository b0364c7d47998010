# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m lab_agent CONFIGURATION`: follow the pods of this node for as long as it runs."""
from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from . import container, network
from .addresses import Pool
from .api import FAILURES, Api, ApiError
from .forward import Forwarder
from .node import Node, keep_alive, register, renew_lease
from .pod import Pod

PODS = "/api/v1/pods"
DONE = ("Succeeded", "Failed")


class Agent:
    """Keeps one thread for each pod that is bound to this node."""

    def __init__(self, node: Node, api: Api) -> None:
        self._node, self._api = node, api
        self._pool = Pool(node.pod_prefixes)
        self._pods: dict[str, Pod] = {}
        self._selector = f"spec.nodeName={node.name}"

    def follow(self) -> None:
        """List, then watch until the stream ends; raise what the API raises."""
        query = urllib.parse.urlencode({"fieldSelector": self._selector})
        listed = self._api.request("GET", f"{PODS}?{query}")
        present = {item["metadata"]["uid"] for item in listed["items"]}
        for uid in [uid for uid in self._pods if uid not in present]:
            self._pods.pop(uid).vanish()
        for item in listed["items"]:
            self._take(item)
        for event in self._api.watch(PODS, self._selector, listed["metadata"]["resourceVersion"]):
            if event["type"] == "ERROR":
                return
            if event["type"] == "DELETED":
                pod = self._pods.pop(event["object"]["metadata"]["uid"], None)
                if pod:
                    pod.vanish()
            elif event["type"] != "BOOKMARK":
                self._take(event["object"])

    def _take(self, pod: dict) -> None:
        known = self._pods.get(pod["metadata"]["uid"])
        if known:
            known.update(pod)
        elif pod.get("status", {}).get("phase") not in DONE or "deletionTimestamp" in pod["metadata"]:
            self._pods[pod["metadata"]["uid"]] = thread = Pod(pod, self._node, self._api, self._pool)
            thread.start()


def main() -> None:
    """Read the configuration and run for ever."""
    config = json.loads(Path(sys.argv[1]).read_text())
    node = Node(config["node"], config["zone"], config["addresses"], config["pod_prefixes"],
                config["service_host"], config["ca_file"], Path(config["logs"]))
    shutil.rmtree(node.state, ignore_errors=True)
    node.state.mkdir(mode=0o700, parents=True)
    node.logs.mkdir(parents=True, exist_ok=True)
    container.SECRETS.mkdir(exist_ok=True)
    network.prepare_node(node.addresses, config["service_prefixes"])
    Forwarder(config["port"], [(server["host"], server["port"]) for server in config["servers"]]).start()
    api = Api("127.0.0.1", config["port"], config["ca_file"], config["token"])
    agent = Agent(node, api)
    registered = False
    while True:
        try:
            if not registered:
                register(api, node)
                renew_lease(api, node)
                threading.Thread(target=keep_alive, args=(api, node), daemon=True).start()
                registered = True
                print(f"node {node.name} is registered")
            agent.follow()
        except (ApiError, *FAILURES) as error:
            print(f"API: {error}", file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    main()
