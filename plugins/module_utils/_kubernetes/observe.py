# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe: the snapshot of a cluster, from its API. Clusters are read side by side."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from .._core.errors import InvalidValue, NorthgateError, NotObserved
from .._core.model import Certificate, Ingress, Snapshot
from .._core.policy import CLOSED
from .._core.status import Statuses, seen
from . import api_servers, balanced, decode, nodes, pools, secrets, services
from .annotations import field
from .balanced import LoadBalancers
from .classes import Classes
from .client import Client
from .decode import Draft
from .hostile import Quarantine
from .sources import ClusterSource

_AT_ONCE = 16
_CLASSES, _INGRESSES = (f"/apis/networking.k8s.io/v1/{kind}" for kind in ("ingressclasses", "ingresses"))
_NODES = "/api/v1/nodes"


@dataclass(frozen=True)
class Observed:
    """A cluster's snapshot, what the status of its ingresses holds, and that of its services where they are observed.

    ``api`` is a snapshot of its own, with the cluster's API servers.
    """

    snapshot: Snapshot
    statuses: Statuses
    services: balanced.Statuses | None
    api: Snapshot


def observe_all(sources: t.Sequence[ClusterSource], timeout: float, page_size: int) -> dict[str, Observed | NotObserved]:
    """What is observed of each cluster, or the reason why nothing is. ``timeout`` in seconds, for each cluster."""
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(sources)) or 1) as pool:
        results = pool.map(lambda source: _observe(source, timeout, page_size), sources)
        return {source.name: result for source, result in zip(sources, results)}


def _observe(source: ClusterSource, timeout: float, page_size: int) -> Observed | NotObserved:
    try:
        client = Client(source.kubeconfig, source.context, timeout)
        try:
            return observe(source, client, page_size)
        finally:
            client.close()
    except NotObserved as error:
        return error
    except NorthgateError as error:
        return NotObserved(error.message, error.hint)
    except Exception as error:  # One cluster's surprise must not stop the others.
        return NotObserved(f"{type(error).__name__}: {error}", "This is a defect: please report it")


def observe(source: ClusterSource, client: Client, page_size: int) -> Observed:
    """Reads one cluster; raises NotObserved when any part of it can't be read."""
    quarantine = Quarantine(source.name)
    classes = client.read(_CLASSES, lambda items: Classes(source, items), page_size)
    drafts, statuses = client.read(_INGRESSES, lambda items: _ingresses(items, classes, quarantine), page_size)
    balancers = LoadBalancers(source, quarantine)
    found = services.read(client, pools.wanted(source, classes.sources, drafts), page_size, quarantine, balancers)
    of_all = pools.of_classes(classes.sources, found) + pools.of_ingresses(drafts, classes.sources, found, quarantine)
    if source.default_backend:
        of_all.append(pools.of_operator(source.default_backend, found))
    known = secrets.read(client, (name for draft in drafts for name in _secrets(draft)))
    _name_unusable(drafts, known, quarantine)
    machines = client.read(_NODES, lambda items: nodes.decode(items, quarantine), page_size) if source.services else ()
    api = api_servers.read(client, page_size, quarantine)
    ingresses = filter(None, (_with_users(draft, known, quarantine) for draft in drafts))
    snapshot = Snapshot(
        cluster=source.name,
        ingresses=tuple(sorted(ingresses, key=lambda ingress: (ingress.namespace, ingress.name))),
        pools=pools.merged(of_all),
        certificates=tuple(sorted(found for found in known.values() if isinstance(found, Certificate))),
        default_pool=source.default_backend.pool if source.default_backend else "",
        services=balancers.services(),
        nodes=machines,
        quarantined=tuple(sorted(quarantine.found)),
    )
    return Observed(snapshot, statuses, balancers.statuses if source.services else None, api)


def _ingresses(items: t.Iterable[t.Any], classes: Classes, quarantine: Quarantine) -> tuple[list[Draft], Statuses]:
    """Of the ingresses of our classes, those that can be read; and what the status of each of them holds."""
    drafts: list[Draft] = []
    statuses: Statuses = {}
    for raw in items:
        ours = classes.of(raw) if isinstance(raw, dict) else None
        if ours is not None:
            name, addresses = seen(raw)
            statuses[name] = addresses
            draft = decode.ingress(raw, ours, classes.sources[ours], quarantine)
            if draft:
                drafts.append(draft)
    return drafts, statuses


def _certificates(ingress: Ingress) -> set[secrets.Name]:
    return {(ingress.namespace, tls.certificate.rpartition("/")[2]) for tls in ingress.tls}


def _users(draft: Draft) -> list[secrets.Name]:
    """The Secrets with users; none where everything is refused anyway."""
    return [] if draft.ingress.policy.closed else [(draft.ingress.namespace, name) for name in draft.auth]


def _secrets(draft: Draft) -> t.Iterator[secrets.Name]:
    yield from _certificates(draft.ingress)
    yield from _users(draft)


def _name_unusable(drafts: list[Draft], known: dict[secrets.Name, secrets.Secret], quarantine: Quarantine) -> None:
    """Names each Secret that is no certificate, with one of the ingresses that want it to be."""
    wanted: dict[secrets.Name, Ingress] = {}
    for draft in drafts:
        for name in _certificates(draft.ingress):
            if name not in wanted or draft.ingress.age_key < wanted[name].age_key:
                wanted[name] = draft.ingress
    for name, ingress in wanted.items():
        error = _misfit(known[name], Certificate)
        if error:
            quarantine.add(secrets.label(name), error.field, f"{error.cause} (spec.tls of {ingress} names it)")


def _misfit(secret: secrets.Secret, kind: type) -> InvalidValue | None:
    if isinstance(secret, InvalidValue):
        return secret
    expected = secrets.TLS if kind is Certificate else secrets.BASIC_AUTH
    return None if isinstance(secret, kind) else InvalidValue("type", f"is not {expected}")


def _with_users(draft: Draft, known: dict[secrets.Name, secrets.Secret], quarantine: Quarantine) -> Ingress | None:
    """The ingress with its users. One whose users can't be read is closed; a canary, which protects nothing, is skipped."""
    ingress, users = draft.ingress, set()
    for name in _users(draft):
        secret = known[name]
        error = _misfit(secret, str)
        if error:
            cause = f"{secrets.label(name)}: {error.field}: {error.cause}"
            quarantine.add(str(ingress), field("basic-auth-secret"), cause)
            return replace(ingress, policy=CLOSED) if ingress.canary_weight is None else None
        users.add(t.cast(str, secret))
    return replace(ingress, policy=replace(ingress.policy, users=tuple(sorted(users)))) if users else ingress
