# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter on a stand-in kernel: any current state becomes the wanted one, also when the run is killed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import BalanceState, Destination, Frontend, Prefixes, VirtualService
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._ipvs import kernel as kernels
from ansible_collections.northgate.edge.plugins.module_utils._ipvs import codec, mirror, sources
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.kernel import Kernel
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.memory import Memory
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.services import Files, ServicesAdapter
from ansible_collections.northgate.edge.plugins.module_utils._module.sync import converge

POOLS = Prefixes(["203.0.113.0/24", "2001:db8::/32"])
FLAGS = ("mh-fallback", "mh-port")
WEB = Frontend("TCP", "203.0.113.1", 80)
DNS = Frontend("UDP", "203.0.113.1", 53)


class FakeNft:
    """Remembers what was loaded, and the services that the kernel had at that moment."""

    def __init__(self, kernel):
        self.kernel, self.text, self.history = kernel, None, []

    def loaded(self):
        return None if self.text is None else sources.digest(self.text)

    def check(self, text):
        pass

    def load(self, text):
        self.text = text or None
        self.history.append((sources.parse(text), set(self.kernel.services)))


class Router:
    def __init__(self, directory, kernel, drain_time=3600):
        self.directory, self.fake, self.nft, self.drain_time, self.now = directory, kernel, FakeNft(kernel), drain_time, 1000
        self.files = Files(str(directory / "ipvsadm.rules"), str(directory / "sources.nft"))
        self.setting = directory / "expire_nodest_conn"
        self.setting.write_text("1\n")

    def run(self, services, restricted=None, check_mode=False):
        self.memory = Memory(str(self.directory), str(self.setting))
        kernel = Kernel(lambda: self.fake, self.fake.proc)
        adapter = ServicesAdapter(POOLS, self.files, self.memory, kernel, self.nft, self.now, self.drain_time)
        if not check_mode:
            self.memory.restore()
        outcome = converge(adapter, lambda current: adapter.wanted(current, BalanceState(services, restricted or {})), check_mode)
        if not check_mode:
            self.memory.remember(outcome.wanted.draining)
        return outcome

    @property
    def rules(self):
        path = self.directory / "ipvsadm.rules"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def router(tmp_path, fake_kernel):
    return Router(tmp_path, fake_kernel.FakeKernel())


def direct(*addresses, port=80, weight=1):
    return tuple(Destination(address, port, "direct", weight) for address in addresses)


def mh(*addresses, **options):
    return VirtualService("mh", FLAGS, 0, direct(*addresses, **options))


_settings = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_settings
@given(data=st.data())
def test_any_state_becomes_the_wanted_one_with_the_same_order_everywhere_and_others_stay(tmp_path_factory, fake_kernel, worlds, data):
    current, wanted, foreign = (data.draw(worlds[kind]) for kind in ("current", "wanted", "foreign"))
    kernel = fake_kernel.FakeKernel()
    for frontend, service in {**foreign, **current}.items():
        kernel.put(frontend, service)
        for d in service.destinations:
            kernel.connections[(frontend, d.key)] = data.draw(st.sampled_from([0, 0, 3]))
    router = Router(tmp_path_factory.mktemp("router"), kernel)
    planned = router.run(wanted, check_mode=True).plan
    assert kernel.commands == []
    outcome = router.run(wanted)
    assert outcome.plan == planned
    assert not router.run(wanted).plan
    table = kernel.table()
    assert {f: s for f, s in table.items() if f.address not in POOLS} == foreign
    assert {f for f in table if f.address in POOLS} == set(wanted)
    for frontend, service in wanted.items():
        found = table[frontend]
        assert (found.scheduler, found.flags, found.persistence) == (service.scheduler, service.flags, service.persistence)
        if service.scheduler in ("mh", "sh"):
            assert found.destinations == tuple(sorted(found.destinations))
        assert {d for d in found.destinations if d.weight} == set(service.destinations)
        for d in found.destinations:
            assert d.weight or (frontend.protocol != "UDP" and kernel.connections[(frontend, d.key)])
            # A weight of 0 from the start would change the hash's table.
            assert d.weight or kernel.normal.get((frontend, d.key)) != 0
    assert mirror.parse(router.rules)[0] == outcome.wanted.services


@_settings
@given(data=st.data())
def test_a_run_that_is_killed_anywhere_is_repaired_by_the_next(tmp_path_factory, monkeypatch, fake_kernel, worlds, data):
    current, wanted = data.draw(worlds["current"]), data.draw(worlds["wanted"])

    def prepared():
        kernel = fake_kernel.FakeKernel()
        for frontend, service in current.items():
            kernel.put(frontend, service)
            kernel.connections.update({(frontend, d.key): 1 for d in service.destinations[::2]})
        return kernel, Router(tmp_path_factory.mktemp("router"), kernel)

    monkeypatch.setattr(kernels, "BATCH", data.draw(st.integers(1, 5)))
    straight, one = prepared()
    one.run(wanted)
    kernel, other = prepared()
    kernel.dies_at = data.draw(st.integers(1, straight.sent))
    try:
        other.run(wanted)
    except fake_kernel.Killed:
        kernel.dies_at = None
        other.run(wanted)
    for frontend, service in straight.table().items():
        found = kernel.table()[frontend]
        if service.scheduler in ("mh", "sh"):
            assert found == service
        else:
            assert found._replace(destinations=tuple(sorted(found.destinations))) == service._replace(destinations=tuple(sorted(service.destinations)))
    assert other.rules == one.rules
    assert other.setting.read_text().strip() == "1"


def test_a_new_destination_in_the_middle_moves_those_behind_it_and_connections_are_kept_meanwhile(router):
    router.run({WEB: mh("10.0.0.1", "10.0.0.3", "10.0.0.4")})
    router.fake.commands.clear()
    seen = []
    change = router.fake._change
    router.fake._change = lambda *args: (seen.append(router.setting.read_text().strip()), change(*args))[1]
    outcome = router.run({WEB: mh("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")})
    assert [d.address for d in router.fake.table()[WEB].destinations] == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
    assert len(router.fake.commands) == 5 and set(seen) == {"0"} and router.setting.read_text().strip() == "1"
    assert "add 10.0.0.2:80 (direct); move 10.0.0.3:80" in str(outcome.plan.steps[0])
    router.fake.commands.clear()
    router.run({WEB: mh("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5")})
    assert len(router.fake.commands) == 1


def test_a_setting_that_a_killed_run_left_behind_is_put_back(router, fake_kernel):
    router.run({WEB: mh("10.0.0.3")})
    router.fake.dies_at = router.fake.sent + 1
    saved = Memory.restore
    try:
        Memory.restore = lambda self: None  # Killed by -9: nothing is put back.
        with pytest.raises(fake_kernel.Killed):
            router.run({WEB: mh("10.0.0.1", "10.0.0.3")})
    finally:
        Memory.restore = saved
    assert router.setting.read_text() == "0"
    router.fake.dies_at = None
    router.run({WEB: mh("10.0.0.1", "10.0.0.3")})
    assert router.setting.read_text() == "1"


def test_a_destination_drains_until_it_has_no_connections_or_its_time_is_up_and_udp_moves_at_once(router):
    both, one = ("10.0.0.1", "10.0.0.2"), ("10.0.0.1",)
    router.run({WEB: mh(*both), DNS: mh(*both, port=53)})
    router.fake.connections = {(f, ("10.0.0.2", port)): 4 for f, port in ((WEB, 80), (DNS, 53))}
    outcome = router.run({WEB: mh(*one), DNS: mh(*one, port=53)})
    assert [(d.address, d.weight) for d in router.fake.table()[WEB].destinations] == [("10.0.0.1", 1), ("10.0.0.2", 0)]
    assert [d.address for d in router.fake.table()[DNS].destinations] == ["10.0.0.1"]
    assert outcome.wanted.draining_shown() == ["10.0.0.2:80 of TCP 203.0.113.1:80 since 1970-01-01 00:16 UTC"]
    assert "-a -t 203.0.113.1:80 -r 10.0.0.2:80 -g -w 1\n-e -t 203.0.113.1:80 -r 10.0.0.2:80 -g -w 0\n" in router.rules
    router.now += 3599
    assert not router.run({WEB: mh(*one), DNS: mh(*one, port=53)}).plan
    router.now += 1
    router.run({WEB: mh(*one), DNS: mh(*one, port=53)})
    assert [d.address for d in router.fake.table()[WEB].destinations] == ["10.0.0.1"]
    assert not (router.directory / "ipvs_services" / "draining.json").exists()


def test_a_draining_destination_that_is_moved_or_comes_back_has_its_weight(router):
    wanted = {WEB: mh("10.0.0.2", "10.0.0.3", weight=5)}
    router.run(wanted)
    router.fake.connections[(WEB, ("10.0.0.3", 80))] = 1
    router.run({WEB: mh("10.0.0.2", weight=5)})
    router.run({WEB: mh("10.0.0.1", "10.0.0.2", weight=5)})
    assert [(d.address, d.weight) for d in router.fake.table()[WEB].destinations] == [("10.0.0.1", 5), ("10.0.0.2", 5), ("10.0.0.3", 0)]
    assert router.fake.normal[(WEB, ("10.0.0.3", 80))] == 5
    router.run({WEB: mh("10.0.0.1", "10.0.0.2", "10.0.0.3", weight=5)})
    assert router.fake.table()[WEB].destinations[2].weight == 5


def test_a_draining_destination_is_not_lost_where_a_run_is_killed_while_it_moves(tmp_path_factory, monkeypatch, fake_kernel):
    monkeypatch.setattr(kernels, "BATCH", 1)
    for writes in range(8):
        router = Router(tmp_path_factory.mktemp("router"), fake_kernel.FakeKernel())
        router.run({WEB: mh("10.0.0.2", "10.0.0.3")})
        router.fake.connections[(WEB, ("10.0.0.3", 80))] = 1
        router.run({WEB: mh("10.0.0.2")})
        router.fake.dies_at = router.fake.sent + writes
        with contextlib.suppress(fake_kernel.Killed):
            router.run({WEB: mh("10.0.0.1", "10.0.0.2")})
        router.fake.dies_at = None
        router.run({WEB: mh("10.0.0.1", "10.0.0.2")})
        assert [(d.address, d.weight) for d in router.fake.table()[WEB].destinations] == [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 0)]


def test_one_changed_endpoint_among_many_takes_few_writes(router):
    services = {Frontend("TCP", "203.0.113.1", port): mh("10.0.0.1", "10.0.0.2", port=port) for port in range(1, 2001)}
    router.run(services)
    at = Frontend("TCP", "203.0.113.1", 1000)
    router.fake.sent = 0
    router.run({**services, at: mh("10.0.0.1", "10.0.0.3", port=1000)})
    # Two of them ask for the services, before and after.
    assert router.fake.sent == 3
    router.fake.sent = 0
    assert not router.run({**services, at: mh("10.0.0.1", "10.0.0.3", port=1000)}).plan
    assert router.fake.sent == 1


def test_what_the_kernel_refuses_is_named_with_a_hint_and_hinders_nothing_else(router):
    router.fake.unknown = ("mh",)
    with pytest.raises(
        ConvergeError, match=r"IPVS refused 2 commands: add TCP 203.0.113.1:80: No such file or directory; add destination .*ip_vs_mh: the role ipvs"
    ):
        router.run({WEB: mh("10.0.0.1"), DNS: VirtualService("rr", (), 0, direct("10.0.0.1", port=53))})
    assert set(router.fake.table()) == {DNS}


def leaves_out(router, way, looks):
    """In one of its two ways to tell them the kernel leaves out every service in so many looks, as one does that makes its table larger."""
    left = iter(range(looks))
    if way == "text":
        real = router.fake.proc
        router.fake.proc = lambda: real() if next(left, None) is None else "IP Virtual Server\n"
        return
    dump = router.fake._dump

    def dumped(command, sequence, body):
        known = router.fake.services
        if command == codec.GET_SERVICE and next(left, None) is not None:
            router.fake.services = {}
        dump(command, sequence, body)
        router.fake.services = known

    router.fake._dump = dumped


@pytest.mark.parametrize("way", ["text", "dump"])
def test_a_service_that_the_kernel_does_not_tell_for_a_moment_is_known(router, way):
    router.run({WEB: mh("10.0.0.1")})
    leaves_out(router, way, 3)
    router.fake.commands.clear()
    assert not router.run({WEB: mh("10.0.0.1")}).plan
    assert router.fake.commands == []


@pytest.mark.parametrize("way", ["text", "dump"])
def test_a_service_that_the_kernel_never_tells_in_one_way_is_an_error_that_names_it(router, way, monkeypatch):
    monkeypatch.setattr(kernels, "_PAUSE", 0.0)
    router.fake.put(WEB, mh("10.0.0.1"))
    leaves_out(router, way, 10**6)
    with pytest.raises(ConvergeError, match="/proc/net/ip_vs and netlink tell different services: TCP 203.0.113.1:80. Does somebody else"):
        router.run({DNS: mh("10.0.0.1", port=53), WEB: mh("10.0.0.1")})
    assert set(router.fake.table()) == {WEB}


@pytest.mark.parametrize(("theirs", "is_wanted"), [("10.0.0.1", True), ("10.0.0.2", False)])
def test_what_somebody_adds_during_the_run_is_judged_by_what_it_is(router, monkeypatch, theirs, is_wanted):
    apply = Kernel.apply

    def added_first(self, operations):
        router.fake.put(WEB, mh(theirs))
        return apply(self, operations)

    monkeypatch.setattr(Kernel, "apply", added_first)
    judged = contextlib.nullcontext() if is_wanted else pytest.raises(ConvergeError, match="IPVS is not as planned after the run: .*TCP 203.0.113.1:80")
    with judged:
        router.run({WEB: mh("10.0.0.1")})


def test_what_is_restricted_is_closed_before_there_are_rules_and_opened_after_they_are_gone(router):
    router.run({WEB: mh("10.0.0.1")}, {WEB: ("10.0.0.0/8",)})
    assert router.nft.history == [({WEB: ("10.0.0.0/8",)}, set())]
    router.nft.history.clear()
    router.run({DNS: mh("10.0.0.1", port=53)}, {DNS: ("192.0.2.1/32",)})
    assert router.nft.history == [({WEB: ("10.0.0.0/8",), DNS: ("192.0.2.1/32",)}, {WEB}), ({DNS: ("192.0.2.1/32",)}, {DNS})]
    router.nft.history.clear()
    router.run({DNS: mh("10.0.0.1", port=53)})
    assert (router.nft.text, router.nft.history[-1]) == (None, ({}, {DNS}))
    assert not (router.directory / "sources.nft").exists()


def test_a_table_of_source_ranges_that_somebody_removed_or_changed_is_loaded_again(router):
    restricted = {WEB: ("10.0.0.0/8",)}
    router.run({WEB: mh("10.0.0.1")}, restricted)
    for text in (None, "table inet northgate_sources {}", sources.render({WEB: ()})):
        router.nft.text = text
        assert [str(s) for s in router.run({WEB: mh("10.0.0.1")}, restricted).plan.steps] == [
            "load table inet northgate_sources: 1 frontends have source ranges"
        ]
        assert router.nft.text == sources.render(restricted)


def test_the_administrators_lines_of_the_boot_file_stay(router):
    theirs = "# mine\n-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.9.9.9:80 -g -w 1\n-A -f 7 -s rr\n-A -t web:http -s rr\n"
    (router.directory / "ipvsadm.rules").write_text(theirs + "-A -t 203.0.113.9:80 -s rr\n")
    router.run({WEB: mh("10.0.0.1")})
    assert router.rules == theirs + "-A -t 203.0.113.1:80 -s mh -b mh-fallback,mh-port\n-a -t 203.0.113.1:80 -r 10.0.0.1:80 -g -w 1\n"
    router.run({})
    assert router.rules == theirs


def test_memory_that_is_broken_means_that_draining_starts_now(router):
    router.run({WEB: mh("10.0.0.1", "10.0.0.2")})
    (router.directory / "ipvs_services").mkdir(exist_ok=True)
    (router.directory / "ipvs_services" / "draining.json").write_text('[["TCP"]]')
    router.fake.connections[(WEB, ("10.0.0.2", 80))] = 1
    router.run({WEB: mh("10.0.0.1")})
    assert json.loads((router.directory / "ipvs_services" / "draining.json").read_text()) == [["TCP", "203.0.113.1", 80, "10.0.0.2", 80, 1000, 1]]
