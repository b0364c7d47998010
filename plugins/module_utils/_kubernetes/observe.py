# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe: the snapshot of a cluster, from its API. Clusters are read side by side."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .._core import syntax
from .._core.errors import InvalidValue, NorthgateError, NotObserved
from .._core.model import IngressController, Quarantined, Snapshot
from . import decode
from .client import Client

_AT_ONCE = 16


@dataclass(frozen=True)
class ControllerSource:
    """Where the pods of an IngressClass's controller are found: a Service and its port, by name or number."""

    ingress_class: str
    namespace: str
    service: str
    port: str

    @classmethod
    def parse(cls, ingress_class: str, options: dict[str, t.Any]) -> ControllerSource:
        """From configuration: ``service`` is namespace/name. Raises InvalidValue."""
        field = f"ingress_classes.{ingress_class}.service"
        _require(options, ("service", "port"), f"ingress_classes.{ingress_class}")
        namespace, slash, name = str(options["service"]).partition("/")
        if not slash:
            raise InvalidValue(field, f"{options['service']!r} is not of the form namespace/name")
        return cls(
            syntax.dns_subdomain(ingress_class, "ingress_classes"),
            syntax.dns_label(namespace, field),
            syntax.dns_label(name, field),
            str(options["port"]),
        )


@dataclass(frozen=True)
class ClusterSource:
    """How to reach a cluster, and what to look for in it."""

    name: str
    kubeconfig: str
    context: str | None
    controllers: tuple[ControllerSource, ...]

    @classmethod
    def parse(cls, name: str, options: dict[str, t.Any]) -> ClusterSource:
        """From configuration; raises InvalidValue that names the cluster and the option."""
        try:
            _require(options, ("kubeconfig",), "options")
            return cls(
                name=syntax.dns_label(name, "name"),
                kubeconfig=options["kubeconfig"],
                context=options.get("context"),
                controllers=tuple(
                    ControllerSource.parse(ingress_class, of_class)
                    for ingress_class, of_class in sorted((options.get("ingress_classes") or {}).items())
                ),
            )
        except InvalidValue as error:
            raise InvalidValue(f"clusters.{name}.{error.field}", error.cause) from error


def _require(options: t.Any, keys: tuple[str, ...], field: str) -> None:
    if not isinstance(options, dict):
        raise InvalidValue(field, f"{options!r} is no dictionary")
    for key in keys:
        if not options.get(key):
            raise InvalidValue(f"{field}.{key}", "is missing")


def observe_all(sources: t.Sequence[ClusterSource], timeout: float, page_size: int) -> dict[str, Snapshot | NotObserved]:
    """One snapshot, or the reason why there is none, for each cluster. ``timeout`` in seconds, for each cluster."""
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(sources)) or 1) as pool:
        results = pool.map(lambda source: _observe(source, timeout, page_size), sources)
        return {source.name: result for source, result in zip(sources, results)}


def _observe(source: ClusterSource, timeout: float, page_size: int) -> Snapshot | NotObserved:
    try:
        client = Client(source.kubeconfig, source.context, timeout)
        try:
            return snapshot(source, client, page_size)
        finally:
            client.close()
    except NotObserved as error:
        return error
    except NorthgateError as error:
        return NotObserved(error.message, error.hint)
    except Exception as error:  # One cluster's surprise must not stop the others.
        return NotObserved(f"{type(error).__name__}: {error}", "This is a defect: please report it")


def snapshot(source: ClusterSource, client: Client, page_size: int) -> Snapshot:
    """Reads one cluster; raises NotObserved when any part of it can't be read."""
    quarantined: list[Quarantined] = []
    ingresses = []
    classes = {wanted.ingress_class for wanted in source.controllers}
    for raw in client.list("/apis/networking.k8s.io/v1/ingresses", page_size):
        if (raw.get("spec") or {}).get("ingressClassName") not in classes:
            continue
        ingress, skipped = decode.ingress(source.name, raw)
        quarantined += skipped
        if ingress:
            ingresses.append(ingress)
    controllers = []
    for wanted in source.controllers:
        controller, skipped = _controller(source.name, wanted, client, page_size)
        quarantined += skipped
        controllers.append(controller)
    return Snapshot(
        cluster=source.name,
        ingresses=tuple(sorted(ingresses, key=lambda i: (i.namespace, i.name))),
        controllers=tuple(controllers),
        quarantined=tuple(sorted(quarantined)),
    )


def _controller(
    cluster: str, wanted: ControllerSource, client: Client, page_size: int
) -> tuple[IngressController, list[Quarantined]]:
    label = f"Service {wanted.namespace}/{wanted.service} of ingress class {wanted.ingress_class}"
    try:
        # A list of one: the account that routers' controllers have may list, and nothing else.
        services = client.list(
            f"/api/v1/namespaces/{wanted.namespace}/services", fieldSelector=f"metadata.name={wanted.service}"
        )
        if not services:
            raise NotObserved(f"there is no Service {wanted.service} in namespace {wanted.namespace}")
        port_name = decode.service_port_name(services[0], wanted.port)
    except NotObserved as error:
        raise NotObserved(f"{label}: {error.message}", error.hint or "Check ingress_classes of the cluster") from error
    except InvalidValue as error:
        raise NotObserved(f"{label}: {error}", "Check ingress_classes of the cluster") from error
    slices = client.list(
        f"/apis/discovery.k8s.io/v1/namespaces/{wanted.namespace}/endpointslices",
        page_size,
        labelSelector=f"kubernetes.io/service-name={wanted.service}",
    )
    endpoints, quarantined = decode.endpoints(cluster, slices, port_name)
    return IngressController(wanted.ingress_class, endpoints), quarantined
