"""Shares of cards through Volcano's scheduler and its vGPU device plugin, kept by HAMi's library.

Sources: volcano-sh/volcano, pkg/scheduler/api/devices/nvidia/vgpu/utils.go and docs/user-guide/how_to_use_volcano_vgpu.md;
Project-HAMi/volcano-vgpu-device-plugin, doc/config.md. No webhook sets `schedulerName`, and with another scheduler the device
plugin finds no card for the pod.
"""

from pantala.accelerators import hami, nvidia, units
from pantala.accelerators.base import Claim, Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

COUNT = "volcano.sh/vgpu-number"
"""Physical cards of the pod, all different; a node advertises each of its cards as often as it may be shared."""
MEMORY = "volcano.sh/vgpu-memory"
"""MiB of each card, all of it if absent."""
CORES = "volcano.sh/vgpu-cores"
"""Percent of each card's compute, without limit if absent."""
MODE = "volcano.sh/vgpu-mode"
"""Annotation of a pod: the mode that its node must have, exactly."""
SCHEDULER = "volcano"

REGISTER = "volcano.sh/node-vgpu-register"
"""Annotation of a node: its cards, each as `UUID,shares,MiB,type,health,mode:`."""
HANDSHAKE = "volcano.sh/node-vgpu-handshake"
"""Annotation of a node: `Deleted_` and a time when its device plugin is gone and the register is stale."""

_FIELDS = 6
_ALL = 100
"""Percent of compute of a card; the register does not tell."""


class Volcano:
    """Shares of `volcano.sh/vgpu-number` with memory and compute."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """The number of cards, and of each card the memory and the compute."""
        grants = [units.cards(COUNT, spec.count)]
        memory = None
        if spec.memory_per_card is not None:
            grants.append(units.memory(MEMORY, spec.memory_per_card, units.MIB))
            memory = Memory(grants[-1].amount * units.MIB, enforced=True)
        if spec.core_percent is not None:
            grants.append(units.percent(CORES, spec.core_percent))
        kinds = spec.card_type
        annotations = {
            MODE: hami.MODES[spec.mode] if spec.mode else "",
            hami.USE_TYPE: ",".join(kinds.allow or ()) if kinds else "",
        }
        return Claim(
            PodParts(
                limits=units.limits(grants),
                annotations={name: value for name, value in annotations.items() if value},
                scheduler_name=SCHEDULER,
            ),
            tuple(grants),
            spec.count,
            memory=memory,
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """The device plugin's figure of each card of the pod, in percent of the card, under HAMi's old name."""
        if spec.mode == "MIG":
            return NoUtilization(
                "the library that measures is not in containers with slices: scale on requests, or use mode HAMiCore."
            )
        granted = spec.core_percent or 100
        return Utilization("Device_utilization_desc_of_container", 1.0, "podname", "podnamespace", granted=granted)

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """What the register says, of cards that work, or else what the node advertises."""
        found = devices(node)
        card = units.names(it.card for it in found) or units.labels(node).get(nvidia.PRODUCT, "")
        offers = []
        for name, unit, each in (
            (COUNT, "shares", [it.shares for it in found]),
            (MEMORY, "MiB", [it.memory for it in found]),
            (CORES, "%", [it.cores for it in found]),
        ):
            called = settings.resource_names.get(name, name)
            total = sum(each) or units.allocatable(node, called)
            if total:
                offers.append(Offer("volcano", called, total, unit, card, len(found), max(each, default=0)))
        return tuple(offers)


def devices(node: Manifest) -> tuple[hami.Device, ...]:
    """The cards in the node's register that work; none if it cannot be read (vgpu/utils.go, decodeNodeDevices)."""
    found = units.annotations(node)
    listed = [] if found.get(HANDSHAKE, "").startswith("Deleted") else found.get(REGISTER, "").split(":")
    cards = [it for entry in listed if len(it := entry.split(",")) >= _FIELDS and it[4] == "true"]
    return tuple(hami.Device(units.whole(it[1]), units.whole(it[2]), _ALL, it[3], it[0]) for it in cards)
