#!/usr/bin/python
# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module bird_info."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bird_info
short_description: Shows what BIRD 2 knows
version_added: 0.1.0
description:
  - Reads protocols with their BGP sessions, routes and BFD sessions from a running BIRD 2, by its control socket and without C(birdc). The connection is
    restricted to commands that show, so it changes nothing.
options:
  gather:
    description: What to read.
    type: list
    elements: str
    choices: [protocols, routes, bfd]
    default: [protocols, routes, bfd]
  prefix:
    description: Of the routes those to this prefix, or the one by which this address is reached.
    type: str
  protocol:
    description: Of the routes those of this protocol.
    type: str
  table:
    description: Of the routes those in this table. By default those in the tables C(master4) and C(master6).
    type: str
  limit:
    description: How many routes to read at most; V(0) is all.
    type: int
    default: 1000
  socket:
    description: BIRD's control socket.
    type: path
    default: /run/bird/bird.ctl
extends_documentation_fragment:
  - northgate.edge.attributes
attributes:
  check_mode:
    support: full
    description: Reads only, so check mode makes no difference.
  diff_mode:
    support: N/A
    description: Nothing changes.
seealso:
  - module: northgate.edge.haproxy_info
author:
  - northgate.edge contributors (@northgate-edge)
"""

EXAMPLES = r"""
- name: Read the sessions
  northgate.edge.bird_info:
    gather: [protocols, bfd]
  become: true
  register: bgp

- name: Fail when a session is not up
  ansible.builtin.assert:
    that: bgp.protocols | selectattr('type', 'equalto', 'BGP') | rejectattr('bgp_state', 'equalto', 'Established') | length == 0

- name: By which ways is a service reached?
  northgate.edge.bird_info:
    gather: [routes]
    prefix: 10.101.0.0/16
  become: true
  register: ways
"""

RETURN = r"""
running:
  description: Whether a BIRD answers. Where none does, the lists are empty.
  type: bool
  returned: success
  sample: true
reason:
  description: Why none answers.
  type: str
  returned: success
  sample: ""
status:
  description:
    - The daemon. C(draining) is what C(ng_drain) of its configuration says, null where there is none.
    - C(unconfirmed) says that it will take its configuration back unless it is told to keep it.
  type: dict
  returned: success
  sample:
    version: 2.0.12
    router_id: 10.90.0.11
    last_reboot: "2026-01-01 12:00:00.000"
    last_reconfiguration: "2026-01-01 12:00:01.000"
    state: Daemon is up and running
    draining: false
    unconfirmed: false
protocols:
  description:
    - The protocols. What only BGP has is empty or null in others. C(bfd) is the state of the BFD session with the neighbour, empty without one.
    - C(imported), C(exported) and C(filtered) are the sums of the channels; C(filtered) counts updates that were refused since the session came up.
  type: list
  elements: dict
  returned: O(gather) has V(protocols)
  sample:
    - name: alpha_w1_v4
      type: BGP
      table: ""
      state: up
      since: "12:00:03.125"
      info: Established
      neighbor_address: 10.90.0.21
      neighbor_as: 64601
      local_as: 64500
      bgp_state: Established
      last_error: ""
      hold_timer: {"left": 7.059, "time": 9.0}
      graceful_restart: false
      bfd: Up
      imported: 2
      exported: 0
      filtered: 0
      channels:
        - {"name": "ipv4", "table": "master4", "state": "UP", "imported": 2, "exported": 0, "preferred": 2, "filtered": 0, "import_limit": 1000,
           "limit_hit": false, "limit_action": "block"}
routes:
  description:
    - The routes, the best of each prefix first. C(stale) marks one of a neighbour that is away and is waited for.
    - An AS set in C(as_path) is a string.
  type: list
  elements: dict
  returned: O(gather) has V(routes)
  sample:
    - prefix: 10.101.0.0/16
      table: master4
      type: unicast
      protocol: alpha_w1_v4
      since: "12:00:03.130"
      best: true
      preference: 100
      stale: false
      next_hops: [{"address": "10.90.0.21", "interface": "fabric", "weight": 1}]
      as_path: [64601]
      local_pref: 100
      med: null
      communities: ["65535:0"]
      large_communities: []
routes_left_off:
  description: Whether there are more than O(limit) routes.
  type: bool
  returned: O(gather) has V(routes)
  sample: false
bfd:
  description: The BFD sessions. C(interval) and C(timeout) are in seconds.
  type: list
  elements: dict
  returned: O(gather) has V(bfd)
  sample:
    - protocol: ng_bfd
      address: 10.90.0.21
      interface: fabric
      state: Up
      since: "12:00:02.611"
      interval: 0.1
      timeout: 0.3
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.northgate.edge.plugins.module_utils._bird.info import gather
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError

SUBSETS = ["protocols", "routes", "bfd"]


def main():
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "list", "elements": "str", "choices": SUBSETS, "default": SUBSETS},
            "prefix": {"type": "str"},
            "protocol": {"type": "str"},
            "table": {"type": "str"},
            "limit": {"type": "int", "default": 1000},
            "socket": {"type": "path", "default": "/run/bird/bird.ctl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        shown = gather(params["socket"], params["gather"], params["prefix"], params["protocol"], params["table"], params["limit"])
    except NorthgateError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **shown)


if __name__ == "__main__":
    main()
