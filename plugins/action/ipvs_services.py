# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module ipvs_services on a router, with the documents that it needs."""

from __future__ import annotations

from ansible_collections.northgate.edge.plugins.plugin_utils.shipping import ShippingAction


class ActionModule(ShippingAction):
    """Found by Ansible under the name of the module."""
