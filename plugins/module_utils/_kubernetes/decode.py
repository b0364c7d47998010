# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From raw Ingress objects (parsed JSON) to the model. Pure.

What can't be taken is quarantined: named with field and cause, and skipped. A rule is the smallest thing
that is skipped, so the other rules of its ingress are served. A rule of which host and path are known is
kept even when its backend can't be used (503), so that nothing broader takes its requests.
"""

from __future__ import annotations

import typing as t

from .._core import syntax
from .._core.errors import InvalidValue
from .._core.model import EXACT, PREFIX, Ingress, Path, Rule, Tls
from .._core.policy import CLOSED, MAX_REWRITE_DEPTH
from . import annotations, secrets
from .annotations import Asked
from .hostile import Object, Quarantine, created, mapping, name_of, sequence
from .sources import ClassSource, ServicePort

# networking.k8s.io/v1: what ImplementationSpecific means is ours to say.
_PATH_TYPES = {"Exact": EXACT, "Prefix": PREFIX, "ImplementationSpecific": PREFIX}
# Neither the name nor the number of a port: it stands for backends that can't be used.
NO_PORT = "0"


class Draft(t.NamedTuple):
    """An ingress, and what is still to be read for it: Secrets with users (names); ``protocol`` of its pods, or ""."""

    ingress: Ingress
    auth: tuple[str, ...]
    protocol: str


def ingress(raw: Object, ingress_class: str, source: ClassSource, quarantine: Quarantine) -> Draft | None:
    """The ingress in ``raw`` (networking.k8s.io/v1), or None when nothing of it can be served."""
    metadata, spec = mapping(raw.get("metadata")), mapping(raw.get("spec"))
    label = f"Ingress {name_of(metadata)}"
    asked = annotations.parse(mapping(metadata.get("annotations")))
    closed = False
    if asked is not annotations.NOTHING:
        closed = _mistaken(asked, source, label, quarantine)
        if closed and (asked.canary or not asked.protecting):
            return None
    try:
        namespace = syntax.dns_label(metadata.get("namespace"), "metadata.namespace")
        reader = _Reader(namespace, "" if source.direct else f"class/{ingress_class}", asked, label, quarantine)
        default_pool = reader.pool(spec["defaultBackend"], "spec.defaultBackend") if spec.get("defaultBackend") is not None else ""
        reader.rules(spec.get("rules"), default_pool)
        paths = tuple(sorted(Path(rule, pool) for rule, pool in reader.pools.items()))
        if spec.get("rules") and not paths:
            default_pool = ""  # It was for the hosts of rules that can't be read, not for every host.
        result = Ingress(
            namespace=namespace,
            name=t.cast(str, metadata.get("name")),
            created=created(metadata),
            ingress_class=ingress_class,
            paths=paths,
            default_pool=default_pool,
            policy=CLOSED if closed or reader.closed else asked.policy,
            canary_weight=asked.canary_weight,
            # A connection that is passed through could not be refused.
            passthrough=asked.passthrough and not closed,
            tls=reader.tls(spec.get("tls")),
            groups=asked.groups,
        )
    except InvalidValue as error:
        quarantine.refuse(label, error)
        return None
    if not (paths or default_pool):
        quarantine.add(label, "spec.rules", "there is neither a rule with a path that can be served nor a default backend")
        return None
    return Draft(result, asked.auth, asked.protocol if source.direct else "")


def _mistaken(asked: Asked, source: ClassSource, label: str, quarantine: Quarantine) -> bool:
    """Names what is wrong with annotations, and says whether any of it counts."""
    mistakes = list(asked.mistakes)
    if asked.passthrough and not source.direct and not source.tls_port:
        mistakes.append((annotations.field("tls-passthrough"), "its class has no tls_port in the cluster's configuration"))
    for field, cause in (*mistakes, *asked.unknown):
        quarantine.add(label, field, cause)
    if asked.protocol and not source.direct:
        quarantine.add(label, annotations.field("backend-protocol"), "has no effect: its class is not in mode direct")
    return bool(mistakes)


class _Reader:
    """Reads the spec of one ingress. ``pools`` by rule; ``closed``: a rule that is to be protected can't be."""

    def __init__(self, namespace: str, class_pool: str, asked: Asked, label: str, quarantine: Quarantine) -> None:
        self._namespace = namespace
        self._class_pool = class_pool
        self._nowhere = ServicePort(namespace, "unusable", NO_PORT).pool
        self._asked = asked
        self._label = label
        self._quarantine = quarantine
        self.pools: dict[Rule, str] = {}
        self.closed = False

    def rules(self, raw: object, default_pool: str) -> None:
        for number, rule in enumerate(self._list(raw, "spec.rules")):
            where = f"spec.rules[{number}]"
            try:
                if not isinstance(rule, dict):
                    raise InvalidValue(where, f"{syntax.shown(rule)} is no rule")
                host = syntax.rule_host(rule.get("host"), f"{where}.host")
            except InvalidValue as error:
                self._quarantine.refuse(self._label, error)
                continue
            paths = self._list(mapping(rule.get("http")).get("paths"), f"{where}.http.paths")
            if not paths and default_pool:
                self._add(Rule(host, "/", PREFIX), default_pool, where)
            for index, path in enumerate(paths):
                self._path(host, mapping(path), f"{where}.http.paths[{index}]")

    def _list(self, value: object, where: str) -> list[t.Any]:
        if value is not None and not isinstance(value, list):
            self._quarantine.add(self._label, where, f"{syntax.shown(value)} is no list")
        return sequence(value)

    def _path(self, host: str, raw: Object, where: str) -> None:
        try:
            path = syntax.path(raw.get("path") or "/", f"{where}.path")
            kind = raw.get("pathType")
            path_type = _PATH_TYPES.get(kind) if isinstance(kind, str) else None
            if path_type != EXACT:
                # "/foo" and "/foo/" are the same prefix: matching is by path segment.
                path = path.rstrip("/") or "/"
            if path_type is None:
                self._refuse_type(Rule(host, path, PREFIX), kind, f"{where}.pathType")
            elif self._asked.policy.rewrite and len([part for part in path.split("/") if part]) > MAX_REWRITE_DEPTH:
                self._refuse_depth(Rule(host, path, path_type), where)
            else:
                self._add(Rule(host, path, path_type), self.pool(raw.get("backend"), f"{where}.backend"), where)
        except InvalidValue as error:
            self._quarantine.refuse(self._label, error)

    def _refuse_type(self, rule: Rule, kind: object, where: str) -> None:
        self._quarantine.add(self._label, where, f"{syntax.shown(kind)} is not one of {', '.join(_PATH_TYPES)}")
        if self._asked.protecting:
            self._add(rule, self._nowhere, where)

    def _refuse_depth(self, rule: Rule, where: str) -> None:
        self._quarantine.add(self._label, f"{where}.path", f"is deeper than {MAX_REWRITE_DEPTH} segments, so it can't be rewritten")
        if self._asked.protecting:
            self.closed = True
            self._add(rule, self._nowhere, where)

    def _add(self, rule: Rule, pool: str, where: str) -> None:
        if self.pools.setdefault(rule, pool) != pool:
            self._quarantine.add(self._label, where, "repeats the host and path of an earlier rule, with another backend")

    def pool(self, backend: object, where: str) -> str:
        """The pool of a raw IngressBackend; one without endpoints where the backend can't be used."""
        if self._class_pool:
            return self._class_pool
        try:
            service = mapping(mapping(backend).get("service"))
            if not service:
                raise InvalidValue(where, "is no Service, and only Services can be served in mode direct")
            name = syntax.dns_label(service.get("name"), f"{where}.service.name")
            port = mapping(service.get("port"))
            if port.get("name"):
                wanted = syntax.dns_label(port["name"], f"{where}.service.port.name")
            else:
                wanted = str(syntax.port(port.get("number"), f"{where}.service.port.number"))
            return ServicePort(self._namespace, name, wanted).pool
        except InvalidValue as error:
            self._quarantine.refuse(self._label, error)
            return self._nowhere

    def tls(self, raw: object) -> tuple[Tls, ...]:
        found = set()
        for number, entry in enumerate(self._list(raw, "spec.tls")):
            where, entry = f"spec.tls[{number}]", mapping(entry)
            if not entry.get("secretName"):
                continue
            try:
                secret = syntax.dns_subdomain(entry["secretName"], f"{where}.secretName")
            except InvalidValue as error:
                self._quarantine.refuse(self._label, error)
                continue
            listed = self._list(entry.get("hosts"), f"{where}.hosts")
            hosts = {host for index, one in enumerate(listed) if (host := self._tls_host(one, f"{where}.hosts[{index}]"))}
            if not listed:
                hosts = {rule.host for rule in self.pools if rule.host}
            found.add(Tls(tuple(sorted(hosts)), secrets.label((self._namespace, secret))))
        return tuple(sorted(found))

    def _tls_host(self, raw: object, where: str) -> str:
        try:
            return syntax.rule_host(raw, where)
        except InvalidValue as error:
            self._quarantine.refuse(self._label, error)
            return ""
