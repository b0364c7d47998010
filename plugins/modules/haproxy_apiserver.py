#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module haproxy_apiserver."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_apiserver
short_description: Converges frontends for the Kubernetes API of clusters on a router's haproxy
version_added: 0.1.0
description:
  - Makes haproxy on the router pass TCP connections for a cluster's API on to its API servers, at an address and port of its own or, for several
    clusters, at one that they share and where the server name (SNI) of the client decides.
  - The API servers are those that the cluster names itself (EndpointSlice C(default/kubernetes)). As long as the router has no snapshot of the cluster,
    or one that names none, they are those of C(servers) in O(api).
  - Servers come and go in the running haproxy and on disk. haproxy is reloaded for what else changes, once, and RV(reload_reason) says why. A server
    that goes keeps the connections that it has until they end or it fails.
  - A candidate that haproxy refuses never becomes live. A reload that fails puts the files of before back.
  - A server that fails its health check gets nothing new, and its connections are closed. When none passes it, all get connections, so the last one
    always stays in.
extends_documentation_fragment:
  - northgate.edge.attributes
  - northgate.edge.haproxy
  - northgate.edge.shipped
options:
  api:
    description:
      - How the API of each cluster is served, by name of the cluster. A cluster that is not named here is not served.
      - C(bind) (required) says where, as a list of C(ADDRESS:PORT) or C([IPV6-ADDRESS]:PORT). The address need not be there at the moment, as that of a
        VIP that another router holds.
      - C(names) are the server names by which clients ask. They are required where clusters share a bind, and have no meaning elsewhere.
      - C(allow) are the networks that may connect, all without it.
      - C(servers) are API servers in the form of C(bind), for as long as none was observed.
      - C(ca) is the certificate of the authority that the API servers' certificates are verified by in health checks, as PEM text or the path of a
        file on the controller. Without it that of the kubeconfig with which the cluster was observed is used.
      - C(server_name) is the name that these certificates must have, C(kubernetes.default.svc) without it.
      - C(verify) (true unless set) says whether they are verified.
      - C(health) is C(readyz) (the default), where a server passes when it answers 200 to C(GET /readyz), or C(tls), where it passes after a TLS
        handshake, for API servers that refuse anonymous requests.
    type: dict
    required: true
  use_seeds:
    description:
      - Names of clusters whose API servers are those of C(servers) in this run, whatever was observed, and of which the router forgets what it remembers.
      - For a cluster whose API servers all have other addresses than the router remembers, so that it can't be observed through the router either.
    type: list
    elements: str
    default: []
  shrink_limit:
    description: Percent of a cluster's API servers that may go in one run. A snapshot that takes more is held back.
    type: int
    default: 50
  shrink_least:
    description: Fewer than so many of them may always go, but never the last one.
    type: int
    default: 3
  confirm_shrink:
    description: Names of clusters whose snapshots are accepted in this run whatever they remove, unless they name no API server any more.
    type: list
    elements: str
    default: []
seealso:
  - module: northgate.edge.cluster_snapshot
  - module: northgate.edge.haproxy_info
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Serve the API of alpha at an address of its own
  northgate.edge.haproxy_apiserver:
    clusters: [alpha]
    snapshots: /var/cache/northgate/snapshots
    api:
      alpha:
        bind: ["192.0.2.50:6443", "[2001:db8::50]:6443"]
        servers: ["192.0.2.21:6443"]
        ca: /etc/northgate/alpha-ca.crt
        allow: [192.0.2.0/24, "2001:db8::/64"]
  become: true

- name: Serve two APIs at one address
  northgate.edge.haproxy_apiserver:
    clusters: [alpha, beta]
    snapshots: /var/cache/northgate/snapshots
    api:
      alpha: {bind: ["192.0.2.50:443"], names: [api.alpha.example.com]}
      beta: {bind: ["192.0.2.50:443"], names: [api.beta.example.com]}
  become: true
"""

RETURN = r"""
clusters:
  description: Where the API servers of each cluster are known from.
  type: dict
  returned: success
  sample: {"alpha": "observed", "beta": "last-known-good", "gamma": "seeds", "delta": "held back"}
servers:
  description: The API servers of each cluster.
  type: dict
  returned: success
  sample: {"alpha": ["192.0.2.21:6443", "192.0.2.22:6443"]}
down:
  description: Of each cluster that has any, the API servers that fail their health check.
  type: dict
  returned: success
  sample: {"alpha": ["192.0.2.22:6443"]}
held_back:
  description: Why snapshots were held back, by cluster.
  type: dict
  returned: success
  sample: {"delta": "it names no API server any more"}
changes:
  description: What changed beside files, or in check mode would change, in order.
  type: list
  elements: str
  returned: success
  sample: ["add server ng_api_alpha/alpha_192.0.2.22_6443"]
reload_reason:
  description: Why haproxy was reloaded; empty when it was not.
  type: str
  returned: success
  sample: "changed: frontend ng_apis_alpha"
quarantined:
  description: What was skipped, each with object, field and cause.
  type: list
  elements: str
  returned: success
  sample: ["cluster alpha: EndpointSlice default/kubernetes: endpoints: 192.0.2.50:6443 is an address of this frontend itself"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.api_servers import api_state, parse_all
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.shrink import NONE_LEFT, OF_APIS, ShrinkLimit
from ansible_collections.northgate.edge.plugins.module_utils._core.syntax import dns_label
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.api import ApiAdapter
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.host import own_addresses
from ansible_collections.northgate.edge.plugins.module_utils._module import arguments
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox, lock
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Guard, Received, converge, forget, receive, remember

MODULE = "haproxy_apiserver"
SEEDS = "seeds"


def warn(module, received, state, down):
    """Warns of what needs somebody; what the observation skipped was warned of on the controller, once for all routers."""
    known = {q for r in received.values() for q in r.snapshot.quarantined}
    for message in [str(q) for q in state.quarantined if q not in known]:
        module.warn("skipped: " + message)
    for name, of_cluster in received.items():
        if of_cluster.reason == NONE_LEFT:
            module.warn("%s is held back: %s. The servers of before stay" % (name, NONE_LEFT))
        elif of_cluster.reason:
            module.warn("%s is held back: %s. If that is meant, run once with confirm_shrink: [%s]" % (name, of_cluster.reason, name))
    for name, (servers, every_one) in down.items():
        what = "no API server passes its health check, so all get connections" if every_one else "API servers fail their health check"
        module.warn("cluster %s: %s: %s. journalctl -u haproxy says why" % (name, what, ", ".join(servers)))


def without_servers(name, received):
    """What is received of a cluster, as if it had no API servers: its seeds take their place until it is observed again."""
    snapshot = Snapshot(name, api_authority=received.snapshot.api_authority if received else "")
    return Received(snapshot, SEEDS, codec.dump(snapshot))


def run(module, inbox):
    params = module.params
    names = [dns_label(name, "clusters") for name in params["clusters"]]
    shipped = params["_documents"]["snapshots"]
    options = parse_all(params["api"], names)
    seeds = {name.strip() for name in params["use_seeds"]} & set(options)
    confirmed = frozenset(name.strip() for name in params["confirm_shrink"])
    guard = Guard(ShrinkLimit(params["shrink_limit"], params["shrink_least"]), confirmed, OF_APIS)
    accepted = Accepted(params["state_dir"], MODULE)
    received = receive(set(options) - seeds, shipped, inbox, accepted, guard)
    for name in seeds:
        try:
            received[name] = without_servers(name, receive([name], shipped, inbox, accepted, guard).get(name))
        except SnapshotError:
            received[name] = without_servers(name, None)
    every_address = any(bind.is_every_address for one in options.values() for bind in one.binds)
    state = api_state(options, {name: r.snapshot for name, r in received.items()}, own_addresses() if every_address else ())
    adapter = ApiAdapter(params["config_dir"], params["socket"], params["master_socket"])
    wanted = adapter.wanted(state)
    outcome = converge(adapter, lambda current: wanted, module.check_mode)
    down = {}
    if not module.check_mode:
        if outcome.reload_reason:
            module.log("haproxy was reloaded: %s" % outcome.reload_reason)
        adapter.delete_retired(wanted)
        remember(received, accepted)
        down = adapter.down()
    forgotten = forget(options, accepted, inbox, shipped.values(), module.check_mode)
    if forgotten and not module.check_mode:
        adapter.forget_former()
    warn(module, received, state, down)
    module.exit_json(
        changed=bool(outcome.plan or forgotten),
        clusters={name: SEEDS if one.from_seeds else received[name].origin for name, one in state.clusters.items()},
        servers={name: [str(server) for server in one.servers] for name, one in state.clusters.items()},
        down={name: servers for name, (servers, _every_one) in down.items()},
        held_back={name: r.reason for name, r in received.items() if r.reason},
        changes=[str(step) for step in outcome.plan.steps] + forgotten,
        reload_reason=outcome.reload_reason,
        quarantined=[str(q) for q in state.quarantined],
        **({"diff": outcome.plan.diff()} if module._diff else {}),
    )


def main():
    module = AnsibleModule(
        argument_spec={
            **arguments.haproxy(),
            **arguments.shipped(),
            **arguments.guarded(),
            "api": {"type": "dict", "required": True},
            "use_seeds": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        inbox = Inbox(module.params["state_dir"])
        with lock(module.params["state_dir"], module.params["lock_timeout"]):
            missing = inbox.receive(module.params["_uploads"], module.params["_documents"]["snapshots"].values())
            if missing:
                module.exit_json(changed=False, _missing=missing)
            run(module, inbox)
    except NorthgateError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
