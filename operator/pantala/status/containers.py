"""Why a container of a pod does not run, read off its state: an image, a Secret, the weights, the server's last words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pantala.errors import FetchFailure
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATE = frozenset({"CreateContainerError", "RunContainerError", "CreatePodSandboxError", "PreCreateHookError"})
FETCH = {
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
"""What each failure of the fetcher means, and the next step."""
_MESSAGE_TAIL = 600
_OOM = "OOMKilled"
_FETCHER = "fetch"
_HOLDER = "hold"
"""Keeps the weights in a node's cache; of the fetcher's image."""
_BACK_OFF = "CrashLoopBackOff"
_KILLED = frozenset({128 + 9, 128 + 15})
"""Exit codes of a process that somebody else ended: its last words are not about why."""
_NOT_LOADED = re.compile(
    r"load failed|failed to load|(cannot|could not|unable to|error while) load|loading .{0,80}fail|(cannot|failed to) register model"
    r"|failed to initiali[sz]e|initiali[sz]ation failed|creating server|TorchServe ended with code|worker died",
    re.IGNORECASE,
)
"""How servers say that they cannot load a model: Triton, `runtimes/templates/start.py.j2`, and what others say."""


def problem(pod: str, status: Mapping[str, Any]) -> Problem | None:
    """The problem of a container, or None.

    Args:
        pod: The name of its pod.
        status: One of `containerStatuses` or `initContainerStatuses`.
    """
    waiting = status.get("state", {}).get("waiting", {})
    reason, text = waiting.get("reason", ""), waiting.get("message", "")
    container = status["name"]
    if reason in _PULL:
        where = "the installation's fetcher image" if container in {_FETCHER, _HOLDER} else "`runtime.image`"
        step = f"Check the image's name ({where}) and `template.spec.imagePullSecrets`."
        return Problem(
            Reason.IMAGE_PULL_FAILED,
            f"Pod {pod}: image {status.get('image', '')} cannot be pulled: {tail(text)} {step}",
        )
    if reason == "CreateContainerConfigError":
        return Problem(
            Reason.SECRET_MISSING,
            f"Pod {pod}, container {container}: {tail(text)}. Create it, with the keys in docs/fetcher.md.",
        )
    if reason in _CREATE:
        return Problem(Reason.CONTAINER_FAILED, f"Pod {pod}, container {container}: {tail(text)}")
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
            Reason.CONTAINER_FAILED, f"Pod {pod}, container {container}: exit code {code}. {tail(text)} {step}"
        )
    where = f"Pod {pod}: the model server ends with exit code {code}"
    words = f" Its last words: {tail(text)}" if text.strip() else " It left no message."
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
        return Problem(Reason.FETCH_FAILED, f"Pod {pod}: the fetcher ended with exit code {code}. {tail(text)}".strip())
    reason, step = FETCH[failure]
    try:
        words = str(json.loads(text).get("message", text))
    except (ValueError, AttributeError):
        words = text
    return Problem(reason, f"Pod {pod}: {tail(words)} {step}")


def tail(text: str) -> str:
    """The end of a long text: where a program says why it gave up."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _MESSAGE_TAIL else "... " + flat[-_MESSAGE_TAIL:].partition(" ")[2]
