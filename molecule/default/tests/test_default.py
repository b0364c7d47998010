# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml and converge.yml make of the default topology: routes, services, and answers that the client gets."""
from __future__ import annotations

import json

import pytest
from driver.client import everywhere, question

# Destination and who announces it: each worker its pods, all workers of a cluster its services.
ROUTES = {
    "10.100.1.0/24": {"10.90.0.21"},
    "10.100.2.0/24": {"10.90.0.22"},
    "10.101.0.0/16": {"10.90.0.21", "10.90.0.22"},
    "10.110.1.0/24": {"10.90.0.31"},
    "10.111.0.0/16": {"10.90.0.31"},
    "fd64:100:0:1::/64": {"fd90::21"},
    "fd64:100:0:2::/64": {"fd90::22"},
    "fd64:101::/112": {"fd90::21", "fd90::22"},
    "fd64:110:0:1::/64": {"fd90::31"},
    "fd64:111::/112": {"fd90::31"},
}
# What is left of a cluster's pod prefixes.
REST = {"alpha": {"10.100.0.0/16": {"unreachable"}, "fd64:100::/48": {"unreachable"}},
        "beta": {"10.110.0.0/16": {"unreachable"}, "fd64:110::/48": {"unreachable"}}}


def learned(host):
    """The kernel's routes that BIRD put there: destination -> next hops, or `unreachable`."""
    routes = {}
    for family in ("-4", "-6"):
        for route in json.loads(host.check_output(f"ip -j {family} route show proto bird") or "[]"):
            hops = route.get("nexthops", [route])
            routes.setdefault(route["dst"], set()).update(hop.get("gateway") or route["type"] for hop in hops)
    return routes


def test_routers_learn_pods_and_services_of_both_clusters(lab, router, eventually):
    eventually(lambda: learned(lab(router)) == ROUTES | REST["alpha"] | REST["beta"])


def test_workers_learn_their_fellows_pods_and_from_routers_only_where_clients_are(lab, eventually):
    clients = {"10.91.0.0/24": {"10.90.0.11", "10.90.0.12"}, "fd91::/64": {"fd90::11", "fd90::12"}}
    eventually(lambda: learned(lab("alpha-w1")) == {"10.100.2.0/24": {"10.90.0.22"}, "fd64:100:0:2::/64": {"fd90::22"}} | clients | REST["alpha"])
    eventually(lambda: learned(lab("beta-w1")) == clients | REST["beta"])


@pytest.mark.parametrize("service", ["haproxy", "bird"])
def test_services_run_and_come_back_after_a_boot(lab, router, service):
    assert lab(router).service(service).is_running
    assert lab(router).service(service).is_enabled


def test_the_administrators_files_are_untouched(lab, router):
    changed = [line for line in lab(router).check_output("dpkg --verify haproxy").splitlines() if " /etc/" in line]
    assert changed == []


def test_the_sockets_and_secrets_are_not_for_everybody(lab, router):
    host = lab(router)
    assert host.file("/run/haproxy/northgate.sock").mode == 0o660
    assert host.file("/etc/haproxy/northgate/certs").mode == 0o700
    assert host.socket("tcp://127.0.0.1:8404").is_listening
    assert not host.socket("tcp://0.0.0.0:8404").is_listening
    fetch = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8404/metrics?scope=global').read().decode())"
    assert "haproxy_process_current_connections " in host.check_output("python3 -c %s", fetch)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_of_both_clusters_is_served_by_all_their_pods(scheme):
    for replies in everywhere(question("shared.example.test", "/any", scheme=scheme, times=24)).values():
        assert {reply.status for reply in replies} == {200}
        assert {(reply.json["cluster"], reply.json["app"]) for reply in replies} == {("alpha", "echo"), ("beta", "echo")}
        assert len({reply.json["pod"] for reply in replies}) > 2


@pytest.mark.parametrize("cluster, scheme", [("alpha", "https"), ("beta", "http")])
def test_a_host_of_one_cluster_is_served_by_it_alone(get, router, cluster, scheme):
    answers = [get(f"{scheme}://{cluster}.example.test/", router, "--cacert", "/lab/ca.pem") for count in range(3)]
    assert {(status, body["cluster"], body["host"]) for status, body in answers} == {(200, cluster, f"{cluster}.example.test")}


@pytest.mark.parametrize("path, app", [("/b", "echo-b"), ("/b/x", "echo-b"), ("/a", "echo"), ("/", "echo")])
def test_a_path_reaches_its_application(get, router, path, app):
    status, body = get(f"http://shared.example.test{path}", router)
    assert (status, body["app"], body["path"]) == (200, app, path)


@pytest.mark.parametrize("host", ["shared.example.test", "alpha.example.test", "secure.wild.example.test", "direct.example.test"])
def test_https_with_the_certificate_of_the_host(get, router, host):
    # curl fails unless the certificate is of the lab's authority and for this name.
    status, body = get(f"https://{host}/", router, "--cacert", "/lab/ca.pem")
    assert (status, body["host"]) == (200, host)


def test_http_leads_to_https_unless_the_ingress_says_otherwise(get, router):
    statuses = {host: get(f"http://{host}.example.test/", router)[0] for host in ("alpha", "direct", "beta", "shared")}
    assert statuses == {"alpha": 308, "direct": 308, "beta": 200, "shared": 200}


def test_an_unknown_host_gets_our_own_page(get, router):
    status, body = get("http://unknown.example.test/", router)
    assert status == 404
    assert "Nothing is served under this name and path." in body


def test_an_old_protocol_is_refused(get, router):
    with pytest.raises(AssertionError, match="(?i)alert protocol version|unsupported protocol|tls"):
        get("https://shared.example.test/", router, "--insecure", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
