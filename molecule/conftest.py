# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all scenarios: the lab's hosts, the client's requests, and journals of what failed."""
from __future__ import annotations

import json
import shlex
import time

import pytest
import testinfra

_used: dict = {}


@pytest.fixture(scope="session")
def lab(request):
    """Gives a host of the inventory by its name."""
    inventory = request.config.getoption("--ansible-inventory")

    def lab(name):
        if name not in _used:
            _used[name] = testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}")
        return _used[name]
    return lab


@pytest.fixture(scope="session")
def get(lab):
    """Requests a URL of the client's; returns (status, body), the body decoded where it is JSON."""
    def get(url, router, *options):
        host, port = url.split("/")[2], 443 if url.startswith("https:") else 80
        address = ROUTERS[router]
        command = ["curl", "-sS", "-m", "10", "-w", "\n%{http_code}", "--resolve", f"{host}:{port}:{address}", *options, url]
        body, status = lab("client").check_output(shlex.join(command)).rsplit("\n", 1)
        return int(status), json.loads(body) if body.startswith("{") else body
    return get


# Where the client sees the routers.
ROUTERS = {"r1": "10.91.0.11", "r2": "10.91.0.12"}


@pytest.fixture(params=sorted(ROUTERS))
def router(request):
    """The name of each router in turn."""
    return request.param


@pytest.fixture(scope="session")
def eventually():
    """Waits for a condition that needs no more than a protocol's timers."""
    def eventually(condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            time.sleep(0.5)
    return eventually


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name, host in _used.items():
            try:
                journal = host.run("journalctl --no-pager -n 40 -u haproxy -u bird -u 'lab-*' -u 'northgate-*'; birdc show protocols; ipvsadm -Ln").stdout
            except RuntimeError as error:
                journal = f"can't be reached: {error}"
            report.sections.append((f"journal of {name}", journal))
    return report
