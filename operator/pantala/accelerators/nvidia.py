"""Whole cards through NVIDIA's device plugin."""

from pantala.api.pod import Accelerator
from pantala.manifest.types import PodParts

RESOURCE = "nvidia.com/gpu"
"""The extended resource of NVIDIA's device plugin: an integer, set as a limit (k8s-device-plugin, README)."""


class Nvidia:
    """Cards of the resource `nvidia.com/gpu`; the plugin tells the container which ones it got."""

    def claim(self, spec: Accelerator) -> PodParts:
        """Ask for the number of cards."""
        return PodParts(limits={RESOURCE: str(spec.count)})
