#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module kubernetes_manifest."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_manifest
short_description: Applies manifests to a cluster
version_added: 0.1.0
description:
  - Server-side apply of a few objects, in the order given. Fields that the manifests don't name keep their values.
  - A Secret's values are masked in the difference and, unless told otherwise, in the result.
extends_documentation_fragment:
  - northgate.edge.attributes
requirements:
  - kubernetes (Python library)
options:
  kubeconfig:
    description: Path of the kubeconfig on the host that runs the task, usually the controller.
    type: path
    required: true
  context:
    description: Context in the kubeconfig; its current one by default.
    type: str
  manifests:
    description: The objects. What another one lives in comes first.
    type: list
    elements: dict
    required: true
  field_manager:
    description: Name under which the API server remembers who set a field.
    type: str
    default: northgate.edge
  force:
    description: Whether to take over fields that another manager set to other values. Without it that is an error.
    type: bool
    default: false
  wait_for:
    description: Fields, dotted, of all the objects to wait for until they have a value, for example V(data.token). Not in check mode.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: How long to wait for them, in seconds.
    type: float
    default: 30
  timeout:
    description: How long each request may take, in seconds.
    type: float
    default: 20
  return_secrets:
    description: Whether the values of Secrets are in the result. Use C(no_log) with it.
    type: bool
    default: false
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: A namespace and an account in it
  northgate.edge.kubernetes_manifest:
    kubeconfig: /root/.kube/config
    manifests:
      - {apiVersion: v1, kind: Namespace, metadata: {name: northgate}}
      - {apiVersion: v1, kind: ServiceAccount, metadata: {name: edge, namespace: northgate}}
  delegate_to: localhost
"""

RETURN = r"""
objects:
  description: The objects as they are now, in check mode as they would be, without what the API server keeps about them.
  type: list
  elements: dict
  returned: success
server:
  description: URL of the API server.
  type: str
  returned: success
  sample: https://192.0.2.10:6443
certificate_authority:
  description: Base64 of the PEM of the API server's certificate authority; empty where the kubeconfig names none.
  type: str
  returned: success
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import apply as kubernetes

ARGUMENTS = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str"},
    "manifests": {"type": "list", "elements": "dict", "required": True},
    "field_manager": {"type": "str", "default": "northgate.edge"},
    "force": {"type": "bool", "default": False},
    "wait_for": {"type": "list", "elements": "str", "default": []},
    "wait_timeout": {"type": "float", "default": 30},
    "timeout": {"type": "float", "default": 20},
    "return_secrets": {"type": "bool", "default": False},
}


def converge(api, manifests, params, check_mode):
    """Applies the manifests; returns the objects for the result, and the differences of those that changed."""
    objects, diff = [], []
    for manifest in manifests:
        before, after = kubernetes.apply(api, manifest, params["field_manager"], params["force"], check_mode)
        old, new = kubernetes.shown(before), kubernetes.shown(after, before)
        if old != new:
            name = "%s %s" % (manifest["kind"], manifest["metadata"]["name"])
            diff.append({"before_header": name, "after_header": name, "before": text(old), "after": text(new)})
        if params["wait_for"] and not check_mode:
            after = kubernetes.wait_for(api, manifest, params["wait_for"], params["wait_timeout"])
        objects.append(after if params["return_secrets"] else kubernetes.shown(after))
    return objects, diff


def text(shown):
    """An object as lines for a difference; nothing for no object."""
    return json.dumps(shown, indent=2, sort_keys=True) + "\n" if shown else ""


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        api = kubernetes.Api(module.params["kubeconfig"], module.params["context"], module.params["timeout"])
        objects, diff = converge(api, module.params["manifests"], module.params, module.check_mode)
        result = {"objects": objects, "server": api.server, "certificate_authority": api.certificate_authority()}
    except ImportError as error:
        module.fail_json(msg="The Python library kubernetes is needed where this task runs: %s" % error)
    except NorthgateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(diff), **result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
