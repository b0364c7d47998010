# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a router remembers."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

from ansible_collections.northgate.edge.plugins.module_utils._core.errors import ConvergeError, SnapshotError
from ansible_collections.northgate.edge.plugins.module_utils._module.memory import Accepted, Inbox, Membership, lock


def upload(tmp_path, data):
    path = tmp_path / "upload"
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), str(path)


def test_the_inbox_takes_what_was_missing_and_only_root_reads_it(tmp_path):
    inbox = Inbox(str(tmp_path / "state"))
    digest, path = upload(tmp_path, b"snapshot")
    assert inbox.missing([digest, digest]) == [digest]
    inbox.take(digest, path)
    assert inbox.missing([digest]) == []
    assert inbox.read(digest) == b"snapshot"
    (file,) = (tmp_path / "state" / "inbox").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_inbox_says_what_is_missing_when_it_has_what_came(tmp_path):
    inbox = Inbox(str(tmp_path / "state"))
    digest, path = upload(tmp_path, b"snapshot")
    assert inbox.receive({digest: path}, [digest, "a" * 64]) == ["a" * 64]
    assert inbox.read(digest) == b"snapshot"


def test_the_inbox_refuses_what_is_not_what_it_says(tmp_path):
    inbox = Inbox(str(tmp_path / "state"))
    digest, path = upload(tmp_path, b"snapshot")
    with pytest.raises(ConvergeError, match="damaged"):
        inbox.take(hashlib.sha256(b"another").hexdigest(), path)
    with pytest.raises(SnapshotError, match="no SHA-256"):
        inbox.read("../../etc/passwd")
    assert inbox.missing([digest]) == [digest]


def test_the_inbox_forgets_what_is_old_and_unused(tmp_path):
    inbox = Inbox(str(tmp_path / "state"))
    digests = []
    for data in (b"used", b"old", b"young"):
        digest, path = upload(tmp_path, data)
        inbox.take(digest, path)
        digests.append(digest)
    for name in digests[:2]:
        os.utime(tmp_path / "state" / "inbox" / name, (0, 0))
    inbox.keep_only([digests[0]])
    assert inbox.missing(digests) == [digests[1]]


def test_accepted_snapshots_are_found_again(tmp_path):
    accepted = Accepted(str(tmp_path), "haproxy_ingress")
    assert accepted.read("alpha") is None
    accepted.write("alpha", b"snapshot")
    assert Accepted(str(tmp_path), "haproxy_ingress").read("alpha") == b"snapshot"
    assert Accepted(str(tmp_path), "another").read("alpha") is None


def test_the_time_of_the_last_acceptance_is_remembered(tmp_path):
    accepted = Accepted(str(tmp_path), "haproxy_ingress")
    assert accepted.clusters() == {}
    accepted.write("alpha", b"snapshot")
    os.utime(tmp_path / "haproxy_ingress" / "accepted" / "alpha.json", (0, 1000))
    assert accepted.clusters() == {"alpha": 1000}
    accepted.confirm("alpha")
    assert accepted.clusters()["alpha"] > 1000
    with pytest.raises(ConvergeError, match="beta.json"):
        accepted.confirm("beta")


def test_a_second_run_waits_and_then_says_who_holds_the_lock(tmp_path):
    with lock(str(tmp_path), 1):
        with pytest.raises(ConvergeError, match="another run has held .*lock.*fuser"):
            with lock(str(tmp_path), 0.1):
                pass
    with lock(str(tmp_path), 0.1):
        pass


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path):
    accepted = Accepted("/dev/full", "haproxy_ingress")
    with pytest.raises(ConvergeError, match="can't be written.*still there"):
        accepted.write("alpha", b"snapshot")


def test_a_cluster_is_forgotten(tmp_path):
    accepted = Accepted(str(tmp_path), "haproxy_ingress")
    accepted.write("alpha", b"snapshot")
    accepted.forget("alpha")
    assert accepted.read("alpha") is None and accepted.clusters() == {}
    with pytest.raises(ConvergeError, match="alpha.json can't be removed"):
        accepted.forget("alpha")


def test_the_group_of_the_last_run_is_known_where_it_is_another_one(tmp_path):
    first = Membership(str(tmp_path), "haproxy_ingress", "edge-a")
    assert first.left == ""
    first.join()
    assert Membership(str(tmp_path), "haproxy_ingress", "edge-a").left == ""
    moved = Membership(str(tmp_path), "haproxy_ingress", "edge-b")
    assert moved.left == "edge-a"
    # Where nobody says, nothing is known to have changed, and what was known stays.
    silent = Membership(str(tmp_path), "haproxy_ingress", "")
    assert silent.left == ""
    silent.join()
    assert moved.left == "edge-a"
    moved.join()
    assert moved.left == ""
