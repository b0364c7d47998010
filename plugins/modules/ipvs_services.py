#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module ipvs_services."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ipvs_services
short_description: Converges LoadBalancer services of clusters on a router's IPVS
version_added: 0.1.0
description:
  - Makes the kernel of the router forward TCP, UDP and SCTP for the addresses of services of type LoadBalancer.
  - Only virtual services within O(pools) are touched. All others, and their lines in O(rules_file), are somebody else's.
  - A destination that goes away gets no new connections and is deleted when it has none, or after O(drain_time). UDP moves on at once.
  - All routers have the destinations of a service in the same order, so that a hash (scheduler C(mh)) chooses alike on each of them.
  - C(loadBalancerSourceRanges) are an nftables table of their own, C(inet northgate_sources), which is replaced as a whole.
  - Objects of a cluster that can't be served are skipped and named in RV(quarantined); all else is served.
  - The role P(northgate.edge.ipvs#role) prepares the router.
requirements:
  - pyroute2 (0.7.2 or newer) for the Python that runs the module
  - nft and ip on the router
extends_documentation_fragment:
  - northgate.edge.attributes
  - northgate.edge.shipped
options:
  pools:
    description:
      - Pools of addresses by name, as for M(northgate.edge.service_addresses). Here their C(addresses) count.
    type: dict
    required: true
  address_pools:
    description:
      - Names of the pools that lead to this router, which are all of them when this is not given. Virtual services in the others are removed.
    type: list
    elements: str
  vip_pools:
    description:
      - Names of the pools that VIPs carry on a segment, so that their addresses are on interfaces of one router or another. In no other pool may a service
        have an address that is on an interface.
    type: list
    elements: str
    default: []
  forwarding:
    description:
      - How the services of a cluster are reached, by name of the cluster. A service may say otherwise by annotation.
      - Keys of a cluster other than those below are ignored.
    type: dict
    default: {}
  shares:
    description:
      - How clusters share the connections of services that several of them offer together, by name of the cluster, as in M(northgate.edge.haproxy_ingress).
      - A cluster that is not named here gets connections by the number of its destinations, or of its ready nodes.
    type: dict
    default: {}
  drain_time:
    description: How long a destination that goes away keeps its connections at most, in seconds.
    type: int
    default: 3600
  rules_file:
    description: File in the format of C(ipvsadm -R) from which the distribution restores the rules at boot.
    type: path
    default: /etc/ipvsadm.rules
  sources_file:
    description: File with the nftables table, for the boot. It exists only while a service has source ranges.
    type: path
    default: /etc/northgate/sources.nft
  shrink_limit:
    description:
      - Percent of a cluster's virtual services that may go in one run. A snapshot that takes more is held back, and the cluster is served
        from the one before.
    type: int
    default: 50
  shrink_least:
    description: Fewer than so many of them may always go.
    type: int
    default: 3
  confirm_shrink:
    description: Names of clusters whose snapshots are accepted in this run whatever they remove.
    type: list
    elements: str
    default: []
notes:
  - Each value of O(forwarding) is a dictionary. C(forwarding) is C(direct), C(tunnel) or C(masquerade) (default). C(masquerade_to) is C(service_ips)
    (default), C(pods) or C(node_ports). C(tunnel) is C(ipip) (default) or C(gue), with C(tunnel_port) (default 6080).
  - The annotations of services are described in docs/services.md.
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Converge LoadBalancer services on all routers of the group
  northgate.edge.ipvs_services:
    clusters: [alpha, beta]
    snapshots: /var/cache/northgate/snapshots
    pools:
      public: {addresses: [203.0.113.0/24, "2001:db8:100::/64"]}
    forwarding:
      alpha: {forwarding: direct}
      beta: {forwarding: masquerade, masquerade_to: service_ips}
  become: true
  vars:
    ansible_python_interpreter: /opt/northgate/bin/python
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
  sample: {"delta": "40 services become 3"}
changes:
  description: What changed beside files, or in check mode would change, in order.
  type: list
  elements: str
  returned: success
  sample: ["add TCP 203.0.113.1:443: mh to 10.0.0.11:443 (direct), 10.0.0.12:443 (direct)"]
quarantined:
  description: Objects that were skipped, each with the field and the cause.
  type: list
  elements: str
  returned: success
  sample: ["cluster beta: Service demo/mail: spec.ports: TCP 203.0.113.1:25 belongs to Service demo/smtp of cluster alpha, which is older"]
services:
  description: How many virtual services (protocol, address and port) are served.
  type: int
  returned: success
  sample: 12
draining:
  description: Destinations that get no new connections and are there for the ones they have.
  type: list
  elements: str
  returned: success
  sample: ["10.0.0.13:443 of TCP 203.0.113.1:443 since 2026-03-01 12:00 UTC"]
"""

import gc
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._core.balance import balance_state
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.shrink import OF_SERVICES, ShrinkLimit
from ansible_collections.northgate.edge.plugins.module_utils._core.syntax import dns_label
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.host import own_addresses, translates
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.kernel import Kernel
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.memory import Memory
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.services import Files, ServicesAdapter
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.sources import Nft
from ansible_collections.northgate.edge.plugins.module_utils._module import arguments
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox, lock
from ansible_collections.northgate.edge.plugins.module_utils._module.services_options import balance_options, pool_prefixes
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Guard, converge, forget, receive, remember

MODULE = "ipvs_services"


def warn(module, received, state):
    """Warns of what needs somebody; what the observation skipped was warned of on the controller, once for all routers."""
    known = {q for r in received.values() for q in r.snapshot.quarantined}
    for message in [str(q) for q in state.quarantined if q not in known]:
        module.warn("skipped: " + message)
    for message in state.warnings:
        module.warn(message)
    if state.masquerades and not translates():
        module.warn("services are masqueraded, and net.ipv4.vs.conntrack is 0: there is no source NAT, and replies may take another way. The role ipvs sets it")
    for name, of_cluster in received.items():
        if of_cluster.reason:
            module.warn("%s is held back: %s. If that is meant, run once with confirm_shrink: [%s]" % (name, of_cluster.reason, name))
    for name in module.params["clusters"]:
        if name not in received:
            module.warn("cluster %s was never observed: nothing of it is served here" % name)


def run(module, inbox):
    params = module.params
    names = [dns_label(name, "clusters") for name in params["clusters"]]
    shipped = params["_documents"]["snapshots"]
    confirmed = frozenset(name.strip() for name in params["confirm_shrink"])
    guard = Guard(ShrinkLimit(params["shrink_limit"], params["shrink_least"]), confirmed, OF_SERVICES)
    accepted = Accepted(params["state_dir"], MODULE)
    received = receive(names, shipped, inbox, accepted, guard)
    pools = pool_prefixes(params["pools"])
    of_vips = pool_prefixes(params["pools"], params["vip_pools"], "vip_pools")
    own = frozenset(address for address in own_addresses() if address not in of_vips)
    state = balance_state((r.snapshot for r in received.values()), balance_options(params, pools, own))
    memory = Memory(params["state_dir"])
    files = Files(params["rules_file"], params["sources_file"])
    adapter = ServicesAdapter(pools, files, memory, Kernel(), Nft(), int(time.time()), params["drain_time"])
    if not module.check_mode:
        memory.restore()
    outcome = converge(adapter, lambda current: adapter.wanted(current, state), module.check_mode)
    if not module.check_mode:
        memory.remember(outcome.wanted.draining)
        remember(received, accepted)
    forgotten = forget(names, accepted, inbox, shipped.values(), module.check_mode)
    warn(module, received, state)
    module.exit_json(
        changed=bool(outcome.plan or forgotten),
        clusters={name: received[name].origin if name in received else "never observed" for name in names},
        held_back={name: r.reason for name, r in received.items() if r.reason},
        changes=[str(step) for step in outcome.plan.steps] + forgotten,
        quarantined=[str(q) for q in state.quarantined],
        services=len(state.services),
        draining=outcome.wanted.draining_shown(),
        **({"diff": outcome.plan.diff()} if module._diff else {}),
    )


def main():
    module = AnsibleModule(argument_spec={**arguments.shipped(), **arguments.ipvs()}, supports_check_mode=True)
    # The process is short and its objects hold no cycles; looking for some would take long where they are many.
    gc.disable()
    try:
        inbox = Inbox(module.params["state_dir"])
        # Another run may remove what it does not need.
        with lock(module.params["state_dir"], module.params["lock_timeout"]):
            missing = inbox.receive(module.params["_uploads"], module.params["_documents"]["snapshots"].values())
            if missing:
                module.exit_json(changed=False, _missing=missing)
            run(module, inbox)
    except NorthgateError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
