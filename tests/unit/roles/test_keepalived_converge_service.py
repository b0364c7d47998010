# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keepalived role's script does to a service, told by what it finds."""
from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/keepalived/files/converge_service.py"


@pytest.fixture(name="script")
def _script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("converge_service", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.CONFIG, module.LOADED = tmp_path / "keepalived.conf", tmp_path / "run/keepalived"
    module.CONFIG.write_text("one")
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    return module


@pytest.fixture(name="service")
def _service(script, monkeypatch):
    """A service to find; ``calls`` are what was done to it. A reload brings it to ``after``."""
    found = {"MainPID": str(os.getpid()), "ActiveState": "active", "after": {}, "speakers": 1, "calls": []}

    def systemctl(*arguments):
        if arguments[0] == "show":
            return found[arguments[1].partition("=")[2]]
        found["calls"].append(arguments[0])
        found.update(found["after"])
        return ""

    monkeypatch.setattr(script, "systemctl", systemctl)
    monkeypatch.setattr(script, "speakers", lambda pid: found["speakers"])
    return found


def test_nothing_where_the_process_is_younger_than_the_file(script, service, capsys):
    os.utime(script.CONFIG, (0, 0))
    script.main()
    assert (service["calls"], capsys.readouterr().out) == ([], "unchanged\n")


def test_one_reload_where_the_file_is_younger(script, service, capsys):
    script.main()
    script.main()
    assert (service["calls"], capsys.readouterr().out) == (["reload"], "reloaded\nunchanged\n")


def test_another_reload_for_each_change(script, service):
    script.main()
    script.CONFIG.write_text("two")
    script.main()
    assert service["calls"] == ["reload", "reload"]


def test_a_reload_of_another_process_does_not_count(script, service):
    script.main()
    service["MainPID"] = str(os.getppid())
    os.utime(script.CONFIG)
    script.main()
    assert service["calls"] == ["reload", "reload"]


@pytest.mark.parametrize("after", [{"ActiveState": "failed"}, {"MainPID": "0"}])
def test_a_reload_that_ends_it_is_an_error_and_is_made_again(script, service, after):
    service["after"] = after
    with pytest.raises(SystemExit, match="is not back"):
        script.main()
    service.update(MainPID=str(os.getpid()), ActiveState="active", after={})
    script.main()
    assert service["calls"] == ["reload", "reload"]


def test_one_that_does_not_run_is_an_error(script, service):
    service["MainPID"] = "0"
    with pytest.raises(SystemExit, match="does not run"):
        script.main()


def test_a_second_process_that_speaks_vrrp_is_got_rid_of(script, service, capsys):
    service["speakers"] = 2
    script.main()
    assert service["calls"] == ["restart"] and capsys.readouterr().out.startswith("restarted")
