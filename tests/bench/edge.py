# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What measurements have in common with tests: haproxy, API servers, certificates and load, all on loopback."""

from __future__ import annotations

import functools
import pathlib
import sys
import typing as t

import jinja2
import yaml
from ansible_collections.northgate.edge.plugins.module_utils._core import model
from cryptography import x509
from ports import free_port

_ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = _ROOT / "tests" / "lab"
sys.path[:0] = [str(_ROOT / "tests" / "integration"), str(LAB)]

from conftest import HAProxy, KubernetesAPI, make_pem  # noqa: E402
from northgate_lab import binaries  # noqa: E402

__all__ = [
    "ANSWER", "HAProxy", "HOST", "HOSTS", "KubernetesAPI", "LAB", "POOL", "base", "certificate", "hosts", "make_pem", "playbook", "program",
    "programs", "router", "serial", "snapshots",
]  # fmt: skip

# So many hosts, from 1 on.
HOSTS = 5000
HOST = "host-%d.example.test"
POOL = "class/traefik"
# The server behind all of them, on a port.
ANSWER = "frontend answer from ng_defaults\n    bind 127.0.0.1:%d\n    http-request return status 200\n"


def hosts() -> list[str]:
    """All hosts."""
    return [HOST % number for number in range(1, HOSTS + 1)]


def snapshots(answer: int) -> list[model.Snapshot]:
    """Two clusters, whose only pod is the server on the port ``answer``: one offers all hosts, the other every third."""

    def snapshot(cluster: str, every: int) -> model.Snapshot:
        rules = (model.Rule(HOST % number, "/", model.PREFIX) for number in range(1, HOSTS + 1, every))
        paths = tuple(model.Path(rule, POOL) for rule in rules)
        ingress = model.Ingress("bench", "hosts", "2026-01-01T00:00:00Z", "traefik", paths)
        return model.Snapshot(cluster, (ingress,), (model.Pool(POOL, (model.Endpoint("127.0.0.1", answer),)),))

    return [snapshot("alpha", 1), snapshot("beta", 3)]


def base(directory: pathlib.Path, **values: object) -> str:
    """haproxy's own settings as the role haproxy writes them, with its sockets in ``directory``; ``values`` of the role's variables."""
    role = _ROOT / "roles" / "haproxy"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(role / "templates"), trim_blocks=True, keep_trailing_newline=True)
    variables = yaml.safe_load((role / "defaults" / "main.yml").read_text("utf-8"))
    text = environment.get_template("00-northgate.cfg.j2").render({**variables, **values})
    return text.replace("/run/haproxy/northgate.sock", f"{directory}/worker.sock").replace("group haproxy ", "")


def certificate(host: str, now: int) -> model.Certificate:
    """A self-signed certificate for ``host``, as if it had been read from a file of the operator."""
    lines = [line for line in make_pem(host).splitlines() if line and not line.startswith("#")]
    return model.Certificate(f"{host}.pem", (host,), "ecdsa", now - 86400, now + 30 * 86400, "\n".join(lines) + "\n")


def serial(certificate: model.Certificate) -> int:
    """The serial number, which tells certificates apart."""
    return x509.load_pem_x509_certificate(certificate.pem.encode()).serial_number


@functools.cache
def programs() -> pathlib.Path:
    """Where the lab's programs are; built when they are missing."""
    return binaries.ensure(lambda message: print(f"  {message}", file=sys.stderr))


def program(name: str) -> pathlib.Path:
    """One of the lab's programs."""
    return binaries.path(programs(), name)


def router(root: pathlib.Path) -> HAProxy:
    """A haproxy below ``root`` with the settings of the role, not started yet."""
    root.mkdir(exist_ok=True)
    haproxy = HAProxy(root)
    settings = base(root, haproxy_maxconn=2000, haproxy_metrics_bind=[f"127.0.0.1:{free_port()}"])
    (haproxy.config_dir / "conf.d" / "00-northgate.cfg").write_text(settings, encoding="utf-8")
    return haproxy


def playbook(name: str) -> list[dict[str, t.Any]]:
    """The plays of one of the collection's playbooks."""
    return yaml.safe_load((_ROOT / "playbooks" / f"{name}.yml").read_text("utf-8"))
