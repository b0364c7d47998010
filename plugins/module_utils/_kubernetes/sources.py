# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator configures of a cluster: how to reach it, and which ingresses are served through what."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core import syntax
from .._core.address_pools import AddressPool
from .._core.errors import InvalidValue
from .._core.model import PROTOCOLS, PoolTls
from .._core.services import qualified_name
from . import certificates

LOAD_BALANCER_CLASS = "northgate.edge/edge"
CONTROLLER, DIRECT = "controller", "direct"
MODES = (CONTROLLER, DIRECT)
_OF_CONTROLLER = {"service", "port", "tls_port", "protocol", "proxy_protocol"}


class ServicePort(t.NamedTuple):
    """A port of a Service, by its name or number."""

    namespace: str
    service: str
    port: str

    @property
    def pool(self) -> str:
        return f"service/{self.namespace}/{self.service}/{self.port}"

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.service}"


@dataclass(frozen=True)
class ClassSource:
    """Where requests for ingresses of a class go: to the pods of their controller, or direct to their backends' pods.

    ``backend`` is the controller's Service, ``tls_port`` its port for TLS that is passed through, or "".
    """

    backend: ServicePort | None = None
    tls_port: str = ""
    protocol: str = "http"
    proxy_protocol: bool = False
    tls: PoolTls = PoolTls()

    @property
    def direct(self) -> bool:
        return self.backend is None

    @classmethod
    def parse(cls, options: t.Any, where: str) -> ClassSource:
        """From configuration; raises InvalidValue that says the option, below ``where``."""
        mode = _option(options, "mode", where, str, CONTROLLER)
        if mode not in MODES:
            raise InvalidValue(f"{where}.mode", f"{mode!r} is not one of {', '.join(MODES)}")
        allowed = {"mode", "tls"} | (_OF_CONTROLLER if mode == CONTROLLER else set())
        if unknown := sorted(map(str, set(options) - allowed)):
            raise InvalidValue(f"{where}.{unknown[0]}", f"is no option in mode {mode}; they are {', '.join(sorted(allowed))}")
        tls = _tls(options.get("tls"), f"{where}.tls")
        if mode == DIRECT:
            return cls(tls=tls)
        protocol = _option(options, "protocol", where, str, "http")
        if protocol not in PROTOCOLS:
            raise InvalidValue(f"{where}.protocol", f"{protocol!r} is not one of {', '.join(PROTOCOLS)}")
        if options.get("tls") and protocol != "https":
            raise InvalidValue(f"{where}.tls", "is for protocol https only")
        return cls(
            backend=_service_port(options, where),
            tls_port=_port(options, "tls_port", where) if options.get("tls_port") else "",
            protocol=protocol,
            proxy_protocol=_option(options, "proxy_protocol", where, bool, False),
            tls=tls,
        )


@dataclass(frozen=True)
class ClusterSource:
    """How to reach a cluster, and what to look for in it: classes by name, and by their controller's string.

    ``services``: whether LoadBalancer services are looked for; those of ``load_balancer_class``, and with
    ``load_balancer_default`` those without a class, are ours.
    """

    name: str
    kubeconfig: str
    context: str | None = None
    classes: dict[str, ClassSource] = field(default_factory=dict)
    controllers: dict[str, ClassSource] = field(default_factory=dict)
    default_backend: ServicePort | None = None
    services: bool = False
    load_balancer_class: str = LOAD_BALANCER_CLASS
    load_balancer_default: bool = True

    @classmethod
    def parse(cls, name: str, options: t.Any, pools: t.Iterable[AddressPool] = ()) -> ClusterSource:
        """From configuration; ``pools`` are those of addresses for services. Raises InvalidValue that names the cluster and the option."""
        where = f"clusters.{name}"
        syntax.dns_label(name, "clusters")
        _require(options, ("kubeconfig",), where)
        classes = _option(options, "ingress_classes", where, dict, {})
        controllers = _option(options, "ingress_controllers", where, dict, {})
        default = options.get("default_backend")
        return cls(
            name=name,
            kubeconfig=_option(options, "kubeconfig", where, str, ""),
            context=_option(options, "context", where, str, None),
            classes={
                syntax.dns_subdomain(one, f"{where}.ingress_classes"): ClassSource.parse(of_one, f"{where}.ingress_classes.{one}")
                for one, of_one in sorted(classes.items())
            },
            controllers={str(one): ClassSource.parse(of_one, f"{where}.ingress_controllers.{one}") for one, of_one in sorted(controllers.items())},
            default_backend=_service_port(default, f"{where}.default_backend") if default else None,
            services=any(pool.serves(name) for pool in pools),
            load_balancer_class=qualified_name(
                _option(options, "load_balancer_class", where, str, LOAD_BALANCER_CLASS), f"{where}.load_balancer_class"
            ),
            load_balancer_default=_option(options, "load_balancer_default", where, bool, True),
        )


def _service_port(options: t.Any, where: str) -> ServicePort:
    _require(options, ("service", "port"), where)
    namespace, slash, name = str(options["service"]).partition("/")
    if not slash:
        raise InvalidValue(f"{where}.service", f"{options['service']!r} is not of the form namespace/name")
    return ServicePort(
        syntax.dns_label(namespace, f"{where}.service"), syntax.dns_label(name, f"{where}.service"), _port(options, "port", where)
    )


def _port(options: dict[str, t.Any], key: str, where: str) -> str:
    return syntax.dns_label(str(options[key]), f"{where}.{key}")


def _tls(options: t.Any, where: str) -> PoolTls:
    if options is None:
        return PoolTls()
    known = {"ca_file", "client_certificate_file", "server_name", "verify"}
    _require(options, (), where)
    if unknown := sorted(map(str, set(options) - known)):
        raise InvalidValue(f"{where}.{unknown[0]}", f"is no option; they are {', '.join(sorted(known))}")
    ca_file, client_file = (_option(options, key, where, str, "") for key in ("ca_file", "client_certificate_file"))
    return PoolTls(
        authority=certificates.authority(_text(ca_file, f"{where}.ca_file"), f"{where}.ca_file") if ca_file else "",
        client_certificate=(
            certificates.pair(_text(client_file, f"{where}.client_certificate_file"), f"{where}.client_certificate_file").pem if client_file else ""
        ),
        server_name=_option(options, "server_name", where, str, ""),
        verify=_option(options, "verify", where, bool, True),
    )


def _text(path: str, where: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(certificates.MAX_SIZE + 1)
    except OSError as error:
        raise InvalidValue(where, f"{path} can't be read: {error.strerror}") from error


def _option(options: t.Any, key: str, where: str, kind: type, default: t.Any) -> t.Any:
    _require(options, (), where)
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise InvalidValue(f"{where}.{key}", f"{value!r} is no {kind.__name__}")
    return value


def _require(options: t.Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(options, dict):
        raise InvalidValue(where, f"{options!r} is no dictionary")
    for key in keys:
        if not options.get(key):
            raise InvalidValue(f"{where}.{key}", "is missing")
