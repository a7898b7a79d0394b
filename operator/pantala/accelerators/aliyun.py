"""Shares of one card's memory through Alibaba Cloud's gpushare, which only counts: nothing keeps a pod to its share.

Sources: AliyunContainerService/gpushare-scheduler-extender, docs/userguide.md; AliyunContainerService/gpushare-device-plugin,
pkg/gpu/nvidia (`--memory-unit`).
"""

from pantala.accelerators import nvidia, units
from pantala.accelerators.base import Claim, Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

MEMORY = "aliyun.com/gpu-mem"
"""Memory of one card: in GiB, or in MiB if the device plugin was told so, which neither node nor pod says."""
COUNT = "aliyun.com/gpu-count"
"""Cards of a node; never of a pod."""

_UNITS = {"GiB": units.GIB, "MiB": units.MIB}
_NOT_KEPT = (
    "accelerator.memoryPerCard: aliyun only counts memory, and nothing keeps this model or its neighbours to it; give the"
    " server a limit of its own, or use hami, volcano or mig where that matters."
)
_SHARED = NoUtilization(
    "DCGM measures the whole card, which other pods share: scale on RequestsPerSecond or QueueLength, or give the model whole"
    " cards.",
    shared=True,
)


class Aliyun:
    """`aliyun.com/gpu-mem`."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:
        """Memory of one card, in the unit of the installation."""
        unit = _UNITS[settings.aliyun_unit]
        grant = units.memory(MEMORY, str(spec.memory_per_card), unit)
        return Claim(
            PodParts(limits=units.limits([grant])),
            (grant,),
            memory=Memory(grant.amount * unit, enforced=False),
            warnings=(_NOT_KEPT,),
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:  # noqa: ARG002 - the protocol's
        """None: gpushare measures nothing, and DCGM the whole card."""
        return _SHARED

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """Memory that the node advertises; each of its cards counts as much as the first."""
        name = settings.resource_names.get(MEMORY, MEMORY)
        total, cards = units.allocatable(node, name), units.allocatable(node, COUNT)
        if not total:
            return ()
        card = units.labels(node).get(nvidia.PRODUCT, "")
        return (Offer("aliyun", name, total, settings.aliyun_unit, card, cards, total // cards if cards else 0),)
