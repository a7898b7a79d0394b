"""Devices of DynamicResourceAllocation, and who has them."""

from typing import Any

from pantala.accelerators.devices import Device, devices
from tests.cli.fleet import claim, device, resource_slice


def only(slices: list[dict[str, Any]], claims: list[dict[str, Any]] | None = None) -> dict[str, Device]:
    """The devices by name."""
    return {one.name: one for one in devices(slices, claims or [])}


def test_newest_generation() -> None:
    """While a driver replaces its slices, the old ones do not count."""
    old = resource_slice("a", "n", [device("gpu-0", type="gpu"), device("gpu-1", type="gpu")])
    new = resource_slice("b", "n", [device("gpu-0", type="gpu")], generation=2)
    assert list(only([new, old])) == ["gpu-0"]


def test_classes_and_drivers() -> None:
    """NVIDIA's devices are counted by class, also where the domain of an attribute is written out; others by driver."""
    written_out = device("mig-0", **{"gpu.nvidia.com/type": "mig", "gpu.nvidia.com/profile": "1g.10gb"})
    slices = [
        resource_slice("a", "n", [device("gpu-0", type="gpu", productName="NVIDIA A100"), written_out]),
        resource_slice("b", "n", [device("arc-0")], driver="gpu.intel.com"),
        resource_slice("c", "n", [device("channel-0")], driver="compute-domain.nvidia.com"),
    ]
    found = {name: (one.resource, one.model) for name, one in only(slices).items()}
    assert found == {
        "gpu-0": ("gpu.nvidia.com", "NVIDIA A100"),
        "mig-0": ("mig.nvidia.com", "1g.10gb"),
        "arc-0": ("gpu.intel.com", ""),
    }


def test_holders() -> None:
    """A device belongs to the pods of its claim, or to the claim that no pod uses yet; administrators take nothing."""
    slices = [resource_slice("a", "n", [device(f"gpu-{index}", type="gpu") for index in range(4)])]
    looks = claim("looks", "gpu-2", on="n", pods=["monitor"])
    looks["status"]["allocation"]["devices"]["results"][0]["adminAccess"] = True
    claims = [
        claim("one", "gpu-0", on="n", pods=["b", "a"]),
        claim("two", "gpu-1", on="n"),
        looks,
        claim("waits", on="n"),
    ]
    found = {name: one.holders for name, one in only(slices, claims).items()}
    assert found == {"gpu-0": ("gpus/a", "gpus/b"), "gpu-1": ("gpus/two",), "gpu-2": (), "gpu-3": ()}


def test_same_name_elsewhere() -> None:
    """Devices of two nodes, and of two drivers, have the same names and are different ones."""
    slices = [resource_slice(on, on, [device("gpu-0", type="gpu")]) for on in ("n1", "n2")]
    found = devices(slices, [claim("one", "gpu-0", on="n2"), claim("other", "gpu-0", on="n1", driver="gpu.intel.com")])
    assert [(one.node, one.holders) for one in found] == [("n1", ()), ("n2", ("gpus/one",))]


def test_parts_of_what_is_taken() -> None:
    """A card that can be cut is not free while a part of it is taken, and its parts are not while it is."""
    whole, first, second = device("gpu-0", type="gpu"), device("mig-a", type="mig"), device("mig-b", type="mig")
    for one, needed in ((whole, "80Gi"), (first, "40Gi"), (second, "40Gi")):
        one["consumesCounters"] = [{"counterSet": "gpu-0", "counters": {"memory": {"value": needed}}}]
    made = resource_slice("a", "n", [whole, first, second])
    made["spec"]["sharedCounters"] = [{"name": "gpu-0", "counters": {"memory": {"value": "80Gi"}}}]
    assert not any(one.closed for one in only([made]).values())
    cut = only([made], [claim("part", "mig-a", on="n")])
    assert [name for name, one in cut.items() if one.closed] == ["gpu-0"]
    given = only([made], [claim("all", "gpu-0", on="n")])
    assert [name for name, one in given.items() if one.closed] == ["mig-a", "mig-b"]


def test_taints() -> None:
    """A device that its driver taints can be had by nobody, unless somebody has it."""
    broken, fine, held = (device(name, type="gpu") for name in ("gpu-0", "gpu-1", "gpu-2"))
    broken["taints"] = held["taints"] = [{"key": "gpu.nvidia.com/unhealthy", "effect": "NoSchedule"}]
    found = only([resource_slice("a", "n", [broken, fine, held])], [claim("one", "gpu-2", on="n")])
    assert [name for name, one in found.items() if one.closed] == ["gpu-0"]
