# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the haproxy role's script does to a service, told by what it finds."""
from __future__ import annotations

import importlib.util
import os
import socket
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/haproxy/files/converge_service.py"


@pytest.fixture
def script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("converge_service", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.CONFIG = tmp_path / "conf.d/00-northgate.cfg"
    module.CONFIG.parent.mkdir()
    module.CONFIG.touch()
    monkeypatch.setattr(module, "STATS_SOCKET", str(tmp_path / "socket"))
    return module


@pytest.fixture
def service(script, monkeypatch):
    """A service to find; `calls` are what was done to it. A reload brings the worker `next`."""
    found = {"MainPID": "1", "worker": os.getpid(), "next": 2, "reads": True, "drop_in": True, "calls": []}

    def systemctl(*arguments):
        if arguments[0] == "show":
            return found[arguments[1].partition("=")[2]]
        found["calls"].append(arguments[0])
        if arguments[0] == "reload":
            found["worker"] = found["next"]
        if arguments[0] == "restart":
            found["reads"] = found["drop_in"]
        return ""

    monkeypatch.setattr(script, "systemctl", systemctl)
    monkeypatch.setattr(script, "worker", lambda: found["worker"])
    monkeypatch.setattr(script, "reads_directory", lambda pid: found["reads"])
    return found


def test_nothing_where_the_worker_is_younger_than_the_file(script, service, capsys):
    os.utime(script.CONFIG, (0, 0))
    script.main()
    assert (service["calls"], capsys.readouterr().out) == ([], "unchanged\n")


def test_a_reload_where_the_file_is_younger(script, service, capsys):
    script.main()
    assert (service["calls"], capsys.readouterr().out) == (["reload"], "reloaded\n")


def test_a_reload_where_no_worker_has_our_socket(script, service):
    service["worker"] = None
    script.main()
    assert service["calls"] == ["reload"]


def test_a_reload_where_the_file_was_taken_away(script, service):
    script.CONFIG.unlink()
    script.main()
    assert service["calls"] == ["reload"]


def test_a_restart_where_the_process_does_not_read_the_directory(script, service, capsys):
    service["reads"] = False
    script.main()
    assert (service["calls"], capsys.readouterr().out) == (["daemon-reload", "restart"], "restarted\n")


def test_an_error_where_another_drop_in_wins(script, service):
    service.update(reads=False, drop_in=False)
    with pytest.raises(SystemExit, match="another drop-in overrules ours"):
        script.main()


def test_an_error_where_the_old_worker_stays(script, service, monkeypatch):
    monkeypatch.setattr(script, "PATIENCE", 0.1)
    service["next"] = service["worker"]
    with pytest.raises(SystemExit, match="no new worker answers"):
        script.main()


def test_a_process_is_as_old_as_it_is(script):
    assert script.started(os.getpid()) < script.CONFIG.stat().st_mtime
    assert not script.reads_directory(os.getpid())
    assert not script.reads_directory(0)


def test_the_worker_is_who_answers(script):
    assert script.worker() is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(script.STATS_SOCKET)
        listener.listen()

        def answer():
            with listener.accept()[0] as connection:
                assert connection.recv(100) == b"show info\n"
                connection.sendall(b"Name: HAProxy\nPid: 4711\nUptime: 1\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert script.worker() == 4711
        thread.join()


def test_systemctl_that_fails_is_said(script, monkeypatch, tmp_path):
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="systemctl reload haproxy failed: broken"):
        script.systemctl("reload", "haproxy")
