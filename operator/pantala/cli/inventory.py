"""Reads what `pantala gpus` counts: nodes, pods and what DynamicResourceAllocation knows. A missing right is part of it."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pantala.accelerators.devices import Device, devices
from pantala.accelerators.taken import Taken, taken
from pantala.cluster.client import Client
from pantala.cluster.resources import NODE, POD, Resource
from pantala.errors import ApiError
from pantala.manifest.types import Manifest

SLICE = Resource("resource.k8s.io", "v1", "ResourceSlice", "resourceslices")
CLAIM = Resource("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims")
PAGE = 500
"""Objects that the API server is asked for at a time, as kubectl does (`--chunk-size`)."""

_ROLE = "pantala-gpus"
_LIVE = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
_FORBIDDEN, _NOT_FOUND, _GONE = 403, 404, 410
_USER = re.compile(r'User "([^"]+)" cannot')
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """What a cluster has."""

    nodes: Sequence[Manifest]
    pods: Sequence[Taken] | None
    """None: they may not be listed."""
    devices: Sequence[Device] | None
    """Those of DynamicResourceAllocation; None: they may not be listed."""
    refused: tuple[str, ...]
    """What may not be listed, with its group."""
    remedy: str
    """What an administrator does about that."""


class _Reader:
    """Lists, and remembers what it may not list."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.refused: dict[Resource, str] = {}

    async def all(self, resource: Resource, keep: Callable[[Manifest], T | None], fields: str = "") -> list[T] | None:
        """What `keep` makes of each object of a kind, without those of which it makes None; None if it may not be listed."""
        try:
            return await _listed(self.client, resource, keep, {"fieldSelector": fields} if fields else {})
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            self.refused[resource] = error.message
            return None


async def read(client: Client, node: str | None, *, dynamic: bool) -> Found:
    """Everything that is counted.

    Args:
        client: A connection with the rights of who asks.
        node: The only node to look at; None: all.
        dynamic: Whether to look at DynamicResourceAllocation, where the cluster has it.
    """
    reader = _Reader(client)
    served = dynamic and await _serves_claims(client)
    wanted = (NODE, POD, SLICE, CLAIM) if served else (NODE, POD)
    nodes, pods, slices, claims = await asyncio.gather(
        reader.all(NODE, _whole, f"metadata.name={node}" if node else ""),
        reader.all(POD, taken, f"{_LIVE},spec.nodeName={node}" if node else _LIVE),
        reader.all(SLICE, _whole) if served else _nothing(),
        reader.all(CLAIM, _allocated) if served else _nothing(),
    )
    offered = None if slices is None or claims is None else devices(slices, claims)
    return Found(
        nodes=nodes or [],
        pods=pods,
        devices=None if offered is None else [device for device in offered if node in {None, device.node}],
        refused=tuple(_name(resource) for resource in wanted if resource in reader.refused),
        remedy=_remedy(reader.refused, wanted),
    )


async def _listed(
    client: Client, resource: Resource, keep: Callable[[Manifest], T | None], params: Mapping[str, str]
) -> list[T]:
    """All objects of a kind in all namespaces, page by page: only what is kept of them is in memory."""
    query = {**params, "limit": str(PAGE)}
    found: list[T] = []
    while True:
        try:
            answer = await client.list(resource, None, query)
        except ApiError as error:
            if error.status != _GONE or "continue" not in query:
                raise
            # The pages took longer than etcd keeps old revisions, minutes: at once then (client-go, tools/pager).
            found, query = [], dict(params)
            continue
        found += [made for item in answer.get("items") or () if (made := keep(item)) is not None]
        if not (following := answer["metadata"].get("continue")):
            return found
        query["continue"] = following


async def _serves_claims(client: Client) -> bool:
    try:
        await client.request("GET", f"/apis/{SLICE.api_version}")
    except ApiError as error:
        if error.status not in {_NOT_FOUND, _FORBIDDEN}:
            raise
        return False
    return True


async def _nothing() -> list[Manifest]:
    return []


def _whole(item: Manifest) -> Manifest:
    return item


def _allocated(claim: Manifest) -> Manifest | None:
    return claim if (claim.get("status") or {}).get("allocation") else None


def _name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def _remedy(refused: Mapping[Resource, str], wanted: Sequence[Resource]) -> str:
    """Commands that give all rights that are needed to who asked."""
    users = [match[1] for words in refused.values() if (match := _USER.search(words))]
    if not users:
        return ""
    names = ",".join(map(_name, wanted))
    return (
        f"kubectl create clusterrole {_ROLE} --verb=list --resource={names} && "
        f"kubectl create clusterrolebinding {_ROLE} --clusterrole={_ROLE} --user={shlex.quote(users[0])}"
    )
