# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator chose, from the parameters of haproxy_ingress. What can't be meant raises InvalidValue."""

from __future__ import annotations

import typing as t

from .._core.desired import EdgeOptions, Share
from .._core.errors import InvalidValue
from .._core.policy import Policy
from .._core.syntax import dns_label
from .._haproxy.options import Options


def edge_options(params: dict[str, t.Any], now: int) -> EdgeOptions:
    """For the decision. ``now`` in seconds since the epoch."""
    return EdgeOptions(
        shares=shares(params["shares"]),
        claim_winner=params["claim_winner"],
        claim_scope=params["claim_scope"],
        redirect=params["https_redirect"],
        passthrough=params["tls_passthrough"],
        now=now,
        expiry_warning=params["expiry_warning"] * 86400,
        group=params["router_group"],
    )


def shares(configured: dict[str, t.Any]) -> dict[str, Share]:
    """By cluster."""
    found = {}
    for cluster, values in configured.items():
        dns_label(cluster, "shares")
        try:
            found[cluster] = Share(**values)
        except TypeError as error:
            raise InvalidValue(f"shares.{cluster}", f"is no dictionary of weight and mode ({error})") from error
        except InvalidValue as error:
            raise InvalidValue(f"shares.{cluster}.{error.field}", error.cause) from error
    return found


def haproxy_options(params: dict[str, t.Any]) -> Options:
    """For haproxy."""
    return Options(
        http_bind=tuple(params["http_bind"]),
        https_bind=tuple(params["https_bind"]),
        # Policy refuses what is no value of the header.
        hsts=Policy(hsts=params["hsts"]).hsts,
        trusted_proxies=tuple(params["trusted_proxies"]),
        proxy_protocol_from=tuple(params["proxy_protocol_from"]),
        passthrough=params["tls_passthrough"],
        affinity_cookie=params["affinity_cookie"],
        spare_backends=params["spare_backends"],
    )
