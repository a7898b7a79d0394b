"""Cards by DynamicResourceAllocation: the real scheduler and resource claim controller, and a stand-in for the driver."""

from collections.abc import Callable
from typing import Any

import pytest

from pantala.accelerators import dra
from pantala.accelerators.base import Claim
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from tests.apiserver.devices import TEMPLATE, TURING, block, given, message, remove
from tests.apiserver.models import Api
from tests.apiserver.operator_process import Installation, Space

pytestmark = pytest.mark.apiserver

ASKS: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "any": (block(count=4), "kwok-0", {"gpu-0", "gpu-1", "gpu-2", "gpu-3"}),
    "allowed": (block(count=2, cardType={"allow": ["h100", "H200"]}), "kwok-1", {"gpu-0", "gpu-1"}),
    "denied": (block(cardType={"deny": ["A100", "H100"]}), "kwok-2", {"gpu-0", "gpu-1"}),
    "chosen": (block(count=2, selectors=[TURING]), "kwok-2", {"gpu-0", "gpu-1"}),
    "profile": (block(profile="3g.20gb"), "kwok-3", {"gpu-0-mig-3g20gb-0"}),
    "slices": (
        block(profile="1g.5gb", count=2),
        "kwok-3",
        {"gpu-0-mig-1g5gb-0", "gpu-0-mig-1g5gb-1", "gpu-0-mig-1g5gb-2", "gpu-0-mig-1g5gb-3"},
    ),
    "class": (block(deviceClass="mig.nvidia.com", selectors=["device.attributes[device.driver].profile == '3g.20gb'"]),
              "kwok-3", {"gpu-0-mig-3g20gb-0"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def space(dra_driver: None, install: Callable[..., Installation]) -> Space:
    """A namespace with an operator that has rights in it alone."""
    made = install()
    made.start().wait("leader")
    return made.space


@pytest.mark.parametrize("ask", ASKS)
def test_devices_are_given(space: Space, ask: str) -> None:
    """The scheduler gives the pod as many devices as it asks for, of the right kind, and the model answers."""
    accelerator, node, right = ASKS[ask]
    space.model(ask, accelerator=accelerator)
    space.wait_ready(ask)
    found = given(space, ask)
    assert len(found) == len(set(found)) == accelerator.get("count", 1)
    assert {pool for pool, _ in found} == {node}
    assert {device for _, device in found} <= right
    (pod,) = space.list("Pod", model=ask)
    assert pod["spec"]["nodeName"] == node
    (status,) = space.status(ask)["versions"]
    assert status["accelerator"]["provider"] == "dra"
    remove(space, ask)


def test_two_replicas_have_a_claim_each(space: Space) -> None:
    """Each replica has devices of its own."""
    space.model("replicas", accelerator=block(cardType={"allow": ["T4"]}), scaling={"minReplicas": 2})
    space.wait_ready("replicas")
    assert sorted(given(space, "replicas")) == [("kwok-2", "gpu-0"), ("kwok-2", "gpu-1")]
    remove(space, "replicas")


def test_more_than_there_is(space: Space) -> None:
    """What no node has is said with its figures; it heals when the ask is lowered."""
    space.model("much", accelerator=block(count=5, cardType={"allow": ["A100"]}))
    text = message(space, "much", "NoGPU")
    assert "5 devices of DeviceClass gpu.nvidia.com that meet cardType.allow A100" in text
    assert "pantala gpus" in text
    space.patch("InferenceModel", "much", {"spec": {"accelerator": {"count": 4}}})
    space.wait_ready("much")
    assert len(given(space, "much")) == 4
    remove(space, "much")


def test_taken_by_others(space: Space) -> None:
    """Devices that others have are not free; they are when the others go."""
    space.model("first", accelerator=block(count=2, cardType={"allow": ["H100"]}))
    space.wait_ready("first")
    space.model("second", accelerator=block(cardType={"allow": ["H100"]}))
    message(space, "second", "NoGPU")
    space.delete("InferenceModel", "first")
    space.wait_ready("second")
    remove(space, "second")


def test_no_such_class(space: Space) -> None:
    """A DeviceClass that does not exist is named, and the model heals when it comes."""
    space.model("class-less", accelerator=block(deviceClass="late.example.com"))
    text = message(space, "class-less", "CardsMissing")
    assert "DeviceClass late.example.com" in text
    assert "kubectl get deviceclasses" in text
    made = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "late.example.com"},
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]},
    }
    path = "/apis/resource.k8s.io/v1/deviceclasses"
    space.api.call("POST", path, made)
    try:
        space.wait_ready("class-less")
        remove(space, "class-less")
    finally:
        space.api.call("DELETE", f"{path}/late.example.com")


def test_a_claim_that_is_not_made(space: Space) -> None:
    """A quota keeps Kubernetes from making the claim, about which only an event tells: the model says where, and heals."""
    path = f"/api/v1/namespaces/{space.name}/resourcequotas"
    quota = {"metadata": {"name": "no-claims"}, "spec": {"hard": {"count/resourceclaims.resource.k8s.io": "0"}}}
    space.api.call("POST", path, quota)
    space.wait(lambda: "hard" in space.api.call("GET", f"{path}/no-claims").get("status", {}), "the quota counts")
    space.model("claimless", accelerator=block())
    text = message(space, "claimless", "ClaimMissing")
    assert "kubectl describe pod claimless-v1-" in text
    space.api.call("DELETE", f"{path}/no-claims")
    space.wait_ready("claimless")
    remove(space, "claimless")


def test_an_expression_that_fails(space: Space) -> None:
    """An attribute that a device lacks ends the search: the expression and its error are told, by the field."""
    space.model("keyless", accelerator=block(selectors=["device.attributes['gpu.nvidia.com'].nokey == 'x'"]))
    text = message(space, "keyless", "InvalidSpec")
    assert "accelerator.selectors[0]" in text
    assert "no such key: nokey" in text
    guarded = ["!('nokey' in device.attributes['gpu.nvidia.com'])"]
    space.patch("InferenceModel", "keyless", {"spec": {"accelerator": {"selectors": guarded}}})
    space.wait_ready("keyless")
    remove(space, "keyless")


def test_everywhere(dra_driver: None, install: Callable[..., Installation]) -> None:
    """With rights in the whole cluster it is the same."""
    made = install(everywhere=True)
    operator = made.start().wait("leader")
    made.space.model("wide", accelerator=block(profile="1g.5gb"))
    made.space.wait_ready("wide")
    assert [node for node, _ in given(made.space, "wide")] == ["kwok-3"]
    remove(made.space, "wide")
    operator.kill()  # it would serve the models of the other tests as well


LONG = tuple(f"{'x' * 60}{number:02}" for number in range(16))
EXTREMES = {
    "names": {"cardType": {"allow": LONG, "deny": LONG}, "selectors": ("true",) * 16, "count": 32},
    "profile": {"profile": "9g.999gb+me.all.graphics.and.mor", "selectors": ("true",) * 16},
}


@pytest.mark.parametrize("case", EXTREMES)
def test_the_largest_ask_is_accepted(kwok_api: Api, case: str) -> None:
    """What the resource allows makes no template that the API server refuses, for its length, its cost or its number of selectors."""
    made = dra.Dra().claim(Accelerator.model_validate({"provider": "dra", **EXTREMES[case]}), AcceleratorSettings())
    assert isinstance(made, Claim)
    assert made.template is not None
    owner = {"apiVersion": "pantala.dev/v1alpha1", "kind": "InferenceModel", "name": "m", "uid": "1"}
    template = dra.resource_claim_template("m", "default", {}, owner, made.template)
    path = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates"
    answer = kwok_api.call("POST", path, template, dryRun="All")
    assert answer["kind"] == TEMPLATE, answer
