"""Cards by their numbers on the node, past the scheduler: several pods may name the same ones.

Sources: NVIDIA/nvidia-container-toolkit, internal/config/image (the variable counts where the toolkit takes it from containers
without privileges, its default, and NVIDIA's runtime runs the pod).
"""

from pantala.accelerators.base import Claim, Grant, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

VARIABLE = "NVIDIA_VISIBLE_DEVICES"
"""What NVIDIA's runtime reads: numbers or UUIDs of cards of the node, with commas."""

_UNRESERVED = (
    "accelerator.devices: nobody reserves these cards: other pods may get them too, and the numbers count on whichever node"
    " the pod lands; choose the node by template.spec.nodeSelector and keep the cards free, or use another provider."
)


class VisibleDevices:
    """The variable `NVIDIA_VISIBLE_DEVICES`, and no resource."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """Name the cards to NVIDIA's runtime."""
        devices = spec.devices or ()
        count = len(devices)
        return Claim(
            PodParts(env=({"name": VARIABLE, "value": ",".join(devices)},)),
            (Grant(VARIABLE, str(count), str(count), "1 card", count),),
            count,
            warnings=(_UNRESERVED,),
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:  # noqa: ARG002 - the protocol's
        """None: dcgm-exporter learns from the kubelet which pod has a card, and the kubelet gave none."""
        return NoUtilization(
            "DCGM does not know which pod uses a card that was not asked of the kubelet: scale on requests, or use nvidia."
        )

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:  # noqa: ARG002 - the protocol's
        """Nothing that could be counted."""
        return ()
