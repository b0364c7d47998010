# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-side apply of single objects, with errors that say what to do."""

from __future__ import annotations

import base64
import time
import typing as t

from .._core.errors import NorthgateError
from .connection import Connection, Object, RequestFailed

# What the API server keeps about an object, as against what somebody wants of it.
_BOOKKEEPING = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
MASK = "********"


class ApplyError(NorthgateError):
    """The API server, or the way to it, refused. ``status`` is the HTTP status, None without an answer."""

    def __init__(self, message: str, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint)
        self.status = status


class Api:
    """One API server, as the kubeconfig's user. ``timeout`` is for each request, in seconds."""

    def __init__(self, kubeconfig: str, context: str | None, timeout: float) -> None:
        try:
            self._connection = Connection(kubeconfig, context)
        except NorthgateError as error:
            raise ApplyError(error.message, error.hint) from error
        self.kubeconfig = kubeconfig
        self.server = self._connection.server
        self._timeout = timeout
        self._resources: dict[str, list[Object]] = {}

    def certificate_authority(self) -> str:
        """The API server's CA as base64 of PEM, as in a kubeconfig; empty where the system's CAs are meant."""
        if not self._connection.ca_file:
            return ""
        with open(self._connection.ca_file, "rb") as file:
            return base64.b64encode(file.read()).decode()

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        """The decoded answer; raises ApplyError."""
        headers = {"content_type": "application/apply-patch+yaml"} if method == "patch" else {}
        try:
            return self._connection.request(method, path, self._timeout, query, body, **headers)
        except RequestFailed as error:
            raise self._refused(error) from error

    def _refused(self, error: RequestFailed) -> ApplyError:
        if error.status is None:
            return ApplyError(
                f"{self.server} can't be reached: {error.message}",
                "Is the API server up, and does the host that runs this task get there?",
            )
        hints = {
            401: f"The credentials of kubeconfig {self.kubeconfig} are not, or no longer, valid",
            403: f"The user of kubeconfig {self.kubeconfig} needs that permission: use an administrator's",
            404: "Apply what it lives in first, such as its namespace",
            409: "Somebody else manages these fields: agree with them, or take them over with force",
        }
        return ApplyError(f"{self.server}: {error.message}", hints.get(error.status, ""), error.status)

    def path(self, manifest: Object) -> str:
        """The URL path of a manifest's object. Raises ApplyError where the manifest or the API server lacks the kind."""
        version, kind, name = manifest.get("apiVersion"), manifest.get("kind"), (manifest.get("metadata") or {}).get("name")
        if not (version and kind and name):
            raise ApplyError("each manifest needs apiVersion, kind and metadata.name")
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if root not in self._resources:
            try:
                self._resources[root] = self.request("get", root)["resources"]
            except ApplyError as error:
                if error.status != 404:
                    raise
                self._resources[root] = []
        for resource in self._resources[root]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                space = f"/namespaces/{manifest['metadata'].get('namespace', 'default')}" if resource["namespaced"] else ""
                return f"{root}{space}/{resource['name']}/{name}"
        raise ApplyError(f"{self.server} has no kind {kind} in {version}", "Is the API version of the manifest still served?")

    def find(self, path: str) -> Object | None:
        """The object at ``path``, None when there is none."""
        try:
            return self.request("get", path)
        except ApplyError as error:
            if error.status == 404:
                return None
            raise


def apply(api: Api, manifest: Object, field_manager: str, force: bool, dry_run: bool) -> tuple[Object | None, Object]:
    """Makes one object as its manifest says; returns it before (None when it is new) and after."""
    path = api.path(manifest)
    before = api.find(path)
    query = {"fieldManager": field_manager, "force": str(force).lower()}
    if dry_run:
        query["dryRun"] = "All"
    try:
        return before, api.request("patch", path, manifest, **query)
    except ApplyError as error:
        # A dry run of a namespace does not make it, so what should live in it can't be tried.
        if dry_run and before is None and error.status == 404:
            return None, manifest
        raise


def wait_for(api: Api, manifest: Object, fields: list[str], timeout: float) -> Object:
    """The object once all ``fields`` (dotted) have a value, which a controller may have to give them; raises ApplyError after ``timeout`` seconds."""
    path, end = api.path(manifest), time.monotonic() + timeout
    while True:
        found = api.request("get", path)
        missing = [field for field in fields if not _field(found, field)]
        if not missing:
            return found
        if time.monotonic() > end:
            raise ApplyError(f"{api.server}{path}: {', '.join(missing)} still has no value after {timeout:g} s",
                             "Does the controller that sets it run? For a token it is the controller manager")
        time.sleep(0.2)


def _field(found: t.Any, dotted: str) -> t.Any:
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def shown(found: Object | None, other: Object | None = None) -> Object:
    """An object for people: without bookkeeping, a Secret's values masked, and marked where they differ from those of ``other``."""
    if found is None:
        return {}
    result = {key: value for key, value in found.items() if key != "status"}
    result["metadata"] = {key: value for key, value in found["metadata"].items() if key not in _BOOKKEEPING}
    if found.get("kind") == "Secret":
        for kind in {"data", "stringData"} & set(found):
            known = (other or {}).get(kind) or {}
            result[kind] = {key: MASK if known.get(key, value) == value else f"{MASK} (differs)" for key, value in found[kind].items()}
    return result
