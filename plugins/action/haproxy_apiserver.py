# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module haproxy_apiserver on a router, with the documents that it needs and the authorities' certificates as text."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.certificates import authority
from ansible_collections.northgate.edge.plugins.plugin_utils.shipping import ShippingAction, local_text


class ActionModule(ShippingAction):
    """Found by Ansible under the name of the module."""

    SNAPSHOT = ".api.json"

    def _arguments(self, given: dict[str, t.Any]) -> dict[str, t.Any]:
        api = given.get("api")
        if not isinstance(api, dict):
            return given  # For the module to say.
        return {**given, "api": {cluster: _with_text(cluster, of) if isinstance(of, dict) and of.get("ca") else of for cluster, of in api.items()}}


def _with_text(cluster: str, options: dict[str, t.Any]) -> dict[str, t.Any]:
    """The same options, ``ca`` as PEM text: it may be a file of the controller."""
    ca, where = str(options["ca"]), f"api.{cluster}.ca"
    try:
        return {**options, "ca": authority(ca if "-----BEGIN " in ca else local_text(ca, where), where)}
    except InvalidValue as error:
        raise AnsibleActionFail(str(error)) from error
