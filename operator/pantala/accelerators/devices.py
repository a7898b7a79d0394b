"""What DynamicResourceAllocation offers and has given away, from ResourceSlices and ResourceClaims (resource.k8s.io/v1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pantala.api import quantity
from pantala.manifest.types import Manifest

_CLASSES = {"gpu": "gpu.nvidia.com", "mig": "mig.nvidia.com", "vfio": "vfio.gpu.nvidia.com"}
"""DeviceClass by the attribute `type`, as the chart of NVIDIA's driver has them (kubernetes-sigs/dra-driver-nvidia-gpu,
deployments/helm). What other drivers offer is counted by the driver."""
_NVIDIA = "gpu.nvidia.com"

_Name = tuple[str, str, str]
"""Driver, pool and name of a device: what an allocation points to."""


@dataclass(frozen=True)
class Device:
    """One device, and who has it."""

    node: str
    """Empty: several nodes can reach it."""
    resource: str
    """DeviceClass that it is of, or the driver."""
    name: str
    model: str
    """Name of the card, and the profile of a slice of it."""
    holders: tuple[str, ...] = ()
    """`namespace/name` of the pods, or of the claim where no pod uses that."""
    closed: bool = False
    """Nobody has it, and nobody can get it: a taint forbids it, or it is a part of what is taken."""
    shared: bool = False
    """It may be given to several claims."""


def devices(slices: Iterable[Manifest], claims: Iterable[Manifest]) -> list[Device]:
    """The GPUs of all drivers that have `gpu` in their names: others offer network cards and the like."""
    found = list(_newest(slices))
    held = _holders(claims)
    named: dict[_Name, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        (spec["driver"], spec["pool"]["name"], device["name"]): (spec, device)
        for spec in found
        for device in spec.get("devices") or ()
    }
    left = _left(found, (name for name in named if name in held), named)
    return [
        Device(
            node=device.get("nodeName") or spec.get("nodeName") or "",
            resource=_CLASSES.get(_text(spec, device, "type"), name[0]) if name[0] == _NVIDIA else name[0],
            name=name[2],
            model=" ".join(filter(None, (_text(spec, device, "productName"), _text(spec, device, "profile")))),
            holders=tuple(sorted(held.get(name, ()))),
            closed=name not in held
            and (_tainted(device) or any(left[key] < need for key, need in _needs(name, device))),
            shared=bool(device.get("allowMultipleAllocations")),
        )
        for name, (spec, device) in sorted(named.items())
    ]


def _newest(slices: Iterable[Manifest]) -> Iterator[Mapping[str, Any]]:
    """The slices of each pool's newest generation: while a driver writes a new one, the old one is still there."""
    pools: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for item in slices:
        spec = item["spec"]
        if "gpu" in spec["driver"]:
            pools[spec["driver"], spec["pool"]["name"]].append(spec)
    for found in pools.values():
        newest = max(spec["pool"]["generation"] for spec in found)
        yield from (spec for spec in found if spec["pool"]["generation"] == newest)


def _holders(claims: Iterable[Manifest]) -> dict[_Name, set[str]]:
    """Who has which device; access for administrators takes nothing from anybody."""
    found: dict[_Name, set[str]] = defaultdict(set)
    for claim in claims:
        meta, status = claim["metadata"], claim.get("status") or {}
        users = [item["name"] for item in status.get("reservedFor") or () if item["resource"] == "pods"]
        names = {f"{meta['namespace']}/{user}" for user in users or [meta["name"]]}
        results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
        for result in results:
            if not result.get("adminAccess"):
                found[result["driver"], result["pool"], result["device"]] |= names
    return found


_Counter = tuple[str, str, str, str]
"""Driver, pool, set and name of a counter that devices share, such as the memory of a card that can be cut in several ways."""


def _left(
    specs: Iterable[Mapping[str, Any]],
    held: Iterable[_Name],
    named: Mapping[_Name, tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> Mapping[_Counter, Decimal]:
    """What is left of the counters that devices share (Kubernetes, KEP-4815)."""
    left: defaultdict[_Counter, Decimal] = defaultdict(Decimal)
    for spec in specs:
        for group in spec.get("sharedCounters") or ():
            for name, counter in group["counters"].items():
                left[spec["driver"], spec["pool"]["name"], group["name"], name] = _value(counter)
    for name in held:
        for key, need in _needs(name, named[name][1]):
            left[key] -= need
    return left


def _needs(name: _Name, device: Mapping[str, Any]) -> Iterator[tuple[_Counter, Decimal]]:
    for group in device.get("consumesCounters") or ():
        for counter, need in group["counters"].items():
            yield (name[0], name[1], group["counterSet"], counter), _value(need)


def _value(counter: Mapping[str, Any]) -> Decimal:
    return quantity.parse(str(counter["value"])) or Decimal()


def _tainted(device: Mapping[str, Any]) -> bool:
    return any(taint["effect"] in {"NoSchedule", "NoExecute"} for taint in device.get("taints") or ())


def _text(spec: Mapping[str, Any], device: Mapping[str, Any], name: str) -> str:
    """An attribute of the driver's own domain, which may be written out."""
    attributes = device.get("attributes") or {}
    found = attributes.get(name) or attributes.get(f"{spec['driver']}/{name}") or {}
    return str(found.get("string", ""))
