# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles' templates become, as Ansible renders them; the lab has the daemons judge it."""
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).parents[3] / "roles"


@pytest.fixture
def render():
    def render(role, template, **variables):
        defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text(encoding="utf-8"))
        plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
        text = (ROLES / role / "templates" / template).read_text(encoding="utf-8")
        return Templar(loader=DataLoader(), variables={**plain, **variables}).template(trust_as_template("#jinja2: trim_blocks:True\n" + text))
    return render


@pytest.fixture
def guard(render):
    def guard(**variables):
        found = {"ipvs_pools": ["203.0.113.0/24", "2001:db8:100::/64"], "ipvs_nat_addresses": [], "ipvs_masquerade": False}
        return render("ipvs", "guard.nft.j2", **{**found, **variables})
    return guard


def chain(text, name):
    """The rules of a chain of nftables' rule set, stripped, without comments."""
    lines = [line.strip() for line in text.partition(f"chain {name} {{")[2].partition("\n    }")[0].splitlines()[1:]]
    return [line for line in lines if line and not line.startswith("#")]


def test_sctp_without_source_nat_goes_to_nobody_where_services_are_masqueraded(guard):
    assert chain(guard(ipvs_masquerade=True), "untranslated")[1:] == [
        "meta l4proto sctp ct state invalid ip daddr != @pool4 fib saddr type != local drop",
        "meta l4proto sctp ct state invalid ip6 daddr != @pool6 fib saddr type != local drop",
    ]
    assert "chain untranslated" not in guard(ipvs_masquerade=False)


def test_the_guard_replaces_its_table_as_a_whole_and_no_other(guard):
    text = guard(ipvs_masquerade=True)
    tables = [line for line in text.splitlines() if "table " in line and not line.lstrip().startswith("#")]
    assert tables == ["table inet northgate", "delete table inet northgate", "table inet northgate {"]


def test_the_guard_closes_all_pools_after_ipvs(guard):
    text = guard()
    assert "elements = { 203.0.113.0/24 }" in text and "elements = { 2001:db8:100::/64 }" in text
    assert chain(text, "guard")[:3] == [
        "type filter hook input priority 150; policy accept;", "ip daddr @pool4 jump closed", "ip6 daddr @pool6 jump closed"]
    assert "drop" in chain(text, "closed")


def test_without_pools_of_a_family_its_set_has_no_elements_which_nft_would_refuse(guard):
    assert guard(ipvs_pools=["203.0.113.0/24"]).count("elements") == 1


def test_clients_are_hidden_only_with_masquerading_and_only_where_the_address_was_changed(guard):
    assert "hook postrouting" not in guard()
    own = guard(ipvs_masquerade=True)
    assert "ct original ip daddr @pool4 ip daddr != @pool4 masquerade" in own
    assert "ct original ip6 daddr @pool6 ip6 daddr != @pool6 masquerade" in own
    shared = guard(ipvs_masquerade=True, ipvs_nat_addresses=["10.0.0.100"])
    assert "ct original ip daddr @pool4 ip daddr != @pool4 snat ip to 10.0.0.100" in shared
    assert "ct original ip6 daddr @pool6 ip6 daddr != @pool6 masquerade" in shared
    assert "elements = { 10.0.0.100 }" in shared


@pytest.mark.parametrize(("kind", "sizes"), [("ipip", (1440, 1400)), ("gue", (1428, 1388))])
def test_segments_fit_the_tunnel(render, kind, sizes):
    text = render("ipvs_node", "node.nft.j2", ipvs_node_tunnel_type=kind, ipvs_node_tunnel_port=6080, ipvs_node_tunnel_sources=["10.0.0.1"],
                  ipvs_node_pools=["203.0.113.0/24"])
    assert [rule.rpartition(" ")[2] for rule in chain(text, "segments")[1:]] == [str(size) for size in sizes]
    assert ("udp dport 6080 drop" in text) == (kind == "gue")


@pytest.mark.parametrize(("masquerade", "direct", "tracked", "loose"), [(True, False, "1", False), (False, True, "0", True)])
def test_settings_follow_from_the_forwarding(render, masquerade, direct, tracked, loose):
    text = render("ipvs", "sysctl.conf.j2", ipvs_masquerade=masquerade, ipvs_direct_return=direct)
    values = dict(line.split(" = ") for line in text.splitlines() if " = " in line and not line.startswith("#"))
    assert values["net.ipv4.vs.conntrack"] == tracked
    assert ("net.ipv4.conf.all.rp_filter" in values) == loose
    assert values["net.ipv4.vs.sloppy_tcp"] == values["net.ipv4.vs.schedule_icmp"] == values["net.ipv4.ip_forward"] == "1"
    assert "net.ipv4.vs.sync_threshold" not in values


def test_text_of_error_pages_can_not_leave_its_place(render):
    text = render("haproxy", "00-northgate.cfg.j2", haproxy_error_pages={"503": "it's <b>down</b>"})
    assert "string '<!doctype html><title>503</title><p>it&#39;s &lt;b&gt;down&lt;/b&gt;</p>'" in text
    assert text.count("http-error") == 1


def test_the_global_settings_are_variables(render):
    text = render("haproxy", "00-northgate.cfg.j2", haproxy_maxconn=4000, haproxy_tune={"bufsize": 32768}, haproxy_metrics_bind=["127.0.0.1:1", "[::1]:1"])
    lines = [line.strip() for line in text.splitlines()]
    assert {"maxconn 4000", "tune.bufsize 32768", "bind 127.0.0.1:1", "bind [::1]:1"} <= set(lines)


def test_the_kubeconfig_has_the_token_and_the_administrators_server_unless_told(render):
    token = {"server": "https://192.0.2.41:6443", "certificate_authority": "Q0E=", "objects": [{"data": {"token": "dG9rZW4="}}]}
    config = yaml.safe_load(render("cluster_access", "kubeconfig.j2", cluster_access_token=token))
    assert config["clusters"][0]["cluster"] == {"server": "https://192.0.2.41:6443", "certificate-authority-data": "Q0E="}
    assert config["users"][0]["user"] == {"token": "token"}
    token["certificate_authority"] = ""
    config = yaml.safe_load(render("cluster_access", "kubeconfig.j2", cluster_access_token=token, cluster_access_server="https://api.example:6443"))
    assert config["clusters"][0]["cluster"] == {"server": "https://api.example:6443"}


def test_signs_of_life_are_not_tracked(guard):
    text = guard()
    assert chain(text, "alive") == ["meta l4proto 112 notrack", "udp dport { 3784, 4784, 8848 } notrack"]
    for name, hook in (("alive_in", "prerouting"), ("alive_out", "output")):
        assert chain(text, name) == [f"type filter hook {hook} priority raw; policy accept;", "jump alive"]
