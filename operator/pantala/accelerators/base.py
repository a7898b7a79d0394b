"""What every vendor module offers."""

from typing import Protocol

from pantala.api.pod import Accelerator as AcceleratorSpec
from pantala.manifest.types import PodParts


class Accelerator(Protocol):
    """One vendor's way of asking for cards. Pure."""

    def claim(self, spec: AcceleratorSpec) -> PodParts:
        """What a pod needs so that the scheduler finds a node with the cards and the server sees them, and no others."""
        ...
