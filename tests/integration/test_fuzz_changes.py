# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One world after the other on a running haproxy: check mode says what a run does, and a run leaves nothing to do."""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t

from hypothesis import given
from hypothesis import strategies as st
from northgate_fuzz import cases, wishes
from ports import free_port

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import ingress, parse
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import certificates
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge

LOAD = re.compile(r"ng_tls_[0-9a-f]{16}")


def held(haproxy: t.Any) -> tuple[t.Any, dict[str, tuple[str, ...]]]:
    """All that haproxy holds of ours, and which certificate it presents for which names.

    Files for TLS to pods stay loaded until haproxy starts again, whether a pod needs them or not. That those which are needed
    are loaded is told by a plan that is empty.
    """
    listed = haproxy.runtime.ask(f"show ssl crt-list {haproxy.config_dir}/northgate/current/certificates.list")
    current = haproxy.adapter.read()
    backends = frozenset(name for name in current.running.backends if not LOAD.fullmatch(name))
    servers = {name: of for name, of in current.running.servers.items() if not LOAD.fullmatch(name)}
    return dataclasses.replace(current, running=dataclasses.replace(current.running, backends=backends, servers=servers)), parse.certificate_list(listed)


def test_check_mode_foretells_each_run_which_leaves_nothing_to_do_and_a_restart_changes_nothing(haproxy, pem, monkeypatch):
    # Most of the time that a case takes; test_fuzz_hostile.py has the candidates checked.
    monkeypatch.setattr(ingress.IngressAdapter, "_check", lambda adapter, layout: None)
    monkeypatch.setattr("os.fsync", lambda file: None)
    options = dataclasses.replace(haproxy.options, spare_backends=64, passthrough=True)
    secrets = wishes.secrets(pem)
    ours = [certificates.read(pem("b.test", "*.test"), "ours.pem"), certificates.read(pem("a.test", days=90), "a.pem")]
    now, port = int(time.time()), free_port()

    @cases()
    @given(wishes.wishes, wishes.edges(now), st.lists(st.sampled_from(ours), unique=True), st.sampled_from([*[False] * 19, True]))
    def check(world, edge, of_operator, restart):
        snapshots = [wishes.observed(c, wishes.objects(world, c, port, secrets), world[c]["default_backend"]) for c in world]
        state = ingress_state(snapshots, edge, of_operator)
        adapter = haproxy.adapter

        def run(check_mode: bool) -> t.Any:
            return converge(adapter, lambda current: adapter.wanted(current, state, options), check_mode)

        before = adapter.read()
        foretold = run(True)
        assert adapter.read() == before
        done = run(False)
        assert (done.plan, done.reload_reason) == (foretold.plan, foretold.reload_reason)
        assert done.plan.reload_reason in ("", "haproxy has not loaded our configuration yet") or done.plan.reload_reason.startswith("TLS to pods")
        adapter.delete_drained(done.wanted)
        assert not run(False).plan
        shown = repr(done.plan) + repr(done.plan.diff())
        assert "PRIVATE KEY" not in shown and not any(user in shown for s in snapshots for i in s.ingresses for user in i.policy.users)
        if restart:
            live = held(haproxy)
            haproxy.stop()
            haproxy.start()
            assert held(haproxy) == live
            assert not run(False).plan

    check()
