"""Why the pods of a version do not get ready: read off the pods and the Deployment, without rights on Events or Secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pantala.errors import FetchFailure
from pantala.manifest.types import Manifest
from pantala.status import containers, rejections, scheduler
from pantala.status.problem import Problem
from pantala.status.reasons import WAITING, Reason

Explain = Callable[[Manifest], Problem | None]
"""Knows more than the scheduler's words of why a pod has no node."""

_WAITING = {Reason.UNSCHEDULABLE, Reason.EVICTED, *WAITING} - {Reason.CARDS_REFUSED}
"""Reasons of pods that no container has run in."""
_ROOM = frozenset({Reason.UNSCHEDULABLE, Reason.NO_GPU})
"""Reasons that pass when another pod goes."""


def diagnose(
    deployment: Manifest | None, pods: Collection[Manifest], *, updating: bool = False, explain: Explain | None = None
) -> Problem | None:
    """The most telling problem of a version's pods, or None.

    Args:
        deployment: The version's Deployment: it knows of pods that could not even be made.
        pods: The version's pods, without those on their way out.
        updating: Whether pods of the template before answer, so that a pod without a node is one of the surge.
        explain: Asked about pods without a node before the scheduler's words are taken as they are.
    """
    let_in = max((_newest(pod) for pod in pods if _is_let_in(pod)), default="")
    problems = [
        problem
        for pod in sorted(pods, key=_newest, reverse=True)
        # What a node refused stays until somebody deletes it; a newer pod that a node has let in is its successor.
        if not (_newest(pod) <= let_in and _refusal(pod))
        and (problem := _of_pod(pod, updating=updating, explain=explain))
    ]
    # A pod that failed says more than one that was never made, or that waits for a node.
    problems.sort(key=lambda problem: problem.reason in _WAITING)
    if problems:
        return problems[0]
    return _of_deployment(deployment) if deployment is not None else None


def present(deployment: Manifest | None, pods: Sequence[Manifest]) -> Sequence[Manifest] | None:
    """The pods that say something about the present template: what befell those before it has perhaps just been mended.

    Returns:
        None if not even the Deployment's own conditions are about the present template yet.
    """
    status = deployment.get("status", {}) if deployment is not None else {}
    observed = status.get("observedGeneration", 0)
    if deployment is None or not observed:
        return pods  # there was no template before
    if observed < deployment["metadata"].get("generation", 0):
        return None
    if status.get("replicas", 0) and not status.get("updatedReplicas", 0):
        return ()
    # Times are whole seconds. Of two pods of one second the one that is not ready is rather of the present template.
    latest = max(pods, key=lambda pod: (_newest(pod), not _is_ready(pod)), default=None)
    return [pod for pod in pods if latest is not None and _template(pod) == _template(latest)]


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def _template(pod: Manifest) -> str | None:
    found: str | None = pod["metadata"].get("labels", {}).get("pod-template-hash")
    return found


def _newest(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _of_deployment(deployment: Manifest) -> Problem | None:
    name = deployment["metadata"]["name"]
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return rejections.problem(name, condition.get("message", ""))
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Problem(
                Reason.STARTUP_TIMEOUT,
                f"Deployment {name} did not get ready within runtime.startupTimeout. "
                "Look at the pods' logs, or raise the time-out.",
            )
    return None


def _refusal(pod: Manifest) -> tuple[str, str] | None:
    """Why a node turned a pod away that it was to give devices, and the next step."""
    status = pod.get("status", {})
    if status.get("phase") != "Failed" or status.get("reason") != scheduler.REFUSED:
        return None
    return scheduler.refused(status.get("message", ""))


def _is_let_in(pod: Manifest) -> bool:
    """Whether a node began with a pod's containers; one that is merely bound to it may be turned away like the one before."""
    status = pod.get("status", {})
    return status.get("phase") != "Failed" and bool(status.get("initContainerStatuses"))


def _of_pod(pod: Manifest, *, updating: bool, explain: Explain | None) -> Problem | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if status.get("phase") == "Failed":
        return _failed(pod, status)
    if (problem := _homeless(pod, updating=updating, explain=explain)) is not None:
        return problem
    for state in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        problem = containers.problem(name, state)
        if problem is not None:
            return problem
    return None


def _failed(pod: Manifest, status: Mapping[str, Any]) -> Problem:
    name, text = pod["metadata"]["name"], status.get("message", "").strip()
    if refusal := _refusal(pod):
        node = (pod.get("spec") or {}).get("nodeName") or "its node"
        # Without the pod's name: a ReplicaSet makes the next one at once, and each would be news for the status.
        words = f"A pod was turned away by {node}, and so will the next one be: {refusal[0]}. {refusal[1]}"
        return Problem(Reason.CARDS_REFUSED, f"{words} The node says: {containers.tail(text)}")
    if "EmptyDir" in text or "ephemeral" in text:
        return Problem(Reason.DISK_FULL, f"Pod {name}: {text} {containers.FETCH[FetchFailure.DISK_FULL][1]}")
    return Problem(Reason.EVICTED, f"Pod {name} failed: {status.get('reason', '')} {text}".strip())


def _homeless(pod: Manifest, *, updating: bool, explain: Explain | None) -> Problem | None:
    """Why no node has taken a pod; None if one has, or nothing is known."""
    told = explain(pod) if explain is not None and not (pod.get("spec") or {}).get("nodeName") else None
    if told is not None and not (updating and told.reason in _ROOM):
        return told
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unscheduled(pod["metadata"]["name"], condition.get("message", ""), updating=updating)
    return None


def _unscheduled(name: str, text: str, *, updating: bool) -> Problem | None:
    if not text:
        return None
    if updating:
        return Problem(
            Reason.NO_ROOM_TO_SURGE,
            f"There is no room for the additional pod {name} of the update: {text} "
            "Use `update: {maxSurge: 0, maxUnavailable: 1}`, or add a node.",
        )
    if re.search(r"Insufficient nvidia\.com/", text):
        step = "Ask for fewer cards in `accelerator`, free some, or add a node that has them."
        return Problem(Reason.NO_GPU, f"Pod {name} waits for a GPU: {text} {step}")
    step = "Ask for less in `resources`, change `template.spec`, or add a node."
    if re.search(r"persistentvolumeclaim", text, re.IGNORECASE):
        step = "Create the PersistentVolumeClaim, or a volume that it can be bound to."
    return Problem(Reason.UNSCHEDULABLE, f"Pod {name} fits on no node: {text} {step}")
