# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator chose, from the parameters of ipvs_services. What can't be meant raises InvalidValue."""

from __future__ import annotations

import typing as t

from .._core.address_pools import AddressPools
from .._core.balance import BalanceOptions
from .._core.balance_model import Forwarding, Prefixes
from .._core.errors import InvalidValue
from .._core.syntax import dns_label, shown
from .options import shares


def pool_prefixes(configured: dict[str, t.Any], served: list[str] | None = None, field: str = "address_pools") -> Prefixes:
    """The networks of the pools named in the parameter ``field``, all of them where ``served`` is None."""
    pools = AddressPools.parse(configured).by_name
    for name in served or []:
        if name not in pools:
            raise InvalidValue(field, f"there is no pool {shown(name)}; there are {', '.join(pools) or 'none'}")
    return Prefixes(prefix for name in (pools if served is None else served) for prefix in pools[name].prefixes)


def _forwarding(configured: dict[str, t.Any]) -> dict[str, Forwarding]:
    """By cluster. Keys that say nothing of forwarding are somebody else's."""
    known = {"forwarding": "mode", "masquerade_to": "masquerade_to", "tunnel": "tunnel", "tunnel_port": "tunnel_port"}
    found = {}
    for cluster, values in configured.items():
        dns_label(cluster, "forwarding")
        if not isinstance(values, dict):
            raise InvalidValue(f"forwarding.{cluster}", "is no dictionary")
        chosen = {field: values[key] for key, field in known.items() if values.get(key) is not None}
        if "tunnel_port" in chosen:
            chosen["tunnel_port"] = _number(chosen["tunnel_port"])
        try:
            found[cluster] = Forwarding(**chosen)
        except InvalidValue as error:
            raise InvalidValue(f"forwarding.{cluster}.{error.field}", error.cause) from error
    return found


def _number(value: t.Any) -> t.Any:
    """Templates make texts of numbers."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def balance_options(params: dict[str, t.Any], pools: Prefixes, own_addresses: frozenset[str]) -> BalanceOptions:
    """For the decision. ``pools`` are all of them."""
    served = params["address_pools"]
    carried = None if served is None else pool_prefixes(params["pools"], served)
    return BalanceOptions(pools, _forwarding(params["forwarding"]), shares(params["shares"]), own_addresses, carried)
