"""Cards by DynamicResourceAllocation: the real scheduler and resource claim controller, and a stand-in for the driver."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pantala.accelerators import dra
from pantala.accelerators.base import Claim
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from tests.apiserver.models import Api
from tests.apiserver.operator_process import Installation, Space
from tests.apiserver.standin_dra_driver import cards, installed, slices
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver

TEMPLATE, CLAIM = "ResourceClaimTemplate", "ResourceClaim"
NODES = {
    "kwok-0": cards(4, "NVIDIA A100-PCIE-40GB", "Ampere", "40Gi"),
    "kwok-1": cards(2, "NVIDIA H100 80GB HBM3", "Hopper", "80Gi"),
    "kwok-2": cards(2, "Tesla T4", "Turing", "15Gi"),
    "kwok-3": [*slices(4, "1g.5gb", "4864Mi"), *slices(1, "3g.20gb", "19968Mi")],
}
TURING = "device.attributes['gpu.nvidia.com'].architecture == 'Turing'"


@pytest.fixture(scope="module")
def driver(kwok_cluster: Cluster) -> Iterator[None]:
    """The driver with a few nodes."""
    with installed(kwok_cluster, NODES):
        yield


@pytest.fixture(scope="module")
def space(driver: None, install: Callable[..., Installation]) -> Space:
    """An operator with rights in a single namespace."""
    made = install()
    made.start().wait("leader")
    return made.space


def block(**fields: Any) -> dict[str, Any]:
    """What a model asks for."""
    return {"provider": "dra", **fields}


def given(space: Space, name: str) -> list[tuple[str, str]]:
    """Node and device that the pods of a model were given."""
    owned = {
        pod["metadata"]["name"] for pod in space.list("Pod", model=name) if "deletionTimestamp" not in pod["metadata"]
    }
    return [
        (result["pool"], result["device"])
        for claim in space.list(CLAIM)
        if any(user["name"] in owned for user in claim.get("status", {}).get("reservedFor", ()))
        for result in claim["status"]["allocation"]["devices"]["results"]
    ]


def templates(space: Space, name: str) -> set[str]:
    """Names of a model's templates."""
    return {it["metadata"]["name"] for it in space.list(TEMPLATE, model=name)}


def remove(space: Space, name: str) -> None:
    """Delete a model; returns when its devices are free."""
    space.delete("InferenceModel", name)
    space.wait(lambda: not space.list("Pod", model=name), f"{name}: no pod")
    space.wait(
        lambda: not [it for it in space.list(CLAIM) if it["metadata"]["name"].startswith(f"{name}-")], "no claim"
    )


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


def message(space: Space, name: str, reason: str, kind: str = "Ready") -> str:
    """Wait until a condition is False for a reason; its message."""
    space.wait(lambda: space.condition(name, kind).get("reason") == reason, f"{name}: {kind} {reason}")
    found = space.condition(name, kind)
    assert found["status"] == "False"
    return str(found["message"])


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


def test_no_such_class(space: Space, kwok_cluster: Cluster) -> None:
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


def test_an_expression_that_is_none(space: Space) -> None:
    """What does not compile is refused by the API server: its words are told, and the pods that answer go on."""
    space.model("broken", accelerator=block(profile="1g.5gb"))
    space.wait_ready("broken")
    (before,) = space.list("Pod", model="broken")
    kept = templates(space, "broken")
    selectors = ["true", "device.attributes['gpu.nvidia.com"]
    space.patch("InferenceModel", "broken", {"spec": {"accelerator": {"selectors": selectors}}})
    text = message(space, "broken", "Rejected", "Accepted")
    assert "compilation failed" in text
    assert "accelerator.selectors" in text
    assert selectors[1] in text
    assert space.condition("broken", "Ready")["status"] == "True"
    (after,) = space.list("Pod", model="broken")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert templates(space, "broken") == kept
    space.patch("InferenceModel", "broken", {"spec": {"accelerator": {"selectors": ["true"]}}})
    space.wait_ready("broken")
    space.wait(lambda: templates(space, "broken").isdisjoint(kept) and len(templates(space, "broken")) == 1, "renewed")
    remove(space, "broken")


def test_another_ask_rolls(space: Space) -> None:
    """Other selectors are another template and a rolling update; the old template goes when it is done, the claims with the pods."""
    space.model("roll", accelerator=block(selectors=[TURING]))
    space.wait_ready("roll")
    (old,) = templates(space, "roll")
    (pod,) = space.list("Pod", model="roll")
    hopper = TURING.replace("Turing", "Hopper")
    space.patch("InferenceModel", "roll", {"spec": {"accelerator": {"selectors": [hopper]}}})
    space.wait(lambda: old not in templates(space, "roll"), "the old template is gone")
    space.wait_ready("roll")
    (new,) = templates(space, "roll")
    claims = space.get("Deployment", "roll-v1")["spec"]["template"]["spec"]["resourceClaims"]
    assert claims == [{"name": "cards", "resourceClaimTemplateName": new}]
    space.wait(
        lambda: [it["metadata"]["uid"] for it in space.list("Pod", model="roll")] != [pod["metadata"]["uid"]], "new"
    )
    space.wait(lambda: {pool for pool, _ in given(space, "roll")} == {"kwok-1"}, "on a Hopper")
    remove(space, "roll")


def test_an_update_that_fits_nowhere(space: Space) -> None:
    """While the new pods get no devices the old template stays, and a pod of the old ReplicaSet is made anew out of it."""
    space.model("stuck", accelerator=block(profile="3g.20gb"))
    space.wait_ready("stuck")
    (old,) = templates(space, "stuck")
    (pod,) = space.list("Pod", model="stuck")
    space.patch("InferenceModel", "stuck", {"spec": {"accelerator": {"profile": "7g.40gb"}}})
    space.wait(lambda: len(space.list("Pod", model="stuck")) == 2, "the pod of the update")
    assert old in templates(space, "stuck")
    space.delete("Pod", pod["metadata"]["name"])
    space.wait(lambda: space.get("Pod", pod["metadata"]["name"]) is None, "the old pod is gone")
    space.wait(lambda: ("kwok-3", "gpu-0-mig-3g20gb-0") in given(space, "stuck"), "its successor has the device")
    space.wait(lambda: space.condition("stuck", "Ready")["status"] == "True", "it answers")
    assert old in templates(space, "stuck")
    remove(space, "stuck")


def test_a_template_that_is_deleted_comes_back(space: Space) -> None:
    """By hand it can go; it is there again under its name before the next pod needs it, and no pod is replaced."""
    space.model("back", accelerator=block())
    space.wait_ready("back")
    (name,) = templates(space, "back")
    (pod,) = space.list("Pod", model="back")
    uid = space.get(TEMPLATE, name)["metadata"]["uid"]
    space.delete(TEMPLATE, name)
    space.wait(lambda: (space.get(TEMPLATE, name) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, "back")
    (after,) = space.list("Pod", model="back")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    remove(space, "back")


def test_a_name_that_is_taken(space: Space) -> None:
    """A stranger's template is left alone, and no pod is made out of it."""
    space.model("other", accelerator=block(count=2))
    space.wait_ready("other")
    (name,) = templates(space, "other")
    remove(space, "other")
    stranger = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": TEMPLATE,
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": [{"name": "x", "exactly": {"deviceClassName": "mig.nvidia.com"}}]}}},
    }
    space.create(TEMPLATE, stranger)
    space.model("other", accelerator=block(count=2))
    text = message(space, "other", "NameConflict", "Accepted")
    assert name in text
    assert space.get("Deployment", "other-v1") is None
    space.delete(TEMPLATE, name)
    space.wait_ready("other")
    remove(space, "other")


def test_everywhere(driver: None, install: Callable[..., Installation]) -> None:
    """With rights in the whole cluster it is the same."""
    made = install(everywhere=True)
    operator = made.start().wait("leader")
    made.space.model("wide", accelerator=block(profile="1g.5gb"))
    made.space.wait_ready("wide")
    assert [node for node, _ in given(made.space, "wide")] == ["kwok-3"]
    remove(made.space, "wide")
    operator.kill()  # it would serve the models of the other tests as well


def test_a_role_of_before(space: Space, install: Callable[..., Installation]) -> None:
    """Under a Role that does not name the kind the version says so, and nothing of it is written."""
    made = install()
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.space.name}/roles"
    (role,) = (it for it in made.api.call("GET", roles)["items"] if "inferencemodels" in str(it["rules"]))
    kept = [rule for rule in role["rules"] if "resourceclaimtemplates" not in rule["resources"]]
    path = f"{roles}/{role['metadata']['name']}"
    made.api.call("PATCH", path, {"rules": kept}, content="application/merge-patch+json")
    made.start().wait("leader")
    made.space.model("old-role", accelerator=block())
    text = message(made.space, "old-role", "Forbidden", "Accepted")
    assert "check its Role" in text
    assert made.space.get("Deployment", "old-role-v1") is None


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
