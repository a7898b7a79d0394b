"""Which module serves which provider: a new vendor is one line here."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pantala.accelerators.aliyun import Aliyun
from pantala.accelerators.base import Accelerator, Claim
from pantala.accelerators.dra import Dra
from pantala.accelerators.hami import Hami
from pantala.accelerators.mig import Mig
from pantala.accelerators.nvidia import Nvidia
from pantala.accelerators.tencent import Tencent
from pantala.accelerators.visible_devices import VisibleDevices
from pantala.accelerators.volcano import Volcano
from pantala.api import rules_escapes
from pantala.api.accelerator import Accelerator as AcceleratorSpec
from pantala.api.rules import Node, rules_of
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Invalid, PodParts

PROVIDERS: dict[str, Accelerator] = {
    "nvidia": Nvidia(),
    "mig": Mig(),
    "hami": Hami(),
    "volcano": Volcano(),
    "tencent": Tencent(),
    "aliyun": Aliyun(),
    "dra": Dra(),
    "visible-devices": VisibleDevices(),
}
"""The vendors by `accelerator.provider`."""

_OWN_NAMES = frozenset({"nvidia", "mig"})
"""Providers whose resources cannot be renamed: what HAMi calls nvidia.com/gpu may be, beside NVIDIA's own plugin."""

# CUDA images carry NVIDIA_VISIBLE_DEVICES=all. On a node whose default runtime is NVIDIA's, such a container sees every
# card although it was given none (k8s-device-plugin, README). `void` makes that runtime behave like runc
# (nvidia-container-toolkit, "Environment variables"); elsewhere the variable means nothing.
NO_CARDS = PodParts(env=({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},))
"""What a container that asks for no card needs so that it sees none. Never for one that asks: a pod's own value wins over
the device plugin's, and the card would be gone."""


def provider(spec: AcceleratorSpec, node_selector: Mapping[str, str], settings: AcceleratorSettings) -> str:
    """Who hands out the cards: the spec's choice, that of the node pool, or the installation's.

    Args:
        spec: What is asked for.
        node_selector: Labels that the pod demands of its node.
        settings: The installation's.
    """
    if spec.provider is not None:
        return spec.provider
    for labels, name in settings.pools:
        if labels.items() <= node_selector.items():
            return name
    return settings.provider


def claim(
    spec: AcceleratorSpec, name: str, settings: AcceleratorSettings, around: Node = MappingProxyType({})
) -> Claim | Invalid:
    """What a pod asks of a provider, or why this one cannot express it.

    Args:
        spec: What is asked for.
        name: The provider, as `provider` says.
        settings: The installation's.
        around: What else the version says, `template` and `runtime`, which may be in the provider's way.
    """
    known = PROVIDERS.get(name)
    origin = "" if spec.provider else f"accelerator.provider is not set, so the installation's {name} is meant: "
    if known is None:
        message = f"{origin}there is no provider {name}; known are {', '.join(PROVIDERS)}."
        return Invalid("UnknownProvider", message, "accelerator.provider")
    if spec.provider is None:
        # Admission could not ask these: a CEL rule sees no settings.
        block = spec.as_dict() | {"provider": name}
        for rule in rules_of("Accelerator"):
            if not rule.holds(block):
                return Invalid("NotExpressible", f"{origin}{rule.message}.", f"accelerator{rule.field}")
        whole = {"runtime": {}, **around, "versions": [{"accelerator": block}]}
        for rule in rules_escapes.RULES:
            if rule.block == "Spec" and not rule.holds(whole):
                return Invalid("NotExpressible", f"{origin}{rule.message}.", rule.field.removeprefix("."))
    made = known.claim(spec.model_copy(update={"provider": name}), settings)
    return made if name in _OWN_NAMES else _renamed(made, settings.resource_names)


def _renamed(made: Claim, names: Mapping[str, str]) -> Claim:
    """The claim in the installation's names of resources."""
    if not names:
        return made
    limits = {names.get(resource, resource): amount for resource, amount in made.parts.limits.items()}
    grants = tuple(replace(grant, resource=names.get(grant.resource, grant.resource)) for grant in made.grants)
    return replace(made, parts=replace(made.parts, limits=limits), grants=grants)
