# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One API server as a kubeconfig's user: raw JSON in and out, no models and no discovery."""

from __future__ import annotations

import json
import typing as t

from .._core.errors import NorthgateError

Object = dict[str, t.Any]


class RequestFailed(NorthgateError):
    """A request that was not answered well. ``status`` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Connection:
    """Sends requests through the library `kubernetes`. Raises NorthgateError for an unusable kubeconfig."""

    def __init__(self, kubeconfig: str, context: str | None) -> None:
        # Imported late: it takes half a second, and modules are documented without it.
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.dynamic import DynamicClient
        from yaml import YAMLError

        try:
            configuration = client.Configuration()
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
        except (ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
            raise NorthgateError(
                f"kubeconfig {kubeconfig} can't be used: {error}",
                f"Try: kubectl --kubeconfig {kubeconfig} get namespaces",
            ) from error
        # The library would try four times, each with the whole timeout.
        configuration.retries = False
        self.server: str = configuration.host
        self.ca_file: str | None = configuration.ssl_ca_cert
        self._api = client.ApiClient(configuration)
        # Of all the library's ways to send a request this one stayed the same over its versions.
        self._client = DynamicClient(self._api, discoverer=lambda client, cache_file: None)

    def request(
        self, method: str, path: str, timeout: float, query: dict[str, t.Any], body: Object | None = None, **headers: str
    ) -> Object:
        """The decoded answer; raises RequestFailed with the API server's own words where it has any."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            response = self._client.request(
                method,
                path,
                body=body,
                query_params=list(query.items()),
                serialize=False,
                _request_timeout=timeout,
                **headers,
            )
            return json.loads(response.data)
        except ApiException as error:
            raise RequestFailed(_words(error), error.status) from error
        except (HTTPError, OSError, ValueError) as error:
            raise RequestFailed(str(error)) from error

    def authority(self) -> str:
        """The text of ``ca_file``; "" without one."""
        if not self.ca_file:
            return ""
        with open(self.ca_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self) -> None:
        self._api.close()


def _words(error: t.Any) -> str:
    try:
        return json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        return f"HTTP {error.status} {error.reason}"
