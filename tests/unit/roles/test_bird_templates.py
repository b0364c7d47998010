# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role bird writes. Every file that is written here is one that BIRD accepts; what BIRD then does is tested with running ones."""
from __future__ import annotations

import subprocess

import pytest
from northgate_bird import BIRD, render

NEIGHBOR = {"name": "w1", "addresses": ["192.0.2.21", "2001:db8::21"], "asn": 64601,
            "import_prefixes": ["10.100.0.0/16{16,28}", "10.101.0.0/16", "fd64:100::/48+"], "export_prefixes": []}


@pytest.fixture
def bird(tmp_path):
    """The configuration with these neighbours, once BIRD has accepted it."""
    def bird(*neighbors, **variables):
        paths = {name: str(tmp_path / name) for name in ("bird_drain_file", "bird_password_file")}
        given = {"bird_asn": 64500, "bird_router_id": "192.0.2.1", "bird_neighbors": list(neighbors), **paths, **variables}
        (tmp_path / "bird_drain_file").write_text("define ng_drain = false;\n")
        (tmp_path / "bird_password_file").write_text(render("passwords.conf.j2", given))
        text = render("bird.conf.j2", given)
        (tmp_path / "bird.conf").write_text(text)
        checked = subprocess.run([BIRD, "-p", "-c", tmp_path / "bird.conf"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        return text
    return bird


def block(text, start):
    """The lines of one block of BIRD's configuration, stripped."""
    lines = text[text.index(start):].partition("\n}")[0].splitlines()
    return [line.strip() for line in lines[1:]]


def test_a_neighbour_has_a_session_for_each_address_with_the_prefixes_of_its_family(bird):
    text = bird({**NEIGHBOR, "addresses": ["192.0.2.21", "198.51.100.21", "2001:db8::21"]})
    assert [line.split()[2] for line in text.splitlines() if line.startswith("protocol bgp")] == ["w1_v4", "w1_v4_2", "w1_v6"]
    first, second, third = (block(text, f"protocol bgp {name} from") for name in ("w1_v4", "w1_v4_2", "w1_v6"))
    assert "neighbor 192.0.2.21 as 64601;" in first and "neighbor 198.51.100.21 as 64601;" in second and "neighbor 2001:db8::21 as 64601;" in third
    assert "if !(net ~ [ 10.100.0.0/16{16,28}, 10.101.0.0/16 ]) then reject;" in first and first[1:] == second[1:]
    assert "if !(net ~ [ fd64:100::/48+ ]) then reject;" in third and "export none;" in third


def test_nothing_passes_that_is_not_declared(bird):
    text = bird({"name": "w1", "addresses": ["192.0.2.21"], "asn": 64601}, bird_export_upstream=["10.0.0.0/8"])
    assert {"import none;", "export none;"} < set(block(text, "protocol bgp w1_v4"))
    assert "w1_v6" not in text


def test_what_is_the_hosts_own_is_accepted_from_nobody(bird):
    text = bird(NEIGHBOR, bird_announce=["203.0.113.0/24", "2001:db8:100::/64"])
    assert "if net ~ [ 203.0.113.0/24+ ] then reject;" in block(text, "protocol bgp w1_v4")
    assert "if net ~ [ 2001:db8:100::/64+ ] then reject;" in block(text, "protocol bgp w1_v6")


@pytest.mark.parametrize(("asn", "transit", "condition"), [
    (64601, True, "if bgp_path.first != 64601 then reject;"), (64601, False, "if !(bgp_path ~ [= 64601 =]) then reject;"),
    (64500, True, None), (64500, False, "if !(bgp_path ~ [= =]) then reject;")])
def test_the_path_begins_with_the_neighbour_or_is_the_neighbour_alone(bird, asn, transit, condition):
    lines = block(bird({**NEIGHBOR, "asn": asn, "transit": transit}), "protocol bgp w1_v4")
    assert [line for line in lines if "bgp_path" in line] == ([condition] if condition else [])


def test_a_default_route_is_accepted_by_its_name_only(bird):
    covered = bird({**NEIGHBOR, "import_prefixes": ["0.0.0.0/0+", "::/0"]})
    assert "if net.len = 0 then reject;" in block(covered, "protocol bgp w1_v4")
    assert "if net.len = 0 then reject;" not in block(covered, "protocol bgp w1_v6")


def test_further_neighbours_get_what_goes_upstream_unless_they_say_otherwise(bird):
    further = [{"name": "u1", "addresses": ["192.0.2.99"], "asn": 64700},
               {"name": "u2", "addresses": ["192.0.2.98"], "asn": 64701, "export_prefixes": ["10.2.0.0/16"]}]
    text = bird(bird_neighbors_extra=further, bird_export_upstream=["10.1.0.0/16"])
    assert "if !(net ~ [ 10.1.0.0/16 ]) then reject;" in block(text, "protocol bgp u1_v4")
    assert "if !(net ~ [ 10.2.0.0/16 ]) then reject;" in block(text, "protocol bgp u2_v4")
    assert text.count("if ng_drain then bgp_community.add((65535, 0));") == 2


def test_announced_prefixes_stay_out_of_the_kernel(bird):
    text = bird(bird_announce=["10.100.1.0/24", "fd64:100::/64"], bird_gateway_prefixes=["0.0.0.0/0"])
    assert "route 10.100.1.0/24 unreachable;" in block(text, "protocol static ng_announce_v4")
    assert block(text, "protocol static ng_announce_v6") == ["ipv6;", "route fd64:100::/64 unreachable;"]
    assert block(text, "protocol static ng_gateway_v4") == ["ipv4 { preference 50; };", "route 0.0.0.0/0 unreachable;"]
    assert "export where source = RTS_BGP;" in block(text, "protocol kernel ng_kernel_v4")


def test_what_is_unreachable_is_in_the_kernel_and_never_announced(bird):
    text = bird({**NEIGHBOR, "export_prefixes": ["10.0.0.0/8+", "fd64::/16+"]}, bird_unreachable_prefixes=["10.100.0.0/16"])
    assert block(text, "protocol static ng_unreachable_v4") == ["ipv4 { preference 10; };", "route 10.100.0.0/16 unreachable;"]
    assert 'export where source = RTS_BGP || proto = "ng_unreachable_v4";' in block(text, "protocol kernel ng_kernel_v4")
    assert 'if proto = "ng_unreachable_v4" then reject;' in block(text, "protocol bgp w1_v4")
    # Of a family without such prefixes there is nothing.
    assert "ng_unreachable_v6 {" not in text and "export where source = RTS_BGP;" in block(text, "protocol kernel ng_kernel_v6")


def test_a_neighbour_may_have_its_own_bfd_limit_interface_and_password(bird):
    own = {**NEIGHBOR, "bfd_interval": 50, "import_limit": 7, "import_limit_action": "restart", "interface": "eth0.12", "password": "a b;}"}
    text = bird(own, {**NEIGHBOR, "name": "w2", "bfd": False, "import_limit": 0, "password": ""}, {**NEIGHBOR, "name": "w3"}, bird_password="of all")
    first, second, third = (block(text, f"protocol bgp {name}_v4") for name in ("w1", "w2", "w3"))
    assert {"interval 50 ms;", "multiplier 3;", "import limit 7 action restart;", 'interface "eth0.12";', "password ng_password_w1;"} < set(first)
    assert "bfd off;" in second and not [line for line in second if "limit" in line or "password" in line]
    assert {"import limit 1000 action block;", "password ng_password;"} < set(third)
    assert "a b;}" not in text and "of all" not in text


def restarts(lines):
    return [line for line in lines if line.startswith(("bfd", "graceful", "long lived graceful"))]


def test_stale_routes_and_immediate_withdrawal_exclude_each_other(bird):
    assert restarts(block(bird(), "template bgp")) == [
        "bfd on;", "long lived graceful restart off;", "graceful restart on;", "graceful restart time 30;"]
    assert restarts(block(bird(bird_graceful_restart_time=0), "template bgp"))[2] == "graceful restart off;"
    text = bird(NEIGHBOR, {**NEIGHBOR, "name": "w2", "long_lived_stale_time": 0}, bird_long_lived_stale_time=90)
    assert restarts(block(text, "template bgp")) == [
        "bfd on;", "bfd graceful;", "graceful restart on;", "graceful restart time 0;", "long lived graceful restart on;"]
    assert "long lived stale time 90;" in block(text, "template bgp") and not restarts(block(text, "protocol bgp w1_v4"))
    assert restarts(block(text, "protocol bgp w2_v4")) == [
        "bfd off;", "bfd on;", "long lived graceful restart off;", "graceful restart on;", "graceful restart time 30;"]


def test_ipv4_over_ipv6_is_one_session(bird):
    text = bird({**NEIGHBOR, "extended_next_hop": True})
    assert [line.split()[2] for line in text.splitlines() if line.startswith("protocol bgp")] == ["w1_v6"]
    lines = block(text, "protocol bgp w1_v6")
    assert lines.index("extended next hop on;") < lines.index("ipv6 {") and lines.count("extended next hop on;") == 1


def test_workers_of_a_cluster_stand_in_for_one_another(bird):
    nodes = {"w1": "192.0.2.21", "w2": "192.0.2.22", "w3": "192.0.2.23", "other": "192.0.2.31"}
    text = bird(*({"name": name, "addresses": [address], "asn": 64601, "cluster": "beta" if name == "other" else "alpha", "bfd": name != "w3"}
                  for name, address in nodes.items()), bird_stand_in_clusters=["alpha"])
    # The one without BFD can't be missed, and nobody misses a cluster that is masqueraded.
    assert block(text, "protocol static ng_nodes_v4")[1:] == ["route 192.0.2.21/32 via 192.0.2.21 bfd;", "route 192.0.2.22/32 via 192.0.2.22 bfd;"]
    assert block(text, "protocol static ng_stand_ins_v4")[1:] == ["route 192.0.2.21/32 via 192.0.2.22 bfd;", "route 192.0.2.22/32 via 192.0.2.21 bfd;"]
    assert "ng_nodes_v6" not in text
    assert 'export where source = RTS_BGP || proto = "ng_stand_ins_v4";' in block(text, "protocol kernel ng_kernel_v4")
    assert "export where source = RTS_BGP;" in block(text, "protocol kernel ng_kernel_v6")
