# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in kernel for all tests here, and worlds of services for property tests."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import Destination, Frontend, VirtualService

_spec = importlib.util.spec_from_file_location("northgate_fake_kernel", pathlib.Path(__file__).parent / "fake_kernel.py")
sys.modules[_spec.name] = _module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

OURS = ("203.0.113.1", "203.0.113.2", "2001:db8::1")


@pytest.fixture
def fake_kernel():
    """The module with FakeKernel and Killed."""
    return _module


def _destination(address, port, kind, weight):
    method, tunnel, tunnel_port = kind
    return Destination(address, port, method, weight, tunnel, tunnel_port)


def _services(weights):
    methods = [("direct", "", 0), ("masquerade", "", 0), ("tunnel", "ipip", 0), ("tunnel", "gue", 6080)]
    destination = st.builds(
        _destination,
        address=st.sampled_from([f"10.0.0.{n}" for n in range(1, 7)]),
        port=st.sampled_from([80, 8080]),
        kind=st.sampled_from(methods),
        weight=st.sampled_from(weights),
    )
    kinds = [("mh", ("mh-fallback", "mh-port")), ("mh", ("mh-fallback",)), ("rr", ()), ("sh", ("sh-fallback", "sh-port"))]
    return st.builds(
        lambda kind, persistence, destinations: VirtualService(*kind, persistence, tuple(destinations)),
        st.sampled_from(kinds),
        st.sampled_from([0, 0, 300]),
        st.lists(destination, max_size=5, unique_by=lambda d: d.key),
    )


def _worlds(addresses, weights):
    frontends = st.builds(Frontend, st.sampled_from(["TCP", "UDP", "SCTP"]), st.sampled_from(addresses), st.sampled_from([53, 80]))
    return st.dictionaries(frontends, _services(weights), max_size=5)


@pytest.fixture(scope="session")
def worlds():
    """Services by frontend: wanted ones (sorted), those that the kernel may have, and somebody else's."""

    def as_wanted(found):
        return {f: VirtualService(s.scheduler, s.flags, s.persistence, tuple(sorted(s.destinations))) for f, s in sorted(found.items())}

    return {"wanted": _worlds(OURS, [1, 2]).map(as_wanted), "current": _worlds(OURS, [0, 1, 2]), "foreign": _worlds(["192.0.2.1"], [1])}
