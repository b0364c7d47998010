# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: applied to what is, they give what must be, and then there is nothing left to plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.decide import ingress_state
from ansible_collections.northgate.edge.plugins.module_utils._core.desired import EdgeOptions
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Certificate, Endpoint, Ingress, Path, Pool, Rule, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._core.policy import Policy
from ansible_collections.northgate.edge.plugins.module_utils._haproxy import steps as s
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.options import POLICIES, Options
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.layout import BACKENDS, Known, layout, render
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.planning import Current, Running, Wanted, plan
from ansible_collections.northgate.edge.plugins.module_utils._haproxy.parse import RunningServer

CURRENT, CERTIFICATES = "/etc/haproxy/northgate/current", "/etc/haproxy/northgate/certs"
NOTHING_LOADED = Running(frozenset({"theirs"}), {}, {}, None)
NOTHING = Current({}, frozenset(), None)
EDGE = EdgeOptions(now=1_000_000_000)


def wanted_of(snapshots, certificates=(), current=NOTHING, **options):
    known = Known(current.files.get(BACKENDS, ""), current.running.busy() if current.running else frozenset())
    laid_out = layout(ingress_state(snapshots, EDGE, certificates), Options(spare_backends=4, **options), known, CERTIFICATES)
    return Wanted(laid_out, render(laid_out, CURRENT, CERTIFICATES), CURRENT, CERTIFICATES)


def loaded(wanted):
    """What haproxy runs after it has read the files of ``wanted``."""
    layout_ = wanted.layout
    servers = {b: {n: RunningServer(of.address, of.port, of.weight, False) for n, of in pods.items()} for b, pods in layout_.servers.items()}
    return Running(
        backends=frozenset({"theirs", layout_.fingerprint, *layout_.loads, *(name for stock in layout_.stocks for name in stock.names)}),
        servers={backend: pods for backend, pods in servers.items() if pods},
        maps={name: dict(entries) for name, entries in layout_.maps.items()},
        certificates=frozenset(wanted.certificates()),
    )


def as_if(wanted):
    """Current where ``wanted`` is reached."""
    return Current(wanted.files, frozenset(wanted.layout.pems), loaded(wanted))


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
            case s.AddServer(backend, name, server):
                assert name not in servers.get(backend, {})
                assert "ca-file" not in server.options or running.backends.issuperset(wanted.layout.loads)
                servers.setdefault(backend, {})[name] = RunningServer(server.address, server.port, server.weight, False)
            case s.SetWeight(backend, name, weight):
                servers[backend][name] = replace(servers[backend][name], weight=weight)
            case s.EnableServer(backend, name):
                servers[backend][name] = replace(servers[backend][name], draining=False)
            case s.DrainServer(backend, name):
                servers[backend][name] = replace(servers[backend][name], draining=True)
            case s.ReplaceMap(name, _, entries):
                running = replace(running, maps={**running.maps, name: dict(entries)})
            case s.AddCertificate(_, path):
                assert path.rsplit("/", 1)[1] in stored
                running = replace(running, certificates=running.certificates | {path})
            case s.RemoveCertificate(_, path):
                running = replace(running, certificates=running.certificates - {path})
        if running is not None and "ng_layout_" in "".join(running.backends):
            of_routes = {value.split("|")[2] for value in running.maps["routes.map"].values()} - {""}
            assert all(f"{policy}/p" in running.maps[POLICIES] for policy in of_routes)
    return Current(wanted.files if steps.files else current.files, frozenset(stored), running and replace(running, servers=servers))


def test_a_plan_leads_to_the_wanted_state_and_then_to_an_empty_plan(snapshot_lists, certificate_lists):
    starts = st.sampled_from(["down", "fresh", "before"])

    @given(snapshot_lists, certificate_lists, certificate_lists, st.sampled_from(["", "max-age=1"]), starts, st.booleans())
    def check(snapshots, old_certificates, new_certificates, hsts, start, turn):
        old, new = (snapshots[1:], snapshots) if turn else (snapshots, snapshots[1:])
        before = wanted_of(old, old_certificates)
        current = Current({}, frozenset(), {"down": None, "fresh": NOTHING_LOADED}.get(start))
        if start == "before":
            current = as_if(before)
        wanted = wanted_of(new, new_certificates, current, hsts=hsts)
        first = plan(current, wanted)
        after = applied(current, first, wanted)
        assert after.files == wanted.files
        assert after.stored == set(wanted.layout.pems)
        assert not plan(after, wanted)
        assert not plan(after, wanted_of(new, new_certificates, after, hsts=hsts))
        same = before.layout.fingerprint == wanted.layout.fingerprint and before.layout.loads.keys() >= wanted.layout.loads.keys()
        if start == "before" and same:
            assert first.reload_reason == ""
        shown = repr(first.diff()) + "".join(map(str, first.steps)) + repr(first.steps)
        assert "PRIVATE" not in shown and "A" * 64 not in repr(first.diff())

    check()


def snapshot(*pods, **ingress):
    values = {"namespace": "demo", "name": "shop", "created": "", "ingress_class": "traefik"}
    paths = (Path(Rule("shop.example", "/", "Prefix"), "class/traefik"),)
    return Snapshot("alpha", (Ingress(**values, paths=paths, **ingress),), (Pool("class/traefik", tuple(Endpoint(pod, 80) for pod in pods)),))


def test_what_comes_precedes_what_leads_to_it_and_what_goes_follows():
    before = as_if(wanted_of([snapshot("10.0.0.1", policy=Policy(max_body=1))]))
    wanted = wanted_of([snapshot("10.0.0.2", policy=Policy(max_body=2))], current=before)
    assert [str(step) for step in plan(before, wanted).steps] == [
        "add server ng_h00001/alpha_10.0.0.2_80",
        "replace policies.map: 1 added, 0 removed, 0 changed",
        "replace routes.map: 0 added, 0 removed, 1 changed",
        "drain server ng_h00001/alpha_10.0.0.1_80",
        "replace policies.map: 0 added, 1 removed, 0 changed",
    ]


def test_reasons_for_reloads():
    nothing = as_if(wanted_of([]))
    assert plan(Current({}, frozenset(), NOTHING_LOADED), wanted_of([])).reload_reason == "haproxy has not loaded our configuration yet"
    assert plan(nothing, wanted_of([snapshot("10.0.0.1")], current=nothing)).reload_reason == ""
    assert plan(nothing, wanted_of([], current=nothing, hsts="max-age=1")).reload_reason == "frontends or options changed"
    by_tls = replace(snapshot("10.0.0.1"), pools=(Pool("class/traefik", (Endpoint("10.0.0.1", 443),), protocol="https"),))
    assert plan(nothing, wanted_of([by_tls], current=nothing)).reload_reason.startswith("TLS to pods needs an authority")
    spoken_to = as_if(wanted_of([by_tls]))
    assert plan(spoken_to, wanted_of([], current=spoken_to)).reload_reason == ""
    pools = [Pool(f"service/demo/s{number}/80") for number in range(20)]
    paths = tuple(Path(Rule(f"h{number}.example", "/", "Prefix"), pool.name) for number, pool in enumerate(pools))
    many = Snapshot("alpha", (Ingress("demo", "shop", "", "direct", paths),), tuple(pools))
    assert plan(nothing, wanted_of([many], current=nothing)).reload_reason == "the stock of backends grows by 16"
    maps = {**nothing.running.maps, "routes.map": None}
    lost = replace(nothing, running=replace(nothing.running, maps=maps))
    assert plan(lost, wanted_of([], current=nothing)).reload_reason == "haproxy has not loaded our maps or certificate list"


def test_a_certificate_too_long_for_the_run_time_interface_is_loaded_by_a_reload():
    body = "\n".join(["A" * 64] * 300)
    long = Certificate("long.pem", ("shop.example",), "rsa", 0, 2_000_000_000, f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    before = as_if(wanted_of([snapshot("10.0.0.1")]))
    reason = plan(before, wanted_of([snapshot("10.0.0.1")], [long], before)).reload_reason
    assert reason.startswith(f"certificate {CERTIFICATES}/long-") and reason.endswith("is too long for the run-time interface")
