"""Which module serves which provider: a new vendor is one line here."""

from pantala.accelerators.base import Accelerator
from pantala.accelerators.nvidia import Nvidia
from pantala.api.pod import Accelerator as AcceleratorSpec
from pantala.manifest.types import PodParts

PROVIDERS: dict[str, Accelerator] = {"nvidia": Nvidia()}
"""The vendors by `accelerator.provider`."""

# CUDA images carry NVIDIA_VISIBLE_DEVICES=all. On a node whose default runtime is NVIDIA's, such a container sees every
# card although it was given none (k8s-device-plugin, README). `void` makes that runtime behave like runc
# (nvidia-container-toolkit, "Environment variables"); elsewhere the variable means nothing.
_NO_CARDS = PodParts(env=({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},))


def get(provider: str) -> Accelerator:
    """The module of a provider.

    Raises:
        KeyError: The operator does not know the provider.
    """
    return PROVIDERS[provider]


def claim(spec: AcceleratorSpec | None) -> PodParts:
    """What the server's container needs for its cards, or to be kept from seeing cards that it did not ask for.

    Raises:
        KeyError: The operator does not know the provider.
    """
    return _NO_CARDS if spec is None else get(spec.provider).claim(spec)
