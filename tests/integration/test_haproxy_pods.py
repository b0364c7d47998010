# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How pods are spoken to: TLS with verification, HTTP/2, PROXY protocol; and TLS that is passed through."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace

import pytest
from ports import free_port

from ansible_collections.northgate.edge.plugins.module_utils._core.model import Endpoint, Pool, PoolTls, Rule
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.certificates import authority, pair

HOST = "shop.example.test"
ROOT = Rule(HOST, "/", "Prefix")

POD = """\
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend pod
    bind 127.0.0.1:{tls} ssl crt {root}/pod.pem ca-file {root}/client-ca.pem verify optional alpn h2,http/1.1
    bind 127.0.0.1:{h2c} proto h2
    bind 127.0.0.1:{proxy} accept-proxy
    http-request set-var-fmt(txn.told) "version %[req.ver] sni %[ssl_fc_sni] client %[ssl_c_s_dn(cn)] from %[src]"
    http-request return status 200 content-type text/plain lf-string "%[var(txn.told)] host %[req.hdr(host)]"
"""


class TlsPod:
    """Another haproxy, as a pod that speaks everything."""

    def __init__(self, root, pem):
        self.tls, self.h2c, self.proxy = free_port(), free_port(), free_port()
        self.server, self.client = pem("pods.example.test", HOST), pem("the-router")
        (root / "pod.pem").write_text(self.server)
        (root / "client-ca.pem").write_text(authority(self.client, "client"))
        (root / "pod.cfg").write_text(POD.format(root=root, tls=self.tls, h2c=self.h2c, proxy=self.proxy))
        self.process = subprocess.Popen(["haproxy", "-db", "-f", str(root / "pod.cfg")], stderr=subprocess.DEVNULL)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.proxy)) == 0


@pytest.fixture
def pod(tmp_path, pem, wait):
    root = tmp_path / "pod"
    root.mkdir()
    started = TlsPod(root, pem)
    wait(started.listens, "the pod")
    yield started
    started.process.terminate()
    started.process.wait(10)


def with_pool(snapshot, **values):
    """The snapshot with other values of its pool."""
    return replace(snapshot, pools=(replace(snapshot.pools[0], **values),))


def test_tls_to_pods_is_verified_and_tells_server_name_and_client(haproxy, cluster, pod, pem):
    trusted = authority(pod.server, "pod")
    client = pair(pod.client, "client").pem
    plain = cluster("alpha", [ROOT], [pod.tls])
    haproxy.bring(with_pool(plain, protocol="https", tls=PoolTls(authority=trusted, client_certificate=client)))
    assert haproxy.ask(HOST).text == f"version 2.0 sni {HOST} client the-router from 127.0.0.1 host {HOST}"
    haproxy.bring(with_pool(plain, protocol="https", tls=PoolTls(authority=trusted, server_name="pods.example.test")))
    assert haproxy.ask(HOST).text == f"version 2.0 sni pods.example.test client  from 127.0.0.1 host {HOST}"
    haproxy.bring(with_pool(plain, protocol="https", tls=PoolTls(authority=trusted, server_name="else.example.test")))
    assert haproxy.ask(HOST).status == 503
    haproxy.bring(with_pool(plain, protocol="https", tls=PoolTls(authority=authority(pem("other"), "other"))))
    assert haproxy.ask(HOST).status == 503
    haproxy.bring(with_pool(plain, protocol="https", tls=PoolTls(verify=False)))
    assert haproxy.ask(HOST).status == 200


def test_a_pod_that_is_spoken_to_by_tls_comes_without_a_reload(haproxy, cluster, pod):
    tls = PoolTls(authority=authority(pod.server, "pod"), client_certificate=pair(pod.client, "client").pem)
    haproxy.bring(with_pool(cluster("alpha", [ROOT], []), protocol="https", tls=tls))
    assert haproxy.ask(HOST).status == 503
    assert haproxy.bring(with_pool(cluster("alpha", [ROOT], [pod.tls]), protocol="https", tls=tls)).reload_reason == ""
    assert "client the-router" in haproxy.ask(HOST).text
    live = haproxy.adapter.read()
    haproxy.stop()
    haproxy.start()
    assert haproxy.adapter.read() == live
    assert "client the-router" in haproxy.ask(HOST).text


def test_only_files_that_are_not_loaded_yet_need_a_reload(haproxy, cluster, pod):
    def spoken_to(**tls):
        return haproxy.bring(with_pool(cluster("alpha", [ROOT], [pod.tls]), protocol="https", tls=PoolTls(**tls))).reload_reason

    trusted = authority(pod.server, "pod")
    haproxy.bring(cluster("alpha", [ROOT], [pod.tls]))
    assert spoken_to(verify=False) == ""
    assert spoken_to(authority=trusted) == "TLS to pods needs an authority or a client certificate that is not loaded"
    assert spoken_to(authority=trusted, server_name="pods.example.test") == ""
    assert haproxy.ask(HOST).status == 200
    assert haproxy.bring(cluster("alpha", [ROOT], [pod.tls])).reload_reason == ""
    assert spoken_to(authority=trusted) == ""
    assert haproxy.ask(HOST).status == 200


def test_http2_without_tls(haproxy, cluster, pod):
    haproxy.bring(cluster("alpha", [ROOT], []))
    assert haproxy.bring(with_pool(cluster("alpha", [ROOT], [pod.h2c]), protocol="h2c")).reload_reason == ""
    assert haproxy.ask(HOST).text.startswith("version 2.0")


def test_proxy_protocol_to_pods(haproxy, cluster, pod):
    haproxy.bring(cluster("alpha", [ROOT], []))
    assert haproxy.bring(with_pool(cluster("alpha", [ROOT], [pod.proxy]), proxy_protocol=True)).reload_reason == ""
    assert "from 127.0.0.1" in haproxy.ask(HOST).text


def test_proxy_protocol_from_named_networks(haproxy, pods, cluster):
    haproxy.options = replace(haproxy.options, proxy_protocol_from=("127.0.0.0/8",))
    haproxy.bring(cluster("alpha", [ROOT], [pods("a").port]))
    with socket.create_connection(("127.0.0.1", haproxy.http), 10) as connection:
        connection.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n")
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b'"X-Forwarded-For": "192.0.2.7"' in answer or b'"x-forwarded-for": "192.0.2.7"' in answer


def test_tls_passes_through_by_its_server_name_and_http_is_redirected(haproxy, cluster, pods, pod, pem):
    haproxy.options = replace(haproxy.options, passthrough=True)
    through = cluster("beta", [ROOT], [], passthrough=True)
    through = replace(through, pools=(Pool("class/traefik", (), passthrough=(Endpoint("127.0.0.1", pod.tls),)),))
    ours = cluster("alpha", [Rule("ours.example.test", "/", "Prefix")], [pods("a").port])
    pems = {"ours.pem": pem("ours.example.test")}
    haproxy.bring(ours, pems=pems)
    assert haproxy.bring(through, ours, pems=pems, passthrough=True).reload_reason == ""
    assert haproxy.certificate(HOST).subject.rfc4514_string() == "CN=pods.example.test"
    assert f"sni {HOST}" in haproxy.ask(HOST, sni=HOST).text
    assert haproxy.get("ours.example.test", sni="ours.example.test")[1]["pod"] == "a"
    told = {k.lower(): v for k, v in haproxy.get("ours.example.test", sni="ours.example.test")[1]["headers"].items()}
    assert (told["x-forwarded-for"], told["x-forwarded-port"]) == ("127.0.0.1", str(haproxy.https))
    answer = haproxy.ask(HOST, "/a")
    assert (answer.status, answer.getheader("Location")) == (308, f"https://{HOST}/a")
    assert haproxy.certificate("unknown.example.test") is None
    assert haproxy.bring(ours, pems=pems, passthrough=True).reload_reason == ""
    assert haproxy.certificate(HOST) is None
    assert haproxy.bring(through, ours, pems=pems, passthrough=True).reload_reason == ""
    assert haproxy.certificate(HOST) is not None
