# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API servers of a cluster, as they name themselves, and the authority that vouches for them."""

from __future__ import annotations

from .._core.errors import InvalidValue
from .._core.model import Endpoint, Snapshot
from . import certificates, slices
from .client import Client
from .hostile import Quarantine

# API servers write this one object. Others may bear its Service's label: anybody's who may write into the namespace.
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
_SERVICE, _PORT = ("default", "kubernetes"), ("TCP", "https")


def read(client: Client, page_size: int, quarantine: Quarantine) -> Snapshot:
    """A snapshot that holds nothing else; raises NotObserved."""
    skipped = Quarantine(quarantine.cluster)
    found = client.read(
        _SLICES,
        lambda items: slices.collect(items, lambda name: {_PORT} if name == _SERVICE else (), skipped),
        page_size,
        fieldSelector="metadata.name=kubernetes",
    )
    behind = found.get((_SERVICE, _PORT), slices.Behind({}, {}))
    servers = [Endpoint(*where, state.ready, state.serving, state.terminating) for pods in behind for where, state in pods.items()]
    authority = _authority(client.authority, skipped)
    quarantine.found |= skipped.found
    return Snapshot(quarantine.cluster, api_servers=tuple(sorted(servers)), api_authority=authority, quarantined=tuple(sorted(skipped.found)))


def _authority(text: str, skipped: Quarantine) -> str:
    try:
        return certificates.authority(text, "certificate-authority") if text else ""
    except InvalidValue as error:
        skipped.refuse("kubeconfig", error)
        return ""
