"""A client of the API server that speaks raw JSON.

The `kubernetes` package reads the configuration, refreshes credentials and owns the aiohttp session; its typed methods
are not used, because building and taking apart its model objects more than doubles the CPU of a request
(docs/decisions/002-raw-json-client.md, measured by `make bench`).
"""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

import aiohttp
import orjson
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from pantala import naming
from pantala.cluster import metrics
from pantala.cluster.resources import Resource
from pantala.errors import ApiError, Unavailable
from pantala.manifest.types import Manifest

_READ_RETRIES = 5
_TOO_MANY = 429
"""HTTP status of an API server that is busy, or that has just been given a new kind of object."""
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_JSON_PATCH = "application/json-patch+json"
_JSON = "application/json"
_DISCOVERY = f"{_JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Client:
    """Requests to one API server. Every error is an `ApiError` (it answered) or `Unavailable` (it did not)."""

    def __init__(self, api: kubernetes_client.ApiClient) -> None:
        self._configuration = api.configuration
        self._api = api
        rest = api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 -- made lazily by the typed methods only
        self._session: aiohttp.ClientSession = rest.pool_manager
        self._base = self._configuration.host.rstrip("/")
        self._ssl = rest.ssl_context
        self._agent = api.user_agent

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        user_agent: str = "pantala",
        connections: int = 64,
    ) -> Self:
        """Load the in-cluster configuration, else a kubeconfig (default: `KUBECONFIG`, then `~/.kube/config`)."""
        configuration = kubernetes_client.Configuration()
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # without types in the package
        else:
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]  # without types in the package
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
        configuration.connection_pool_maxsize = connections
        # Without a proxy in the environment, asking for one (and for a netrc) costs two hops to a thread per request.
        configuration.client_session_kwargs = {"trust_env": bool(urllib.request.getproxies())}
        api = kubernetes_client.ApiClient(configuration)
        api.user_agent = user_agent
        return cls(api)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]  # without types in the package

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close all connections."""
        await self.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Manifest:
        """One request and its decoded answer."""
        data = None if body is None else orjson.dumps(body)
        payload, _ = await self._send(method, path, params, data, await self._headers(content_type, accept))
        return orjson.loads(payload) if payload else {}

    async def read(self, path: str, *, accept: str = "*/*") -> tuple[bytes, Mapping[str, str]]:
        """The body of a GET as it came, and its headers: for what is no object, such as a port of a pod."""
        return await self._send("GET", path, None, None, await self._headers(_JSON, accept))

    async def _send(
        self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None, headers: dict[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """One request; a read that the API server wants to have later is repeated then, as client-go does."""
        for _ in range(_READ_RETRIES if method == "GET" else 0):
            try:
                return await self._once(method, path, params, data, headers)
            except ApiError as error:
                if error.status != _TOO_MANY or error.retry_after is None:
                    raise
                await asyncio.sleep(error.retry_after)
        return await self._once(method, path, params, data, headers)

    async def _once(
        self, method: str, path: str, params: Mapping[str, str] | None, data: bytes | None, headers: dict[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        try:
            async with self._session.request(
                method, self._base + path, params=params, data=data, headers=headers, timeout=_TIMEOUT, ssl=self._ssl
            ) as response:
                payload = await response.read()
                metrics.API_CALLS.labels(method, str(response.status)).inc()
                if response.status >= 400:  # noqa: PLR2004 -- HTTP
                    raise _error(response, payload)
                return payload, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            metrics.API_CALLS.labels(method, "none").inc()
            raise Unavailable(
                f"The API server did not answer {method} {path}: {error or type(error).__name__}"
            ) from error

    async def discover(self, known: str = "") -> tuple[Manifest | None, str]:
        """All kinds that the API server serves, in one answer.

        Aggregated discovery, which every supported API server has (GA in Kubernetes 1.30, KEP-3352).

        Args:
            known: The tag of the answer that is known already.

        Returns:
            The list of groups and its tag; None in place of the list where it is the one that is known.
        """
        headers = await self._headers(_JSON, _DISCOVERY)
        if known:
            headers["If-None-Match"] = known
        payload, answered = await self._send("GET", "/apis", None, None, headers)
        # 304 comes without a body.
        return (orjson.loads(payload) if payload else None), answered.get("ETag", "")

    async def list(self, resource: Resource, namespace: str | None, params: Mapping[str, str]) -> Manifest:
        """A page of a collection."""
        return await self.request("GET", resource.path(namespace), params=params)

    async def list_metadata(self, resource: Resource, namespace: str | None) -> Sequence[Manifest]:
        """The metadata of a whole collection, from the API server's cache: cheap on both sides."""
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        answer = await self.request("GET", resource.path(namespace), params={"resourceVersion": "0"}, accept=accept)
        items: Sequence[Manifest] = answer.get("items") or []
        return items

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """One object."""
        return await self.request("GET", resource.path(namespace, name))

    async def apply(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Server-side apply as the operator's one field manager; conflicts are taken over."""
        meta = manifest["metadata"]
        params = {"fieldManager": naming.FIELD_MANAGER, "force": "true"}
        path = resource.path(meta["namespace"], meta["name"])
        return await self.request("PATCH", path, params=params, body=manifest, content_type=_APPLY)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """POST, for objects that are never changed again (Events, the first Lease)."""
        params = {"fieldManager": naming.FIELD_MANAGER}
        return await self.request(
            "POST", resource.path(manifest["metadata"]["namespace"]), params=params, body=manifest
        )

    async def replace_status(
        self, resource: Resource, namespace: str, name: str, status: Manifest, uid: str
    ) -> Manifest:
        """Set the whole status in one write; refused with 422 when the name now belongs to another object."""
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self.request(
            "PATCH",
            resource.path(namespace, name, "status"),
            params={"fieldManager": naming.FIELD_MANAGER},
            body=operations,
            content_type=_JSON_PATCH,
        )

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> Manifest | None:
        """Delete exactly the object with this uid; children go in the background. Already gone is fine.

        Returns:
            The object, if it is still there because it has finalizers; then it has a deletionTimestamp.
        """
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            answer = await self.request("DELETE", resource.path(namespace, name), body=body)
        except ApiError as error:
            # 404: gone. 409: another object took the name, and that one is not ours to delete.
            if error.status not in {404, 409}:
                raise
            return None
        # Without finalizers the answer is a Status, or the object as it was.
        return answer if answer.get("metadata", {}).get("finalizers") else None

    async def watch(
        self, resource: Resource, namespace: str | None, params: Mapping[str, str], silence: float
    ) -> AsyncIterator[Manifest]:
        """Events of a collection as they come; ends when the server closes or `silence` seconds bring nothing."""
        headers = await self._headers(_JSON)
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=silence)
        query = {**params, "watch": "true"}
        try:
            async with self._session.get(
                self._base + resource.path(namespace), params=query, headers=headers, timeout=timeout, ssl=self._ssl
            ) as response:
                if response.status >= 400:  # noqa: PLR2004 -- HTTP
                    raise _error(response, await response.read())
                async for line in _lines(response.content):
                    yield orjson.loads(line)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise Unavailable(f"The watch of {resource.plural} broke: {error or type(error).__name__}") from error

    async def _headers(self, content_type: str, accept: str = _JSON) -> dict[str, str]:
        headers = {"Content-Type": content_type, "Accept": accept, "User-Agent": self._agent}
        # Asked for each request: the hook re-reads a service account's token, which is rotated on disk.
        token = (await self._configuration.auth_settings()).get("BearerToken")
        if token is not None:
            headers["Authorization"] = token["value"]
        return headers


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: `readline` of aiohttp gives up where an object is larger than its buffer."""
    pending = b""
    async for chunk in content.iter_any():
        pending += chunk
        *complete, pending = pending.split(b"\n")
        for line in complete:
            if line:
                yield line


def _error(response: aiohttp.ClientResponse, payload: bytes) -> ApiError:
    try:
        status = orjson.loads(payload)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        reason, message = "", payload[:200].decode(errors="replace")
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(
        response.status, reason or response.reason or "", message, float(retry_after) if retry_after.isdigit() else None
    )
