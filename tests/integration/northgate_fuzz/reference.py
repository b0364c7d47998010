# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who must answer a request, by the raw Ingress objects alone: nothing of the collection is used here."""

from __future__ import annotations

import re
import typing as t

Object = dict[str, t.Any]
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


class Rule(t.NamedTuple):
    """A path of an Ingress, or its default backend. They sort by age; names decide between equals."""

    created: str
    namespace: str
    name: str
    cluster: str
    service: str
    host: str
    exact: bool
    path: str
    default: bool

    def rank(self) -> tuple[bool, int]:
        """Of the paths that match, Exact is first, then the longest by segments."""
        return self.exact, len(_segments(self.path))

    def matches(self, path: str) -> bool:
        if self.exact:
            return path == self.path
        return path.split("/")[1:][: len(_segments(self.path))] == _segments(self.path)


def answering(clusters: dict[str, Object], host: str, path: str, tenants_share: bool = False) -> set[tuple[str, str, str]]:
    """The backend services (cluster, namespace, name) that may answer for a request; none means 404.

    ``clusters``: by name, ``ingresses`` (raw objects of networking.k8s.io/v1) and ``default_backend``
    (NAMESPACE/NAME of a Service, or ""). ``host`` and ``path`` are normalised (see below). By the specification
    of Ingress: each rule is matched by itself, host and path. An exact host is asked before the wildcard of one label,
    and that before rules without a host; where no path of the more specific host matches, the less specific one is
    asked. Among the paths that match, Exact comes first and then the longest Prefix, segment by segment
    (ImplementationSpecific is as Prefix). A host without paths is the default backend's of its Ingress. Then the
    default backends in the same order of hosts: an Ingress's is for the hosts of its rules, or without any for
    every host, and the operator's comes last.

    Of ingresses that want the same, the oldest of each cluster gets it. Several clusters share the requests,
    as long as the namespace is that of the oldest of all, or namespaces share (``tenants_share``).
    """
    rules = sorted(rule for cluster, objects in clusters.items() for rule in _rules(cluster, objects))
    for default in (False, True):
        for wanted in (host, "*." + host.partition(".")[2], ""):
            matching = [r for r in rules if (r.default, r.host) == (default, wanted) and r.matches(path)]
            claims = [r for r in matching if r.rank() == max(map(Rule.rank, matching))]
            claims = [r for r in claims if tenants_share or r.namespace == claims[0].namespace]
            if claims:
                return {(r.cluster, r.namespace, r.service) for r in {r.cluster: r for r in reversed(claims)}.values()}
    operators = {cluster: objects["default_backend"].split("/") for cluster, objects in clusters.items() if objects["default_backend"]}
    return {(cluster, namespace, service) for cluster, (namespace, service) in operators.items()}


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _rules(cluster: str, objects: Object) -> t.Iterator[Rule]:
    for raw in objects["ingresses"]:
        metadata, spec = raw["metadata"], raw["spec"]
        start = (metadata["creationTimestamp"], metadata["namespace"], metadata["name"], cluster)
        for rule in spec.get("rules", ()):
            if "http" not in rule and "defaultBackend" in spec:
                yield Rule(*start, spec["defaultBackend"]["service"]["name"], rule.get("host", ""), False, "/", False)
            for path in rule.get("http", {}).get("paths", ()):
                exact = path["pathType"] == "Exact"
                yield Rule(*start, path["backend"]["service"]["name"], rule.get("host", ""), exact, normal(path.get("path", "/")), False)
        if "defaultBackend" in spec:
            for host in {rule.get("host", "") for rule in spec.get("rules", ())} or {""}:
                yield Rule(*start, spec["defaultBackend"]["service"]["name"], host, False, "/", True)


def normal(path: str) -> str:
    """A path in its normal form (RFC 3986, sections 6.2.2 and 5.2.4): "%2F" is no slash, and "//" is no "/"."""
    path = re.sub(r"%([0-9A-Fa-f]{2})", lambda m: c if _UNRESERVED.match(c := chr(int(m[1], 16))) else m[0].upper(), path)
    parts, kept = path.split("/")[1:], []
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    return "/" + "/".join([*kept, ""] if parts[-1] in (".", "..") else kept)


def normal_host(host: str) -> str:
    """The host that a Host header names: without its port and the root's dot, in lower case."""
    return host.partition(":")[0].removesuffix(".").lower()
