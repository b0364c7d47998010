# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that use snapshots on a router; paired with _module/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment."""

    DOCUMENTATION = r"""
options:
  clusters:
    description:
      - Names of the clusters that the router serves.
      - A cluster of this list that has no file in O(snapshots) is served on from the snapshot
        that the router accepted last.
      - A cluster that is not in this list is served no more, and what the router remembers of it is removed.
    type: list
    elements: str
    required: true
  snapshots:
    description: Directory on the controller where M(northgate.edge.cluster_snapshot) wrote the snapshots.
    type: path
    required: true
  state_dir:
    description: Directory on the router for what it remembers between runs.
    type: path
    default: /var/lib/northgate
  lock_timeout:
    description: How long to wait for another run on the same router to end, in seconds.
    type: int
    default: 120
  _documents:
    description: Set by the action plugin of this module, from the paths above; not for playbooks.
    type: dict
  _uploads:
    description: Set by the action plugin of this module; not for playbooks.
    type: dict
    default: {}
"""
