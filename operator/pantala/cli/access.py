"""The way of the command line to a cluster: a client, the namespace, and all that belongs to one model. Reads only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config as kubernetes_config

from pantala import naming
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.discovery import present
from pantala.cluster.gateways import GatewayName, Gateways
from pantala.cluster.objects import Key
from pantala.cluster.resources import (
    BY_KIND,
    CLAIM_TEMPLATE,
    GATEWAYS,
    HTTP_ROUTE,
    ISTIO_GATEWAY,
    K8S_GATEWAY,
    MESHES,
    MODEL,
    OPTIONAL,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    VIRTUAL_SERVICE,
    WATCHED,
    Resource,
)
from pantala.errors import ApiError
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import Availability, Mesh, Observed, choose_mesh

_HOME = "~/.kube/config"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NOT_FOUND, _FORBIDDEN = 404, 403


@dataclass(frozen=True)
class Access:
    """A connection, and where it looks if nothing else is said."""

    client: Client
    namespace: str
    """The namespace of the context, else of the pod, else `default`."""


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Access]:
    """Connect as kubectl would: the file that is named, then ~/.kube/config, then the pod's service account.

    Raises:
        kubernetes.aio.config.ConfigException: There is no configuration, or it is not complete.
    """
    source = _source(kubeconfig)
    try:
        client = await Client.connect(source, context, user_agent="pantala-cli", connections=8)
        namespace = _namespace(source, context)
    except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The package does not check the form of a kubeconfig; whatever it stumbles over, the file is the cause.
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise kubernetes_config.ConfigException(f"the kubeconfig {source} cannot be read: {words}") from error
    async with client:
        yield Access(client, namespace)


def _source(kubeconfig: str | None) -> str | None:
    """The kubeconfig to read; None for the pod's service account."""
    if kubeconfig and not any(Path(path).expanduser().exists() for path in kubeconfig.split(os.pathsep) if path):
        raise kubernetes_config.ConfigException(f"the kubeconfig {kubeconfig} does not exist")
    home = Path(_HOME).expanduser()
    source = kubeconfig or (str(home) if home.exists() else None)
    if source is None and not _POD_NAMESPACE.exists():
        raise kubernetes_config.ConfigException(f"there is no {_HOME}")
    return source


def _namespace(source: str | None, context: str | None) -> str:
    if source is None:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    every, current = kubernetes_config.list_kube_config_contexts(source)  # type: ignore[no-untyped-call]  # without types in the package
    chosen: Any = next((item for item in every if item["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


async def listed(client: Client, resource: Resource, namespace: str | None, selector: str = "") -> list[Manifest]:
    """All objects of a kind, with the `apiVersion` and `kind` that items of a list do not carry."""
    answer = await client.list(resource, namespace, {"labelSelector": selector} if selector else {})
    objects: Sequence[Manifest] = answer.get("items") or []
    return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in objects]


@dataclass(frozen=True)
class Live:
    """What a cluster holds of one model."""

    seen: Observed
    """As the operator sees it."""
    raw: dict[Ref, Manifest]
    """The children as they are stored, with `managedFields`."""


@dataclass(frozen=True)
class Surroundings:
    """What a cluster has of what it may have or not."""

    kinds: frozenset[Resource] = frozenset()
    """Optional kinds that it serves and that the operator uses."""
    mesh: Mesh = Mesh.NONE
    """The API by which the operator writes routes."""
    gateways: Mapping[GatewayName, Manifest] | None = None
    """Gateways of that API; None: they may not be read, or there is none."""

    @property
    def claim_templates(self) -> Availability:
        """Whether ResourceClaimTemplates can be written."""
        return self._availability(CLAIM_TEMPLATE)

    @property
    def scaled_objects(self) -> Availability:
        """Whether ScaledObjects can be written."""
        return self._availability(SCALED_OBJECT)

    @property
    def service_monitors(self) -> Availability:
        """Whether ServiceMonitors can be written."""
        return self._availability(SERVICE_MONITOR)

    def _availability(self, resource: Resource) -> Availability:
        return Availability.SERVED if resource in self.kinds else Availability.ABSENT


async def surroundings(client: Client, settings: Settings) -> Surroundings:
    """What the cluster has, as an operator of these settings would use it."""
    groups, _ = await client.discover()
    found = present(groups or {})
    if settings.mesh == Mesh.NONE:
        return Surroundings(found.difference(MESHES))
    mesh = choose_mesh(settings.mesh, istio=VIRTUAL_SERVICE in found, gateway_api=HTTP_ROUTE in found)
    resource = {Mesh.ISTIO: ISTIO_GATEWAY, Mesh.GATEWAY_API: K8S_GATEWAY}.get(mesh)
    if resource not in found:
        return Surroundings(found, mesh)
    gateways = Gateways()
    try:
        gateways.replace(await listed(client, resource, None))
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        return Surroundings(found, mesh)
    return Surroundings(found, mesh, gateways.all())


async def observe(
    client: Client,
    namespace: str,
    name: str,
    around: Surroundings = Surroundings(),
) -> Live | None:
    """The model, its children and pods; None if there is no such model. Who else claims its hosts is not looked for."""
    selector = f"{naming.LABEL_MANAGED_BY}={naming.MANAGED_BY},{naming.LABEL_MODEL}={name}"
    try:
        model = await client.get(MODEL, namespace, name)
    except ApiError as error:
        if error.status == _NOT_FOUND and not error.message.startswith("the server could not find"):
            return None
        raise
    kinds = (*WATCHED, *(resource for resource in OPTIONAL if resource in around.kinds and resource not in GATEWAYS))
    found = await asyncio.gather(*(listed(client, resource, namespace, selector) for resource in kinds))
    cache = Cache(lambda _: None, lambda _: None)
    cache.apis(around.kinds)
    cache.upsert(MODEL, model)
    raw: dict[Ref, Manifest] = {}
    for resource, objects in zip(kinds, found, strict=True):
        for obj in objects:
            cache.upsert(resource, obj)
            raw[Ref.of(obj)] = obj
    seen = cache.observe(Key(namespace, name))
    return None if seen is None else Live(replace(seen, mesh=around.mesh, gateways=around.gateways), raw)


async def taken(client: Client, ref: Ref) -> Manifest | None:
    """The object that has this name, whoever made it: the labels do not find those of strangers."""
    try:
        return await client.get(BY_KIND[ref.kind], ref.namespace, ref.name)
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


async def node_address(client: Client) -> str | None:
    """An address at which NodePorts answer; None where nodes may not be read or there are none."""
    try:
        nodes = (await client.request("GET", "/api/v1/nodes", params={"limit": "50"})).get("items") or []
    except ApiError as error:
        if error.status == _FORBIDDEN:
            return None
        raise
    known = {
        address["type"]: address["address"]
        for node in reversed(nodes)
        for address in node.get("status", {}).get("addresses", ())
    }
    return known.get("ExternalIP") or known.get("InternalIP")


def no_color() -> bool | None:
    """What click and rich are told about colour: False where NO_COLOR is set (no-color.org), None to let them look."""
    return False if os.environ.get("NO_COLOR") else None
