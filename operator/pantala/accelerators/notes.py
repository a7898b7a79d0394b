"""What a person should know of nodes with cards beside the figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pantala.accelerators import hami, units
from pantala.accelerators.devices import Device
from pantala.accelerators.inventory import UNRESERVED
from pantala.accelerators.rows import Row
from pantala.accelerators.taken import VISIBLE, WRITTEN, Taken
from pantala.api import quantity
from pantala.manifest import words
from pantala.manifest.types import Manifest

SOME = 3
"""How many names a note tells."""

_STATES = frozenset(
    {f"node.kubernetes.io/{state}" for state in ("unschedulable", "not-ready", "unreachable")}
)  # Kubernetes' own taints of nodes that are told to be cordoned or not ready.
_HAS_CARDS = (
    "nvidia.com/gpu.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
)
"""Labels by which the GPU Operator and Node Feature Discovery tell a node with cards of NVIDIA (NVIDIA/gpu-operator,
controllers/state_manager.go, gpuNodeLabels), whether a device plugin runs there or not."""
_PLUGIN = {"mig": "nvidia"}
"""Providers whose cards are handed out by the device plugin of another: what they offer are different cards."""


@dataclass(frozen=True)
class Note:
    """One thing about one node."""

    node: str
    text: str
    """Without the node's name, so that the same of several nodes is one line; ends with the next step where there is one."""


def takes_no_pods(node: Manifest) -> bool:
    """Whether a node takes no new pods, whatever they tolerate."""
    return _cordoned(node) or not _ready(node)


def of_nodes(
    nodes: Iterable[Manifest], rows: Iterable[Row], pods: Iterable[Taken], devices: Iterable[Device] | None
) -> list[Note]:
    """What there is to know of each node, those without cards left out.

    Args:
        nodes: Those to look at.
        rows: What they offer.
        pods: What pods take, as far as that is known.
        devices: Those of DynamicResourceAllocation; None if they are not known.
    """
    by_node: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_node[row.node].append(row)
    on_node: dict[str, list[Taken]] = defaultdict(list)
    for pod in pods:
        on_node[pod.node].append(pod)
    of_node: dict[str, list[Device]] = defaultdict(list)
    for device in devices or ():
        of_node[device.node].append(device)
    found = [Note(name, text) for name, here in of_node.items() for text in _of_devices(here)]
    for node in nodes:
        name = node["metadata"]["name"]
        texts = [*_of_node(node, by_node[name]), *_of_pods(on_node[name], by_node[name])]
        if devices is not None and _is_unserved(node, by_node[name]):
            texts.append("cards, by the labels, that nobody offers: is a device plugin running there?")
        found += [Note(name, text) for text in texts]
    return sorted(found, key=lambda note: (note.node, note.text))


def _of_node(node: Manifest, rows: Sequence[Row]) -> Iterator[str]:
    if hami.hands_out(node) and not hami.devices(node):
        yield f"the annotation {hami.REGISTER} tells of no card that works: look at the log of HAMi's device plugin there"
    if all(row.total is None for row in rows):
        return
    if _cordoned(node):
        yield "cordoned, so no new pods: kubectl uncordon opens a node"
    if not _ready(node):
        yield "not ready, so no new pods: kubectl describe node"
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint["effect"] in words.KEEP_AWAY and taint["key"] not in _STATES:
            told = words.taint(taint["key"], taint.get("value", ""), taint["effect"])
            yield f"taint {told}: pods need a toleration in template.spec.tolerations"
    plugins = sorted({_PLUGIN.get(row.provider, row.provider) for row in rows if row.total is not None})
    if len(plugins) > 1:
        yield (
            f"{' and '.join(plugins)} offer cards: if they are the same ones, each gives away what the other has given;"
            " let one of them serve the node"
        )
    yield from _missing(node, rows)


def _is_unserved(node: Manifest, rows: Sequence[Row]) -> bool:
    labels = units.labels(node)
    return all(row.total is None for row in rows) and any(labels.get(name) == "true" for name in _HAS_CARDS)


def _missing(node: Manifest, rows: Sequence[Row]) -> Iterator[str]:
    """Resources that the kubelet counts in part: the device plugin calls the rest unhealthy; and those given twice."""
    capacity = (node.get("status") or {}).get("capacity") or {}
    for name in sorted({row.resource for row in rows}):
        whole, left = quantity.parse(str(capacity.get(name, "0"))) or 0, units.allocatable(node, name)
        if left < whole:
            yield f"{int(whole) - left} of {int(whole)} {name} are not healthy: look at the log of the device plugin there"
    for row in rows:
        if row.total is not None and row.taken is not None and row.taken > row.total:
            yield f"{row.taken} {row.resource} are taken of {row.total}: pods hold what the node has no more"


def _of_pods(pods: Sequence[Taken], rows: Sequence[Row]) -> Iterator[str]:
    for name in WRITTEN.values():
        if bad := [pod.pod for pod in pods if name in pod.unread]:
            yield f"the annotation {name} of {words.some(bad, SOME)} cannot be read, so what it takes is not counted"
    seeing = [holder.pod for row in rows if row.provider == UNRESERVED for holder in row.holders]
    if seeing:
        yield f"{words.some(seeing, SOME)} may use cards that nobody reserves, by {VISIBLE}"


def _of_devices(devices: Sequence[Device]) -> Iterator[str]:
    for resource in sorted({device.resource for device in devices}):
        kind = [device for device in devices if device.resource == resource]
        if closed := sum(device.closed for device in kind):
            yield f"{closed} of {len(kind)} {resource} can be had by nobody: they are tainted, or parts of what is taken"
        if shared := sum(device.shared for device in kind):
            yield f"{shared} of {len(kind)} {resource} may be shared by claims; as soon as one has a device, it counts as taken"


def _cordoned(node: Manifest) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def _ready(node: Manifest) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return all(item["status"] == "True" for item in conditions if item["type"] == "Ready")
