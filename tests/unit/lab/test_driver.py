# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests read from a run of ansible-playbook."""
from __future__ import annotations

import json

import pytest
from driver import client, clusters, command

OUTPUT = """\
PLAY [Converge the routers] ****************************************************

TASK [Observe the clusters] ****************************************************
[WARNING]: cluster beta is not observed: reason
ok: [r1 -> localhost] => {"changed": false, "clusters": {"alpha": {"observed": true}}}

TASK [Converge HTTP and HTTPS ingress] *****************************************
changed: [r1] => {"changed": true, "clusters": {"alpha": "observed"}, "reload_reason": "new backend"}
ok: [r2] => {"changed": false, "clusters": {"alpha": "last-known-good"}, "reload_reason": ""}

PLAY RECAP *********************************************************************
r1                         : ok=2    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
"""


def test_results_by_task_and_host():
    run = command.Run(command.results(OUTPUT))
    assert run.results["Observe the clusters"]["r1"]["clusters"]["alpha"]["observed"] is True
    assert run.reload_reasons == {"new backend"}
    assert run.served_from == {"alpha": {"observed", "last-known-good"}}
    assert run.ingress("r2")["changed"] is False


def reply(status, body=""):
    return client.Reply(status, {}, body, "SSLError: x", [], "", [])


@pytest.mark.parametrize("seen, outcome", [
    (reply(200, '{"app": "a"}\n'), "a"), (reply(200, 'data: {"app": "a"}\ndata: {}\n'), "a"), (reply(200, "hello"), "200 of somebody else"),
    (reply(404, f"<p>{client.EDGE_PAGE}</p>"), client.NO_RULE), (reply(404, "404 page not found\n"), client.NO_RULE_IN_TRAEFIK),
    (reply(404), "404"), (reply(503), "503"), (reply(0), "SSLError: x")])
def test_outcomes(seen, outcome):
    assert seen.outcome == outcome


def test_an_ingress_is_what_a_user_would_write():
    found = clusters.ingress("a", "direct", {"h.test": [("/x", "Exact", "s")], "": [("/", "Prefix", "t")]}, default="d", secret="c", ssl_redirect="false")
    assert found["metadata"]["annotations"] == {"northgate.edge/ssl-redirect": "false"}
    assert [rule.get("host") for rule in found["spec"]["rules"]] == ["h.test", None]
    assert found["spec"]["rules"][0]["http"]["paths"] == [
        {"path": "/x", "pathType": "Exact", "backend": {"service": {"name": "s", "port": {"name": "http"}}}}]
    assert found["spec"]["tls"] == [{"hosts": ["h.test", ""], "secretName": "c"}]
    assert json.dumps(found)
    assert set(clusters.ingress("a", None, {}, default="d")["spec"]) == {"defaultBackend"}
