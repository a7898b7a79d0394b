"""dfdaemons as their pods and configuration show them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pantala.cli.doctor.seen import Objects, Seen
from pantala.manifest.types import Manifest

CLIENT, SEED, SCHEDULER, MANAGER, OLD = "client", "seed-client", "scheduler", "manager", "dfdaemon"
"""Values of the label `component` in the Dragonfly chart; `dfdaemon` is the one of Go, before Dragonfly 2.2."""
SOCKET = "/var/run/dragonfly/dfdaemon.sock"
"""dfdaemon's own default (dragonfly-client-config 1.5.10, default_download_unix_socket_path)."""
STORAGE = "/var/lib/dragonfly"
"""dfdaemon's own default (dragonfly-client-config 1.5.10, default_storage_dir)."""
_FOLDER = "/etc/dragonfly"
_VERSION = re.compile(r'^dragonfly_client_version\{[^}]*git_version="([^"]+)"', re.MULTILINE)


def of(pods: Objects | None, component: str) -> list[Manifest]:
    """The pods of a part of Dragonfly."""
    return [pod for pod in pods or () if (pod["metadata"].get("labels") or {}).get("component") == component]


def ready(pod: Manifest) -> bool:
    """Whether its readiness probe is content; the chart's asks dfdaemon through its socket."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    leaving = "deletionTimestamp" in pod["metadata"]
    return not leaving and any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def trouble(pod: Manifest) -> str:
    """Why a pod is not ready, in Kubernetes' words."""
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"{container['name']}: {waiting['reason']}"
    return "is leaving" if "deletionTimestamp" in pod["metadata"] else str(status.get("phase") or "no status yet")


def image(pod: Manifest) -> str:
    """Image of its first container."""
    return str(pod["spec"]["containers"][0].get("image") or "")


def version(pod: Manifest, metrics: str | None) -> str:
    """Version of a dfdaemon: as it says itself, else the tag of its image; empty if neither tells."""
    if found := _VERSION.search(metrics or ""):
        return found[1].removeprefix("v")
    tag = image(pod).partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag.removeprefix("v") if re.match(r"v?\d", tag) else ""


@dataclass(frozen=True)
class Config:
    """A dfdaemon.yaml, with the pods that run with it."""

    name: str
    """The ConfigMap's `namespace/name`."""
    data: Mapping[str, Any]
    dynamic: Mapping[str, Any] | None
    """dynconfig.yaml, which stands in place of a manager; None: there is none."""
    problem: str
    """Why it could not be understood; empty if it could."""
    pods: tuple[Manifest, ...]

    def get(self, path: str, default: Any = None) -> Any:
        """A value by its path of keys, as dfdaemon would have it."""
        found = _dig(self.data, path)
        return default if found is None else found

    def text(self, path: str, default: str = "") -> str:
        """A value that is a text; of another type, dfdaemon would not have started with it."""
        found = _dig(self.data, path)
        return found if isinstance(found, str) else default

    def number(self, path: str, default: int) -> int:
        """A value that is a whole number; of another type, dfdaemon would not have started with it."""
        found = _dig(self.data, path)
        return found if isinstance(found, int) and not isinstance(found, bool) else default

    def items(self, path: str) -> list[Any]:
        """A value that is a list; else empty."""
        found = _dig(self.data, path)
        return found if isinstance(found, list) else []

    @property
    def schedulers(self) -> list[str]:
        """Addresses of schedulers in dynconfig.yaml."""
        many, one = _dig(self.dynamic, "scheduler.addrs"), _dig(self.dynamic, "scheduler.addr")
        return [str(item) for item in (*(many if isinstance(many, list) else ()), one) if item]


def _dig(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def configs(seen: Seen, component: str = CLIENT) -> list[Config]:
    """The configurations with which pods of a part run, by the ConfigMaps that they mount at /etc/dragonfly."""
    stored = {item["metadata"]["name"]: item.get("data") or {} for item in seen.config_maps or ()}
    grouped: dict[tuple[str, ...], list[Manifest]] = {}
    for pod in of(seen.pods, component):
        grouped.setdefault(tuple(_mounted(pod)), []).append(pod)
    found = []
    for maps, pods in grouped.items():
        files = {name: text for one in maps for name, text in stored.get(one, {}).items()}
        if "dfdaemon.yaml" not in files:
            continue
        name = next(one for one in maps if "dfdaemon.yaml" in stored.get(one, {}))
        data, problem = _parsed(files["dfdaemon.yaml"])
        dynamic, other = _parsed(files["dynconfig.yaml"]) if "dynconfig.yaml" in files else (None, "")
        found.append(Config(f"{seen.dragonfly}/{name}", data or {}, dynamic, problem or other, tuple(pods)))
    return found


def _parsed(text: str) -> tuple[Mapping[str, Any] | None, str]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return None, " ".join(str(error).split())
    return (found, "") if isinstance(found, Mapping) else ({}, "" if found is None else "it is no mapping")


def _mounted(pod: Manifest) -> list[str]:
    """Names of the ConfigMaps that its first container sees below /etc/dragonfly."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    found = []
    for mount in pod["spec"]["containers"][0].get("volumeMounts") or ():
        volume = volumes.get(mount["name"], {})
        if mount["mountPath"].startswith(_FOLDER):
            sources = (volume.get("projected") or {}).get("sources") or [volume]
            found += [source["configMap"]["name"] for source in sources if source.get("configMap")]
    return found


def volume_of(pod: Manifest, path: str) -> tuple[str, str]:
    """The kind of the volume on which a path of the first container lies, and the path on the node for a hostPath.

    The kind is the key of the volume (`hostPath`, `emptyDir`, `persistentVolumeClaim`), or empty for the container itself.
    """
    path = path.rstrip("/")
    best: Mapping[str, Any] = {}
    for mount in pod["spec"]["containers"][0].get("volumeMounts") or ():
        folder = mount["mountPath"].rstrip("/")
        if (path == folder or path.startswith(f"{folder}/")) and len(folder) >= len(str(best.get("mountPath", ""))):
            best = {**mount, "mountPath": folder}
    volume = next((one for one in pod["spec"].get("volumes") or () if one["name"] == best.get("name")), None)
    if volume is None:
        return "", ""
    kind = next((key for key in volume if key != "name"), "")
    if kind != "hostPath":
        return kind, ""
    inside = "/".join(
        part.strip("/") for part in (best.get("subPath", ""), path[len(best["mountPath"]) :]) if part.strip("/")
    )
    return kind, f"{volume['hostPath']['path'].rstrip('/')}/{inside}".rstrip("/")


def same_path(one: str, other: str) -> bool:
    """Whether two paths of a node are one; /var/run is /run."""
    return _plain(one) == _plain(other)


def _plain(path: str) -> str:
    return path.rstrip("/").replace("/var/run/", "/run/", 1) if path.startswith("/var/run/") else path.rstrip("/")
