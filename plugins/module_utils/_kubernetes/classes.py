# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which ingresses are ours: IngressClasses by name, by controller, and the default one. Pure."""

from __future__ import annotations

import typing as t

from .._core import syntax
from .._core.errors import InvalidValue
from .hostile import Object, mapping
from .sources import ClassSource, ClusterSource

_LEGACY = "kubernetes.io/ingress.class"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


class Classes:
    """The classes of a cluster that are served: ``sources`` by name. A class is configured by its name first."""

    def __init__(self, cluster: ClusterSource, items: t.Iterable[t.Any]) -> None:
        self.sources: dict[str, ClassSource] = dict(cluster.classes)
        self.default = ""
        newest = ""
        # Several defaults: the newest is taken, and the first by name of equals, as the API server does.
        for created, name, controller, default in sorted(filter(None, map(_read, items)), key=lambda found: found[1]):
            if name not in self.sources and controller in cluster.controllers:
                self.sources[name] = cluster.controllers[controller]
            if default and (not self.default or created > newest):
                self.default, newest = name, created

    def of(self, ingress: Object) -> str | None:
        """The class of a raw Ingress, or None when it is none of ours."""
        name = mapping(ingress.get("spec")).get("ingressClassName")
        if name is None:
            annotations = mapping(mapping(ingress.get("metadata")).get("annotations"))
            name = annotations.get(_LEGACY, self.default)
        return name if isinstance(name, str) and name in self.sources else None


def _read(raw: t.Any) -> tuple[str, str, str, bool] | None:
    """Creation time, name, controller and whether it is the default; None for what is no IngressClass."""
    metadata = mapping(mapping(raw).get("metadata"))
    try:
        name = syntax.dns_subdomain(metadata.get("name"), "metadata.name")
    except InvalidValue:
        return None  # No ingress of ours can name it.
    default = mapping(metadata.get("annotations")).get(_DEFAULT) == "true"
    return str(metadata.get("creationTimestamp")), name, str(mapping(raw.get("spec")).get("controller")), default
