# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specifications that modules share, paired with the documentation fragments."""

from __future__ import annotations

import typing as t


def shipped() -> dict[str, t.Any]:
    """For modules that use snapshots on a router. The action plugin replaces the path by ``_documents``."""
    return {
        "clusters": {"type": "list", "elements": "str", "required": True},
        "snapshots": {"type": "path", "required": True},
        "state_dir": {"type": "path", "default": "/var/lib/northgate"},
        "lock_timeout": {"type": "int", "default": 120},
        "_documents": {"type": "dict"},
        "_uploads": {"type": "dict", "default": {}},
    }


def haproxy() -> dict[str, t.Any]:
    """For modules that talk to a router's haproxy."""
    return {
        "config_dir": {"type": "path", "default": "/etc/haproxy"},
        "socket": {"type": "path", "default": "/run/haproxy/northgate.sock"},
        "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
    }


def ipvs() -> dict[str, t.Any]:
    """For ipvs_services, beside what is shipped."""
    texts = {"type": "list", "elements": "str"}
    return {
        "pools": {"type": "dict", "required": True},
        "address_pools": texts,
        "vip_pools": {**texts, "default": []},
        "forwarding": {"type": "dict", "default": {}},
        "shares": {"type": "dict", "default": {}},
        "drain_time": {"type": "int", "default": 3600},
        "rules_file": {"type": "path", "default": "/etc/ipvsadm.rules"},
        "sources_file": {"type": "path", "default": "/etc/northgate/sources.nft"},
        **guarded(),
    }


def guarded() -> dict[str, t.Any]:
    """For modules that hold back snapshots that shrink."""
    return {
        "shrink_limit": {"type": "int", "default": 50},
        "shrink_least": {"type": "int", "default": 3},
        "confirm_shrink": {"type": "list", "elements": "str", "default": []},
    }
