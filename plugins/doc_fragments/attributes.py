# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that all modules of this collection have."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Says what a run would do, and changes nothing.
  diff_mode:
    support: full
    description: Shows what changes, without secrets.
  idempotent:
    support: full
    description: A second run with the same input changes nothing.
"""
