# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shrink guard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Endpoint, Ingress, Path, Pool, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.services import Service, ServicePort
from ansible_collections.northgate.edge.plugins.module_utils._core.shrink import (
    KINDS,
    NONE_LEFT,
    OF_APIS,
    OF_INGRESSES,
    OF_SERVICES,
    ShrinkLimit,
    counts,
    nothing_left,
    shrinks,
)

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def snapshot(routes=0, servers=0, certificates=0):
    paths = tuple(Path(Rule(f"h{number}.example", "/", "Prefix"), "class/traefik") for number in range(routes))
    return Snapshot(
        "alpha",
        (Ingress("demo", "shop", "2026", "traefik", paths),),
        (Pool("class/traefik", tuple(Endpoint("10.0.0.1", port) for port in range(1, servers + 1))),),
        tuple(Certificate(f"c{number}", ("a.example",), "rsa", 0, 1, PEM) for number in range(certificates)),
    )


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        (snapshot(40), snapshot(3), "40 routes become 3"),
        (snapshot(40), snapshot(20), ""),
        (snapshot(40), snapshot(19), "40 routes become 19"),
        (snapshot(2), snapshot(0), ""),
        (snapshot(3), snapshot(0), "3 routes become 0"),
        (snapshot(5, 6, 7), snapshot(5, 1, 0), "6 servers become 1, 7 certificates become 0"),
        (snapshot(1), snapshot(100), ""),
    ],
)
def test_more_than_half_may_not_go_at_once(before, after, gone):
    assert shrinks(before, after, ShrinkLimit()) == gone


def balanced(services, routes=0, ports=2):
    of_each = tuple(ServicePort("TCP", number + 1) for number in range(ports))
    found = tuple(Service("demo", f"s{n}", "2026", of_each, addresses=("203.0.113.7",)) for n in range(services))
    return replace(snapshot(routes), services=found)


def test_a_module_is_held_back_only_by_what_it_serves():
    before, after = balanced(4, routes=5), balanced(1, routes=0)
    assert shrinks(before, after, ShrinkLimit()) == "5 routes become 0, 8 services become 2"
    assert shrinks(before, after, ShrinkLimit(), OF_INGRESSES) == "5 routes become 0"
    assert shrinks(before, after, ShrinkLimit(), OF_SERVICES) == "8 services become 2"
    assert shrinks(before, balanced(4, routes=0), ShrinkLimit(), OF_SERVICES) == ""
    assert shrinks(before, balanced(1, routes=5), ShrinkLimit(), OF_INGRESSES) == ""
    # Held services and those without an address are not served.
    assert shrinks(before, balanced(4, routes=5, ports=0), ShrinkLimit()) == "8 services become 0"
    assert set(counts(before)) == set(KINDS)


def test_the_limit_is_the_operators():
    assert shrinks(snapshot(10), snapshot(8), ShrinkLimit(share=10, least=2)) == "10 routes become 8"
    assert shrinks(snapshot(10), snapshot(0), ShrinkLimit(share=100)) == ""


def apis(servers):
    return Snapshot("alpha", api_servers=tuple(Endpoint("10.0.0.1", port) for port in range(1, servers + 1)))


def test_the_last_api_server_never_goes():
    assert shrinks(apis(5), apis(1), ShrinkLimit(), OF_APIS) == "5 API servers become 1"
    assert shrinks(apis(3), apis(1), ShrinkLimit(), OF_APIS) == nothing_left(apis(3), apis(1), OF_APIS) == ""
    assert nothing_left(apis(1), apis(0), OF_APIS) == NONE_LEFT
    assert nothing_left(apis(0), apis(0), OF_APIS) == nothing_left(apis(1), apis(0), OF_INGRESSES) == ""
