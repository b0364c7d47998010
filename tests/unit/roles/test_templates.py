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
def bird(render):
    def bird(neighbors=(), announce=(), **variables):
        return render("bird", "bird.conf.j2", bird_asn=64500, bird_router_id="192.0.2.1", bird_neighbors=list(neighbors),
                      bird_announce=list(announce), **variables)
    return bird


def block(text, start):
    """The lines of one block of BIRD's configuration, stripped."""
    lines = text[text.index(start):].partition("\n}")[0].splitlines()
    return [line.strip() for line in lines[1:]]


NEIGHBOR = {"name": "w1", "addresses": ["192.0.2.21", "2001:db8::21"], "asn": 64601,
            "import_prefixes": ["10.100.0.0/16{16,28}", "10.101.0.0/16", "fd64:100::/48+"], "export_prefixes": []}


def test_a_neighbour_has_a_session_for_each_family_with_its_own_prefixes(bird):
    text = bird([NEIGHBOR])
    assert block(text, "protocol bgp w1_v4") == [
        "neighbor 192.0.2.21 as 64601;", "ipv4 {", "import where net ~ [ 10.100.0.0/16{16,28}, 10.101.0.0/16 ];", "export none;", "};"]
    assert block(text, "protocol bgp w1_v6") == ["neighbor 2001:db8::21 as 64601;", "ipv6 {", "import where net ~ [ fd64:100::/48+ ];", "export none;", "};"]


def test_nothing_passes_that_is_not_declared(bird):
    text = bird([{"name": "w1", "addresses": ["192.0.2.21"], "asn": 64601}], bird_export_upstream=["10.0.0.0/8"])
    assert block(text, "protocol bgp w1_v4")[2:4] == ["import none;", "export none;"]
    assert "w1_v6" not in text


def test_further_neighbours_get_what_goes_upstream_unless_they_say_otherwise(bird):
    further = [{"name": "u1", "addresses": ["192.0.2.99"], "asn": 64700},
               {"name": "u2", "addresses": ["192.0.2.98"], "asn": 64701, "export_prefixes": ["10.2.0.0/16"]}]
    text = bird(bird_neighbors_extra=further, bird_export_upstream=["10.1.0.0/16"])
    assert "export where net ~ [ 10.1.0.0/16 ];" in block(text, "protocol bgp u1_v4")
    assert "export where net ~ [ 10.2.0.0/16 ];" in block(text, "protocol bgp u2_v4")


def test_announced_prefixes_stay_out_of_the_kernel(bird):
    text = bird(announce=["10.100.1.0/24", "fd64:100::/64"])
    assert "route 10.100.1.0/24 unreachable;" in block(text, "protocol static ng_announce_v4")
    assert block(text, "protocol static ng_announce_v6") == ["ipv6;", "route fd64:100::/64 unreachable;"]
    assert "export where source = RTS_BGP;" in block(text, "protocol kernel ng_kernel_v4")


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
