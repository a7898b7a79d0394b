"""Whole cards, time slices and MPS shares through NVIDIA's device plugin."""

from pantala.accelerators import hami, units
from pantala.accelerators.base import Claim, Grant, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

RESOURCE = "nvidia.com/gpu"
"""The extended resource of NVIDIA's device plugin: an integer, set as a limit (k8s-device-plugin, README)."""
STRATEGY = "nvidia.com/gpu.sharing-strategy"
"""Label of GPU feature discovery: none, time-slicing or mps (k8s-device-plugin, internal/lm/resource.go)."""
SLICES = "nvidia.com/gpu.slices.gi"
"""Label of GPU feature discovery on nodes whose nvidia.com/gpu are slices of MIG: compute slices of each, 1 to 7.

The label nvidia.com/mig.strategy does not tell: it repeats a flag of the device plugin, which the GPU Operator sets to
`single` on all nodes, those without MIG too (k8s-device-plugin, internal/lm/mig-strategy.go, newMigStrategySingleLabeler)."""
PRODUCT = "nvidia.com/gpu.product"
"""Label of GPU feature discovery: the card's name, with dashes for blanks."""
MEMORY = "nvidia.com/gpu.memory"
"""Label of GPU feature discovery: MiB of each card, or of each slice where those are called nvidia.com/gpu."""
COUNT = "nvidia.com/gpu.count"
"""Label of GPU feature discovery: physical cards, those that are cut too; sharing does not change it."""

STRATEGIES = {"TimeSlicing": "time-slicing", "MPS": "mps"}
_CARDS: Manifest = {"key": SLICES, "operator": "DoesNotExist"}
_NOT_APART = (
    "accelerator.sharing: TimeSlicing keeps nobody's memory apart: a neighbour that takes all of it makes this model"
    " fail; use MPS, mig or hami where that matters."
)
_DCGM = Utilization("DCGM_FI_DEV_GPU_UTIL", 1.0, "pod", "namespace")
SHARED_CARD = NoUtilization(
    "DCGM measures the whole card, which other pods share: scale on RequestsPerSecond or QueueLength, give the model whole cards,"
    " or measure each pod and set the chart's value autoscaling.dcgm.sharedPerProcess.",
    shared=True,
)
"""Unless the exporter measures each pod's own processes: then it is what of whole cards is `Utilization`."""


class Nvidia:
    """Cards of the resource `nvidia.com/gpu`; the plugin tells the container which ones it got."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:
        """Ask for the number of cards, on nodes where a card is a whole one, or for one share where it is not."""
        if spec.sharing is None:
            # Without these, `nvidia.com/gpu: 1` may be a tenth of a card, or a slice. Nodes without the labels match.
            unshared: Manifest = {"key": STRATEGY, "operator": "NotIn", "values": sorted(STRATEGIES.values())}
            grant = units.cards(RESOURCE, spec.count)
            parts = PodParts(limits=units.limits([grant]), node_requirements=(unshared, _CARDS))
            return Claim(parts, (grant,), spec.count)
        shared: Manifest = {"key": STRATEGY, "operator": "In", "values": [STRATEGIES[spec.sharing]]}
        share = Grant(settings.shared_resource, "1", "1", "1 share", 1)
        parts = PodParts(limits=units.limits([share]), node_requirements=(shared, _CARDS))
        warnings = (_NOT_APART,) if spec.sharing == "TimeSlicing" else ()
        return Claim(parts, (share,), warnings=warnings)

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """DCGM's, of whole cards; of a shared one it says nothing about a single pod."""
        return _DCGM if spec.sharing is None else SHARED_CARD

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """Cards or shares that the node advertises; none where HAMi's device plugin does, under the same name."""
        labels = units.labels(node)
        if SLICES in labels or (hami.hands_out(node) and hami.COUNT not in settings.resource_names):
            return ()
        unit = "shares" if labels.get(STRATEGY) in STRATEGIES.values() else "cards"
        card, physical = labels.get(PRODUCT, ""), units.whole(labels.get(COUNT, ""))
        return tuple(
            Offer("nvidia", name, total, unit, card, total if unit == "cards" else physical)
            for name in dict.fromkeys((RESOURCE, settings.shared_resource))
            if (total := units.allocatable(node, name)) > 0
        )
