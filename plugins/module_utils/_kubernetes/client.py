# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a cluster's API as raw JSON: the client library's models are slow and heavy on long lists."""

from __future__ import annotations

import json
import time
import typing as t

from .._core.errors import NotObserved

Object = dict[str, t.Any]


class Client:
    """GETs below one deadline. ``timeout`` is for all requests of this client together, in seconds."""

    def __init__(self, kubeconfig: str, context: str | None, timeout: float) -> None:
        # Imported late: it takes half a second, and modules are documented without it.
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.dynamic import DynamicClient
        from yaml import YAMLError

        try:
            configuration = client.Configuration()
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
        except (ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
            raise NotObserved(f"kubeconfig {kubeconfig}: {error}", "Write it with playbooks/cluster_access.yml") from error
        # The library would try four times, each with the whole timeout.
        configuration.retries = False
        self._api = client.ApiClient(configuration)
        # Of all the library's ways to send a request this one stayed the same over its versions. Discovery is not needed.
        self._client = DynamicClient(self._api, discoverer=lambda client, cache_file: None)
        self._server = configuration.host
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout

    def get(self, path: str, **query: t.Any) -> Object:
        """The object or list page at ``path``; raises NotObserved with the reason."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NotObserved(f"{self._server} did not answer completely within {self._timeout:g} s", "Raise timeout")
        try:
            response = self._client.request(
                "get", path, query_params=list(query.items()), serialize=False, _request_timeout=left
            )
            return json.loads(response.data)
        except ApiException as error:
            raise self._refused(path, error) from error
        except (HTTPError, OSError, ValueError) as error:
            raise NotObserved(f"{self._server}{path}: {error}", "Is the API server up and reachable?") from error

    def _refused(self, path: str, error: t.Any) -> NotObserved:
        hints = {
            401: "The token is not valid any more: run playbooks/cluster_access.yml again",
            403: "The role lacks a permission: run playbooks/cluster_access.yml again",
            410: "The list expired while it was read",
        }
        failure = NotObserved(f"{self._server}{path}: HTTP {error.status} {error.reason}", hints.get(error.status, ""))
        failure.status = error.status  # type: ignore[attr-defined]
        return failure

    def list(self, path: str, page_size: int = 500, **query: t.Any) -> list[Object]:
        """Every item of the list at ``path``, page by page; a list that expired half-way is begun again once."""
        try:
            return self._pages(path, page_size, query)
        except NotObserved as error:
            if getattr(error, "status", None) != 410:
                raise
            return self._pages(path, page_size, query)

    def _pages(self, path: str, page_size: int, query: dict[str, t.Any]) -> list[Object]:
        items: list[Object] = []
        position = ""
        while True:
            page = self.get(path, limit=page_size, **query, **({"continue": position} if position else {}))
            if not isinstance(page.get("items"), list):
                raise NotObserved(f"{self._server}{path}: the answer is no list")
            items.extend(page["items"])
            position = (page.get("metadata") or {}).get("continue") or ""
            if not position:
                return items

    def close(self) -> None:
        self._api.close()
