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
  - northgate.edge.haproxy
  - northgate.edge.shipped
options:
  router_group:
    description:
      - Name of the router group that the router is in. Ingresses that ask for other groups by annotation are not served here.
      - Without it all are.
      - When it is another than in the last run, O(certificates) may shrink once, and what was live before is removed from the router.
    type: str
    default: ""
  certificates:
    description:
      - Directory on the controller with PEM files (C(*.pem)), each with a certificate chain and its private key.
      - A file that is broken is skipped and named in RV(quarantined).
      - Certificates are presented for the names in them. Those of the clusters' Secrets are for hosts of their own ingresses only.
    type: path
  http_bind:
    description: Where to listen for HTTP, each as an address of haproxy's C(bind).
    type: list
    elements: str
    default: ["0.0.0.0:80", ":::80 v6only"]
  https_bind:
    description: Where to listen for HTTPS, each as an address of haproxy's C(bind).
    type: list
    elements: str
    default: ["0.0.0.0:443", ":::443 v6only"]
  https_redirect:
    description: Whether HTTP is redirected to HTTPS for hosts that have a certificate. An ingress may say otherwise by annotation.
    type: bool
    default: true
  hsts:
    description: Value of Strict-Transport-Security for ingresses that don't say otherwise, for example V(max-age=31536000). Empty for none.
    type: str
    default: ""
  trusted_proxies:
    description:
      - Networks of proxies before the router, whose C(X-Forwarded-For) and C(X-Forwarded-Proto) are believed.
      - Everybody else's are replaced.
    type: list
    elements: str
    default: []
  proxy_protocol_from:
    description: Networks whose connections begin with a PROXY protocol header.
    type: list
    elements: str
    default: []
  tls_passthrough:
    description:
      - Whether ingresses may ask by annotation that their TLS connections go to the pods undecrypted.
      - All HTTPS connections then pass through a further, local hop, so it is off unless you need it.
    type: bool
    default: false
  affinity_cookie:
    description: Name of the cookie for ingresses that ask for affinity.
    type: str
    default: NORTHGATE
  spare_backends:
    description:
      - How many empty backends haproxy holds ready for combinations of clusters or services that are new.
      - When they are used up, haproxy is reloaded once with more of them.
    type: int
    default: 64
  shares:
    description:
      - How clusters share the requests for what several of them offer, by name of the cluster.
      - A cluster that is not named here gets requests by the number of its ready pods.
    type: dict
    default: {}
  claim_winner:
    description:
      - Which ingress gets a host and path that several claim in different ways, that is from another namespace, for other
        pods of the same cluster, or with other annotations.
      - With V(nobody) all of them are refused, and the path is answered with 403.
    type: str
    choices: [oldest, newest, nobody]
    default: oldest
  claim_scope:
    description:
      - What belongs to the namespace of an ingress that won a claim, in all clusters. With V(path) the host and path, with V(host) the whole host.
      - With V(open) namespaces share a host and path.
    type: str
    choices: [path, host, open]
    default: path
  expiry_warning:
    description: Certificates that expire within so many days are named in RV(expiring_certificates).
    type: int
    default: 14
  shrink_limit:
    description:
      - Percent of a cluster's routes, servers or certificates that may go in one run. A snapshot that takes more is held back,
        and the cluster is served from the one before.
    type: int
    default: 50
  shrink_least:
    description: Fewer than so many of them may always go.
    type: int
    default: 3
  confirm_shrink:
    description: Names of clusters whose snapshots are accepted in this run whatever they remove; V(certificates) stands for the directory O(certificates).
    type: list
    elements: str
    default: []
notes:
  - Each value of O(shares) is a dictionary. C(weight) (1 to 1000) is the cluster's part in relation to the others' weights.
    C(mode) is C(active), C(standby) (gets requests when no active cluster has a pod that answers) or C(drain) (gets no new sessions).
  - The annotations of ingresses are described in docs/ingress.md.
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Converge ingress on all routers of the group
  northgate.edge.haproxy_ingress:
    clusters: [alpha, beta]
    snapshots: /var/cache/northgate/snapshots
    certificates: /etc/northgate/certificates
    shares:
      beta: {mode: standby}
  become: true

- name: Accept that cluster alpha is empty now
  northgate.edge.haproxy_ingress:
    clusters: [alpha, beta]
    snapshots: /var/cache/northgate/snapshots
    certificates: /etc/northgate/certificates
    confirm_shrink: [alpha]
  become: true
"""

RETURN = r"""
clusters:
  description: What each cluster was served from.
  type: dict
  returned: success
  sample: {"alpha": "observed", "beta": "last-known-good", "gamma": "never observed", "delta": "held back"}
held_back:
  description: Why snapshots were held back, by cluster.
  type: dict
  returned: success
  sample: {"delta": "40 routes become 3"}
changes:
  description: What changed beside files, or in check mode would change, in order.
  type: list
  elements: str
  returned: success
  sample: ["add server ng_h00001/alpha_10.100.1.7_8000", "replace routes.map: 1 added, 0 removed, 0 changed"]
reload_reason:
  description: Why haproxy was reloaded; empty when it was not.
  type: str
  returned: success
  sample: "the stock of backends grows by 16"
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
hosts_without_certificate:
  description: Hosts that are served by HTTP alone, without a redirect, since there is no certificate for them.
  type: list
  elements: str
  returned: success
  sample: ["intern.example.com"]
expiring_certificates:
  description: Certificates that are presented and have expired, or soon will.
  type: list
  elements: str
  returned: success
  sample: ["shop.pem (shop.example.com) expires on 2026-03-01 12:00 UTC"]
"""

import gc
import time
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import CLAIM_SCOPES, CLAIM_WINNERS
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.shrink import OF_INGRESSES, ShrinkLimit
from ansible_collections.northgate.edge.plugins.module_utils._core.syntax import dns_label
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.ingress import IngressAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import Options
from ansible_collections.northgate.edge.plugins.module_utils._module import arguments
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox, Membership, lock
from ansible_collections.northgate.edge.plugins.module_utils._module.options import edge_options, haproxy_options
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Guard, converge, forget, receive, remember

MODULE = "haproxy_ingress"
# How the operator's certificates are named among what is shipped, remembered and guarded.
CERTIFICATES = "certificates"


def warn(module, received, state, skipped):
    """Warns of what needs somebody; what the observation skipped was warned of on the controller, once for all routers."""
    known = {q for r in received.values() for q in r.snapshot.quarantined}
    for message in [str(q) for q in state.quarantined if q not in known] + skipped:
        module.warn("skipped: " + message)
    for name, of_cluster in received.items():
        if of_cluster.reason:
            module.warn("%s is held back: %s. If that is meant, run once with confirm_shrink: [%s]" % (name, of_cluster.reason, name))
    for name in module.params["clusters"]:
        if name not in received:
            module.warn("cluster %s was never observed: nothing of it is served here" % name)
    for message in state.expiring:
        module.warn("certificate " + message)


def forget_others(module, adapter, membership, memories, inbox, documents):
    """Removes what is of clusters and router groups that are none of this router's business any more, and says what, also in check mode."""
    left = membership.left
    forgotten = [text for accepted, served in memories for text in forget(served, accepted, inbox, documents, module.check_mode, left)]
    if not module.check_mode:
        if forgotten or left:
            adapter.forget_former()
        membership.join()
    return forgotten


def run(module, inbox):
    params = module.params
    names = [dns_label(name, "clusters") for name in params["clusters"]]
    shipped = params["_documents"]["snapshots"]
    confirmed = frozenset(name.strip() for name in params["confirm_shrink"])
    membership = Membership(params["state_dir"], MODULE, params["router_group"])
    guard = Guard(ShrinkLimit(params["shrink_limit"], params["shrink_least"]), confirmed, OF_INGRESSES)
    # Another group has other certificates.
    guard_ours = replace(guard, confirmed=confirmed | {CERTIFICATES}) if membership.left else guard
    accepted, accepted_ours = (Accepted(params["state_dir"], name) for name in (MODULE, "%s/%s" % (MODULE, CERTIFICATES)))
    received = receive(names, shipped, inbox, accepted, guard)
    bundle = params["_documents"].get(CERTIFICATES)
    ours = receive([CERTIFICATES], {CERTIFICATES: bundle}, inbox, accepted_ours, guard_ours) if bundle else {}
    certificates = [c for r in ours.values() for c in r.snapshot.certificates]
    skipped = [str(q) for r in ours.values() for q in r.snapshot.quarantined]
    options = haproxy_options(params)
    state = ingress_state((r.snapshot for r in received.values()), edge_options(params, int(time.time())), certificates)
    adapter = IngressAdapter(params["config_dir"], params["socket"], params["master_socket"])
    outcome = converge(adapter, lambda current: adapter.wanted(current, state, options), module.check_mode)
    if not module.check_mode:
        if outcome.reload_reason:
            module.log("haproxy was reloaded: %s" % outcome.reload_reason)
        adapter.delete_drained(outcome.wanted)
        remember(received, accepted)
        remember(ours, accepted_ours)
    documents = [*shipped.values(), *([bundle] if bundle else [])]
    forgotten = forget_others(module, adapter, membership, [(accepted, names), (accepted_ours, [CERTIFICATES] if bundle else [])], inbox, documents)
    warn(module, {**received, **ours}, state, skipped)
    module.exit_json(
        changed=bool(outcome.plan or forgotten),
        clusters={name: received[name].origin if name in received else "never observed" for name in names},
        held_back={name: r.reason for name, r in {**received, **ours}.items() if r.reason},
        changes=[str(step) for step in outcome.plan.steps] + forgotten,
        reload_reason=outcome.reload_reason,
        quarantined=[str(q) for q in state.quarantined] + skipped,
        routes=len(state.routes) + len(state.defaults),
        hosts_without_certificate=list(state.without_certificate),
        expiring_certificates=list(state.expiring),
        **({"diff": outcome.plan.diff()} if module._diff else {}),
    )


def main():
    texts = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            **arguments.haproxy(),
            **arguments.shipped(),
            "router_group": {"type": "str", "default": ""},
            "certificates": {"type": "path"},
            "http_bind": {**texts, "default": list(Options.http_bind)},
            "https_bind": {**texts, "default": list(Options.https_bind)},
            "https_redirect": {"type": "bool", "default": True},
            "hsts": {"type": "str", "default": ""},
            "trusted_proxies": {**texts, "default": []},
            "proxy_protocol_from": {**texts, "default": []},
            "tls_passthrough": {"type": "bool", "default": False},
            "affinity_cookie": {"type": "str", "default": Options.affinity_cookie},
            "spare_backends": {"type": "int", "default": Options.spare_backends},
            "shares": {"type": "dict", "default": {}},
            "claim_winner": {"type": "str", "choices": list(CLAIM_WINNERS), "default": "oldest"},
            "claim_scope": {"type": "str", "choices": list(CLAIM_SCOPES), "default": "path"},
            "expiry_warning": {"type": "int", "default": 14},
            "shrink_limit": {"type": "int", "default": ShrinkLimit.share},
            "shrink_least": {"type": "int", "default": ShrinkLimit.least},
            "confirm_shrink": {**texts, "default": []},
        },
        supports_check_mode=True,
    )
    # The process is short and its objects hold no cycles; looking for some would take long where they are many.
    gc.disable()
    try:
        inbox = Inbox(module.params["state_dir"])
        documents = module.params["_documents"]
        # Another run may remove what it does not need.
        with lock(module.params["state_dir"], module.params["lock_timeout"]):
            missing = inbox.receive(module.params["_uploads"], [*documents["snapshots"].values(), *filter(None, [documents.get(CERTIFICATES)])])
            if missing:
                module.exit_json(changed=False, _missing=missing)
            run(module, inbox)
    except NorthgateError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
