"""The volume of the weights: what it is, who mounts it how, and what keeps a folder of the node alive while a pod uses it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pantala.api import durations
from pantala.api.model import InferenceModel
from pantala.api.quantity import parse
from pantala.api.resolve import ResolvedVersion
from pantala.api.storage import HostPathCache
from pantala.manifest import layout
from pantala.manifest.canonical import digest
from pantala.manifest.settings import Settings
from pantala.manifest.types import Invalid, Manifest, ServerParts

WEIGHTS = {"name": "models", "mountPath": layout.MODELS}
"""The weights as most caches have them: whoever mounts them may write."""
CACHE = {"name": "node-cache", "mountPath": "/node-cache"}
"""The whole cache of a node, in which the fetcher makes room."""
HOLD = "hold"
"""Name of the container that keeps a folder of the node from being removed."""

_AS_ROOT = {**layout.RESTRICTED, "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
"""The kubelet makes hostPath folders for root alone (0755), and one cache serves pods of any user: so the fetcher is root
there, without a single capability: what it may write is what belongs to root and is mounted. The server stays as it is."""
_HOLD_MEMORY = "16Mi"
_HOLD_CPU = "50m"
_SCRIPT = f"""
test "$(stat -c %h {layout.MODELS})" -gt 0 || exit 1
trap 'touch -c {layout.MODELS}/.pantala/used; kill $!; exit 0' TERM
while :; do touch -c {layout.MODELS}/.pantala/used; sleep 60 & wait $!; done
""".strip()
"""Runs with the lock held. A folder that was removed while the lock was waited for has no links: the next start gets a new
one. The time of `used` says until when the weights were in use (fetcher/nodecache.py). `wait` lets a trap in at once, which
the first process of a container needs in order to obey SIGTERM at all."""


@dataclass(frozen=True)
class Weights:
    """What the cache of a version adds to its pod."""

    volumes: tuple[Manifest, ...]
    fetch_mounts: tuple[Manifest, ...] = (WEIGHTS,)
    server_mount: Manifest = field(default_factory=lambda: dict(WEIGHTS))
    fetch_args: tuple[str, ...] = ()
    fetch_security: Manifest = field(default_factory=lambda: dict(layout.RESTRICTED))
    init: tuple[Manifest, ...] = ()
    """Containers that start before the fetcher."""


def weights(
    model: InferenceModel, version: ResolvedVersion, server: ServerParts, image: str, settings: Settings
) -> Weights | Invalid:
    """The volume of a version's weights, or why there can be none.

    Args:
        model: The model, for its name and namespace.
        version: One of its versions.
        server: What the runtime contributes: it decides how the weights lie.
        image: The fetcher's image.
        settings: Those of the installation.
    """
    cache = version.storage.cache if version.storage else None
    if cache is not None and cache.host_path is not None:
        return _of_node(cache.host_path, model, version, server, image, settings)
    if cache is not None and cache.pvc is not None:
        return Weights(({"name": "models", "persistentVolumeClaim": {"claimName": cache.pvc.claim_name}},))
    volume = {"name": "models", "emptyDir": cache.empty_dir.as_dict() if cache and cache.empty_dir else {}}
    # The kubelet evicts a pod that exceeds the limit, but only after the fact.
    limit = _number(cache.empty_dir.size_limit if cache and cache.empty_dir else None)
    return Weights((volume,), fetch_args=() if limit is None else ("--size-limit", str(limit)))


def _of_node(
    cache: HostPathCache,
    model: InferenceModel,
    version: ResolvedVersion,
    server: ServerParts,
    image: str,
    settings: Settings,
) -> Weights | Invalid:
    if not any(cache.path == allowed or cache.path.startswith(f"{allowed}/") for allowed in settings.cache_host_paths):
        allowed = " or ".join(settings.cache_host_paths) or "no folder"
        message = (
            f"{cache.path} is not a folder that this installation allows: use one at or below {allowed}, or let an"
            " administrator add it to settings.cacheHostPaths of the chart"
        )
        return Invalid("InvalidStorage", message, "storage.cache.hostPath.path")
    folder = f"{cache.path}/{model.metadata.namespace}/{model.metadata.name}/{version.name}-{_content(version, server)}"
    args = ["--cache-root", CACHE["mountPath"], "--host-path", folder]
    if (limit := _number(cache.max_size)) is not None:
        args += ["--cache-max-bytes", str(limit)]
    if cache.max_age is not None:
        args += ["--cache-max-age", f"{durations.parse(cache.max_age).total_seconds():g}"]
    return Weights(
        volumes=(
            {"name": "models", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}},
            {"name": "node-cache", "hostPath": {"path": cache.path, "type": "DirectoryOrCreate"}},
        ),
        fetch_mounts=(WEIGHTS, CACHE),
        # What is shared with other pods, and perhaps by hard links with dfdaemon, is for no server to change.
        server_mount={**WEIGHTS, "readOnly": True},
        fetch_args=tuple(args),
        fetch_security=dict(_AS_ROOT),
        init=(_hold(version, image, settings),),
    )


def _content(version: ResolvedVersion, server: ServerParts) -> str:
    """Tells apart what lies in the folder: while an update rolls, pods that want it otherwise have a folder of their own."""
    endpoint = version.storage.endpoint if version.storage else None
    config = server.files.get("config.pbtxt")
    return digest([version.uri, version.digest, endpoint, server.layout, version.model_name, config], 8)


def hold_command() -> list[str]:
    """What holds a folder: a shell that has inherited the lock, so small that it costs a node nothing."""
    return ["flock", "--shared", "--no-fork", layout.MODELS, "sh", "-c", _SCRIPT]


def _hold(version: ResolvedVersion, image: str, settings: Settings) -> Manifest:
    """A native sidecar, started before the fetcher, whose shared lock the kernel releases however the pod ends."""
    limits = {"memory": _HOLD_MEMORY}
    # A quota on CPU limits wants one of every container, and a pod stays Guaranteed if all limits are requests.
    if version.resources and "cpu" in (version.resources.as_dict().get("limits") or {}):
        limits["cpu"] = _HOLD_CPU
    return {
        "name": HOLD,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "command": hold_command(),
        "volumeMounts": [WEIGHTS],
        "securityContext": dict(layout.RESTRICTED),
        "resources": {"requests": {"cpu": "1m"} | limits, "limits": limits},
    }


def _number(quantity: str | None) -> int | None:
    value = parse(quantity) if quantity else None
    return int(value) if value is not None else None
