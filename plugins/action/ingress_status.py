# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module ingress_status, unless there is nothing to do."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.publishing import outstanding, result


class ActionModule(ActionBase):
    """Mostly the observation has seen that all is right. To look at its files takes less time than to start a module."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        return self._nothing_to_do() or self._execute_module(task_vars=task_vars)

    def _nothing_to_do(self) -> dict[str, t.Any] | None:
        """The result when all is right. What is wrong with the options is for the module to say."""
        if self._connection.transport != "local" or not isinstance(self._task.args.get("converged_groups"), list):
            return None  # The files are elsewhere, or it is a mistake.
        try:
            arguments = {**self._task.args, "snapshots": os.path.expanduser(self._task.args["snapshots"])}
            found = outstanding(arguments)
        except (NorthgateError, OSError, KeyError, TypeError, AttributeError):
            return None
        return None if found.wanted or found.mistakes or not found.right else result(found.right)
