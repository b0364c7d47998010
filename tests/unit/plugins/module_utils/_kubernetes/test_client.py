# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists page by page, against a connection that is a dictionary."""

from __future__ import annotations

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import NotObserved
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import client as subject
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.connection import RequestFailed


class Pages:
    """Answers by position; an answer may be an error, once."""

    server = "https://api"

    def __init__(self, pages):
        self.pages = pages
        self.asked = []

    def request(self, method, path, timeout, query):
        self.asked.append(query.get("continue", ""))
        answer = self.pages[self.asked[-1]]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def client(monkeypatch):
    def make(pages, timeout=10.0):
        monkeypatch.setattr(subject, "Connection", lambda kubeconfig, context: Pages(pages))
        return subject.Client("/k", None, timeout)

    return make


def page(*items, position=""):
    return {"items": list(items), "metadata": {"continue": position}}


EXPIRED = RequestFailed("too old", 410)


def test_items_come_page_by_page(client):
    reader = client({"": page(1, 2, position="p"), "p": page(3)})
    seen = []

    def build(items):
        for item in items:
            seen.append((item, len(reader._connection.asked)))
        return "built"

    assert reader.read("/x", build) == "built"
    assert seen == [(1, 1), (2, 1), (3, 2)]


def test_a_list_that_expired_half_way_is_begun_again_once(client):
    reader = client({"": [page(1, position="p"), page(7, position="p")], "p": [EXPIRED, page(8)]})
    assert reader.read("/x", list) == [7, 8]
    reader = client({"": page(1, position="p"), "p": EXPIRED})
    with pytest.raises(NotObserved, match="https://api/x: HTTP 410: too old"):
        reader.read("/x", list)
    assert reader._connection.asked == ["", "p", "", "p"]


def test_a_list_that_breaks_half_way_is_no_list(client):
    with pytest.raises(NotObserved, match="https://api/x: reset. Is the API server up"):
        client({"": page(1, position="p"), "p": RequestFailed("reset")}).read("/x", list)
    for answer in ([[]], {"items": None}, {}):
        with pytest.raises(NotObserved, match="the answer is no list"):
            client({"": answer}).read("/x", list)


def test_the_deadline_is_for_all_pages_together(client):
    reader = client({"": page(1, position="")}, timeout=0.0)
    with pytest.raises(NotObserved, match="https://api did not answer completely within 0 s. Raise timeout"):
        reader.read("/x", list)


def test_an_object_that_is_not_there_or_may_not_be_read_is_an_answer(client):
    assert client({"": {"kind": "Secret"}}).find("/x") == {"kind": "Secret"}
    assert client({"": RequestFailed("no", 404)}).find("/x") == 404
    assert client({"": RequestFailed("no", 403)}).find("/x") == 403
    for status in (None, 401, 500):
        with pytest.raises(NotObserved):
            client({"": RequestFailed("no", status)}).find("/x")
