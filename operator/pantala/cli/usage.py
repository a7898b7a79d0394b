"""Reads what `pantala top` tells: models, their pods and autoscalers, and recorded series. A missing right is part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pantala import naming
from pantala.autoscaling import signals
from pantala.cli import access, custom_metrics
from pantala.cli.custom_metrics import Answer, Question
from pantala.cluster.client import Client
from pantala.cluster.resources import AUTOSCALER, MODEL, POD, Resource
from pantala.errors import ApiError
from pantala.manifest.types import Manifest

PODS = 500
"""Pods that are asked for at a time. The adapter lists them whole and writes their names into the URL of its query (v0.12.0): thousands
at once take longer than anybody waits for one answer, and few at a time make more questions than it takes (`custom_metrics`)."""

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_OURS = f"{naming.LABEL_MANAGED_BY}={naming.MANAGED_BY}"
_FORBIDDEN = 403
_OF_CARDS = (signals.GPU_UTILIZATION, signals.GPU_MEMORY)
_OF_SERVERS = (signals.REQUESTS, signals.QUEUE_LENGTH, signals.QUEUE_TIME)


@dataclass(frozen=True)
class Found:
    """What a cluster has."""

    models: Sequence[Manifest]
    pods: Sequence[Manifest]
    """Of one model as they are; of many their metadata alone."""
    autoscalers: Sequence[Manifest]
    """All of the namespaces that are looked at, whoever made them."""
    answer: Answer
    refused: tuple[str, ...] = ()
    """What may not be listed."""


async def read(client: Client, namespace: str | None, name: str | None) -> Found:
    """Everything that is told.

    Args:
        client: A connection with the rights of who asks.
        namespace: Where to look; None: everywhere.
        name: The only model; None: all of them.

    Raises:
        ApiError: The model is not there, or models may not be read.
    """
    refused: list[str] = []

    async def allowed(listing: Awaitable[list[Manifest]], resource: Resource) -> list[Manifest]:
        try:
            return await listing
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            refused.append(f"{resource.plural}.{resource.group}" if resource.group else resource.plural)
            return []

    models, pods, autoscalers = await asyncio.gather(
        _models(client, namespace, name),
        allowed(_pods(client, namespace, name), POD),
        allowed(access.listed(client, AUTOSCALER, namespace), AUTOSCALER),
    )
    answer = await custom_metrics.ask(client, list(questions(models, pods)))
    return Found(models, pods, autoscalers, answer, tuple(sorted(refused)))


async def _models(client: Client, namespace: str | None, name: str | None) -> list[Manifest]:
    if name is not None and namespace is not None:
        return [await client.get(MODEL, namespace, name)]
    return await access.listed(client, MODEL, namespace)


async def _pods(client: Client, namespace: str | None, name: str | None) -> list[Manifest]:
    if name is not None:
        return await access.listed(client, POD, namespace, f"{_OURS},{naming.LABEL_MODEL}={name}")
    # From the API server's cache and without specs: thousands of pods are read for their labels.
    params = {"labelSelector": _OURS, "resourceVersion": "0"}
    answer = await client.request("GET", POD.path(namespace), params=params, accept=_METADATA)
    found: list[Manifest] = answer.get("items") or []
    return found


def questions(models: Sequence[Manifest], pods: Sequence[Manifest]) -> Iterator[Question]:
    """What there is to ask: of each namespace the series that its models may have, of some models at a time. Pure."""
    running: dict[tuple[str, str], int] = {}
    for pod in pods:
        meta = pod["metadata"]
        key = (meta["namespace"], meta.get("labels", {}).get(naming.LABEL_MODEL, ""))
        running[key] = running.get(key, 0) + 1
    spaces: dict[str, list[Manifest]] = {}
    for model in models:
        if (model["metadata"]["namespace"], model["metadata"]["name"]) in running:
            spaces.setdefault(model["metadata"]["namespace"], []).append(model)
    for namespace, here in spaces.items():
        for series, kind, having in (
            *((series, "pods", [model for model in here if _cards(model)]) for series in _OF_CARDS),
            *((series, "pods", here) for series in _OF_SERVERS),
            (signals.SERVICE_REQUESTS, "services", [model for model in here if _custom(model)]),
        ):
            counted = [(model["metadata"]["name"], running[namespace, model["metadata"]["name"]]) for model in having]
            for names in _groups(counted):
                yield Question(namespace, kind, series, f"{naming.LABEL_MODEL} in ({','.join(names)})")


def _groups(counted: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Names whose numbers make at most `PODS`, or one name of more."""
    names: list[str] = []
    total = 0
    for name, count in counted:
        if names and total + count > PODS:
            yield names
            names, total = [], 0
        names.append(name)
        total += count
    if names:
        yield names


def _cards(model: Manifest) -> bool:
    spec = model["spec"]
    return "accelerator" in spec or any("accelerator" in version for version in spec["versions"])


def _custom(model: Manifest) -> bool:
    spec = model["spec"]
    return any((version.get("runtime") or spec["runtime"])["name"] == "custom" for version in spec["versions"])
