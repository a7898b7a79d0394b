"""Shares of cards through HAMi (once 4paradigm's k8s-vgpu-scheduler), kept by a library in the container.

Sources: Project-HAMi/HAMi, pkg/device/nvidia/device.go, pkg/scheduler/webhook.go, docs/config.md. The resources are looked
at in the limits, and memory and compute are of each card. `schedulerName` is left to HAMi's webhook, which sets it on pods
that ask for its resources and adds what its monitor needs.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from pantala.accelerators import units
from pantala.accelerators.base import Claim, Grant, Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

COUNT = "nvidia.com/gpu"
"""Physical cards of the pod, all different; a node advertises each of its cards as often as it may be shared."""
MEMORY = "nvidia.com/gpumem"
"""MiB of each card: a plain integer, since a suffix is dropped or taken for a factor."""
PERCENTAGE = "nvidia.com/gpumem-percentage"
"""Percent of each card's memory."""
CORES = "nvidia.com/gpucores"
"""Percent of each card's compute; 100 takes the card for one pod alone."""

REGISTER = "hami.io/node-nvidia-register"
"""Annotation of a node: its cards, as JSON or, in older versions, each as `UUID,shares,MiB,cores,type,numa,health:`."""
HANDSHAKE = "hami.io/node-handshake"
"""Annotation of a node: `Deleted_` and a time when its device plugin is gone and the register is stale."""
USE_TYPE, NO_USE_TYPE = "nvidia.com/use-gputype", "nvidia.com/nouse-gputype"
"""Annotations of a pod: parts of names of cards, whatever the case, with commas and no blanks between them."""

MODE = "nvidia.com/vgpu-mode"
"""Annotation of a pod: how its shares are kept. Slices (`mig`) may be several of one card, other shares never are."""
MODES = {"HAMiCore": "hami-core", "MIG": "mig"}
"""Values of `vgpu-mode`, Volcano's too."""
_POLICIES = {"Binpack": "binpack", "Spread": "spread", "TopologyAware": "topology-aware"}
_TEXT_FIELDS = 7
_CAP = (
    "accelerator.corePercent: HAMi holds a replica back only while another one is busy on the same card; measure what the"
    " model needs beside busy neighbours, since on an idle card it is faster than it will be."
)
_SWAP = (
    "accelerator.oversubscribe: memory that the card has not free comes from the host's, over the bus; keep it to models"
    " that are idle most of the time, on nodes whose HAMi has deviceMemoryScaling above 1."
)


class Hami:
    """Shares of `nvidia.com/gpu` with memory and compute."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """The number of cards, and of each card the memory and the compute."""
        grants = (units.cards(COUNT, spec.count), *_shares(spec))
        env = ({"name": "CUDA_OVERSUBSCRIBE", "value": "true"},) if spec.oversubscribe else ()
        warnings = (_CAP,) if spec.core_percent is not None and spec.core_percent < 100 else ()  # noqa: PLR2004
        if spec.oversubscribe:
            warnings = (*warnings, _SWAP)
        return Claim(
            PodParts(env=env, limits=units.limits(grants), annotations=_annotations(spec)),
            grants,
            spec.count,
            memory=next((Memory(it.amount * units.MIB, enforced=True) for it in grants if it.resource == MEMORY), None),
            warnings=warnings,
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """The monitor's figure of each card of the pod; of slices its library says nothing.

        In percent of the card, 0 to 100, in spite of its name (Project-HAMi/HAMi, cmd/vGPUmonitor/metrics.go).
        """
        if spec.mode == "MIG":
            return NoUtilization(
                "HAMi's library, which measures, is not in containers with slices: scale on requests, or use mode HAMiCore."
            )
        return Utilization(
            "hami_container_device_utilization_ratio", 1.0, "pod", "namespace", granted=spec.core_percent or 100
        )

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """What the register says: shares of cards, their memory and compute; of broken cards nothing."""
        found = devices(node)
        if not found:
            return ()
        card = units.names(device.card for device in found)
        amounts = {
            COUNT: ("shares", [device.shares for device in found]),
            MEMORY: ("MiB", [device.memory for device in found]),
            CORES: ("%", [device.cores for device in found]),
        }
        return tuple(
            Offer("hami", settings.resource_names.get(name, name), sum(each), unit, card, len(found), max(each))
            for name, (unit, each) in amounts.items()
        )


@dataclass(frozen=True)
class Device:
    """A card that works, in the register of a node."""

    shares: int
    """Containers that may share it."""
    memory: int
    """MiB, more than it has where memory may be oversubscribed."""
    cores: int
    """Percent, mostly 100."""
    card: str
    uuid: str


def hands_out(node: Manifest) -> bool:
    """Whether HAMi hands out the cards of the node: `nvidia.com/gpu` is then its resource."""
    found = units.annotations(node)
    return REGISTER in found and not found.get(HANDSHAKE, "").startswith("Deleted")


def devices(node: Manifest) -> tuple[Device, ...]:
    """The cards in the node's register that work; none if it cannot be read (HAMi, pkg/device/devices.go)."""
    text = units.annotations(node).get(REGISTER, "").strip()
    if not hands_out(node):
        return ()
    return _from_json(text) if text.startswith("[") else _from_text(text)


def _shares(spec: Accelerator) -> tuple[Grant, ...]:
    grants: list[Grant] = []
    if spec.memory_per_card is not None:
        grants.append(units.memory(MEMORY, spec.memory_per_card, units.MIB))
    elif spec.memory_percent is not None:
        grants.append(units.percent(PERCENTAGE, spec.memory_percent))
    if spec.core_percent is not None:
        grants.append(units.percent(CORES, spec.core_percent))
    elif spec.memory_per_card is None and spec.memory_percent in {None, 100} and spec.mode != "MIG":
        # Newer webhooks write this themselves (after v2.6); older ones leave the rest of the card's compute to others.
        grants.append(Grant(CORES, "whole cards", "100%", units.CORES, 100))
    return tuple(grants)


def _annotations(spec: Accelerator) -> dict[str, str]:
    kinds = spec.card_type
    values = {
        USE_TYPE: ",".join(kinds.allow or ()) if kinds else "",
        NO_USE_TYPE: ",".join(kinds.deny or ()) if kinds else "",
        "nvidia.com/use-gpuuuid": ",".join(spec.devices or ()),
        MODE: MODES[spec.mode] if spec.mode else "",
        "hami.io/node-scheduler-policy": _POLICIES[spec.node_policy] if spec.node_policy else "",
        "hami.io/gpu-scheduler-policy": _POLICIES[spec.card_policy] if spec.card_policy else "",
    }
    return {name: value for name, value in values.items() if value}


def _from_json(text: str) -> tuple[Device, ...]:
    """The register of newer versions, which leaves out what is zero or false."""
    try:
        found: Any = orjson.loads(text)
    except ValueError:
        return ()
    listed = [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
    return tuple(
        _device(it.get("id", ""), it.get("count", 0), it.get("devmem", 0), it.get("devcore", 0), it.get("type", ""))
        for it in listed
        if it.get("health") is True
    )


def _from_text(text: str) -> tuple[Device, ...]:
    """The register of older versions: UUID, shares, MiB, cores, type, numa, health, and later also the number and the mode."""
    listed = [it for entry in text.split(":") if len(it := entry.split(",")) >= _TEXT_FIELDS]
    return tuple(_device(*it[:5]) for it in listed if it[6] == "true")


def _device(uuid: object, shares: object, memory: object, cores: object, card: object) -> Device:
    figures = [units.whole(str(figure)) for figure in (shares, memory, cores)]
    return Device(figures[0], figures[1], figures[2], str(card), str(uuid))
