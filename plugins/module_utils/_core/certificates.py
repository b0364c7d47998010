# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificate is presented for which server name. Pure.

haproxy prefers an exact server name to a wildcard by itself, and chooses between ECDSA and RSA by what the
client can do; so for each name the best certificate of each key type is chosen here: one that is
valid, then one that names the host exactly, then the one that is valid longest.
"""

from __future__ import annotations

import time
import typing as t
from collections import defaultdict

from .desired import EdgeOptions, Served
from .model import Certificate, Ingress, Quarantined, owner


def parent(host: str) -> str:
    """The wildcard that covers an exact host (RFC 6125, section 6.4.3: one label); "" where there can be none."""
    _label, dot, rest = host.partition(".")
    return f"*.{rest}" if dot and rest and not host.startswith("*") else ""


def covers(names: t.Container[str], host: str) -> bool:
    """Whether one of ``names`` is ``host`` or the wildcard of its parent."""
    return host in names or bool(parent(host)) and parent(host) in names


class Candidates:
    """Collects the certificates that may be used for server names, and chooses."""

    def __init__(self, options: EdgeOptions) -> None:
        self._options = options
        self._by_name: dict[str, dict[str, Certificate]] = defaultdict(dict)

    def offer(self, name: str, certificate: Certificate) -> None:
        best = self._by_name[name].get(certificate.key_type)
        if best is None or self._rank(certificate, name) > self._rank(best, name):
            self._by_name[name][certificate.key_type] = certificate

    def _valid(self, certificate: Certificate) -> bool:
        return certificate.not_before <= self._options.now < certificate.not_after

    def _rank(self, certificate: Certificate, name: str) -> tuple[t.Any, ...]:
        # The text decides between equals, so that the order of input does not.
        return (self._valid(certificate), name in certificate.names, certificate.not_after, certificate.source, certificate.pem)

    def chosen(self) -> tuple[Served, ...]:
        """Each chosen certificate with all its server names."""
        names: dict[Certificate, set[str]] = defaultdict(set)
        for name, of_types in self._by_name.items():
            usable = [c for c in of_types.values() if self._valid(c)]
            if not usable and any(map(self._valid, self._by_name.get(parent(name), {}).values())):
                continue  # A valid wildcard serves the name better than an exact certificate that expired.
            for certificate in usable or of_types.values():
                names[certificate].add(name)
        return tuple(sorted(Served(tuple(sorted(of)), certificate) for certificate, of in names.items()))


def choose(
    hosts: frozenset[str], ours: t.Iterable[Certificate], of_clusters: t.Iterable[tuple[str, Ingress, dict[str, Certificate]]],
    hosts_of: dict[str, set[str]], options: EdgeOptions,
) -> tuple[tuple[Served, ...], list[Quarantined]]:
    """Certificates for ``hosts`` ("" among them: for every host).

    ``ours`` are the operator's, for all names in them; those of clusters (cluster, ingress, certificates by
    source) are for the hosts that the ingress has won (``hosts_of``, by owner), and no others.
    """
    candidates = Candidates(options)
    everything = "" in hosts
    parents = frozenset(map(parent, hosts))
    for certificate in ours:
        for name in certificate.names:
            if everything or name in hosts or name in parents:
                candidates.offer(name, certificate)
    quarantined = []
    for cluster, ingress, certificates in of_clusters:
        won = hosts_of.get(owner(cluster, ingress.full_name), set())
        for tls in ingress.tls:
            certificate = certificates.get(tls.certificate)
            if certificate is None:
                continue  # Its Secret is quarantined: the observation named it.
            for host in filter(None, tls.hosts):
                if not covers(certificate.names, host):
                    cause = f"{tls.certificate} is not for {host}: it is for {', '.join(certificate.names[:5]) or 'no name'}"
                    quarantined.append(Quarantined(cluster, str(ingress), "spec.tls", cause))
                elif host in won:
                    candidates.offer(host, certificate)
    return candidates.chosen(), quarantined


def expiring(served: t.Iterable[Served], options: EdgeOptions) -> tuple[str, ...]:
    """A sentence for each certificate that has expired or will within ``options.expiry_warning`` seconds."""
    found = []
    for entry in served:
        certificate = entry.certificate
        if certificate.not_after - options.now < options.expiry_warning:
            verb = "expired" if certificate.not_after <= options.now else "expires"
            day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(certificate.not_after))
            found.append(f"{certificate.source} ({', '.join(entry.names[:5])}) {verb} on {day}")
    return tuple(sorted(found))
