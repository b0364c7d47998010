#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module ingress_status."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ingress_status
short_description: Tells in the status of ingresses which addresses serve them
version_added: 0.1.0
description:
  - Writes the addresses of the router groups that serve an ingress into its C(status.loadBalancer.ingress), where people, external-dns and
    others look for them. Runs on the controller, after the routers converged.
  - An ingress of the clusters' ingress classes gets exactly the addresses of the groups by which at least one of its rules is served; one that
    asks for router groups by the annotation C(northgate.edge/router-group) is served by no others. One of which
    no rule is served, for example because it lost all its claims, gets none. An ingress of another class is never touched.
  - Only a status that is not as it should be is written, and only when the ingress did not change meanwhile. A cluster of which
    M(northgate.edge.cluster_snapshot) saw in this run that all are right is not asked again.
  - A cluster that fails is reported in RV(clusters) and by a warning. It stops no other cluster and never fails the task, for all is served without it.
extends_documentation_fragment:
  - northgate.edge.attributes
requirements:
  - kubernetes (Python library)
options:
  clusters:
    description:
      - The clusters by name, as for M(northgate.edge.cluster_snapshot). Of each, C(kubeconfig) (required) and C(context) are read.
      - The user of the kubeconfig needs the permission to patch C(ingresses/status), which the role P(northgate.edge.cluster_access#role) gives.
    type: dict
    required: true
  snapshots:
    description:
      - Directory where M(northgate.edge.cluster_snapshot) wrote the snapshots in this run.
      - A cluster without a file there was not observed, and is left alone.
    type: path
    required: true
  groups:
    description:
      - The router groups by name. Each value is a dictionary with the keys below; other keys are ignored.
      - C(clusters) is the list of clusters that the group serves.
      - C(ingress_addresses) is the list of IP addresses and DNS names under which clients reach the group. A group without this key leaves
        status alone; one whose list is empty takes back what it published.
      - C(claim_winner), C(claim_scope) and C(tls_passthrough) are as M(northgate.edge.haproxy_ingress) has them on the group's routers.
    type: dict
    required: true
  converged_groups:
    description:
      - Names of the groups of which at least one router converged in this run.
      - The addresses of any other group stay in each status where they are, and are added to none.
    type: list
    elements: str
    required: true
  timeout:
    description: How long reading and writing one cluster may take, in seconds.
    type: float
    default: 60
  page_size:
    description: How many objects to ask for at once.
    type: int
    default: 500
notes:
  - An ingress controller in the cluster that publishes a status of its own has to be told not to, or the two overwrite each other in turn.
    For Traefik that is C(providers.kubernetesIngress.publishedService), for ingress-nginx C(--update-status=false).
  - An ingress whose class is changed to a foreign one keeps its status until the controller of that class writes another.
  - Where one cluster of a group was not observed, what it claims on hosts of other clusters is not known here. An ingress that loses
    only to such a claim has the group's addresses until that cluster is observed again.
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Publish the addresses of the router group edge
  northgate.edge.ingress_status:
    snapshots: /var/cache/northgate/snapshots
    clusters:
      alpha: {kubeconfig: /etc/northgate/alpha.kubeconfig}
      beta: {kubeconfig: /etc/northgate/beta.kubeconfig}
    groups:
      edge:
        clusters: [alpha, beta]
        ingress_addresses: [192.0.2.80, "2001:db8::80"]
    converged_groups: [edge]
  delegate_to: localhost
  run_once: true

# As playbooks/converge.yml does: a group has converged when one of its routers has.
- name: Publish the addresses of all router groups
  northgate.edge.ingress_status:
    snapshots: /var/cache/northgate/snapshots
    clusters: "{{ northgate_clusters }}"
    groups: "{{ northgate_router_groups }}"
    converged_groups: "{{ ansible_play_hosts | map('extract', hostvars, 'northgate_router_group') | unique | list }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
clusters:
  description: What came of each cluster that was observed and that a converged group with C(ingress_addresses) serves.
  type: dict
  returned: success
  contains:
    written:
      description: How many ingresses got other addresses, in check mode would get.
      type: int
    removed:
      description: How many ingresses lost all addresses, in check mode would lose.
      type: int
    unchanged:
      description: How many ingresses of our classes are as they should be.
      type: int
    conflicts:
      description: How many ingresses were changed by others meanwhile. The next run looks at them again.
      type: int
    failed:
      description: Why not all was read or written; empty when all was.
      type: str
  sample:
    alpha: {"written": 1, "removed": 0, "unchanged": 11, "conflicts": 0, "failed": ""}
changes:
  description: What was changed, or in check mode would be, by cluster and name.
  type: list
  elements: str
  returned: success
  sample: ["alpha: demo/shop: 192.0.2.80 -> 192.0.2.80, 2001:db8::80"]
"""

import gc

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.status import shown
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.publishing import outstanding, result
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.status import publish_all


def difference(cluster, changes):
    """The statuses that change, a line for each ingress."""
    return {
        "before_header": "%s: status of ingresses" % cluster,
        "after_header": "%s: status of ingresses" % cluster,
        "before": "".join("%s: %s\n" % (change.name, shown(change.before)) for change in changes),
        "after": "".join("%s: %s\n" % (change.name, shown(change.after)) for change in changes),
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "clusters": {"type": "dict", "required": True},
            "snapshots": {"type": "path", "required": True},
            "groups": {"type": "dict", "required": True},
            "converged_groups": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "float", "default": 60},
            "page_size": {"type": "int", "default": 500},
        },
        supports_check_mode=True,
    )
    # The process is short and its objects hold no cycles; looking for some would take long where they are many.
    gc.disable()
    params = module.params
    try:
        found = outstanding(params)
        outcomes = {**found.right, **publish_all(found.wanted, params["timeout"], params["page_size"], module.check_mode)}
    except NorthgateError as error:
        module.fail_json(msg=str(error))
    for mistake in found.mistakes:
        module.warn(str(mistake))
    for name, outcome in outcomes.items():
        if outcome.failed:
            module.warn("status of ingresses in cluster %s: %s" % (name, outcome.failed))
    module.exit_json(
        **result(outcomes),
        **({"diff": [difference(name, o.changes) for name, o in outcomes.items() if o.changes]} if module._diff else {}),
    )


if __name__ == "__main__":
    main()
