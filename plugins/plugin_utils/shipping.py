# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ships documents (snapshots, certificates) from the controller into the router's inbox.

The module runs first with the documents' hashes alone; only when its answer says that some are
missing on the router are these uploaded, and the module runs again. So a run with nothing new
costs one round trip. What was not among the documents of the last run from this controller is surely missing:
it is uploaded at once, so a run with something new costs one run of the module, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.northgate.edge.plugins.module_utils._core import codec
from ansible_collections.northgate.edge.plugins.module_utils._core.errors import InvalidValue, NorthgateError
from ansible_collections.northgate.edge.plugins.module_utils._core.model import Quarantined, Snapshot
from ansible_collections.northgate.edge.plugins.module_utils._io.atomic import write
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes.certificates import read


class ShippingAction(ActionBase):
    """Runs the module of the same name with the documents of its task."""

    TRANSFERS_FILES = True
    # What follows the cluster in the name of a snapshot's file.
    SNAPSHOT = ".json"

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        try:
            own = self._arguments(self._task.args)
            documents, contents = self._documents(own)
            last = self._last(task_vars or {})
            shipped = _shipped(last)
            new = {digest: data for digest, data in contents.items() if shipped and digest not in shipped}
            arguments = {**own, "_documents": documents, "_uploads": self._upload(new)}
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
            missing = result.pop("_missing", None)
            if missing:
                uploads = self._upload({digest: contents[digest] for digest in missing})
                result = self._execute_module(module_args={**arguments, "_uploads": uploads}, task_vars=task_vars)
            if shipped != contents.keys():
                # It only saves a round trip.
                with contextlib.suppress(NorthgateError):
                    write(last, "\n".join(sorted(contents)).encode())
            return result
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _arguments(self, given: dict[str, t.Any]) -> dict[str, t.Any]:
        """The options of the module, from those of the task."""
        return given

    def _last(self, task_vars: dict[str, t.Any]) -> str:
        """The file on the controller that says which documents the last run of this module shipped, for this host and state_dir."""
        name = json.dumps([str(task_vars.get("inventory_hostname")), str(self._task.args.get("state_dir")), self._task.action])
        return os.path.join(_path(self._task.args.get("snapshots")), ".shipped", hashlib.sha256(name.encode()).hexdigest())

    def _documents(self, arguments: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, bytes]]:
        """What the module is told of the documents, and their contents by SHA-256."""
        contents: dict[str, bytes] = {}

        def add(data: bytes) -> str:
            digest = hashlib.sha256(data).hexdigest()
            contents[digest] = data
            return digest

        documents: dict[str, t.Any] = {"snapshots": {}}
        for cluster in arguments.get("clusters") or []:
            path = os.path.join(_path(arguments.get("snapshots")), f"{cluster}{self.SNAPSHOT}")
            if os.path.exists(path):
                documents["snapshots"][cluster] = add(_read(path))
        if arguments.get("certificates"):
            directory = _path(arguments["certificates"])
            # Each router group may have a directory of its own.
            cache = os.path.join(_path(arguments.get("snapshots")), f".certificates-{hashlib.sha256(directory.encode()).hexdigest()[:16]}")
            documents["certificates"] = add(_bundle(directory, cache))
        return documents, contents

    def _upload(self, contents: dict[str, bytes]) -> dict[str, str]:
        """Puts documents into the task's temporary directory on the router: SHA-256 to path."""
        if not contents:
            return {}
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        uploads = {}
        for digest, data in contents.items():
            path = self._connection._shell.join_path(self._connection._shell.tmpdir, digest)
            uploads[digest] = self._transfer_data(path, data)
        self._fixup_perms2((self._connection._shell.tmpdir, *uploads.values()), execute=False)
        return uploads


def _path(value: t.Any) -> str:
    return os.path.expanduser(str(value))


def local_text(path: str, option: str) -> str:
    """The text of a file of the controller that ``option`` names."""
    try:
        return _read(_path(path)).decode("utf-8", "replace")
    except AnsibleActionFail as error:
        raise AnsibleActionFail(f"{option}: {error}") from error


def _shipped(last: str) -> set[str]:
    """What the last run shipped; nothing when nobody knows."""
    try:
        return set(_read(last).decode("ascii", "replace").split())
    except AnsibleActionFail:
        return set()


def _bundle(directory: str, cache: str) -> bytes:
    """All PEM files of a directory, as a snapshot that has certificates only. Secret.

    Reading thousands of keys takes seconds, for each router anew: the last result is kept in the file ``cache``, for
    its owner alone, with a digest of the files that it was made of.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".pem"))
    except OSError as error:
        raise AnsibleActionFail(
            f"certificates: {directory} can't be read: {error.strerror}. Give a directory on the controller."
        ) from error
    texts = {name: _read(os.path.join(directory, name)).decode("ascii", "replace") for name in names}
    digest = hashlib.sha256(json.dumps([codec.VERSION, texts]).encode()).hexdigest().encode()
    try:
        known, _newline, data = _read(cache).partition(b"\n")
        if known == digest:
            return data
    except AnsibleActionFail:
        pass  # There is none yet.
    data = codec.dump(_certificates(texts))
    write(cache, digest + b"\n" + data)
    return data


def _certificates(texts: dict[str, str]) -> Snapshot:
    certificates, skipped = [], []
    for name, text in texts.items():
        try:
            certificates.append(read(text, name))
        except InvalidValue as error:
            skipped.append(Quarantined("certificates", name, error.field, error.cause))
    return Snapshot("certificates", certificates=tuple(certificates), quarantined=tuple(skipped))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise AnsibleActionFail(f"{path} can't be read: {error.strerror}") from error
