"""Whole cards, and shares of one, through Tencent's gpu-manager, kept by its CUDA library.

Sources: tkestack/gpu-manager, README.md and pkg/services/allocator/nvidia/allocator.go; tkestack/gpu-admission, pkg/predicate.
Compute between cards (150), and a share without memory, are accepted by the scheduler and refused by the kubelet, pod after
pod; the rules refuse them before.
"""

from pantala.accelerators import nvidia, units
from pantala.accelerators.base import Claim, Grant, Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

CORES = "tencent.com/vcuda-core"
"""Percent of one card's compute below 100, else hundreds: one for each whole card."""
MEMORY = "tencent.com/vcuda-memory"
"""Blocks of the memory of one card; without effect on whole cards."""
BLOCK = 256 * units.MIB
"""Bytes of one of them."""
LIMIT = "tencent.com/vcuda-core-limit"
"""Annotation of a pod: percent of a card up to which it may take what others leave idle."""
MODEL = "gaia.tencent.com/gpu-model"
"""Label that gpu-manager may write: the second word of the card's name."""
CARD = 100
"""Units of compute of a whole card."""


class Tencent:
    """`tencent.com/vcuda-core` and `tencent.com/vcuda-memory`."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """Whole cards as hundreds of compute, or a share of one card with its memory."""
        core = spec.core_percent or CARD
        if core == CARD or spec.memory_per_card is None:
            whole = Grant(CORES, str(spec.count), str(spec.count), units.CORES, CARD * spec.count)
            return Claim(PodParts(limits=units.limits([whole])), (whole,), spec.count)
        memory = units.memory(MEMORY, spec.memory_per_card, BLOCK)
        share = (units.percent(CORES, core), memory)
        above = (units.percent(LIMIT, spec.core_limit),) if spec.core_limit else ()
        return Claim(
            PodParts(limits=units.limits(share), annotations={it.resource: str(it.amount) for it in above}),
            (*share, *above),
            memory=Memory(memory.amount * BLOCK, enforced=True),
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """gpu-manager's sum over the cards of the pod, at `/metric` (pkg/services/display/display.go)."""
        share = spec.core_percent or CARD
        granted = share if share < CARD else CARD * spec.count
        return Utilization("container_gpu_utilization", 1.0, "pod_name", "namespace", {"gpu": "total"}, granted)

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """Compute and blocks of memory that the node advertises; it does not tell them by card, and takes them for equal."""
        names = {name: settings.resource_names.get(name, name) for name in (CORES, MEMORY)}
        cards = units.allocatable(node, names[CORES]) // CARD
        labels = units.labels(node)
        card = labels.get(nvidia.PRODUCT) or labels.get(MODEL, "")
        return tuple(
            Offer("tencent", names[name], total, unit, card, cards, total // cards if cards else 0)
            for name, unit in ((CORES, "%"), (MEMORY, "256 MiB"))
            if (total := units.allocatable(node, names[name])) > 0
        )
