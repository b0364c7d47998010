#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module haproxy_info."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_info
short_description: Shows what a router's haproxy serves
version_added: 0.1.0
description:
  - Reads routes, backends with their servers, certificates and the state of the process from the running haproxy, and what the router remembers
    of each cluster. It changes nothing.
  - Where haproxy does not answer, RV(running) is false, RV(reason) says why, and what is shown is what haproxy will serve from its next start.
extends_documentation_fragment:
  - northgate.edge.haproxy
options:
  gather:
    description: What to read.
    type: list
    elements: str
    choices: [routes, backends, certificates, process, clusters, apis]
    default: [routes, backends, certificates, process, clusters, apis]
  state_dir:
    description: Directory on the router for what it remembers between runs.
    type: path
    default: /var/lib/northgate
attributes:
  check_mode:
    support: full
    description: Reads only, so check mode makes no difference.
  diff_mode:
    support: N/A
    description: Nothing changes.
seealso:
  - module: northgate.edge.haproxy_ingress
  - module: northgate.edge.haproxy_apiserver
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Read all
  northgate.edge.haproxy_info:
  become: true
  register: edge

- name: Fail when a certificate ends within a week
  northgate.edge.haproxy_info:
    gather: [certificates]
  become: true
  register: edge
  failed_when: edge.certificates | selectattr('days_left', 'lt', 7) | length > 0
"""

RETURN = r"""
running:
  description: Whether a worker of haproxy answers.
  type: bool
  returned: success
  sample: true
reason:
  description: Why what is shown comes from disk; empty where it comes from the running haproxy.
  type: str
  returned: success
  sample: ""
generation:
  description: The live generation of our files, a directory below C(northgate/generations) in O(config_dir); empty before the first run.
  type: str
  returned: success
  sample: 5c1b7f0d2c0a4c11
routes:
  description:
    - The routes. C(type) is C(Exact), C(Prefix), C(default backend) or C(TLS passthrough); an empty C(host) is every host.
    - C(policy) is what annotations ask for, named as they are; of users only the number is shown. C(closed) means 403 to everybody.
    - C(pools) is empty where the route has no backend.
  type: list
  elements: dict
  returned: O(gather) has V(routes)
  sample:
    - host: shop.example.com
      path: /
      type: Prefix
      backend: ng_h00001
      pools: ["alpha:class/traefik", "beta:class/traefik"]
      https_redirect: true
      policy: {"rate_limit": "20/s"}
      canary: {"backend": "ng_h00002", "pools": ["alpha:class/canary"], "weight": 20}
backends:
  description:
    - The backends of sets of pools, each with its servers.
    - C(state) is C(up), C(down), C(drain) (gets nothing new), C(maint) (out of use, and deleted once it is idle) or, without a running haproxy,
      C(unknown).
  type: list
  elements: dict
  returned: O(gather) has V(backends)
  sample:
    - name: ng_h00001
      pools: ["alpha:class/traefik"]
      servers:
        - {"name": "alpha_10.100.1.7_8000", "cluster": "alpha", "address": "10.100.1.7", "port": 8000, "weight": 1, "state": "up"}
spare_backends:
  description: How many backends are free. When more are needed, haproxy is reloaded once.
  type: int
  returned: O(gather) has V(backends)
  sample: 62
certificates:
  description: The certificates that are presented, the first to expire first. Without a running haproxy only C(file) and C(names) are known.
  type: list
  elements: dict
  returned: O(gather) has V(certificates)
  sample:
    - file: shop-0c7d7f0b8c1d2e3f.pem
      names: ["shop.example.com"]
      algorithm: EC256
      not_after: "2026-03-01T12:00:00Z"
      days_left: 61
process:
  description:
    - The process. C(uptime) is the worker's and C(master_uptime) the master's, in seconds; C(reloads) and C(failed_reloads) count since the
      master started; C(old_workers) still finish connections of before a reload. What nobody answers is null.
  type: dict
  returned: O(gather) has V(process)
  sample:
    version: 2.6.12-1+deb12u4
    uptime: 86400
    connections: 113
    reloads: 2
    failed_reloads: 0
    old_workers: 0
    master_uptime: 172800
clusters:
  description:
    - What the router remembers of each cluster. C(accepted) is when it last accepted an observation of it, C(age) how many seconds ago that was.
    - C(error) says why what is remembered can't be used; it is empty where it can.
  type: dict
  returned: O(gather) has V(clusters)
  sample:
    alpha: {"accepted": "2026-01-01T12:00:00Z", "age": 41, "ingresses": 12, "error": ""}
apis:
  description:
    - The Kubernetes APIs that are served, each with its API servers. C(names) matter where clusters share a bind; an empty C(allow) is everybody.
    - C(state) is as that of RV(backends), where C(drain) keeps what connections it has. C(check) is what the last health check said. Without a
      running haproxy C(state) is C(unknown) and C(check) empty.
  type: list
  elements: dict
  returned: O(gather) has V(apis)
  sample:
    - cluster: alpha
      backend: ng_api_alpha
      bind: ["192.0.2.50:6443"]
      names: []
      allow: ["192.0.2.0/24"]
      servers:
        - name: alpha_192.0.2.21_6443
          address: 192.0.2.21
          port: 6443
          state: down
          check: L7STS 500 HTTP status check returned code <500>
          connections: 0
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api_info import apis
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.info import Info, stamp
from ansible_collections.northgate.edge.plugins.module_utils._module import arguments
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted

SUBSETS = ["routes", "backends", "certificates", "process", "clusters", "apis"]


def remembered(accepted):
    """What the router has of each cluster."""
    clusters = {}
    for name, changed in accepted.clusters().items():
        error, ingresses = "", 0
        try:
            ingresses = len(codec.load(accepted.read(name) or b"", "snapshot of cluster %s" % name).ingresses)
        except SnapshotError as unreadable:
            error = str(unreadable)
        clusters[name] = {"accepted": stamp(changed), "age": max(0, int(time.time() - changed)), "ingresses": ingresses, "error": error}
    return clusters


def gather(params):
    info = Info(params["config_dir"], params["socket"], params["master_socket"])
    shown = {"running": info.running, "reason": info.reason, "generation": info.generation}
    wanted = params["gather"]
    if "routes" in wanted:
        shown["routes"] = info.routes()
    if "backends" in wanted:
        shown.update(backends=info.backends(), spare_backends=info.spare_backends())
    if "certificates" in wanted:
        shown["certificates"] = info.certificates()
    if "process" in wanted:
        shown["process"] = info.process()
    if "clusters" in wanted:
        shown["clusters"] = remembered(Accepted(params["state_dir"], "haproxy_ingress"))
    if "apis" in wanted:
        shown["apis"] = apis(params["config_dir"], params["socket"])
    return shown


def main():
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "list", "elements": "str", "choices": SUBSETS, "default": SUBSETS},
            **arguments.haproxy(),
            "state_dir": {"type": "path", "default": "/var/lib/northgate"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **gather(module.params))
    except NorthgateError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="%s can't be read: %s. Only root may read it: become: true" % (error.filename, error.strerror))


if __name__ == "__main__":
    main()
