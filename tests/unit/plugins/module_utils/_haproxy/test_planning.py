# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: applied to what is, they give what must be, and then there is nothing left to plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.model import (
    Endpoint,
    Ingress,
    IngressController,
    Rule,
    Snapshot,
)
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import steps as s
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import Options, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.planning import Current, Running, Wanted, plan
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.runtime import RunningServer

CURRENT, CERTIFICATES = "/etc/haproxy/northgate/current", "/etc/haproxy/northgate/certs"
NOTHING_LOADED = Running(frozenset({"theirs"}), {}, None, None)


def wanted_of(snapshots, pems):
    laid_out = layout(ingress_state(snapshots), Options(), frozenset(pems))
    return Wanted(
        layout=laid_out,
        files=render(laid_out, CURRENT, CERTIFICATES),
        pems={name: f"secret of {name}" for name in pems},
        routes_path=f"{CURRENT}/routes.map",
        list_path=f"{CURRENT}/certificates.list",
        certificate_directory=CERTIFICATES,
    )


def loaded(wanted):
    """What haproxy runs after it has read the files of ``wanted``."""
    servers = {b: {n: RunningServer(*where, False) for n, where in of.items()} for b, of in wanted.layout.servers.items()}
    return Running(
        backends=frozenset({"theirs", wanted.layout.fingerprint, *wanted.layout.servers}),
        servers={backend: of for backend, of in servers.items() if of},
        routes=dict(wanted.layout.routes),
        certificates=frozenset(wanted.certificate_path(name) for name in wanted.pems),
    )


def applied(current, steps, wanted):
    """A model of haproxy and its disk: does what the steps say."""
    running, stored = current.running, set(current.stored)
    servers = {backend: dict(of) for backend, of in (running.servers if running else {}).items()}
    for step in steps.steps:
        match step:
            case s.Reload():
                running = loaded(wanted)
                servers = {backend: dict(of) for backend, of in running.servers.items()}
            case s.StoreCertificate(name):
                stored.add(name)
            case s.DiscardCertificate(name):
                stored.remove(name)
            case s.AddServer(backend, name, address, port):
                assert name not in servers.get(backend, {})
                servers.setdefault(backend, {})[name] = RunningServer(address, port, False)
            case s.EnableServer(backend, name):
                servers[backend][name] = replace(servers[backend][name], draining=False)
            case s.DrainServer(backend, name):
                servers[backend][name] = replace(servers[backend][name], draining=True)
            case s.ReplaceRoutes(_, routes):
                running = replace(running, routes=dict(routes))
            case s.AddCertificate(_, path):
                assert path.rsplit("/", 1)[1] in stored
                running = replace(running, certificates=running.certificates | {path})
            case s.RemoveCertificate(_, path):
                running = replace(running, certificates=running.certificates - {path})
    files = {**current.files, **{change.name: change.after for change in steps.files}}
    return Current(files, frozenset(stored), running and replace(running, servers=servers))


def test_a_plan_leads_to_the_wanted_state_and_then_to_an_empty_plan(snapshot_lists):
    pem_names = st.sets(st.sampled_from(["a.pem", "b.pem", "c.pem"]))
    starts = st.sampled_from(["down", "fresh", "before"])

    @given(snapshot_lists, pem_names, snapshot_lists, pem_names, starts)
    def check(old, old_pems, new, new_pems, start):
        before, wanted = wanted_of(old, old_pems), wanted_of(new, new_pems)
        current = Current({}, frozenset(), {"down": None, "fresh": NOTHING_LOADED}.get(start))
        if start == "before":
            current = Current(before.files, frozenset(old_pems), loaded(before))
        first = plan(current, wanted)
        after = applied(current, first, wanted)
        assert after.files == wanted.files
        assert after.stored == set(new_pems)
        assert not plan(after, wanted)
        if start == "before" and before.layout.fingerprint == wanted.layout.fingerprint:
            assert first.reload_reason == ""
        assert "secret" not in repr(first) + repr(first.diff()) + "".join(map(str, first.steps))

    check()


def test_reload_reasons_name_the_backend():
    ingress = Ingress("demo", "shop", "", "traefik", (Rule("shop.example", "/", "Prefix"),))
    alpha = Snapshot("alpha", (ingress,), (IngressController("traefik", (Endpoint("10.0.0.1", 80),)),))
    nothing, one = wanted_of([], []), wanted_of([alpha], [])
    assert plan(Current(nothing.files, frozenset(), loaded(nothing)), one).reload_reason == "new backend ng:alpha:traefik"
    assert plan(Current(one.files, frozenset(), loaded(one)), nothing).reload_reason == "backend ng:alpha:traefik is gone"


def test_a_certificate_too_long_for_the_run_time_interface_is_loaded_by_a_reload():
    before, wanted = wanted_of([], []), wanted_of([], ["long.pem"])
    wanted.pems["long.pem"] = "x" * 20_000
    reason = plan(Current(before.files, frozenset(), loaded(before)), wanted).reload_reason
    assert reason == "certificate long.pem is too long for the run-time interface"
