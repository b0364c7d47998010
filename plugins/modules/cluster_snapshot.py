#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module cluster_snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cluster_snapshot
short_description: Observes clusters and writes one snapshot file for each
version_added: 0.1.0
description:
  - Reads what clusters want from their routers and writes it as C(CLUSTER.json) into a directory on the controller.
  - All clusters are read side by side. One that fails or answers in part is reported in RV(clusters) with the reason
    and stops nothing; its file is removed, so that no old observation is taken for a new one.
    Routers serve it on from what they accepted last.
  - Runs on the controller. The file of a cluster that did not change does not change.
extends_documentation_fragment:
  - northgate.edge.attributes
requirements:
  - kubernetes (Python library)
options:
  clusters:
    description: The clusters by name, a DNS label.
    type: dict
    required: true
  path:
    description: Directory for the snapshots. It is made when it does not exist.
    type: path
    required: true
  timeout:
    description: How long reading one cluster may take, in seconds.
    type: float
    default: 60
  page_size:
    description: How many objects to ask for at once.
    type: int
    default: 500
notes:
  - Each value of O(clusters) is a dictionary. C(kubeconfig) (required) is a path on the controller, C(context) a context in it.
    C(ingress_classes) maps names of IngressClasses to the Service of their controller,
    C(service) as namespace/name and C(port) as the name or number of the port for HTTP. Other keys are ignored.
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Observe two clusters
  northgate.edge.cluster_snapshot:
    path: /var/cache/northgate/snapshots
    clusters:
      alpha:
        kubeconfig: /etc/northgate/alpha.kubeconfig
        ingress_classes:
          traefik: {service: traefik/traefik, port: web}
      beta:
        kubeconfig: /etc/northgate/beta.kubeconfig
        ingress_classes:
          traefik: {service: traefik/traefik, port: web}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
clusters:
  description: What came of each cluster.
  type: dict
  returned: success
  contains:
    observed:
      description: Whether the cluster was read completely.
      type: bool
    reason:
      description: Why it was not.
      type: str
    ingresses:
      description: How many ingresses will be served.
      type: int
    quarantined:
      description: What was skipped, each with object, field and cause.
      type: list
      elements: str
  sample:
    alpha: {"observed": true, "reason": "", "ingresses": 12, "quarantined": []}
    beta: {"observed": false, "reason": "https://192.0.2.10:6443 did not answer completely within 60 s", "ingresses": 0, "quarantined": []}
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError, NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._io.atomic import write
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import ClusterSource, observe_all

# The result names all that was skipped; warnings are for who reads along.
MOST_WARNINGS = 20


def update(path, result, check_mode):
    """Writes, or removes, the file of one cluster. Returns its text before and after."""
    try:
        with open(path, "rb") as file:
            before = file.read()
    except FileNotFoundError:
        before = b""
    after = b"" if isinstance(result, NotObserved) else codec.dump(result)
    if not check_mode and after != before:
        if after:
            write(path, after)
        else:
            os.unlink(path)
    return before.decode(errors="replace"), after.decode()


def main():
    module = AnsibleModule(
        argument_spec={
            "clusters": {"type": "dict", "required": True},
            "path": {"type": "path", "required": True},
            "timeout": {"type": "float", "default": 60},
            "page_size": {"type": "int", "default": 500},
        },
        supports_check_mode=True,
    )
    changed, clusters, diff = False, {}, []
    try:
        sources = [ClusterSource.parse(name, options) for name, options in sorted(module.params["clusters"].items())]
        for name, result in observe_all(sources, module.params["timeout"], module.params["page_size"]).items():
            before, after = update(os.path.join(module.params["path"], name + ".json"), result, module.check_mode)
            changed = changed or before != after
            if before != after:
                diff.append({"before_header": name, "after_header": name, "before": before, "after": after})
            observed = not isinstance(result, NotObserved)
            if not observed:
                module.warn("cluster %s is not observed: %s" % (name, result))
            for skipped in result.quarantined[:MOST_WARNINGS] if observed else []:
                module.warn("skipped: %s" % skipped)
            clusters[name] = {
                "observed": observed,
                "reason": "" if observed else str(result),
                "ingresses": len(result.ingresses) if observed else 0,
                "quarantined": [str(q) for q in result.quarantined] if observed else [],
            }
    except NorthgateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, clusters=clusters, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
