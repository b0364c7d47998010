# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to a router's haproxy; paired with _module/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment."""

    DOCUMENTATION = r"""
options:
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
"""
