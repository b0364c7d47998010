# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run leaves that dies, meets a full disk or an old haproxy, or has company."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Path, Rule
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.ingress import IngressAdapter
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.runtime import Runtime

ROOT = Rule("shop.example.test", "/", "Prefix")
NEW = Rule("new.example.test", "/", "Prefix")


def die_after(operations):
    """Ends this process, without any clean-up, at its so many-th change of a file or question to haproxy."""
    left = [operations]

    def counted(function):
        def wrapper(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return function(*arguments, **options)

        return wrapper

    for name in ("rename", "unlink", "symlink", "mkdir", "rmdir", "open", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    Runtime.ask = counted(Runtime.ask)


def in_a_child(work):
    """The exit status of a forked process that does ``work``."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_run_that_dies_anywhere_is_repaired_by_the_next(haproxy, pods, cluster, pem):
    a1, a2 = pods("a1"), pods("a2")
    before = cluster("alpha", [ROOT, Rule("old.example.test", "/", "Prefix")], [a1.port])
    after = cluster("alpha", [ROOT, NEW], [a2.port], policy=Policy(hsts="max-age=5", timeout_server=5000, redirect=False))
    old, new = {"old.pem": pem("old.example.test"), "shop.pem": pem("shop.example.test")}, {"new.pem": pem("new.example.test")}
    haproxy.bring(after, pems=new)
    expected = haproxy.adapter.read()
    dice, operations, died = random.Random(5), 0, 0
    while True:
        assert haproxy.bring(before, pems=old, redirect=False).reload_reason == ""

        if in_a_child(lambda most=operations: (die_after(most), haproxy.bring(after, pems=new))) == 0:
            break
        died += 1
        assert haproxy.get("shop.example.test")[0] == 200
        assert haproxy.bring(after, pems=new).reload_reason == ""
        found = haproxy.adapter.read()
        assert (found.files, found.stored, found.running) == (expected.files, expected.stored, expected.running)
        operations += dice.randint(1, 6)
    assert died > 15


def test_a_full_disk_changes_nothing_and_says_so(haproxy, pods, cluster):
    a1, store = pods("a1"), haproxy.config_dir / "northgate"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(store)], check=True)
    try:
        wanted = cluster("alpha", [ROOT], [a1.port])
        haproxy.bring(wanted)
        live = haproxy.adapter.read()
        subprocess.run(["dd", "if=/dev/zero", f"of={store}/ballast", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
        many = cluster("alpha", [ROOT, *(Rule(f"h{number}.example.test", "/", "Prefix") for number in range(3000))], [a1.port])
        with pytest.raises(ConvergeError, match="can't be written: No space left on device.*"):
            haproxy.bring(many)
        assert haproxy.adapter.read() == live
        assert haproxy.get("shop.example.test")[0] == 200
        (store / "ballast").unlink()
        haproxy.bring(wanted)
        assert haproxy.adapter.read() == live
    finally:
        subprocess.run(["umount", "--lazy", str(store)], check=True)


def test_an_old_haproxy_is_refused_by_its_version(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer():
            connection = server.accept()[0]
            connection.recv(100)
            connection.sendall(b"Name: HAProxy\nVersion: 2.4.22-1\n\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConvergeError, match="haproxy 2.4 runs here, and 2.6 is the oldest"):
            IngressAdapter(str(tmp_path), path, path).read()
        thread.join(10)


def test_a_missing_socket_is_named_and_the_files_are_right(haproxy, pods, cluster):
    haproxy.bring(cluster("alpha", [ROOT], [pods("a1").port]))
    os.rename(haproxy.socket, haproxy.socket + ".away")
    with pytest.raises(ConvergeError, match="does not answer on .*worker.sock; the files are right.*systemctl start haproxy"):
        haproxy.bring(cluster("alpha", [ROOT, NEW], [pods("a2").port]))
    assert haproxy.get("shop.example.test")[1]["pod"] == "a1"
    os.rename(haproxy.socket + ".away", haproxy.socket)
    haproxy.bring(cluster("alpha", [ROOT, NEW], [pods("a3").port]))
    assert haproxy.get("new.example.test")[1]["pod"] == "a3"


def test_a_reload_whose_worker_has_not_loaded_our_files_goes_back(haproxy, pods, cluster, monkeypatch):
    a1 = pods("a1")
    haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    live = haproxy.adapter.read()
    original = IngressAdapter._await
    monkeypatch.setattr(IngressAdapter, "_await", lambda self, backends, timeout=30.0: original(self, {"ng_layout_other"}, 0.3))
    haproxy.options = replace(haproxy.options, hsts="max-age=1")
    with pytest.raises(ConvergeError, match="has not loaded our configuration.*files of before are back"):
        haproxy.bring(cluster("alpha", [ROOT], [a1.port]))
    assert haproxy.adapter.read() == live
    assert haproxy.get("shop.example.test")[0] == 200


def test_two_tenants_and_one_host_and_path(haproxy, pods, cluster):
    good = cluster("alpha", [ROOT], [pods("good").port], namespace="good", created="2025-01-01T00:00:00Z")
    evil = cluster("beta", [ROOT], [pods("evil").port], namespace="evil", created="2026-01-01T00:00:00Z")
    outcome = haproxy.bring(good, evil)
    assert haproxy.answered("shop.example.test") == {"good"}
    for choices, served in (({"claim_winner": "newest"}, {"evil"}), ({"claim_scope": "open"}, {"good", "evil"}), ({}, {"good"})):
        assert haproxy.bring(good, evil, **choices).reload_reason == ""
        assert haproxy.answered("shop.example.test") == served
    haproxy.bring(good, evil, claim_winner="nobody")
    assert haproxy.get("shop.example.test")[0] == 403
    other_path = replace(evil, ingresses=(replace(evil.ingresses[0], paths=(Path(Rule("shop.example.test", "/login", "Prefix"), "class/traefik"),)),))
    haproxy.bring(good, other_path)
    assert haproxy.answered("shop.example.test", "/login") == {"evil"}
    haproxy.bring(good, other_path, claim_scope="host")
    assert haproxy.answered("shop.example.test", "/login") == {"good"}
    assert outcome.plan
