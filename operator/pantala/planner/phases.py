"""The phases of a replica's start, from the times that Kubernetes writes into its pod. Pure.

Kubernetes keeps times to the second, so a phase of 0 s took less than one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pantala.manifest.types import Manifest

PHASES = ("scheduled", "prepare", "fetch", "image", "load", "ready")
"""In their order: until a node is found; until the fetcher starts (its image, volumes); the weights; until the server
starts (its image); until the model answers; until the pod is ready (readiness gates)."""
_LONGEST = timedelta(hours=99_999)


@dataclass(frozen=True)
class Start:
    """A replica's start, as far as it has come."""

    created: datetime | None
    begun: Mapping[str, datetime | None]
    """When each phase of `PHASES` began."""
    ready: datetime | None
    phases: Mapping[str, timedelta]
    """How long each phase took that is over, and of which Kubernetes still knows begin and end."""
    restarts: int
    """Of the fetcher and the server together."""


def age(pod: Manifest) -> tuple[str, str]:
    """Sorts pods, the oldest first; those of one second by their names."""
    return str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])


def start(pod: Manifest) -> Start:
    """What a pod says of its start."""
    status: Mapping[str, Any] = pod.get("status") or {}
    fetch = container(status, "initContainerStatuses", "fetch")
    server = container(status, "containerStatuses", "server")
    done = fetched(pod) or {}
    running = fetch.get("state", {}).get("running") or {}
    ready = since(status, "Ready")
    begun = {
        "scheduled": instant(pod["metadata"].get("creationTimestamp")),
        "prepare": since(status, "PodScheduled"),
        "fetch": instant((done or running).get("startedAt")),
        "image": instant(done.get("finishedAt")),
        "load": instant((server.get("state", {}).get("running") or {}).get("startedAt")),
        "ready": since(status, "ContainersReady") or ready,
    }
    marks = [*(begun[name] for name in PHASES), ready]
    phases = {
        name: _between(first, last)
        for name, first, last in zip(PHASES, marks, marks[1:], strict=False)
        if first is not None and last is not None
    }
    # Kubernetes keeps the last start of a container only: what lies before a restarted one cannot be told apart.
    if fetch.get("restartCount"):
        phases.pop("prepare", None)
    if server.get("restartCount"):
        phases.pop("image", None)
    restarts = int(fetch.get("restartCount", 0)) + int(server.get("restartCount", 0))
    return Start(begun["scheduled"], begun, ready, phases, restarts)


def fetched(pod: Manifest) -> Mapping[str, Any] | None:
    """The end of a fetcher that brought the weights; None before that."""
    fetch = container(pod.get("status") or {}, "initContainerStatuses", "fetch")
    ended = fetch.get("state", {}).get("terminated") or {}
    return ended if ended.get("exitCode") == 0 else None


def container(status: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    """The status of a container of a pod, by the key of its list; empty if there is none."""
    return next((item for item in status.get(key) or () if item.get("name") == name), {})


def since(status: Mapping[str, Any], kind: str) -> datetime | None:
    """Since when a condition of the pod is true."""
    for condition in status.get("conditions") or ():
        if condition["type"] == kind and condition["status"] == "True":
            return instant(condition.get("lastTransitionTime"))
    return None


def instant(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it; None for what is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _between(first: datetime, last: datetime) -> timedelta:
    # Clocks of the control plane and of nodes differ: never below zero.
    return min(max(timedelta(), last - first), _LONGEST)
