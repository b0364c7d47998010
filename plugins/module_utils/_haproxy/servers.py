# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers: pods as haproxy is told of them. Pure."""

from __future__ import annotations

import functools
import hashlib
import math
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from .._core.desired import DRAIN, STANDBY, IngressState, PoolName, Share
from .._core.model import Endpoint, PoolTls

# A server added at run time gets no default-server, so each one carries all its options. A connection that fails counts as a failed check and makes
# haproxy check at once, so a pod that is gone is out after one request, and a lost packet puts none out. One that was down has to be up for two seconds: an
# ingress controller that has just been started listens before it knows its routes (Traefik answers 404 until then).
CHECK_OPTIONS = "check inter 2s fastinter 100ms fall 2 rise 20 observe layer4 error-limit 1 on-error sudden-death"
MAX_WEIGHT = 256
_DEFAULT = Share()
_NO_TLS = PoolTls()


@dataclass(frozen=True, order=True, slots=True)
class Server:
    """``options`` are haproxy's; a server with others has another name. ``weight`` 0 gets no new sessions."""

    address: str
    port: int
    options: str = CHECK_OPTIONS
    weight: int = 1

    @property
    def checked(self) -> bool:
        """Whether its health is asked."""
        return "check" in self.options.split()

    @property
    def socket(self) -> str:
        """As haproxy reads it: the last colon parts address and port, IPv6 needs no brackets."""
        return f"{self.address}:{self.port}"


def tls_files(tls: PoolTls) -> dict[str, str]:
    """The PEM files that TLS to pods needs, by name; the names tell the contents."""
    return {_pem_name(kind, text): text for kind, text in (("ca", tls.authority), ("client", tls.client_certificate)) if text}


def _pem_name(kind: str, text: str) -> str:
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pem"


def tls_load(tls: PoolTls, directory: str) -> str:
    """Options that name the files; "" when there are none. ``directory`` is where ``tls_files`` are."""
    words = []
    if tls.verify:
        words.append(f"verify required ca-file {directory}/{_pem_name('ca', tls.authority)}" if tls.authority else "verify required ca-file @system-ca")
    if tls.client_certificate:
        words.append(f"crt {directory}/{_pem_name('client', tls.client_certificate)}")
    return " ".join(words)


def tls_options(tls: PoolTls, directory: str) -> str:
    """Options of a server that is spoken to by TLS."""
    words = ["ssl", tls_load(tls, directory)] if tls.verify else ["ssl verify none", tls_load(tls, directory)]
    words += [f"sni str({tls.server_name}) check-sni {tls.server_name}"] if tls.server_name else ["sni var(txn.ng_host)"]
    return " ".join([*filter(None, words), "alpn h2,http/1.1"])


@functools.lru_cache(maxsize=4096)
def _options(protocol: str, tls: PoolTls, proxy_protocol: bool, mode: str, directory: str) -> str:
    words = [CHECK_OPTIONS]
    if protocol == "h2c":
        words.append("proto h2 ws h1")
    elif protocol == "https":
        words.append(tls_options(tls, directory))
    if proxy_protocol:
        words.append("send-proxy-v2 check-send-proxy")
    if mode == STANDBY:
        words.append("backup")
    return " ".join(words)


def servers(pools: t.Iterable[PoolName], state: IngressState, directory: str, passthrough: bool = False) -> dict[str, Server]:
    """The servers of a backend for ``pools`` by name, which is unique in it."""
    of_clusters: dict[str, dict[str, Server]] = {}
    draining: set[str] = set()
    for name in pools:
        pool, share = state.pools[name], state.shares.get(name.cluster, _DEFAULT)
        # What is passed through is the pods' own business.
        spoken = ("http", _NO_TLS, False) if passthrough else (pool.protocol, pool.tls, pool.proxy_protocol)
        options = _options(*spoken, share.mode, directory)
        for endpoint, drains in usable(pool.passthrough if passthrough else pool.endpoints):
            server = _server_name(name.cluster, endpoint, options)
            of_clusters.setdefault(name.cluster, {})[server] = Server(endpoint.address, endpoint.port, options)
            if drains or share.mode == DRAIN:
                draining.add(server)
    return _weighted(of_clusters, draining, state.shares)


def usable(endpoints: t.Iterable[Endpoint]) -> list[tuple[Endpoint, bool]]:
    """Endpoints to use, and whether each is draining: ready ones, and those that end but still serve.

    Without a ready one, those that end but still serve get everything, as kube-proxy does it (KEP-1669).
    """
    found = sorted(endpoints)
    ready = [(e, False) for e in found if e.ready and not e.terminating]
    ending = [e for e in found if e.serving and e.terminating]
    return ready + [(e, bool(ready)) for e in ending]


def _server_name(cluster: str, endpoint: Endpoint, options: str) -> str:
    """ "_" occurs in no cluster's name and no address. A name stands for one set of options."""
    name = f"{cluster}_{endpoint.address}_{endpoint.port}"
    return name if options == CHECK_OPTIONS else f"{name}_{hashlib.sha256(options.encode()).hexdigest()[:6]}"


def _weighted(of_clusters: dict[str, dict[str, Server]], draining: set[str], shares: dict[str, Share]) -> dict[str, Server]:
    """Each cluster's share, spread over its servers, in the smallest whole numbers that haproxy takes."""
    parts: dict[str, Fraction] = {}
    for cluster, of_cluster in of_clusters.items():
        active = [name for name in of_cluster if name not in draining]
        weight = shares.get(cluster, _DEFAULT).weight
        parts.update({name: Fraction(weight, len(active)) if weight else Fraction(1) for name in active})
    weights = _whole(parts)
    return {
        name: Server(server.address, server.port, server.options, weights.get(name, 0))
        for of_cluster in of_clusters.values()
        for name, server in sorted(of_cluster.items())
    }


def _whole(parts: dict[str, Fraction]) -> dict[str, int]:
    """Whole numbers in the ratio of ``parts``, at least 1 and at most MAX_WEIGHT; rounded where that is not possible."""
    scale = math.lcm(*(part.denominator for part in parts.values()))
    whole = {name: int(part * scale) for name, part in parts.items()}
    common = math.gcd(*whole.values()) or 1
    largest = max(whole.values(), default=0) // common
    if largest <= MAX_WEIGHT:
        return {name: value // common for name, value in whole.items()}
    return {name: max(1, round(value / common / largest * MAX_WEIGHT)) for name, value in whole.items()}
