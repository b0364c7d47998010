# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real parts on loopback: a haproxy for each test that asks for one, a kube-apiserver with etcd for all."""

from __future__ import annotations

import datetime
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import northgate_bird
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from northgate_lab import binaries
from ports import free_port
from waiting import wait_for

from ansible_collections.northgate.edge.plugins.module_utils._core import model
from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.ingress import IngressAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.runtime import Runtime
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.certificates import read as read_certificate
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import Outcome, converge

BASE = """\
global
    stats socket {root}/worker.sock mode 660 level admin expose-fd listeners
    hard-stop-after 5s
    maxconn 500
defaults ng_defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    timeout http-request 5s
    option redispatch 1
    retries {retries}
"""
# As the role has it, for the tests of what a dead pod costs.
RETRIES = yaml.safe_load((Path(__file__).parents[2] / "roles/haproxy/defaults/main.yml").read_text())["haproxy_retries"]


class HAProxy:
    """haproxy with a master, as the distribution's unit runs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_dir = root / "etc"
        (self.config_dir / "conf.d").mkdir(parents=True)
        (self.config_dir / "haproxy.cfg").write_text("")
        (self.config_dir / "conf.d" / "00-northgate.cfg").write_text(BASE.format(root=root, retries=RETRIES))
        self.http, self.https = free_port(), free_port()
        self.options = Options((f"127.0.0.1:{self.http}",), (f"127.0.0.1:{self.https}",))
        self.socket, self.master_socket = str(root / "worker.sock"), str(root / "master.sock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def adapter(self) -> IngressAdapter:
        return IngressAdapter(str(self.config_dir), self.socket, self.master_socket)

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.socket)

    def bring(
        self, *snapshots: model.Snapshot, pems: dict[str, str] | None = None, check_mode: bool = False, **choices: t.Any
    ) -> Outcome[t.Any]:
        """Converges with the operator's ``pems`` (text by file name) and ``choices`` of EdgeOptions."""
        ours = [read_certificate(text, name) for name, text in (pems or {}).items()]
        state = ingress_state(snapshots, EdgeOptions(**{"now": int(time.time()), **choices}), ours)
        adapter = self.adapter
        outcome = converge(adapter, lambda current: adapter.wanted(current, state, self.options), check_mode)
        if not check_mode:
            adapter.delete_drained(outcome.wanted)
        return outcome

    def start(self) -> None:
        files = ["-f", str(self.config_dir / "haproxy.cfg"), "-f", str(self.config_dir / "conf.d")]
        log = open(self.root / "haproxy.log", "ab")
        self._process = subprocess.Popen(["haproxy", "-Ws", "-S", self.master_socket, *files], stdout=log, stderr=log)
        wait_for(self._answers, "haproxy's sockets")

    def _answers(self) -> bool:
        try:
            return bool(self.runtime.ask("show info")) and bool(Runtime(self.master_socket).ask("show proc"))
        except Exception:
            assert self._process and self._process.poll() is None, (self.root / "haproxy.log").read_text()
            return False

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    def worker(self) -> str:
        """The worker's process id: it changes with each reload."""
        return self.runtime.expect(r"(?m)^Pid: (\d+)", "show info").group(1)

    def ask(
        self, host: str, path: str = "/", headers: dict[str, str] | None = None, method: str = "GET", body: t.Any = None, sni: str = ""
    ) -> http.client.HTTPResponse:
        """The answer, with its text in ``text``; by TLS when ``sni`` is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.https if sni else self.http, timeout=10)
        if sni:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.https), 10), server_hostname=sni)
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
        except (BrokenPipeError, ConnectionResetError):
            pass  # It was answered before the body was sent.
        response = connection.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return response

    def get(self, host: str, path: str = "/", headers: dict[str, str] | None = None, sni: str = "") -> tuple[int, dict[str, t.Any]]:
        """Status and, for 200, the pod's answer."""
        response = self.ask(host, path, headers, sni=sni)
        return response.status, json.loads(response.text) if response.status == 200 else {}

    def answered(self, host: str, path: str = "/", times: int = 12) -> set[str]:
        """The pods that answer; each request must get 200."""
        replies = [self.get(host, path) for attempt in range(times)]
        assert {status for status, body in replies} == {200}
        return {body["pod"] for status, body in replies}

    def certificate(self, name: str) -> x509.Certificate | None:
        """The certificate served for ``name``, or None when the handshake is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.https), 10) as raw:
                with context.wrap_socket(raw, server_hostname=name) as tls:
                    return x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
        except ssl.SSLError:
            return None


@pytest.fixture
def haproxy(tmp_path: Path) -> t.Iterator[HAProxy]:
    """haproxy, running, without any configuration of ours yet."""
    process = HAProxy(tmp_path)
    process.start()
    yield process
    process.stop()


class Pod:
    """An ingress pod: answers with its name, the path and the headers."""

    def __init__(self, name: str) -> None:
        self.name = name

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                body = json.dumps(
                    {"pod": name, "path": self.path, "headers": dict(self.headers), "method": self.command, "size": len(self.rfile.read(size))}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """A health check ends with a reset: that is no error."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pods() -> t.Iterator[t.Callable[[str], Pod]]:
    """Starts pods by name."""
    started: list[Pod] = []

    def start(name: str) -> Pod:
        started.append(Pod(name))
        return started[-1]

    yield start
    for pod in started:
        pod.stop()


def cluster(name: str, rules: t.Iterable[model.Rule], ports: t.Iterable[int], **ingress: t.Any) -> model.Snapshot:
    """A cluster with one ingress and one pool of pods on 127.0.0.1, or of Endpoints."""
    paths = tuple(model.Path(rule, "class/traefik") for rule in rules)
    endpoints = tuple(port if isinstance(port, model.Endpoint) else model.Endpoint("127.0.0.1", port) for port in ports)
    values = {"namespace": "demo", "name": "shop", "created": "2026-01-01T00:00:00Z", "ingress_class": "traefik", "paths": paths}
    return model.Snapshot(name, (model.Ingress(**{**values, **ingress}),), (model.Pool("class/traefik", endpoints),))


def make_pem(*names: str, days: int = 30, rsa_key: bool = False) -> str:
    """A self-signed certificate for ``names`` and its key. It is valid for ``days`` from now, or ended as long ago."""
    key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding).decode() + "\n# the key\n\n" + private.decode()


@pytest.fixture
def silent() -> t.Iterator[int]:
    """The port of a pod that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(name="cluster")
def _cluster() -> t.Callable[..., model.Snapshot]:
    """Makes snapshots; see cluster."""
    return cluster


@pytest.fixture(scope="session")
def pem() -> t.Callable[..., str]:
    """Makes certificates; see make_pem."""
    return make_pem


@pytest.fixture(scope="session")
def wait() -> t.Callable[..., t.Any]:
    """See wait_for."""
    return wait_for


@pytest.fixture(autouse=True)
def _no_proxy() -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ.pop(name, None)


class KubernetesAPI:
    """An API server without controllers or nodes: objects are what the tests write. One for each of the addresses that it is told to have."""

    def __init__(self, root: Path, programs: Path, addresses: t.Sequence[str] = ("127.0.0.1",), certificate: Path | None = None) -> None:
        self.root = root
        self._addresses = addresses
        self._certificate = certificate
        self._programs = programs
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        self.kubeconfig = root / "admin.kubeconfig"

    def start(self) -> None:
        client, peer = (f"http://127.0.0.1:{free_port()}" for number in range(2))
        self._spawn(
            "etcd", f"--data-dir={self.root}/etcd", "--unsafe-no-fsync", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        )  # fmt: skip
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.root / "service-account.key").write_bytes(key)
        (self.root / "tokens").write_text('admin-token,admin,1,"system:masters"\nnobody-token,nobody,2\n')
        own = [f"--tls-cert-file={self._certificate}", f"--tls-private-key-file={self._certificate}"] if self._certificate else []
        self.servers = [
            self._spawn(
                "kube-apiserver", f"--etcd-servers={client}", f"--cert-dir={self.root}", f"--secure-port={self.port}",
                f"--bind-address={address}", f"--service-account-key-file={self.root}/service-account.key",
                f"--service-account-signing-key-file={self.root}/service-account.key",
                "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={self.root}/tokens",
                "--service-cluster-ip-range=10.0.0.0/24,fd10::/112", "--authorization-mode=RBAC", *own,
            )
            for address in self._addresses
        ]  # fmt: skip
        self.kubeconfig.write_text(self.kubeconfig_for("admin-token"))
        wait_for(self._ready, "the API server", 90)

    def kubeconfig_for(self, token: str, **cluster: str) -> str:
        """A kubeconfig (JSON is YAML) for the user of ``token``. ``cluster`` says what else than usual is in the entry of the cluster."""
        known = {"server": f"https://{self._addresses[0]}:{self.port}", "certificate-authority": f"{self.root}/apiserver.crt"}
        cluster = {**known, **{key.replace("_", "-"): value for key, value in cluster.items()}}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "current-context": "test",
            }
        )

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.root / f"{name}-{len(self._processes)}.log", "wb") as log:
            command = [str(binaries.path(self._programs, name)), *arguments]
            self._processes.append(subprocess.Popen(command, cwd=self.root, stdout=log, stderr=log))
        return self._processes[-1]

    def _ready(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, "\n".join(log.read_text()[-1500:] for log in self.root.glob("*.log"))
        try:
            return self.kubectl("get", "--raw", "/readyz") == "ok"
        except subprocess.CalledProcessError:
            return False

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints, as administrator."""
        command = [str(binaries.path(self._programs, "kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout

    def apply(self, *objects: dict[str, t.Any]) -> None:
        self.kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def kubernetes_api() -> type[KubernetesAPI]:
    """See KubernetesAPI."""
    return KubernetesAPI


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[KubernetesAPI]:
    """A kube-apiserver. Tests share it: each keeps to namespaces of its own."""
    programs = binaries.ensure(lambda message: print(message, file=sys.stderr, flush=True))
    api = KubernetesAPI(tmp_path_factory.mktemp("kubernetes"), programs)
    try:
        api.start()
        yield api
    finally:
        api.stop()


@pytest.fixture
def bird_lab(tmp_path: Path) -> t.Iterator[tuple[northgate_bird.Host, ...]]:
    """Hosts r1, r2 and out, each with a BIRD that is not started."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    yield from northgate_bird.lab(tmp_path)


@pytest.fixture
def birds(bird_lab: tuple[northgate_bird.Host, ...]) -> tuple[northgate_bird.Host, ...]:
    """The same, with all sessions up and the routes in the kernel of ``out``."""
    for host in bird_lab:
        host.start()
    out = bird_lab[2]
    northgate_bird.until(lambda: out.up("r1_v4", "r1_v6", "r2_v4", "r2_v6"), "all sessions")
    northgate_bird.until(lambda: len(out.routes().get(northgate_bird.POOL, ())) == len(out.routes(6).get(northgate_bird.POOL6, ())) == 2, "routes")
    return bird_lab
