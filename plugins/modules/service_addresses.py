#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module service_addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_addresses
short_description: Gives LoadBalancer services addresses from pools
version_added: 0.1.0
description:
  - Gives each Service of type C(LoadBalancer) that is ours an address out of the operator's pools, and writes it into its
    C(status.loadBalancer.ingress). Runs on the controller, after M(northgate.edge.cluster_snapshot) and before the routers converge.
  - Status is the only memory. An address stays with its service until the service lets go of it, because it is deleted, has another type or class,
    asks for another address or pool, or because no pool gives it to it any more. It is free for others in the next run.
  - Only a status that is not as it should be is written, and only when the Service is still what was observed; others are for the next run.
    Entries whose address lies in no pool are somebody else's, and stay.
  - What can't be given is an event on the service, a line in RV(problems) and a warning, and never fails the task.
  - The snapshots are written again with the addresses that were given, so that routers serve them in the same run.
  - A cluster that fails is reported in RV(clusters) and by a warning. It stops no other cluster and never fails the task.
extends_documentation_fragment:
  - northgate.edge.attributes
requirements:
  - kubernetes (Python library)
  - cryptography >= 42 (Python library), which ansible-core needs, too
options:
  clusters:
    description:
      - The clusters by name, as for M(northgate.edge.cluster_snapshot). Of each, C(kubeconfig) (required), C(context), C(load_balancer_class) and
        C(load_balancer_default) are used here.
      - The user of the kubeconfig needs the permissions to patch C(services/status) and to create events, which the role
        P(northgate.edge.cluster_access#role) gives.
    type: dict
    required: true
  snapshots:
    description:
      - Directory where M(northgate.edge.cluster_snapshot) wrote the snapshots in this run, with the same O(pools).
      - A cluster without files there was not observed. A pool that it may use gives nothing new then.
    type: path
    required: true
  pools:
    description:
      - The pools by name, a DNS label. Each value is a dictionary with the keys below. No address may be in two pools.
      - C(addresses) (required) is a list of prefixes (C(203.0.113.0/24)), ranges (C(198.51.100.10-198.51.100.20)) and addresses of both families. Of a
        prefix, the network and broadcast address (IPv4) and the subnet-router anycast address (IPv6) are given to nobody. A range gives all.
      - C(clusters) and C(namespaces) are lists of those that may use it (all), C(selector) labels that a service must have (none).
      - C(quota) is how many addresses of each family a namespace of a cluster may hold in it (any number).
      - C(auto_assign) (V(true)) is whether services that name no pool get addresses from it. Pools are asked in the order of their names.
      - C(share_between_namespaces) (V(false)) is whether services of several namespaces may share an address under one key.
    type: dict
    required: true
  groups:
    description:
      - The router groups by name. Of each, C(clusters) and C(address_pools) (all) are used here; other keys are ignored.
      - Services of a cluster get addresses only of pools that lead to a group which serves the cluster. A service may ask for groups by annotation.
      - Without this option every pool is taken to lead to routers that serve every cluster.
    type: dict
  timeout:
    description: How long writing to one cluster may take, in seconds.
    type: float
    default: 60
notes:
  - In check mode neither statuses nor events nor snapshots are written, so routers in check mode do not see the addresses that would be given.
  - A service asks by the annotations C(northgate.edge/address-pool), C(northgate.edge/load-balancer-ips), C(northgate.edge/allow-shared-ip) and
    C(northgate.edge/router-group); docs/services.md of the collection says how.
seealso:
  - module: northgate.edge.cluster_snapshot
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Give services addresses
  northgate.edge.service_addresses:
    snapshots: /var/cache/northgate/snapshots
    clusters:
      alpha: {kubeconfig: /etc/northgate/alpha.kubeconfig}
      beta: {kubeconfig: /etc/northgate/beta.kubeconfig, load_balancer_default: false}
    pools:
      public:
        addresses: [203.0.113.0/24, "2001:db8:100::/64"]
        quota: 10
      mail:
        addresses: [198.51.100.10-198.51.100.20]
        namespaces: [mail]
        auto_assign: false
    groups:
      edge: {clusters: [alpha, beta], address_pools: [public]}
      inner: {clusters: [beta], address_pools: [mail]}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
clusters:
  description: What came of each cluster that was observed and that may use a pool.
  type: dict
  returned: success
  contains:
    written:
      description: How many services got another status, in check mode would get.
      type: int
    released:
      description: How many Services lost their addresses, in check mode would lose.
      type: int
    unchanged:
      description: How many services are as they should be.
      type: int
    conflicts:
      description: How many Services were changed by others meanwhile. The next run looks at them again.
      type: int
    failed:
      description: Why not all was written; empty when all was.
      type: str
  sample:
    alpha: {"written": 1, "released": 0, "unchanged": 11, "conflicts": 0, "failed": ""}
changes:
  description: What was changed, or in check mode would be, by cluster and name.
  type: list
  elements: str
  returned: success
  sample: ["alpha: mail/smtp: none -> 203.0.113.1, 2001:db8:100::1"]
problems:
  description: What could not be given, with the cause.
  type: list
  elements: str
  returned: success
  sample: ["cluster alpha: Service web/shop: the pool public has no free IPv4 address"]
assigned:
  description: How many services have addresses.
  type: int
  returned: success
  sample: 12
pools:
  description: How many addresses of each pool are in use (C(used)).
  type: dict
  returned: success
  sample:
    public: {"used": 14}
"""

import gc

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.addressing import keep, plan, result
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.service_status import shown, write_all

# The result names all problems; warnings are for who reads along.
MOST_WARNINGS = 20


def difference(cluster, changes):
    """The statuses that change, a line for each Service."""
    return {
        "before_header": "%s: status of services" % cluster,
        "after_header": "%s: status of services" % cluster,
        "before": "".join("%s: %s\n" % (change.name, shown(change.before)) for change in changes),
        "after": "".join("%s: %s\n" % (change.name, shown(change.after)) for change in changes),
    }


def warn(module, outcomes, problems, mistakes):
    for text in mistakes:
        module.warn(text)
    for name, outcome in outcomes.items():
        for text in (outcome.failed, outcome.warning):
            if text:
                module.warn("status of services in cluster %s: %s" % (name, text))
    for problem in problems[:MOST_WARNINGS]:
        module.warn("no address: %s" % problem)
    if len(problems) > MOST_WARNINGS:
        module.warn("no address: %d more, see problems in the result" % (len(problems) - MOST_WARNINGS))


def main():
    module = AnsibleModule(
        argument_spec={
            "clusters": {"type": "dict", "required": True},
            "snapshots": {"type": "path", "required": True},
            "pools": {"type": "dict", "required": True},
            "groups": {"type": "dict"},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    # The process is short and its objects hold no cycles; looking for some would take long where they are many.
    gc.disable()
    params = module.params
    try:
        wanted = plan(params)
        outcomes = write_all(wanted.tasks, params["timeout"], module.check_mode)
        if not module.check_mode:
            keep(params["snapshots"], wanted, outcomes)
    except (NorthgateError, OSError) as error:
        module.fail_json(msg=str(error))
    found = result(wanted, outcomes)
    warn(module, outcomes, found["problems"], wanted.warnings)
    module.exit_json(**found, **({"diff": [difference(name, o.changes) for name, o in outcomes.items() if o.changes]} if module._diff else {}))


if __name__ == "__main__":
    main()
