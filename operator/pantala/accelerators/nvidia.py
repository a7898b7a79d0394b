"""Whole cards, time slices and MPS shares through NVIDIA's device plugin."""

from pantala.accelerators.base import Claim, Grant, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

RESOURCE = "nvidia.com/gpu"
"""The extended resource of NVIDIA's device plugin: an integer, set as a limit (k8s-device-plugin, README)."""
STRATEGY = "nvidia.com/gpu.sharing-strategy"
"""Label of GPU feature discovery: none, time-slicing or mps (k8s-device-plugin, internal/lm/resource.go)."""
MIG_STRATEGY = "nvidia.com/mig.strategy"
"""Label of GPU feature discovery: single or mixed. With single every slice of a card is called nvidia.com/gpu."""
PRODUCT = "nvidia.com/gpu.product"
"""Label of GPU feature discovery: the card's name, with dashes for blanks."""

_STRATEGIES = {"TimeSlicing": "time-slicing", "MPS": "mps"}
_NOT_APART = (
    "accelerator.sharing: TimeSlicing keeps nobody's memory apart: a neighbour that takes all of it makes this model"
    " fail; use MPS, mig or hami where that matters."
)
_DCGM = Utilization("DCGM_FI_DEV_GPU_UTIL", 1.0, "pod", "namespace")
_DEVICE = NoUtilization(
    "DCGM measures the whole card, which other pods share: scale on requests, or give the model whole cards."
)


class Nvidia:
    """Cards of the resource `nvidia.com/gpu`; the plugin tells the container which ones it got."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:
        """Ask for the number of cards, on nodes where a card is a whole one, or for one share where it is not."""
        if spec.sharing is None:
            # Without these, `nvidia.com/gpu: 1` may be a tenth of a card, or a slice. Nodes without the labels match.
            whole: tuple[Manifest, ...] = (
                {"key": STRATEGY, "operator": "NotIn", "values": sorted(_STRATEGIES.values())},
                {"key": MIG_STRATEGY, "operator": "NotIn", "values": ["single"]},
            )
            parts = PodParts(limits={RESOURCE: str(spec.count)}, node_requirements=whole)
            grant = Grant(RESOURCE, str(spec.count), str(spec.count), "1 card", spec.count)
            return Claim(parts, (grant,), spec.count)
        resource = settings.shared_resource
        shared: Manifest = {"key": STRATEGY, "operator": "In", "values": [_STRATEGIES[spec.sharing]]}
        parts = PodParts(limits={resource: "1"}, node_requirements=(shared,))
        warnings = (_NOT_APART,) if spec.sharing == "TimeSlicing" else ()
        return Claim(parts, (Grant(resource, "1", "1", "1 share", 1),), warnings=warnings)

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """DCGM's, of whole cards; of a shared one it says nothing about a single pod."""
        return _DCGM if spec.sharing is None else _DEVICE

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """Cards or shares that the node advertises."""
        labels = node["metadata"].get("labels", {})
        if labels.get(MIG_STRATEGY) == "single":
            return ()
        shared = labels.get(STRATEGY) in _STRATEGIES.values()
        allocatable = node.get("status", {}).get("allocatable", {})
        card = labels.get(PRODUCT, "")
        return tuple(
            Offer("nvidia", name, int(allocatable[name]), "shares" if shared else "cards", card)
            for name in dict.fromkeys((RESOURCE, settings.shared_resource))
            if int(allocatable.get(name, 0)) > 0
        )
