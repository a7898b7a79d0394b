"""How replicas started: where a pod is on its way, and what the ledger in the status says of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from pantala.manifest.types import Manifest
from pantala.planner import ledger, phases
from pantala.planner.phases import PHASES, container

Step = Literal["scheduled", "prepare", "fetch", "image", "load", "ready", "leaving", "failed"]


class Replica(TypedDict):
    """One pod of a version."""

    name: str
    node: str | None
    step: Step
    """Where it is: one of `PHASES`, `ready`, `leaving` (it is being deleted) or `failed` (the node gave it up)."""
    stepSeconds: int | None
    """For how long it has been at a step of its start."""
    waiting: str | None
    """Kubernetes' word for what it waits for, such as `ImagePullBackOff`."""
    restarts: int
    phases: dict[str, float]
    """Seconds of each phase that is over."""
    totalSeconds: float | None
    """From the pod's creation to ready; unknown after a restart, as Kubernetes forgets the first start."""
    bytes: dict[str, int] | None
    """What the fetcher brought, by source; unknown before it is done."""


class Entry(TypedDict):
    """One replica in the ledger; what is unknown is null."""

    pod: str
    exists: bool
    """Whether the pod is still there."""
    node: str | None
    created: str | None
    ready: str | None
    """When it got ready."""
    restarts: int
    phases: dict[str, float]
    totalSeconds: float | None
    files: int | None
    bytes: dict[str, int] | None
    direct: int | None
    parents: dict[str, int] | None
    retries: int | None
    fallback: str | None
    fingerprint: str | None


def replica(pod: Manifest, now: datetime, told: Mapping[str, Any] | None = None) -> Replica:
    """What is known of a pod.

    Args:
        pod: The pod.
        now: For how long it has been at a step.
        told: Its entry in the ledger: it knows the first start, Kubernetes only the last.
    """
    status: Mapping[str, Any] = pod.get("status") or {}
    start = phases.start(pod)
    told = told or ledger.entry(pod, now) or {}
    spans = _seconds(told)
    if "ready" not in told:
        spans = {name: _number(span.total_seconds()) for name, span in start.phases.items()} | spans
    fetch = container(status, "initContainerStatuses", "fetch")
    server = container(status, "containerStatuses", "server")
    step = _step(pod, status, start)
    at = start.begun.get(step) if step != "ready" else None
    return {
        "name": pod["metadata"]["name"],
        "node": (pod.get("spec") or {}).get("nodeName"),
        "step": step,
        "stepSeconds": max(0, round((now - at).total_seconds())) if at is not None else None,
        "waiting": _waiting(fetch) or _waiting(server),
        "restarts": start.restarts,
        "phases": {name: spans[name] for name in PHASES if name in spans},
        "totalSeconds": _total(told),
        "bytes": told.get("bytes"),
    }


def entry(told: Mapping[str, Any], *, exists: bool) -> Entry:
    """An entry of the ledger."""
    return {
        "pod": told["pod"],
        "exists": exists,
        "node": told.get("node"),
        "created": told.get("created"),
        "ready": told.get("ready"),
        "restarts": told.get("restarts", 0),
        "phases": _seconds(told),
        "totalSeconds": _total(told),
        "files": told.get("files"),
        "bytes": told.get("bytes"),
        "direct": told.get("direct"),
        "parents": told.get("parents"),
        "retries": told.get("retries"),
        "fallback": told.get("fallback"),
        "fingerprint": told.get("fingerprint"),
    }


def _seconds(told: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(span) for name, span in ledger.seconds(told).items()}


def _total(told: Mapping[str, Any]) -> float | None:
    span = ledger.total_seconds(told)
    return None if span is None else _number(span)


def _number(seconds: float) -> float:
    """Kubernetes' whole seconds are shown as such."""
    return int(seconds) if seconds == int(seconds) else seconds


def _step(pod: Manifest, status: Mapping[str, Any], start: phases.Start) -> Step:
    begun = start.begun
    if "deletionTimestamp" in pod["metadata"]:
        return "leaving"
    if status.get("phase") == "Failed":
        return "failed"
    if start.ready is not None:
        return "ready"
    if begun["load"] is not None or begun["image"] is not None:
        # A server that ended and waits to be started again has had its image.
        again = container(status, "containerStatuses", "server").get("restartCount", 0)
        return "load" if begun["load"] is not None or again else "image"
    if begun["fetch"] is not None or container(status, "initContainerStatuses", "fetch").get("restartCount", 0):
        return "fetch"
    return "prepare" if begun["prepare"] is not None else "scheduled"


def _waiting(status: Mapping[str, Any]) -> str | None:
    reason = (status.get("state", {}).get("waiting") or {}).get("reason")
    return None if reason in {None, "PodInitializing", "ContainerCreating"} else str(reason)
