"""What a pod takes of the cards of its node, as Kubernetes counts it and as the vendors' schedulers wrote it down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pantala.api import quantity
from pantala.manifest.types import Manifest

WRITTEN = {"hami": "hami.io/vgpu-devices-allocated", "volcano": "volcano.sh/vgpu-ids-new"}
"""Annotation of a pod in which the scheduler of a provider keeps the cards that it gave (HAMi, pkg/device/nvidia/device.go;
Volcano, pkg/scheduler/api/devices/nvidia/vgpu/type.go)."""
INDEXED = {"aliyun": "ALIYUN_COM_GPU_MEM_IDX", "tencent": "tencent.com/predicate-gpu-idx-"}
"""Annotations with the numbers of the cards that a scheduler chose: of the pod (AliyunContainerService/gpushare-scheduler-extender,
pkg/utils/const.go), or with the number of a container at the end (tkestack/gpu-admission, pkg/util)."""
VISIBLE = "NVIDIA_VISIBLE_DEVICES"
"""Variable by which NVIDIA's container runtime shows cards to a container (nvidia-container-toolkit)."""

_SHOWS_NONE = frozenset({"", "none", "void"})
_ENDED = frozenset({"Succeeded", "Failed"})
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_FIELDS = 4


@dataclass(frozen=True)
class Slice:
    """A part of one card."""

    card: str
    """UUID."""
    memory: int
    """MiB."""
    cores: int
    """Percent of the card's compute; 0: no limit."""


@dataclass(frozen=True)
class Placed:
    """What a pod or one of its containers asks for, and the numbers of the cards that it got."""

    provider: str
    cards: tuple[str, ...]
    requests: Mapping[str, int]
    """Of all of these cards together."""


@dataclass(frozen=True)
class View:
    """A container that sees cards because its own environment says so."""

    value: str
    """Of `NVIDIA_VISIBLE_DEVICES`."""
    requests: frozenset[str]
    """Extended resources that it asks for beside that."""


@dataclass(frozen=True)
class Taken:
    """What one pod takes of its node."""

    pod: str
    """`namespace/name`."""
    node: str
    requests: Mapping[str, int]
    """Extended resources, in their units."""
    slices: Mapping[str, tuple[Slice, ...]]
    """Parts of cards, by the provider whose scheduler wrote them on the pod."""
    placed: tuple[Placed, ...] = ()
    """Where the provider's scheduler numbers cards and told which."""
    views: tuple[View, ...] = ()
    unread: tuple[str, ...] = ()
    """Annotations of schedulers that cannot be read."""


def taken(pod: Manifest) -> Taken | None:
    """What a pod takes of the node that it is bound to; None if it is bound to none, has ended, or takes nothing."""
    meta, spec = pod["metadata"], pod["spec"]
    node = spec.get("nodeName")
    if not node or (pod.get("status") or {}).get("phase") in _ENDED:
        return None
    asked, views = requests(spec), _views(pod)
    slices: dict[str, tuple[Slice, ...]] = {}
    unread = []
    annotations = meta.get("annotations") or {}
    for provider, name in WRITTEN.items():
        if text := annotations.get(name):
            found = written(text, len(spec.get("initContainers") or ()), len(spec["containers"]))
            if found is None:
                unread.append(name)
            elif found:
                slices[provider] = found
    if not (asked or views or slices or unread):
        return None
    name = f"{meta['namespace']}/{meta['name']}"
    return Taken(name, node, asked, slices, tuple(_placed(pod, asked)), views, tuple(unread))


def requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Extended resources that a pod holds on its node.

    The containers and sidecars together, or more where an init container, with the sidecars that started before it, needs
    more (Kubernetes, staging/src/k8s.io/component-helpers/resource/helpers.go, `PodRequests`).
    """
    running, sidecars, peak = Counter[str](), Counter[str](), Counter[str]()
    for container in spec.get("containers") or ():
        running.update(_requests(container))
    for container in spec.get("initContainers") or ():
        own = _requests(container)
        if container.get("restartPolicy") == "Always":
            running.update(own)
            sidecars.update(own)
            own = Counter()
        peak |= own + sidecars
    return dict((running | peak) + _extended(spec.get("overhead") or {}))


def written(text: str, init: int, containers: int) -> tuple[Slice, ...] | None:
    """The cards that a scheduler wrote on a pod; None if that cannot be read.

    `UUID,vendor,MiB,cores:` for each card and `;` between containers (HAMi, pkg/device/devices.go, DecodePodDevices; Volcano,
    vgpu/utils.go, decodePodDevices). Newer HAMi lists init containers first and counts, for each card, what either they need
    one by one or the others together (pkg/device/initContainer.go); older HAMi and Volcano leave them out.

    Args:
        text: The annotation.
        init: Number of init containers of the pod.
        containers: Number of its other containers.
    """
    parts = [_slices(part) for part in text.removesuffix(";").split(";")]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    first = init if len(parts) == init + containers else 0
    if not any(known[:first]):
        return tuple(one for part in known for one in part)
    peaks: dict[str, tuple[int, int]] = {}
    together = [one for part in known[first:] for one in part]
    for stage in (*known[:first], together):
        for card, (memory, cores) in _by_card(stage).items():
            before = peaks.get(card, (0, 0))
            peaks[card] = max(before[0], memory), max(before[1], cores)
    return tuple(Slice(card, *need) for card, need in peaks.items())


def _by_card(slices: Iterable[Slice]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for one in slices:
        memory, cores = found.get(one.card, (0, 0))
        found[one.card] = memory + one.memory, cores + one.cores
    return found


def _slices(part: str) -> list[Slice] | None:
    """The cards of one container."""
    found = []
    for item in filter(None, part.split(":")):
        fields = item.split(",")
        if len(fields) < _FIELDS or not fields[0] or not all(_NUMBER.fullmatch(text) for text in fields[2:_FIELDS]):
            return None
        # A slice that HAMi or Volcano cuts by MIG has its place behind the card: `GPU-...[0-1]`.
        found.append(Slice(fields[0].partition("[")[0], int(fields[2]), int(fields[3])))
    return found


def _placed(pod: Manifest, asked: Mapping[str, int]) -> Iterator[Placed]:
    annotations = pod["metadata"].get("annotations") or {}
    if cards := _indices(annotations.get(INDEXED["aliyun"], "")):
        yield Placed("aliyun", cards, asked)
    for index, container in enumerate(pod["spec"]["containers"]):
        if cards := _indices(annotations.get(f"{INDEXED['tencent']}{index}", "")):
            yield Placed("tencent", cards, _requests(container))


def _indices(text: str) -> tuple[str, ...]:
    """Numbers with commas between them; none if that cannot be read."""
    found = text.split(",")
    return tuple(found) if all(map(_NUMBER.fullmatch, found)) else ()


def _views(pod: Manifest) -> tuple[View, ...]:
    """Containers that their own environment shows cards, but those of a DaemonSet: device plugins and exporters see all."""
    if any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or ()):
        return ()
    found = []
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        value = next((item.get("value", "") for item in container.get("env") or () if item["name"] == VISIBLE), "")
        if value not in _SHOWS_NONE and not (container.get("resources") or {}).get("claims"):
            found.append(View(value, frozenset(_requests(container))))
    return tuple(found)


def _requests(container: Mapping[str, Any]) -> Counter[str]:
    resources = container.get("resources") or {}
    return _extended({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _extended(amounts: Mapping[str, str]) -> Counter[str]:
    """The resources with a domain in their names; the API server writes 3000 as `3k`."""
    found = {name: quantity.parse(str(amount)) for name, amount in amounts.items() if "/" in name}
    return Counter({name: int(amount) for name, amount in found.items() if amount})
