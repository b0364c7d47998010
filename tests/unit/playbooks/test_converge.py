# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/converge.yml hands the inventory's choices to the modules."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
import yaml

from ansible_collections.northgate.edge.plugins.modules import haproxy_apiserver, haproxy_ingress, ipvs_services, service_addresses

PLAY = yaml.safe_load((pathlib.Path(__file__).parents[3] / "playbooks" / "converge.yml").read_text("utf-8"))[0]
# Where things are on a router is as the roles made it.
_AS_INSTALLED = {"config_dir", "socket", "master_socket", "state_dir", "lock_timeout", "rules_file", "sources_file"}


def test_every_choice_of_the_operator_can_be_made_in_the_inventory():
    options = set(yaml.safe_load(haproxy_ingress.DOCUMENTATION)["options"]) | {"clusters", "snapshots"}
    (task,) = (task["northgate.edge.haproxy_ingress"] for task in PLAY["tasks"] if "northgate.edge.haproxy_ingress" in task)
    assert set(task) == options - _AS_INSTALLED


def test_services_converge_after_ingress_where_there_are_pools_with_the_python_that_has_pyroute2():
    names = [name for task in PLAY["tasks"] for name in task if name.startswith("northgate.edge.")]
    assert names.index("northgate.edge.haproxy_ingress") < names.index("northgate.edge.ipvs_services") < names.index("northgate.edge.ingress_status")
    task = PLAY["tasks"][names.index("northgate.edge.ipvs_services")]
    options = set(yaml.safe_load(ipvs_services.DOCUMENTATION)["options"]) | {"clusters", "snapshots"}
    assert set(task["northgate.edge.ipvs_services"]) == options - _AS_INSTALLED
    assert task["when"] == "northgate_address_pools | default({}) | length > 0"
    assert task["vars"] == {"ansible_python_interpreter": "{{ northgate_ipvs_python | default('/opt/northgate/bin/python') }}"}


def test_routers_learn_of_clusters_how_to_forward_and_nothing_else(groups):
    (task,) = (task["northgate.edge.ipvs_services"] for task in PLAY["tasks"] if "northgate.edge.ipvs_services" in task)
    clusters = {"alpha": {"kubeconfig": "/secret", "forwarding": "tunnel", "tunnel_port": 6081}, "beta": None, "gamma": {}}
    served = {"northgate_router_groups": {"edge": {"clusters": ["alpha", "beta"]}}, "northgate_router_group": "edge"}
    shown = groups(**served, northgate_clusters=clusters, shown=task["forwarding"])
    assert shown == {"alpha": {"forwarding": "tunnel", "tunnel_port": 6081}, "beta": {}}


def test_api_servers_converge_where_the_group_or_a_cluster_says_how_and_before_anything_is_published():
    names = [name for task in PLAY["tasks"] for name in task if name.startswith("northgate.edge.")]
    assert names.index("northgate.edge.haproxy_apiserver") < names.index("northgate.edge.ingress_status")
    task = PLAY["tasks"][names.index("northgate.edge.haproxy_apiserver")]
    options = set(yaml.safe_load(haproxy_apiserver.DOCUMENTATION)["options"]) | {"clusters", "snapshots"}
    assert set(task["northgate.edge.haproxy_apiserver"]) == options - _AS_INSTALLED
    # Also on a router whose group has none: it may have been of another.
    assert task["when"] == "northgate_apis | length > 0 or northgate_groups.values() | selectattr('api', 'defined') | list | length > 0"


def test_what_the_group_says_of_an_api_goes_before_what_the_cluster_says(groups):
    own = {"servers": ["192.0.2.1:6443"], "allow": ["10.0.0.0/8"]}
    clusters = {"alpha": {"kubeconfig": "/secret", "api": own}, "beta": None, "gamma": {"api": {**own, "bind": ["[::1]:6443"]}}, "delta": {"api": own}}

    def apis(**group):
        return groups(
            northgate_router_groups={"edge": group}, northgate_router_group="edge", northgate_clusters=clusters, shown="{{ northgate_apis }}"
        )

    found = apis(clusters=["alpha", "beta", "delta"], api={"alpha": {"bind": ["192.0.2.9:6443"], "allow": []}, "gamma": {"bind": []}, "beta": {}})
    # What is mistaken is for the module to refuse.
    assert found == {"alpha": {"servers": ["192.0.2.1:6443"], "bind": ["192.0.2.9:6443"], "allow": []}, "gamma": {"bind": []}, "beta": {}}
    assert apis(clusters=["alpha", "gamma"]) == {"gamma": clusters["gamma"]["api"]}
    assert apis(clusters=["alpha"], api={}) == {}


def test_services_get_addresses_after_the_observation_and_before_routers_converge_where_there_are_pools():
    names = [name for task in PLAY["tasks"] for name in task if name.startswith("northgate.edge.")]
    order = [names.index(f"northgate.edge.{name}") for name in ("cluster_snapshot", "service_addresses", "haproxy_ingress")]
    assert order == sorted(order)
    observe, give = (PLAY["tasks"][index] for index in order[:2])
    assert "northgate_address_pools" in observe["northgate.edge.cluster_snapshot"]["pools"]
    assert set(give["northgate.edge.service_addresses"]) == set(yaml.safe_load(service_addresses.DOCUMENTATION)["options"])
    assert give["when"] == "northgate_address_pools | default({}) | length > 0" and give["run_once"] and give["delegate_to"] == "localhost"
    # In check mode it foretells, and writes nothing.
    assert "check_mode" not in give


@pytest.fixture
def groups(tmp_path):
    """The router groups as the tasks see them, from variables of the inventory."""

    def evaluate(shown="{{ northgate_groups }}", **variables):
        path = tmp_path / "play.json"
        content = shown.strip().removesuffix("}}") + "| to_json }}"
        show = {"ansible.builtin.copy": {"content": content, "dest": str(tmp_path / "groups")}, "delegate_to": "localhost"}
        own = {name: value for name, value in PLAY["vars"].items() if name.startswith(("northgate_group", "northgate_apis"))}
        path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "connection": "local", "vars": own, "tasks": [show]}]))
        extra = ["-e", json.dumps(variables)]
        subprocess.run(["ansible-playbook", "-i", "router,", *extra, path], check=True, stdin=subprocess.DEVNULL)
        return json.loads((tmp_path / "groups").read_text())

    return evaluate


def test_a_group_decides_for_itself_and_the_rest_is_decided_for_all(groups):
    found = groups(
        northgate_router_groups={"edge": {"clusters": ["alpha"], "claim_scope": "host"}, "other": {"clusters": ["beta"], "shares": {"beta": {"weight": 2}}}},
        northgate_tls_passthrough="true",
        northgate_claim_scope="open",
        northgate_shares={"alpha": {"mode": "standby"}},
    )
    common = {"claim_winner": "oldest", "tls_passthrough": True}
    assert found == {
        "edge": {"clusters": ["alpha"], "claim_scope": "host", "shares": {"alpha": {"mode": "standby"}}, **common},
        "other": {"clusters": ["beta"], "claim_scope": "open", "shares": {"beta": {"weight": 2}}, **common},
    }


def test_a_group_is_reached_under_the_addresses_of_its_vips_unless_it_says_otherwise(groups):
    vips = {"web": {"addresses": ["192.0.2.80/24", "2001:db8::80/64"], "router_id": 51}, "api": {"addresses": ["192.0.2.81"]}}
    found = groups(
        northgate_router_groups={
            "moving": {"clusters": ["alpha"], "vips": vips},
            "named": {"clusters": ["alpha"], "vips": vips, "ingress_addresses": ["edge.example.com"]},
            "silent": {"clusters": ["beta"]},
        },
    )
    assert {name: group.get("ingress_addresses") for name, group in found.items()} == {
        "moving": ["192.0.2.80", "2001:db8::80", "192.0.2.81"], "named": ["edge.example.com"], "silent": None}
    (publish,) = (task for task in PLAY["tasks"] if "northgate.edge.ingress_status" in task)
    assert publish["when"].startswith("northgate_groups.values()")


@pytest.mark.parametrize(("group", "expected"), [("own", "/etc/own"), ("other", "/etc/all")])
def test_certificates_of_a_group_go_before_those_of_all(groups, group, expected):
    (task,) = (task["northgate.edge.haproxy_ingress"] for task in PLAY["tasks"] if "northgate.edge.haproxy_ingress" in task)
    found = groups(
        northgate_router_groups={"own": {"clusters": [], "certificates": "/etc/own"}, "other": {"clusters": []}},
        northgate_router_group=group, northgate_certificates="/etc/all", shown=task["certificates"],
    )
    assert found == expected


def test_routers_are_told_their_group_and_addresses_are_given_by_what_the_groups_carry():
    tasks = {name: task[name] for task in PLAY["tasks"] for name in task if name.startswith("northgate.edge.")}
    assert tasks["northgate.edge.haproxy_ingress"]["router_group"] == "{{ northgate_router_group }}"
    assert tasks["northgate.edge.service_addresses"]["groups"] == "{{ northgate_groups }}"
    assert tasks["northgate.edge.ipvs_services"]["address_pools"] == "{{ northgate_group.address_pools | default(omit) }}"
