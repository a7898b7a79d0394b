"""The phases of a replica's start, from the times that Kubernetes writes into its pod. Pure.

Kubernetes keeps times to the second, so a phase of 0 s took less than one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from pantala.manifest.types import Manifest

PHASES = ("schedule", "prepare", "fetch", "image", "load")
"""In their order: until a node is found; until the fetcher starts (its image, volumes); the weights; until the server
starts (its image); until the model answers."""
Step = Literal["schedule", "prepare", "fetch", "image", "load", "ready", "leaving", "failed"]


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
    phases: dict[str, int]
    """Seconds of each phase that is over."""
    totalSeconds: int | None
    """From the pod's creation to ready; unknown after a restart, as Kubernetes forgets the first start."""
    bytes: dict[str, int] | None
    """What the fetcher brought, by source; unknown before it is done."""


def replica(pod: Manifest, now: datetime) -> Replica:
    """What a pod says of its start."""
    status: Mapping[str, Any] = pod.get("status") or {}
    fetch = _container(status, "initContainerStatuses", "fetch")
    server = _container(status, "containerStatuses", "server")
    done = fetch.get("state", {}).get("terminated") or {}
    if done.get("exitCode") != 0:
        done = {}
    born = _time(pod["metadata"].get("creationTimestamp"))
    begun = {
        "schedule": born,
        "prepare": _since(status, "PodScheduled"),
        "fetch": _time((done or fetch.get("state", {}).get("running") or {}).get("startedAt")),
        "image": _time(done.get("finishedAt")),
        "load": _time((server.get("state", {}).get("running") or {}).get("startedAt")),
    }
    ready = _since(status, "Ready")
    marks = [*(begun[name] for name in PHASES), ready]
    phases = {
        name: _seconds(start, end)
        for name, start, end in zip(PHASES, marks, marks[1:], strict=False)
        if start is not None and end is not None
    }
    # Kubernetes keeps the last start of a container only: what lies before a restarted one cannot be told apart.
    if fetch.get("restartCount"):
        phases.pop("prepare", None)
    if server.get("restartCount"):
        phases.pop("image", None)
    step = _step(pod, status, begun, ready)
    restarts = int(fetch.get("restartCount", 0)) + int(server.get("restartCount", 0))
    at = begun.get(step)
    return {
        "name": pod["metadata"]["name"],
        "node": pod.get("spec", {}).get("nodeName"),
        "step": step,
        "stepSeconds": _seconds(at, now) if at is not None else None,
        "waiting": _waiting(fetch) or _waiting(server),
        "restarts": restarts,
        "phases": phases,
        "totalSeconds": _seconds(born, ready) if born and ready and not restarts else None,
        "bytes": _bytes(done.get("message")),
    }


def _step(
    pod: Manifest, status: Mapping[str, Any], begun: Mapping[str, datetime | None], ready: datetime | None
) -> Step:
    if "deletionTimestamp" in pod["metadata"]:
        return "leaving"
    if status.get("phase") == "Failed":
        return "failed"
    if ready is not None:
        return "ready"
    if begun["load"] is not None or begun["image"] is not None:
        # A server that ended and waits to be started again has had its image.
        again = _container(status, "containerStatuses", "server").get("restartCount", 0)
        return "load" if begun["load"] is not None or again else "image"
    if begun["fetch"] is not None or _container(status, "initContainerStatuses", "fetch").get("restartCount", 0):
        return "fetch"
    return "prepare" if begun["prepare"] is not None else "schedule"


def _container(status: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    return next((item for item in status.get(key) or () if item.get("name") == name), {})


def _since(status: Mapping[str, Any], kind: str) -> datetime | None:
    """Since when a condition of the pod is true."""
    for condition in status.get("conditions") or ():
        if condition["type"] == kind and condition["status"] == "True":
            return _time(condition.get("lastTransitionTime"))
    return None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _seconds(start: datetime | None, end: datetime | None) -> int:
    # Clocks of the control plane and of nodes differ: never below zero.
    return max(0, round((end - start).total_seconds())) if start and end else 0


def _waiting(container: Mapping[str, Any]) -> str | None:
    reason = (container.get("state", {}).get("waiting") or {}).get("reason")
    return None if reason in {None, "PodInitializing", "ContainerCreating"} else str(reason)


def _bytes(message: str | None) -> dict[str, int] | None:
    """The fetcher's account by source, from its termination message."""
    try:
        found = json.loads(message or "").get("bytes")
    except (ValueError, AttributeError):
        return None
    if not isinstance(found, dict):
        return None
    return {str(source): count for source, count in found.items() if isinstance(count, int)}
