"""Slices of a card (MIG) through NVIDIA's device plugin.

Sources: NVIDIA/k8s-device-plugin, internal/rm (names of resources), internal/lm (labels of GPU feature discovery).
"""

import re

from pantala.accelerators import nvidia, units
from pantala.accelerators.base import Claim, Grant, Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

PREFIX = "nvidia.com/mig-"
"""Of the resources of slices with strategy Mixed; the profile follows, each plus sign written as a dot."""
MIG_STRATEGY = "nvidia.com/mig.strategy"
"""Label of GPU feature discovery: single or mixed, as the flag of the device plugin says."""

LEAST, MOST = 85, 105
"""Percent of the memory in a profile's name between which that of its slices lies: 4864 MiB are called 5gb, 16384 MiB 18gb
(NVIDIA, MIG user guide, "Supported MIG Profiles")."""

_PROFILE = re.compile(r"(?P<slices>\d)g\.(?P<gigabytes>\d+)gb(?P<more>.*)")
ONE_EACH = (
    "accelerator.count: a CUDA process uses one slice; run a process on each, such as a worker of the server, or take one"
    " slice of a larger profile."
)
_UNTOLD = (
    "accelerator.profile: with strategy Single no label of a node tells {more} in {profile}; name the node's cards in"
    " template.spec.nodeSelector, by nvidia.com/gpu.product."
)


class Mig:
    """Slices by their profile: a resource for each, or `nvidia.com/gpu` for all of a node."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """Ask for slices of the profile that are not shared in turn."""
        profile = str(spec.profile)
        slices, gigabytes, more = _parts(profile)
        warnings = (ONE_EACH,) if spec.count > 1 else ()
        if spec.strategy == "Single":
            resource, needs = nvidia.RESOURCE, _single(slices, gigabytes)
            if more:
                warnings = (*warnings, _UNTOLD.format(more=more, profile=profile))
        else:
            resource, needs = PREFIX + profile.replace("+", "."), ()
        unshared: Manifest = {
            "key": f"{resource}.sharing-strategy",
            "operator": "NotIn",
            "values": sorted(nvidia.STRATEGIES.values()),
        }
        grant = Grant(resource, f"{spec.count} x {profile}", f"{spec.count} x {profile}", "1 slice", spec.count)
        return Claim(
            PodParts(limits=units.limits([grant]), node_requirements=(unshared, *needs)),
            (grant,),
            spec.count,
            memory=memory(profile),
            warnings=warnings,
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:  # noqa: ARG002 - the protocol's
        """The share of time in which a slice works, 0 to 1 of that slice; its GPU_UTIL does not exist.

        Source: NVIDIA/DCGM, user guide, "Profiling Metrics", Multi-Instance GPU.
        """
        return Utilization("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 100.0, "pod", "namespace")

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:  # noqa: ARG002 - the protocol's
        """Slices that the node advertises, by profile, unless they are shared in turn."""
        labels = units.labels(node)
        card = labels.get(nvidia.PRODUCT, "")
        listed = {name: name for name in node.get("status", {}).get("allocatable", {}) if name.startswith(PREFIX)}
        if nvidia.SLICES in labels:
            listed[nvidia.RESOURCE] = nvidia.RESOURCE
        return tuple(
            Offer("mig", name, total, "slices", card)
            for name, labelled in listed.items()
            if (total := units.allocatable(node, name)) > 0
            and not name.endswith(".shared")
            and labels.get(f"{labelled}.sharing-strategy") not in nvidia.STRATEGIES.values()
        )


def memory(profile: str) -> Memory:
    """What a slice of a profile has, by its name: what can be used is a little less."""
    return Memory(_parts(profile)[1] * units.GIB, enforced=True)


def _single(slices: int, gigabytes: int) -> tuple[Manifest, ...]:
    """Nodes whose nvidia.com/gpu are slices of about this kind: the labels have no profile, only its figures."""
    mebibytes = gigabytes * 1024
    return (
        {"key": MIG_STRATEGY, "operator": "In", "values": ["single"]},
        {"key": nvidia.SLICES, "operator": "In", "values": [str(slices)]},
        {"key": nvidia.MEMORY, "operator": "Gt", "values": [str(mebibytes * LEAST // 100)]},
        {"key": nvidia.MEMORY, "operator": "Lt", "values": [str(mebibytes * MOST // 100)]},
    )


def _parts(profile: str) -> tuple[int, int, str]:
    """Compute slices, gigabytes and what follows them, as in `1g.10gb+me`."""
    match = _PROFILE.fullmatch(profile)
    if match is None:
        raise ValueError(f"{profile!r} is not a MIG profile")
    return int(match["slices"]), int(match["gigabytes"]), match["more"]
