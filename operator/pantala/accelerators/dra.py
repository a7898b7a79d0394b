"""Cards through DynamicResourceAllocation: a ResourceClaimTemplate, of which each pod gets a claim of its own.

Devices are named by DeviceClasses and by CEL expressions. An expression that fails on one device, for example because
the device lacks an attribute, ends the search on all of them (k8s.io/dynamic-resource-allocation, structured/internal),
so those made here ask first whether the attribute is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pantala.accelerators import mig
from pantala.accelerators.base import TEMPLATE_NAME, Claim, Grant, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator, CardType
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts

API_VERSION = "resource.k8s.io/v1"
"""Served by Kubernetes 1.34 and later (k8s.io/kubernetes, pkg/features/kube_features.go: DynamicResourceAllocation)."""
KIND = "ResourceClaimTemplate"
DRIVER = "gpu.nvidia.com"
"""NVIDIA's driver, and the domain of its attributes (kubernetes-sigs/dra-driver-nvidia-gpu, deviceinfo.go)."""
WHOLE, SLICE = "gpu.nvidia.com", "mig.nvidia.com"
"""The DeviceClasses of NVIDIA's chart: whole cards, and MIG slices."""
CLAIM = "cards"
"""Name of the pod's claim, which its server's container has."""

_ATTRIBUTES = "device.attributes[device.driver]"
_GPU = Utilization("DCGM_FI_DEV_GPU_UTIL", 1.0, "pod", "namespace")
_ENGINE = Utilization("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 100.0, "pod", "namespace")
"""A slice has no utilization of its own but this ratio (DCGM, field identifiers). dcgm-exporter knows the pods of claims
when it runs with KUBERNETES_ENABLE_DRA, but for slices that the driver cuts as needed: its gate DynamicMIG publishes them
before they have a UUID (kubernetes-sigs/dra-driver-nvidia-gpu, docs/guides/gpu-allocation/mig.md)."""


class Dra:
    """Devices of a DeviceClass that meet expressions."""

    def claim(self, spec: Accelerator, settings: AcceleratorSettings) -> Claim:  # noqa: ARG002 - the protocol's
        """Ask for a number of devices of one class, all on the pod's node."""
        name = device_class(spec)
        expressions = (*own_selectors(spec), *(spec.selectors or ()))
        exactly: Manifest = {"deviceClassName": name}
        if spec.count > 1:
            exactly["count"] = spec.count
        if expressions:
            exactly["selectors"] = [{"cel": {"expression": expression}} for expression in expressions]
        request = {"name": "mig" if name == SLICE else "gpu", "exactly": exactly}
        template = {"spec": {"devices": {"requests": [request]}}}
        parts = PodParts(resource_claims=({"name": CLAIM, "resourceClaimTemplateName": TEMPLATE_NAME},))
        if spec.profile is None:
            count = str(spec.count)
            return Claim(parts, (Grant(name, count, count, "1 device", spec.count),), spec.count, template=template)
        asked = f"{spec.count} x {spec.profile}"
        return Claim(
            parts,
            (Grant(name, asked, asked, "1 slice", spec.count),),
            spec.count,
            memory=mig.memory(spec.profile),
            warnings=(mig.ONE_EACH,) if spec.count > 1 else (),
            template=template,
        )

    def utilization(self, spec: Accelerator) -> Utilization | NoUtilization:
        """DCGM's, which tells slices by another series than whole cards; of other drivers nothing is known."""
        name = device_class(spec)
        if spec.profile is not None or name == SLICE:
            return _ENGINE
        if name == WHOLE:
            return _GPU
        return NoUtilization(
            f"Whose devices DeviceClass {name} names is not known, and so no series: scale on requests."
        )

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:  # noqa: ARG002 - the protocol's
        """Nothing: devices are in ResourceSlices, not on the node."""
        return ()


def device_class(spec: Accelerator) -> str:
    """The DeviceClass that is asked for."""
    return spec.device_class or (SLICE if spec.profile else WHOLE)


def own_selectors(spec: Accelerator) -> tuple[str, ...]:
    """The expressions that `profile` and `cardType` become; those of `selectors` come behind them."""
    found = []
    if spec.profile is not None:
        domain = f"device.attributes['{DRIVER}']"
        found.append(f"device.driver == '{DRIVER}' && 'profile' in {domain} && {domain}.profile == '{spec.profile}'")
    return (*found, *(_card_type(spec.card_type) if spec.card_type else ()))


def _card_type(kind: CardType) -> Iterable[str]:
    # No domain is named, so that drivers of other vendors count too which publish a productName.
    if kind.allow:
        yield f"'productName' in {_ATTRIBUTES} && {_any(kind.allow)}"
    if kind.deny:
        yield f"!('productName' in {_ATTRIBUTES}) || !{_any(kind.deny)}"


def _any(names: Iterable[str]) -> str:
    found = " || ".join(f"name.contains('{name.lower()}')" for name in names)
    return f"cel.bind(name, {_ATTRIBUTES}.productName.lowerAscii(), {found})"


def resource_claim_template(
    name: str, namespace: str, labels: Mapping[str, str], owner: Manifest, spec: Mapping[str, Any]
) -> Manifest:
    """The template out of which Kubernetes makes a ResourceClaim for each pod. Its spec can never change."""
    meta = {"name": name, "namespace": namespace, "labels": dict(labels), "ownerReferences": [owner]}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": dict(spec)}


class Cause(StrEnum):
    """Why a pod gets no devices."""

    CLASS = "class"
    """There is no such DeviceClass."""
    SELECTOR = "selector"
    """An expression fails."""
    COUNT = "count"
    """More is asked than one claim can hold."""
    DEVICES = "devices"
    """No node has as many free devices that match."""


@dataclass(frozen=True)
class Unallocated:
    """What the scheduler's words about a claim mean."""

    cause: Cause
    message: str
    """A sentence with the fields, the values and the figures."""
    step: str
    """What to do about it, a sentence."""


_NO_CLASS = re.compile(r"device class (\S+) does not exist")
_EXPRESSION = re.compile(
    r"(?P<what>claim|class) (?P<name>\S+): selector #(?P<index>\d+): CEL (?:runtime|compile) error: (?P<why>.+)"
)
_TOO_MANY = re.compile(r"number of requested devices (\d+) exceeds the claim limit of (\d+)")
_NONE = re.compile(r"(\d+) cannot allocate all claims")
_LOOK = "`pantala gpus --provider dra` lists devices and who has them."


def unallocated(text: str, spec: Accelerator) -> Unallocated | None:
    """What the scheduler's words mean for a version.

    The words are of k8s.io/kubernetes, pkg/scheduler/framework/plugins/dynamicresources, and of
    k8s.io/dynamic-resource-allocation, structured/internal (1.34 to 1.36).

    Args:
        text: Message of the pod's condition PodScheduled.
        spec: What the version asks for.

    Returns:
        None where the words are not about a claim, or about one that is on its way.
    """
    if found := _NO_CLASS.search(text):
        return Unallocated(
            Cause.CLASS,
            f"the cluster has no DeviceClass {found[1]}, which accelerator.deviceClass names or stands for.",
            "Install the driver that brings the class, or name one of `kubectl get deviceclasses`.",
        )
    if found := _EXPRESSION.search(text):
        return _failing(found, spec)
    if found := _TOO_MANY.search(text):
        return Unallocated(
            Cause.COUNT, f"accelerator.count is {found[1]}, and a claim holds {found[2]} devices.", "Lower count."
        )
    if found := _NONE.search(text):
        return Unallocated(
            Cause.DEVICES,
            f"no node has {_wanted(spec)} free, of {found[1]} that were looked at.",
            f"Ask for less in `accelerator`, free some, or add a node that has them. {_LOOK}",
        )
    return None


def unclaimed(pod: Mapping[str, Any]) -> str | None:
    """What to say if Kubernetes has made no claim for a pod, which no scheduler looks at before it has.

    The controller tells the cause in an event only (k8s.io/kubernetes, pkg/controller/resourceclaim/controller.go).
    """
    if (pod.get("status") or {}).get("resourceClaimStatuses"):
        return None
    return (
        "Kubernetes has not made its ResourceClaim, so no scheduler looks at it. The event FailedResourceClaimCreation says why:"
        f" `kubectl describe pod {pod['metadata']['name']}`. A ResourceQuota on resourceclaims or on devices of the class may be full."
    )


def _failing(found: re.Match[str], spec: Accelerator) -> Unallocated:
    index, why = int(found["index"]), found["why"].rstrip(". ")
    if found["what"] == "class":
        return Unallocated(
            Cause.SELECTOR,
            f"an expression of DeviceClass {found['name']} fails on a device: {why}.",
            "Whoever made the class must correct it.",
        )
    own, users = own_selectors(spec), spec.selectors or ()
    place = index - len(own)
    where = f"accelerator.selectors[{place}], `{users[place]}`," if 0 <= place < len(users) else f"selector {index}"
    return Unallocated(
        Cause.SELECTOR,
        f"{where} fails on a device, which ends the search for all pods of this version: {why}.",
        "Correct it; ask first for an attribute that some devices lack: `'x' in device.attributes['D'] && ...`.",
    )


def _wanted(spec: Accelerator) -> str:
    """What is asked for, in words."""
    things = f"{spec.count} device{'s' if spec.count > 1 else ''} of DeviceClass {device_class(spec)}"
    allow, deny = (spec.card_type.allow, spec.card_type.deny) if spec.card_type else (None, None)
    meets = [
        *([f"profile {spec.profile}"] if spec.profile else ()),
        *([f"cardType.allow {', '.join(allow)}"] if allow else ()),
        *([f"cardType.deny {', '.join(deny)}"] if deny else ()),
        *(["accelerator.selectors"] if spec.selectors else ()),
    ]
    return things + (f" that meet{'s' if spec.count == 1 else ''} {' and '.join(meets)}" if meets else "")
