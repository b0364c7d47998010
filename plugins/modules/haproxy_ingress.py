#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module haproxy_ingress."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_ingress
short_description: Converges HTTP(S) ingress of clusters on a router's haproxy
version_added: 0.1.0
description:
  - Makes haproxy on the router send each request to the ingress pods of every cluster that offers its host and path.
  - Routes, servers and certificates change in the running haproxy and on disk, so that a restart gives the same state.
    haproxy is reloaded only for what it can't change while it runs, once, and RV(reload_reason) says why.
  - A candidate that haproxy refuses never becomes live. A reload that fails puts the files of before back.
  - Objects of a cluster that can't be served are skipped and named in RV(quarantined); all else is served.
extends_documentation_fragment:
  - northgate.edge.attributes
  - northgate.edge.shipped
options:
  certificates:
    description:
      - Directory on the controller with PEM files (C(*.pem)), each with a certificate chain and its private key.
      - A file that is broken is skipped and named in RV(quarantined).
      - Without this option no certificate is served, so no HTTPS.
    type: path
  http_bind:
    description: Where to listen for HTTP, each as an address of haproxy's C(bind).
    type: list
    elements: str
    default: [":::80 v4v6"]
  https_bind:
    description: Where to listen for HTTPS, each as an address of haproxy's C(bind).
    type: list
    elements: str
    default: [":::443 v4v6"]
  config_dir:
    description: haproxy's configuration directory, as the role P(northgate.edge.haproxy#role) prepared it.
    type: path
    default: /etc/haproxy
  socket:
    description: Stats socket of haproxy, level admin.
    type: path
    default: /run/haproxy/northgate.sock
  master_socket:
    description: Socket of haproxy's master process.
    type: path
    default: /run/haproxy-master.sock
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Converge ingress on all routers of the group
  northgate.edge.haproxy_ingress:
    clusters: [alpha, beta]
    snapshots: /var/cache/northgate/snapshots
    certificates: /etc/northgate/certificates
  become: true
"""

RETURN = r"""
clusters:
  description: What each cluster was served from.
  type: dict
  returned: success
  sample: {"alpha": "observed", "beta": "last-known-good", "gamma": "never observed"}
changes:
  description: What changed beside files, or in check mode would change, in order.
  type: list
  elements: str
  returned: success
  sample: ["add server ng:alpha:traefik/alpha_traefik_10.100.1.7_8000", "replace routes: 1 added, 0 removed, 0 changed"]
reload_reason:
  description: Why haproxy was reloaded; empty when it was not.
  type: str
  returned: success
  sample: "new backend ng:alpha:traefik:beta:traefik"
quarantined:
  description: Objects and files that were skipped, each with the field and the cause.
  type: list
  elements: str
  returned: success
  sample: ["cluster alpha: Ingress demo/shop: spec.rules[0].http.paths[0].path: 'shop' is no absolute path of RFC 3986 characters"]
routes:
  description: How many routes are served.
  type: int
  returned: success
  sample: 12
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue, NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.syntax import dns_label
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.ingress import IngressAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.pem import file_name, normalise
from ansible_collections.northgate.edge.plugins.module_utils._module import arguments
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox, lock
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge, receive


def certificates(document):
    """PEM texts by file name on the router, and what was skipped, from a shipped bundle."""
    pems, skipped = {}, []
    for name, text in sorted(json.loads(document).items()):
        try:
            pem = normalise(text, name)
            pems[file_name(name, pem)] = pem
        except InvalidValue as error:
            skipped.append("certificates: %s" % error)
    return pems, skipped


def run(module, inbox):
    params = module.params
    names = [dns_label(name, "clusters") for name in params["clusters"]]
    documents = params["_documents"]
    accepted = Accepted(params["state_dir"], "haproxy_ingress")
    received = receive(names, documents["snapshots"], inbox, accepted)
    state = ingress_state(r.snapshot for r in received.values())
    pems, skipped = certificates(inbox.read(documents["certificates"])) if documents.get("certificates") else ({}, [])
    adapter = IngressAdapter(params["config_dir"], params["socket"], params["master_socket"])
    options = Options(tuple(params["http_bind"]), tuple(params["https_bind"]))
    wanted = adapter.wanted(state, options, pems)
    outcome = converge(adapter, wanted, module.check_mode)
    if not module.check_mode:
        adapter.delete_drained(wanted)
        for cluster, of_cluster in received.items():
            if of_cluster.observed and of_cluster.data != accepted.read(cluster):
                accepted.write(cluster, of_cluster.data)
        inbox.keep_only([*documents["snapshots"].values(), documents.get("certificates")])
    known = {q for r in received.values() for q in r.snapshot.quarantined}
    # What the observation skipped was warned of on the controller, once for all routers.
    for message in [str(q) for q in state.quarantined if q not in known] + skipped:
        module.warn("skipped: " + message)
    for name in names:
        if name not in received:
            module.warn("cluster %s was never observed: nothing of it is served here" % name)
    served_from = {True: "observed", False: "last-known-good"}
    module.exit_json(
        changed=bool(outcome.plan),
        clusters={name: served_from[received[name].observed] if name in received else "never observed" for name in names},
        changes=[str(step) for step in outcome.plan.steps],
        reload_reason=outcome.reload_reason,
        quarantined=[str(q) for q in state.quarantined] + skipped,
        routes=len(wanted.layout.routes),
        **({"diff": outcome.plan.diff()} if module._diff else {}),
    )


def main():
    module = AnsibleModule(
        argument_spec={
            **arguments.shipped(),
            "certificates": {"type": "path"},
            "http_bind": {"type": "list", "elements": "str", "default": [":::80 v4v6"]},
            "https_bind": {"type": "list", "elements": "str", "default": [":::443 v4v6"]},
            "config_dir": {"type": "path", "default": "/etc/haproxy"},
            "socket": {"type": "path", "default": "/run/haproxy/northgate.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
        },
        supports_check_mode=True,
    )
    try:
        inbox = Inbox(module.params["state_dir"])
        for digest, path in module.params["_uploads"].items():
            inbox.take(digest, path)
        documents = module.params["_documents"]
        missing = inbox.missing([*documents["snapshots"].values(), *filter(None, [documents.get("certificates")])])
        if missing:
            module.exit_json(changed=False, _missing=missing)
        with lock(module.params["state_dir"], module.params["lock_timeout"]):
            run(module, inbox)
    except NorthgateError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
