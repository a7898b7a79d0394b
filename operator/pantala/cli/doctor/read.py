"""Reads what `pantala doctor` looks at. Reads only; a missing right is part of what was found out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import orjson

from pantala import naming
from pantala.cli.doctor import daemon
from pantala.cli.doctor.seen import Objects, Refusal, Seen, uses
from pantala.cluster.client import Client
from pantala.cluster.resources import CONFIG_MAP, DEPLOYMENT, MODEL, POD, Resource
from pantala.errors import ApiError, Unavailable
from pantala.manifest.types import Manifest

LEASES = "kube-node-lease"
"""Namespace in which kubelets renew their Leases."""
_NODES = "/api/v1/nodes"
_CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{naming.PLURAL}.{naming.GROUP}"
_OPERATOR = "app.kubernetes.io/name=pantala,app.kubernetes.io/component=operator"
_DAEMON_SET = Resource("apps", "v1", "DaemonSet", "daemonsets")
_LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
_METRICS = 4002
"""dfdaemon's own default (dragonfly-client-config 1.5.10, default_metrics_server_port)."""
_AT_ONCE = 8
"""Metrics ports that are asked at the same time."""
_FORBIDDEN, _NOT_FOUND = 403, 404
T = TypeVar("T")


class _Reader:
    """A client that remembers what it may not read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.refused: list[Refusal] = []

    async def unless_forbidden(self, answer: Awaitable[T], refusal: Refusal) -> T | None:
        """The answer; None, and the right written down, if it was refused."""
        try:
            return await answer
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            if refusal not in self.refused:
                self.refused.append(refusal)
            return None

    async def all(
        self, resource: Resource, namespace: str | None, *, selector: str = "", vital: bool = False
    ) -> Objects | None:
        """All objects of a kind; None if they may not be listed."""
        name = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        params = {"labelSelector": selector} if selector else {}
        listed = self.client.list(resource, namespace, params)
        answer = await self.unless_forbidden(listed, Refusal("list", name, namespace or "", vital=vital))
        return None if answer is None else answer.get("items") or []


async def seen(client: Client, dragonfly: str, namespaces: Sequence[str]) -> Seen:
    """Everything that the checks look at.

    Args:
        client: A connection with the rights of who asks.
        dragonfly: Dragonfly's namespace.
        namespaces: Those whose models are looked at; empty: all.
    """
    reader = _Reader(client)
    (pods, sets, maps), (nodes, leases), (models, crd, known), operators = await asyncio.gather(
        _dragonfly(reader, dragonfly),
        _nodes(reader),
        _models(reader, namespaces),
        reader.all(DEPLOYMENT, None, selector=_OPERATOR),
    )
    ports = _ports(Seen(dragonfly=dragonfly, pods=pods, config_maps=maps))
    spaces, metrics = await asyncio.gather(_spaces(reader, dragonfly, models), _metrics(reader, dragonfly, ports))
    return Seen(
        dragonfly=dragonfly,
        pods=pods,
        daemon_sets=sets,
        config_maps=maps,
        nodes=nodes,
        leases=None if leases is None else leases[0],
        now=None if leases is None else leases[1],
        models=models,
        namespaces=spaces,
        crd=crd,
        has_resource=known,
        operators=operators,
        metrics=metrics,
        refused=tuple(reader.refused),
    )


async def _dragonfly(reader: _Reader, namespace: str) -> tuple[Objects | None, Objects | None, Objects | None]:
    return await asyncio.gather(
        reader.all(POD, namespace, vital=True),
        reader.all(_DAEMON_SET, namespace),
        reader.all(CONFIG_MAP, namespace),
    )


async def _nodes(reader: _Reader) -> tuple[Objects | None, tuple[Objects, datetime | None] | None]:
    async def leases() -> tuple[Objects, datetime | None]:
        body, headers = await reader.client.read(_LEASE.path(LEASES), accept="application/json")
        date = headers.get("Date")
        return orjson.loads(body).get("items") or [], parsedate_to_datetime(date) if date else None

    async def nodes() -> Objects:
        return (await reader.client.request("GET", _NODES)).get("items") or []

    return await asyncio.gather(
        reader.unless_forbidden(nodes(), Refusal("list", "nodes", vital=True)),
        reader.unless_forbidden(leases(), Refusal("list", "leases.coordination.k8s.io", LEASES)),
    )


async def _models(reader: _Reader, namespaces: Sequence[str]) -> tuple[Objects | None, Manifest | None, bool | None]:
    """The models, the definition of their resource, and whether the API server serves it."""
    refusal = Refusal("get", "customresourcedefinitions.apiextensions.k8s.io")
    try:
        crd = await reader.unless_forbidden(reader.client.request("GET", _CRD), refusal)
        found = await asyncio.gather(*(reader.all(MODEL, namespace, vital=True) for namespace in namespaces or (None,)))
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return [], None, False
    if any(part is None for part in found):
        return None, crd, None
    return [model for part in found for model in part or ()], crd, True


async def _spaces(reader: _Reader, dragonfly: str, models: Objects | None) -> dict[str, Manifest]:
    """The namespaces whose Pod Security matters."""

    async def one(name: str) -> Manifest | None:
        try:
            return await reader.client.request("GET", f"/api/v1/namespaces/{name}")
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    wanted = list(
        dict.fromkeys([dragonfly, *(use.namespace for use in uses(models) if use.by_socket or use.host_path)])
    )
    refusal = Refusal("get", "namespaces")
    found = await asyncio.gather(*(reader.unless_forbidden(one(name), refusal) for name in wanted))
    return {name: space for name, space in zip(wanted, found, strict=True) if space is not None}


def _ports(seen: Seen) -> dict[str, int]:
    """The metrics port of each ready dfdaemon, by the pod's name."""
    found: dict[str, int] = {}
    for kind in (daemon.CLIENT, daemon.SEED):
        found |= {pod["metadata"]["name"]: _METRICS for pod in daemon.of(seen.pods, kind) if daemon.ready(pod)}
        for config in daemon.configs(seen, kind):
            port = config.number("metrics.server.port", _METRICS)
            found |= {pod["metadata"]["name"]: port for pod in config.pods if daemon.ready(pod)}
    return found


async def _metrics(reader: _Reader, namespace: str, ports: Mapping[str, int]) -> dict[str, str | None]:
    """What the metrics port of each ready dfdaemon answers, through the API server."""
    gate = asyncio.Semaphore(_AT_ONCE)
    refusal = Refusal("get", "pods/proxy", namespace)

    async def one(name: str, port: int) -> tuple[str, str | None]:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics"
        async with gate:
            try:
                return name, (await reader.client.read(path))[0].decode(errors="replace")
            except (ApiError, Unavailable) as error:
                if isinstance(error, ApiError) and error.status == _FORBIDDEN:
                    raise
                return name, None

    found: list[Any] = await asyncio.gather(
        *(reader.unless_forbidden(one(name, port), refusal) for name, port in ports.items())
    )
    return dict(pair for pair in found if pair is not None)
