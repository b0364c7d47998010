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
  - Beside it is C(CLUSTER.status.json) with the addresses in the status of its ingresses, for M(northgate.edge.ingress_status).
  - And C(CLUSTER.api.json), a snapshot of its API servers (EndpointSlice C(default/kubernetes)) and of the authority in the kubeconfig, for
    M(northgate.edge.haproxy_apiserver).
  - Of clusters for which O(pools) has addresses, Services of type C(LoadBalancer) and nodes are read, too, and C(CLUSTER.services.json) is
    written with the status of these Services, and of others whose status still holds addresses.
extends_documentation_fragment:
  - northgate.edge.attributes
requirements:
  - kubernetes >= 31 (Python library)
  - cryptography >= 42 (Python library), which ansible-core needs, too
options:
  clusters:
    description:
      - The clusters by name, a DNS label. Each value is a dictionary with the keys below; other keys are ignored, so that one
        variable can say everything about a cluster.
      - C(kubeconfig) (required) is a path on the controller, C(context) a context in it.
      - C(ingress_classes) says by the name of an IngressClass where its ingresses are served. The IngressClass need not exist.
      - C(ingress_controllers) says the same by C(spec.controller) of IngressClasses, for every class of that controller
        that C(ingress_classes) does not name.
      - C(default_backend) with C(service) (namespace/name) and C(port) (name or number) answers what no ingress of any cluster matches.
      - An ingress without C(spec.ingressClassName) is of the class in its annotation C(kubernetes.io/ingress.class), or of the
        cluster's default IngressClass.
      - C(load_balancer_class) is the C(spec.loadBalancerClass) of Services that are ours, C(northgate.edge/edge) without it. Services
        without a class are ours, too, unless C(load_balancer_default) is false.
    type: dict
    required: true
  pools:
    description:
      - The pools of addresses for LoadBalancer services by name, as M(northgate.edge.service_addresses) takes them. All of them are checked, but
        only C(clusters) counts here, the names of the clusters whose services may have addresses of the pool (all clusters without it).
      - A cluster without any pool is asked neither for its nodes nor for all its Services.
    type: dict
    default: {}
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
  - A class is a dictionary. C(mode) is C(controller) (the default), where requests go to the pods of an ingress controller, or C(direct),
    where they go straight to the pods of the Services that an ingress names.
  - In mode C(controller), C(service) (namespace/name, required) is the controller's Service and C(port) (required) its port, by name or
    number. C(tls_port) is its port for TLS connections that are passed through. C(protocol) is how the pods are spoken to, C(http) (the
    default), C(h2c) or C(https); with C(proxy_protocol) set, connections to them begin with a header of the PROXY protocol, version 2.
  - In mode C(direct) the protocol is that of the Service port's C(appProtocol), C(kubernetes.io/h2c) or C(grpc) for h2c, C(https) or
    C(kubernetes.io/wss) for https, or else http, unless the annotation C(northgate.edge/backend-protocol) says another.
  - C(tls) in both modes says how pods are spoken to by https, with C(ca_file) and C(client_certificate_file) (paths of PEM files on the
    controller, the latter with its key), C(server_name) (the host of the request without it) and C(verify) (true unless set).
  - Secrets are read only where ingresses of these classes name them, for certificates (type C(kubernetes.io/tls)) and users (type
    C(kubernetes.io/basic-auth)). One that is missing, broken or may not be read is named in RV(clusters) and costs nothing else, but that an
    ingress whose users can't be read answers 403. The file of a snapshot holds their keys, so its mode is 0600.
  - A Service in which something is mistaken that it asks for (an annotation C(northgate.edge/address-pool), C(load-balancer-ips),
    C(allow-shared-ip), C(forwarding) or C(scheduler), or in its spec, such as C(loadBalancerSourceRanges)) is named in RV(clusters) and
    gets no traffic, so that nothing is open that was meant to be closed. It keeps the addresses that it has.
  - Nodes with the label C(node.kubernetes.io/exclude-from-external-load-balancers) are left out, and those without an C(InternalIP).
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
          traefik: {service: traefik/traefik, port: web, tls_port: websecure}
          direct: {mode: direct}
        default_backend: {service: demo/sorry, port: http}
        load_balancer_default: false
      beta:
        kubeconfig: /etc/northgate/beta.kubeconfig
        ingress_controllers:
          traefik.io/ingress-controller:
            service: traefik/traefik
            port: websecure
            protocol: https
            tls: {ca_file: /etc/northgate/pods-ca.pem, server_name: traefik.internal}
    pools:
      public: {addresses: [203.0.113.0/24], clusters: [alpha]}
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
      description: How many ingresses are offered to the routers.
      type: int
    routes:
      description: How many hosts with a path they have.
      type: int
    pools:
      description: How many groups of pods are behind them.
      type: int
    certificates:
      description: How many certificates were read from Secrets.
      type: int
    services:
      description: How many LoadBalancer services are ours.
      type: int
    nodes:
      description: How many nodes may get their traffic.
      type: int
    api_servers:
      description: How many API servers the cluster has.
      type: int
    quarantined:
      description: What was skipped, each with object, field and cause.
      type: list
      elements: str
  sample:
    alpha:
      observed: true
      reason: ""
      ingresses: 12
      routes: 20
      pools: 1
      certificates: 9
      services: 4
      nodes: 3
      api_servers: 3
      quarantined: []
    beta:
      observed: false
      reason: https://192.0.2.10:6443 did not answer completely within 60 s
      ingresses: 0
      routes: 0
      pools: 0
      certificates: 0
      services: 0
      nodes: 0
      api_servers: 0
      quarantined: []
"""

import gc
import importlib.util
import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.northgate.edge.plugins.module_utils._core import codec, status
from ansible_collections.northgate.edge.plugins.module_utils._core.address_pools import AddressPool
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError, NotObserved, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._io.atomic import write
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.observe import observe_all
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.sources import ClusterSource

# The result names all that was skipped; warnings are for who reads along.
MOST_WARNINGS = 20
COUNTED = ("ingresses", "routes", "pools", "certificates", "services", "nodes", "api_servers")


def update(path, after, check_mode):
    """Writes a file, or removes it when there is nothing to write. Returns its bytes before."""
    try:
        with open(path, "rb") as file:
            before = file.read()
    except FileNotFoundError:
        before = b""
    if not check_mode and after != before:
        if after:
            write(path, after)
        else:
            os.unlink(path)
    return before


def shown(data, name):
    """A snapshot file for people, without secrets."""
    if not data:
        return ""
    try:
        return codec.dump_for_people(codec.load(data, name))
    except SnapshotError as error:
        return "(%s)\n" % error.message


def told(result):
    """What came of one cluster, for the result."""
    if isinstance(result, NotObserved):
        return {"observed": False, "reason": str(result), **dict.fromkeys(COUNTED, 0), "quarantined": []}
    snapshot = result.snapshot
    return {
        "observed": True,
        "reason": "",
        "ingresses": len(snapshot.ingresses),
        "routes": len({path.rule for ingress in snapshot.ingresses for path in ingress.paths}),
        "pools": len(snapshot.pools),
        "certificates": len(snapshot.certificates),
        "services": len(snapshot.services),
        "nodes": len(snapshot.nodes),
        "api_servers": len(result.api.api_servers),
        "quarantined": [str(skipped) for skipped in snapshot.quarantined],
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "clusters": {"type": "dict", "required": True},
            "path": {"type": "path", "required": True},
            "pools": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 60},
            "page_size": {"type": "int", "default": 500},
        },
        supports_check_mode=True,
    )
    for library in ("kubernetes", "cryptography"):
        if not importlib.util.find_spec(library):
            module.fail_json(msg=missing_required_lib(library))
    # The process is short and its objects hold no cycles; looking for some would take half of the time for long lists.
    gc.disable()
    changed, clusters, diff = False, {}, []
    try:
        pools = [AddressPool.parse(name, options) for name, options in sorted(module.params["pools"].items())]
        sources = [ClusterSource.parse(name, options, pools) for name, options in sorted(module.params["clusters"].items())]
        for name, result in observe_all(sources, module.params["timeout"], module.params["page_size"]).items():
            observed = not isinstance(result, NotObserved)
            base = os.path.join(module.params["path"], name)
            # For ingress_status and service_addresses, in the same run.
            update(base + ".status.json", status.dump(result.statuses) if observed else b"", module.check_mode)
            update(base + ".services.json", result.services.dump() if observed and result.services else b"", module.check_mode)
            for suffix, snapshot in ((".json", observed and result.snapshot), (".api.json", observed and result.api)):
                after = codec.dump(snapshot) if snapshot else b""
                before = update(base + suffix, after, module.check_mode)
                if before != after:
                    changed = True
                    if module._diff:
                        header = name + suffix.removesuffix(".json")
                        diff.append({"before_header": header, "after_header": header, "before": shown(before, name), "after": shown(after, name)})
            clusters[name] = told(result)
            if not observed:
                module.warn("cluster %s is not observed: %s" % (name, result))
            for skipped in clusters[name]["quarantined"][:MOST_WARNINGS]:
                module.warn("skipped: %s" % skipped)
    except (NorthgateError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, clusters=clusters, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
