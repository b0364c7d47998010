# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror for the boot and the table of source ranges: what is rendered is parsed to the same."""

from __future__ import annotations


import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.northgate.edge.plugins.module_utils._core.balance_model import Destination, Frontend, Prefixes, VirtualService
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError
from ansible_collections.northgate.edge.plugins.module_utils._ipvs import mirror, sources
from ansible_collections.northgate.edge.plugins.module_utils._ipvs.plan import Drain

POOLS = Prefixes(["203.0.113.0/24", "2001:db8::/32"])
SIX = Frontend("SCTP", "2001:db8::1", 38412)
WEB = Frontend("TCP", "203.0.113.1", 80)


def test_the_lines_of_a_service():
    service = VirtualService(
        "mh", ("mh-fallback", "mh-port"), 0, (Destination("fd00::1", 38412, "tunnel", 1, "gue", 6080), Destination("fd00::2", 38412, "tunnel", 0, "ipip"))
    )
    assert mirror.render({SIX: service, WEB: VirtualService("rr", (), 300)}, {(SIX, ("fd00::2", 38412)): Drain(7, 3)}) == (
        "-A --sctp-service [2001:db8::1]:38412 -s mh -b mh-fallback,mh-port\n"
        "-a --sctp-service [2001:db8::1]:38412 -r [fd00::1]:38412 -i --tun-type gue --tun-port 6080 -w 1\n"
        "-a --sctp-service [2001:db8::1]:38412 -r [fd00::2]:38412 -i -w 3\n"
        "-e --sctp-service [2001:db8::1]:38412 -r [fd00::2]:38412 -i -w 0\n"
        "-A -t 203.0.113.1:80 -s rr -p 300\n"
    )


@given(st.data())
def test_the_mirror_is_parsed_as_it_was_rendered(worlds, data):
    services = data.draw(worlds["current"])
    drains = {(f, d.key): Drain(0, 2) for f, s in services.items() for d in s.destinations if not d.weight}
    text = mirror.render(services, drains)
    assert mirror.parse(text) == (services, drains)
    assert mirror.foreign(text, POOLS) == ""
    theirs = "-A -t 192.0.2.1:80 -s rr\n# a remark\n\n-A -u [2001:dead::1]:53 -s rr\n"
    assert mirror.foreign(theirs + text, POOLS) == theirs
    assert mirror.foreign(theirs + text, POOLS, text) == theirs


_networks = {4: ["10.0.0.0/8", "192.0.2.1/32", "198.51.100.0/24"], 6: ["2001:db8:5::/48", "fd00::1/128"]}


def _sources(frontend):
    networks = _networks[6 if ":" in frontend.address else 4]
    return st.tuples(st.just(frontend), st.lists(st.sampled_from(networks), unique=True).map(lambda found: tuple(sorted(found))))


_worlds = st.lists(st.sampled_from([WEB, SIX, Frontend("UDP", "203.0.113.1", 53), Frontend("TCP", "2001:db8::1", 80)]).flatmap(_sources), max_size=4).map(dict)


@given(_worlds)
def test_source_ranges_are_parsed_as_they_were_rendered(found):
    text = sources.render(found)
    assert sources.parse(text) == found
    assert bool(sources.digest(text)) == bool(found)


@given(_worlds, _worlds)
def test_what_holds_meanwhile_lets_in_only_what_both_do(before, after):
    meanwhile = sources.strictest(before, after)
    assert meanwhile.keys() == before.keys() | after.keys()
    for frontend, networks in meanwhile.items():
        for side in (before, after):
            assert frontend not in side or set(networks) <= set(side[frontend])


def test_every_change_of_the_table_has_another_digest():
    texts = [sources.render(found) for found in ({WEB: ()}, {WEB: ("10.0.0.0/8",)}, {SIX: ()}, {WEB: (), SIX: ()})]
    assert len({sources.digest(text) for text in texts}) == 4


FAKE_NFT = """#!/bin/sh
echo "$*" >> "$0.calls"
cat > "$0.input"
[ -e "$0.answer" ] && cat "$0.answer"
[ -e "$0.error" ] && { cat "$0.error" >&2; exit 1; }
exit 0
"""


@pytest.fixture
def nft(tmp_path):
    """A command in place of nft."""
    path = tmp_path / "nft"
    path.write_text(FAKE_NFT)
    path.chmod(0o755)
    return path


def test_the_loaded_table_is_known_by_its_digest(nft):
    table = sources.Nft(str(nft))
    answer, error = nft.with_suffix(".answer"), nft.with_suffix(".error")
    answer.write_text('{"nftables": [{"metainfo": {}}, {"chain": {"name": "digest_' + "a" * 32 + '"}}, {"chain": {"name": "input"}}]}')
    assert table.loaded() == "a" * 32
    answer.write_text('{"nftables": [{"chain": {"name": "digest_' + "a" * 32 + '"}}]}')
    assert table.loaded() == ""
    error.write_text("Error: No such file or directory\n")
    assert table.loaded() is None
    error.write_text("Error: Operation not permitted\n")
    with pytest.raises(ConvergeError, match="Operation not permitted"):
        table.loaded()
    with pytest.raises(ConvergeError, match="nft refuses"):
        table.check("table")
    error.unlink()
    table.load("")
    assert nft.with_suffix(".input").read_text() == "table inet northgate_sources\ndelete table inet northgate_sources\n"
    assert nft.with_suffix(".calls").read_text().splitlines()[0] == "--terse --json list table inet northgate_sources"


def test_without_nft_there_is_no_table_and_none_can_be_loaded(tmp_path):
    table = sources.Nft(str(tmp_path / "nft"))
    assert table.loaded() is None
    with pytest.raises(ConvergeError, match="nft is not installed"):
        table.check(sources.render({WEB: ()}))
