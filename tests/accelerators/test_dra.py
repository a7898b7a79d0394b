"""Cards through DynamicResourceAllocation: what is asked for, and what the scheduler's words mean."""

from typing import Any

import pytest

from pantala.accelerators import dra
from pantala.accelerators.base import TEMPLATE_NAME, Memory, NoUtilization, Utilization
from pantala.accelerators.dra import Cause, Dra
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from tests.golden import assert_golden

SETTINGS = AcceleratorSettings()
OWNER = {"apiVersion": "pantala.dev/v1alpha1", "kind": "InferenceModel", "name": "resnet", "uid": "1"}
HOPPER = "device.attributes['gpu.nvidia.com'].architecture == 'Hopper'"


def spec(**fields: Any) -> Accelerator:
    """A block of provider dra."""
    return Accelerator.model_validate({"provider": "dra", **fields})


CASES = {
    "plain": spec(),
    "cards": spec(
        count=2,
        deviceClass="gpu.example.com",
        cardType={"allow": ["A100", "H100"], "deny": ["PCIE"]},
        selectors=[HOPPER],
    ),
    "profile": spec(profile="1g.10gb+me", count=3, selectors=[HOPPER]),
}


@pytest.mark.parametrize("case", CASES)
def test_template(case: str) -> None:
    """A block becomes exactly the template that was reviewed."""
    made = Dra().claim(CASES[case], SETTINGS)
    assert made.template is not None
    found = dra.resource_claim_template("resnet-v1-0123abcd", "vision", {"a": "b"}, OWNER, made.template)
    assert_golden(f"dra-{case}/template.yaml", found)


@pytest.mark.parametrize("case", CASES)
def test_pod_names_the_template(case: str) -> None:
    """The pod has one claim out of the template; no resource, no variable and no scheduler of another kind."""
    made = Dra().claim(CASES[case], SETTINGS)
    assert made.parts.resource_claims == ({"name": "cards", "resourceClaimTemplateName": TEMPLATE_NAME},)
    assert (made.parts.limits, made.parts.env, made.parts.scheduler_name) == ({}, (), None)
    assert made.cards == CASES[case].count


def test_grants() -> None:
    """Devices are counted as they are asked for; a slice has the memory of its profile, and one process uses one."""
    (whole,) = Dra().claim(CASES["cards"], SETTINGS).grants
    assert (whole.resource, whole.asked, whole.granted, whole.unit, whole.amount) == (
        "gpu.example.com",
        "2",
        "2",
        "1 device",
        2,
    )
    made = Dra().claim(CASES["profile"], SETTINGS)
    (slices,) = made.grants
    assert (slices.resource, slices.asked, slices.unit, slices.amount) == (
        "mig.nvidia.com",
        "3 x 1g.10gb+me",
        "1 slice",
        3,
    )
    assert made.memory == Memory(10 << 30, enforced=True)
    assert "one slice" in made.warnings[0]
    assert Dra().claim(CASES["plain"], SETTINGS).memory is None


@pytest.mark.parametrize(
    ("fields", "series"),
    [
        ({}, "DCGM_FI_DEV_GPU_UTIL"),
        ({"deviceClass": "gpu.nvidia.com"}, "DCGM_FI_DEV_GPU_UTIL"),
        ({"profile": "1g.10gb"}, "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
        ({"deviceClass": "mig.nvidia.com"}, "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
    ],
)
def test_utilization(fields: dict[str, Any], series: str) -> None:
    """NVIDIA's classes tell which series there is."""
    found = Dra().utilization(spec(**fields))
    assert isinstance(found, Utilization)
    assert found.series == series


def test_utilization_of_other_classes() -> None:
    """Of another class it is said that nothing is known, by its name."""
    found = Dra().utilization(spec(deviceClass="gpu.example.com"))
    assert isinstance(found, NoUtilization)
    assert "gpu.example.com" in found.why


WORDS = {
    "class": (
        spec(deviceClass="big.example.com"),
        (
            "0/4 nodes are available: request cards: device class big.example.com does not exist. no new claims to deallocate, "
            "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
        ),
        Cause.CLASS,
        "the cluster has no DeviceClass big.example.com",
    ),
    "none": (
        spec(count=16, cardType={"allow": ["H100"]}),
        (
            "0/4 nodes are available: 1 node(s) were unschedulable, 3 cannot allocate all claims. still not schedulable, "
            "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
        ),
        Cause.DEVICES,
        "16 devices of DeviceClass gpu.nvidia.com that meet cardType.allow H100 free, of 3 that were looked at",
    ),
    "one": (
        spec(profile="1g.10gb"),
        "0/4 nodes are available: 4 cannot allocate all claims.",
        Cause.DEVICES,
        "1 device of DeviceClass mig.nvidia.com that meets profile 1g.10gb free, of 4 that were looked at",
    ),
    "key": (
        spec(profile="1g.10gb", selectors=["true", "device.attributes['gpu.nvidia.com'].nokey == 'x'"]),
        'running "DynamicResources" filter plugin: claim default/m-cards-lcf5l: selector #2: CEL runtime error: no such key: nokey',
        Cause.SELECTOR,
        "accelerator.selectors[1], `device.attributes['gpu.nvidia.com'].nokey == 'x'`, fails on a device",
    ),
    "class's own": (
        spec(),
        'running "DynamicResources" filter plugin: class gpu.nvidia.com: selector #0: CEL runtime error: no such key: type',
        Cause.SELECTOR,
        "an expression of DeviceClass gpu.nvidia.com fails on a device: no such key: type",
    ),
    "count": (
        spec(count=32),
        (
            'running "DynamicResources" filter plugin: claim default/m-cards-ntj87: number of requested devices 64 exceeds the claim '
            "limit of 32"
        ),
        Cause.COUNT,
        "a claim holds 32 devices",
    ),
}
"""What a scheduler 1.36 said, with what it was asked for and what that means."""


@pytest.mark.parametrize("case", WORDS)
def test_words(case: str) -> None:
    """The scheduler's words are told with the field, the value and a next step."""
    block, text, cause, words = WORDS[case]
    found = dra.unallocated(text, block)
    assert found is not None
    assert found.cause is cause
    assert words in found.message
    assert found.message.endswith(".")
    assert found.step.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "0/4 nodes are available: 4 Insufficient cpu.",
        "0/4 nodes are available: resource claim vision/m-cards-x is in the process of being allocated.",
        "",
    ],
)
def test_other_words(text: str) -> None:
    """What is about something else, or passes by itself, is left to others."""
    assert dra.unallocated(text, spec()) is None


def test_claims_that_are_not_made() -> None:
    """A pod without a claim is told with the command that shows why; one that has its claim is not."""
    pod: dict[str, Any] = {"metadata": {"name": "m-0"}, "status": {"phase": "Pending"}}
    found = dra.unclaimed(pod)
    assert found is not None
    assert "`kubectl describe pod m-0`" in found
    pod["status"]["resourceClaimStatuses"] = [{"name": "cards", "resourceClaimName": "m-0-cards-x"}]
    assert dra.unclaimed(pod) is None


def test_what_each_expression_asks() -> None:
    """Those made here ask for the attribute before they read it: one that fails would end the search on all devices."""
    for case in CASES.values():
        for expression in dra.own_selectors(case):
            first = expression.split("&&")[0] + expression.split("||")[0]
            assert "in device.attributes" in first or "device.driver ==" in first
