"""Why the pods of a version do not get ready: read off the pods and the Deployment, without rights on Events or Secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pantala.errors import FetchFailure
from pantala.manifest.types import Manifest
from pantala.status import scheduler
from pantala.status.problem import Problem
from pantala.status.reasons import WAITING, Reason

Explain = Callable[[Manifest], Problem | None]
"""Knows more than the scheduler's words of why a pod has no node."""

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATE = frozenset({"CreateContainerError", "RunContainerError", "CreatePodSandboxError", "PreCreateHookError"})
_FETCH = {
    FetchFailure.NOT_FOUND: (Reason.WEIGHTS_NOT_FOUND, "Correct the URI by adding a version, or upload the weights."),
    FetchFailure.DENIED: (Reason.WEIGHTS_DENIED, "Check the keys of `storage.secretRef` and the store's permissions."),
    FetchFailure.DISK_FULL: (Reason.DISK_FULL, "Raise `storage.cache.emptyDir.sizeLimit`, or free space on the node."),
    FetchFailure.DIGEST_MISMATCH: (
        Reason.DIGEST_MISMATCH,
        "Upload the right weights, or add a version with their digest.",
    ),
    FetchFailure.CHANGED_WHILE_READING: (Reason.WEIGHTS_CHANGED, "It is tried again; write new weights to a new URI."),
    FetchFailure.INVALID: (Reason.WEIGHTS_INVALID, "Make the folder what the runtime expects (docs/runtimes.md)."),
    FetchFailure.UNAVAILABLE: (
        Reason.STORE_UNAVAILABLE,
        "It is tried again; check `storage.endpoint` and the network.",
    ),
    FetchFailure.PEERS_UNSUPPORTED: (
        Reason.PEERS_UNSUPPORTED,
        "Set `distribution.fallback: Origin`, or `distribution.mode: Direct` (docs/storage.md).",
    ),
    FetchFailure.PEERS_UNAVAILABLE: (
        Reason.PEERS_UNAVAILABLE,
        "It is tried again; `pantala doctor` finds what is wrong with Dragonfly, and `distribution.fallback: Origin` does without.",
    ),
}
_MESSAGE_TAIL = 600
_OOM = "OOMKilled"
_FETCHER = "fetch"
_HOLDER = "hold"
"""Keeps the weights in a node's cache; of the fetcher's image."""
_BACK_OFF = "CrashLoopBackOff"
_WAITING = {Reason.UNSCHEDULABLE, Reason.EVICTED, *WAITING} - {Reason.CARDS_REFUSED}
"""Reasons of pods that no container has run in."""
_ROOM = frozenset({Reason.UNSCHEDULABLE, Reason.NO_GPU})
"""Reasons that pass when another pod goes."""
_KILLED = frozenset({128 + 9, 128 + 15})
"""Exit codes of a process that somebody else ended: its last words are not about why."""
_NOT_LOADED = re.compile(
    r"load failed|failed to load|(cannot|could not|unable to|error while) load|loading .{0,80}fail|(cannot|failed to) register model"
    r"|failed to initiali[sz]e|initiali[sz]ation failed|creating server|TorchServe ended with code|worker died",
    re.IGNORECASE,
)
"""How servers say that they cannot load a model: Triton, `runtimes/templates/start.py.j2`, and what others say."""


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
            return _rejected(name, condition.get("message", ""))
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Problem(
                Reason.STARTUP_TIMEOUT,
                f"Deployment {name} did not get ready within runtime.startupTimeout. "
                "Look at the pods' logs, or raise the time-out.",
            )
    return None


def _rejected(name: str, text: str) -> Problem:
    cases = (
        (
            r"failed quota: .* must specify",
            Reason.QUOTA_EXCEEDED,
            "Set in `resources` what the ResourceQuota counts.",
        ),
        (
            r"exceeded quota|failed quota",
            Reason.QUOTA_EXCEEDED,
            "Raise the ResourceQuota, or ask for less in `resources`.",
        ),
        (r"violates PodSecurity", Reason.POD_SECURITY, _pod_security_step(text)),
        (
            r"(minimum|maximum) (cpu|memory|ephemeral-storage) usage|LimitRange|limit to request ratio",
            Reason.LIMIT_RANGE,
            "Set `resources` to what the LimitRange allows.",
        ),
        (
            r"serviceaccount .* not found|service account .* not found",
            Reason.PODS_REJECTED,
            "Create the ServiceAccount.",
        ),
        (
            r"no PriorityClass with name",
            Reason.PODS_REJECTED,
            "Create the PriorityClass, or change `template.spec.priorityClassName`.",
        ),
        (r"admission webhook", Reason.PODS_REJECTED, "Change what the webhook names, or ask whoever runs it."),
    )
    for pattern, reason, step in cases:
        if re.search(pattern, text, re.IGNORECASE):
            return Problem(reason, f"The pods of Deployment {name} are refused: {text}. {step}")
    return Problem(Reason.PODS_REJECTED, f"The pods of Deployment {name} are refused: {text}")


def _pod_security_step(text: str) -> str:
    """What to do about pods that the namespace's Pod Security level forbids (k8s.io/pod-security-admission 1.36, policy)."""
    level = "or the namespace's Pod Security level."
    if "hostPath" not in text:
        return f"Change `template.spec` {level}"
    remedies = {
        "dragonfly": "The volume dragonfly is dfdaemon's socket: set `distribution.proxy` or `distribution.mode: Direct`",
        "models": "The volume models is `storage.cache.hostPath`: set `storage.cache.emptyDir` or `storage.cache.pvc`",
    }
    found = [words for name, words in remedies.items() if f'"{name}"' in text]
    return " ".join(f"{words}, or change the namespace's Pod Security level." for words in found) or (
        f"Change `template.spec` {level}"
    )


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
    for state in (*_containers(status, "initContainerStatuses"), *_containers(status, "containerStatuses")):
        problem = _of_container(name, state)
        if problem is not None:
            return problem
    return None


def _failed(pod: Manifest, status: Mapping[str, Any]) -> Problem:
    name, text = pod["metadata"]["name"], status.get("message", "").strip()
    if refusal := _refusal(pod):
        node = (pod.get("spec") or {}).get("nodeName") or "its node"
        # Without the pod's name: a ReplicaSet makes the next one at once, and each would be news for the status.
        words = f"A pod was turned away by {node}, and so will the next one be: {refusal[0]}. {refusal[1]}"
        return Problem(Reason.CARDS_REFUSED, f"{words} The node says: {_tail(text)}")
    if "EmptyDir" in text or "ephemeral" in text:
        return Problem(Reason.DISK_FULL, f"Pod {name}: {text} {_FETCH[FetchFailure.DISK_FULL][1]}")
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


def _containers(status: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    yield from status.get(key, ())


def _of_container(pod: str, status: Mapping[str, Any]) -> Problem | None:
    waiting = status.get("state", {}).get("waiting", {})
    reason, text = waiting.get("reason", ""), waiting.get("message", "")
    container = status["name"]
    if reason in _PULL:
        where = "the installation's fetcher image" if container in {_FETCHER, _HOLDER} else "`runtime.image`"
        step = f"Check the image's name ({where}) and `template.spec.imagePullSecrets`."
        return Problem(
            Reason.IMAGE_PULL_FAILED,
            f"Pod {pod}: image {status.get('image', '')} cannot be pulled: {_tail(text)} {step}",
        )
    if reason == "CreateContainerConfigError":
        return Problem(
            Reason.SECRET_MISSING,
            f"Pod {pod}, container {container}: {_tail(text)}. Create it, with the keys in docs/fetcher.md.",
        )
    if reason in _CREATE:
        return Problem(Reason.CONTAINER_FAILED, f"Pod {pod}, container {container}: {_tail(text)}")
    ended = status.get("state", {}).get("terminated") or (
        status.get("lastState", {}).get("terminated") if not status.get("ready") else None
    )
    if not ended or (ended.get("exitCode", 0) == 0 and (container == _FETCHER or reason != _BACK_OFF)):
        return None
    return _ended(pod, container, status.get("restartCount", 0), reason, ended)


def _ended(pod: str, container: str, restarts: int, waiting: str, ended: Mapping[str, Any]) -> Problem | None:
    code, text = ended.get("exitCode", 0), str(ended.get("message", ""))
    if ended.get("reason") == _OOM:
        step = "Raise `resources.limits.memory`."
        return Problem(Reason.OUT_OF_MEMORY, f"Pod {pod}: container {container} was killed at its memory limit. {step}")
    if container == _FETCHER:
        return _fetch_failed(pod, code, text)
    if container == _HOLDER:
        step = "It starts again; the fetcher's image needs sh, flock, stat, touch and sleep (docs/node-cache.md)."
        return Problem(
            Reason.CONTAINER_FAILED, f"Pod {pod}, container {container}: exit code {code}. {_tail(text)} {step}"
        )
    where = f"Pod {pod}: the model server ends with exit code {code}"
    words = f" Its last words: {_tail(text)}" if text.strip() else " It left no message."
    # A server that dies again and again is another matter than one that cannot load its model.
    if code not in _KILLED and _NOT_LOADED.search(text):
        step = "Add a version with weights that it can load, or correct `runtime`."
        return Problem(Reason.MODEL_LOAD_FAILED, f"{where}.{words} {step}")
    if waiting == _BACK_OFF or restarts > 1:
        return Problem(Reason.RESTART_LOOP, f"{where}.{words} Look at its log: kubectl logs --previous {pod}.")
    return Problem(Reason.CONTAINER_FAILED, f"{where}.{words}") if restarts == 0 else None


def _fetch_failed(pod: str, code: int, text: str) -> Problem:
    failure = FetchFailure.from_exit_code(code)
    if failure is None:
        return Problem(
            Reason.FETCH_FAILED, f"Pod {pod}: the fetcher ended with exit code {code}. {_tail(text)}".strip()
        )
    reason, step = _FETCH[failure]
    try:
        words = str(json.loads(text).get("message", text))
    except (ValueError, AttributeError):
        words = text
    return Problem(reason, f"Pod {pod}: {_tail(words)} {step}")


def _tail(text: str) -> str:
    """The end of a long text: where a program says why it gave up."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _MESSAGE_TAIL else "... " + flat[-_MESSAGE_TAIL:].partition(" ")[2]
