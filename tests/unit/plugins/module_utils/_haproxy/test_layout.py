# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layout in haproxy's terms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Endpoint, Ingress, Path, Pool, PoolTls, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import CERTIFICATES, CONFIG, PASSTHROUGH, ROUTES, Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import BACKENDS, Known, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.pem import file_name

CERTS = "/etc/haproxy/northgate/certs"
SHOP, NEWS = Rule("shop.example", "/", "Prefix"), Rule("news.example", "/", "Prefix")


def snapshot(cluster, rules, *endpoints, **pool):
    paths = tuple(Path(rule, "class/traefik") for rule in rules)
    return Snapshot(cluster, (Ingress("demo", "shop", "2026", "traefik", paths),), (Pool("class/traefik", endpoints, **pool),))


def laid_out(*snapshots, **options):
    return layout(ingress_state(snapshots), Options(**options), Known(), CERTS)


def texts(wanted):
    return render(wanted, "/etc/haproxy/northgate/current", CERTS)


ONE, TWO = Endpoint("10.0.0.1", 8000), Endpoint("fd00::1", 8000)


def test_hosts_pods_clusters_and_services_leave_the_structure_alone():
    one = laid_out(snapshot("alpha", [SHOP], ONE))
    two = laid_out(snapshot("alpha", [SHOP, NEWS], ONE, TWO), snapshot("beta", [SHOP], ONE))
    assert one.fingerprint == two.fingerprint
    assert laid_out(snapshot("alpha", [SHOP], ONE), hsts="max-age=1").fingerprint != one.fingerprint
    assert laid_out(snapshot("alpha", [SHOP], ONE), spare_backends=200).fingerprint != one.fingerprint


def test_the_configuration_has_the_servers_of_each_backend_and_names_their_pools():
    wanted = laid_out(snapshot("alpha", [SHOP], ONE), snapshot("beta", [SHOP], TWO))
    written = texts(wanted)
    backend = written[CONFIG].split("backend ng_h00001 from ng_servers\n")[1]
    assert backend.startswith("    # alpha:class/traefik beta:class/traefik\n")
    assert "    server alpha_10.0.0.1_8000 10.0.0.1:8000 check" in backend
    assert "    server beta_fd00::1_8000 fd00::1:8000 check" in backend
    assert f"backend {wanted.fingerprint} from ng_defaults" in written[CONFIG]
    assert written[BACKENDS].startswith("ng_h00001 alpha:class/traefik beta:class/traefik\nng_h00002 -\n")
    assert written[ROUTES] == "shop.example/ ng_h00001||\n"
    assert PASSTHROUGH not in written and written[CERTIFICATES] == ""


def test_files_for_tls_to_pods_are_loaded_before_a_pod_is_there():
    tls = PoolTls(authority="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty = laid_out(snapshot("alpha", [SHOP], protocol="https", tls=tls))
    filled = laid_out(snapshot("alpha", [SHOP], ONE, protocol="https", tls=tls))
    assert empty.fingerprint == filled.fingerprint
    (name,) = empty.pems
    assert f"server load 127.0.0.1:9 disabled ssl verify required ca-file {CERTS}/{name}" in texts(empty)[CONFIG]


@pytest.mark.parametrize(
    "wrong",
    [
        {"trusted_proxies": ("10.0.0.0/8 } #",)}, {"proxy_protocol_from": ("all",)}, {"affinity_cookie": "a b"}, {"affinity_cookie": ""},
        {"spare_backends": -1}, {"spare_backends": 10_001},
    ],
)  # fmt: skip
def test_what_an_operator_can_get_wrong(wrong):
    with pytest.raises(InvalidValue):
        Options(**wrong)


def test_certificates_are_files_by_content_and_names():
    certificate = Certificate("Secret ../../demo/*.tls", ("a.example",), "rsa", 0, 1, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    name = file_name(certificate, ("a.example",))
    assert "/" not in name and not name.startswith(".")
    assert name != file_name(certificate, ("a.example", "b.example"))
    assert name != file_name(replace(certificate, pem=certificate.pem * 2), ("a.example",))
    assert file_name(replace(certificate, source="..."), ()).startswith("certificate-")


def test_everything_leads_somewhere_and_a_layout_that_is_known_stays(snapshot_lists, certificate_lists):
    @given(snapshot_lists, certificate_lists, st.booleans())
    def check(snapshots, certificates, passthrough):
        options = Options(passthrough=passthrough, spare_backends=2)
        edge = EdgeOptions(passthrough=passthrough, now=1_000_000_000)
        state = ingress_state(snapshots, edge, certificates)
        wanted = layout(state, options, Known(), CERTS)
        pools = wanted.pools()
        for value in wanted.maps[ROUTES].values():
            fields = value.split("|")
            assert all(name in pools for name in (fields[0], *fields[3:4]) if name)
            assert not fields[2] or f"{fields[2]}/p" in wanted.maps["policies.map"]
        assert set(wanted.maps.get(PASSTHROUGH, {}).values()) <= set(pools)
        assert len(wanted.maps[ROUTES]) == len(state.routes) + len(state.defaults)
        assert set(wanted.certificates) <= set(wanted.pems)
        # What is on disk is kept: the same again, and after another state in between a backend for each set of pools.
        known = Known(texts(wanted)[BACKENDS])
        assert layout(state, options, known, CERTS) == wanted
        between = layout(ingress_state(snapshots[1:], edge), options, known, CERTS)
        # A set of pools may have a backend of each kind.
        kept = {(name[:4], of): name for name, of in between.pools().items()}
        assert all(kept.get((name[:4], of), name) == name for name, of in pools.items())

    check()
