"""ResourceClaimTemplates beside Deployments: made before, renewed with what is asked, and kept while pods may be made of them."""

from typing import Any

import pytest

from pantala.manifest.types import Manifest, Ref
from pantala.planner import barrier
from pantala.planner.observed import Availability
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from tests.planner.world import World, model, version

KIND = "ResourceClaimTemplate"


def dra(**fields: Any) -> Manifest:
    """A block of provider dra."""
    return {"provider": "dra", **fields}


def named(world: World, name: str = "v1") -> set[str]:
    """The templates that a version's pods name."""
    claims = world.deployment(name)["spec"]["template"]["spec"].get("resourceClaims", ())
    return {claim["resourceClaimTemplateName"] for claim in claims}


def test_the_deployment_names_the_template_that_is_made() -> None:
    """There is one template, which the pods name; the server has the claim, and no container a variable that hides cards."""
    world = World(model(accelerator=dra(count=2)))
    world.settle()
    assert named(world) == world.names(KIND)
    (template,) = world.names(KIND)
    assert template.startswith("resnet-v1-")
    pod = world.deployment()["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["claims"] == [{"name": "cards"}]
    assert "NVIDIA_VISIBLE_DEVICES" not in str(pod)


def test_another_ask_is_another_template() -> None:
    """The old template stays until the Deployment is rolled out: its ReplicaSet may make a pod of it."""
    world = World(model(accelerator=dra()))
    world.settle()
    world.roll_out("v1")
    (old,) = world.names(KIND)
    world.edit(model(accelerator=dra(selectors=["true"])))
    writes = world.settle()
    (new,) = named(world)
    assert world.names(KIND) == {old, new}
    assert writes.index(f"create {KIND} vision/{new}") < writes.index("update Deployment vision/resnet-v1")
    world.deployment()["status"] |= {"observedGeneration": 2, "updatedReplicas": 0}
    assert world.step() == []
    world.roll_out("v1")
    assert world.step() == [f"delete {KIND} vision/{old}"]
    assert world.settle() == []


def test_back_to_what_was_asked_before() -> None:
    """The same content has the same name, so a change that is taken back needs nothing new."""
    world = World(model(accelerator=dra()))
    world.settle()
    (old,) = world.names(KIND)
    world.edit(model(accelerator=dra(count=2)))
    world.settle()
    world.edit(model(accelerator=dra()))
    world.settle()
    assert named(world) == {old}
    world.roll_out("v1")
    world.settle()
    assert world.names(KIND) == {old}


def test_a_parked_version_needs_no_old_template() -> None:
    """A version without pods drops its old template as soon as its Deployment has heard of the new one."""
    world = World(model(version("v1"), version("v2", accelerator=dra()), traffic={"target": "v1"}))
    world.settle()
    assert len(world.names(KIND)) == 1
    world.edit(model(version("v1"), version("v2", accelerator=dra(count=2)), traffic={"target": "v1"}))
    world.settle()
    assert len(world.names(KIND)) == 2
    world.deployment("v2")["status"] = {"observedGeneration": world.deployment("v2")["metadata"]["generation"]}
    world.settle()
    assert world.names(KIND) == named(world, "v2")


def test_away_from_claims() -> None:
    """With another provider the template goes when the last pod of it has gone."""
    world = World(model(accelerator=dra()))
    world.settle()
    world.edit(model(accelerator={"provider": "nvidia"}))
    world.settle()
    assert len(world.names(KIND)) == 1
    world.roll_out("v1")
    world.settle()
    assert world.names(KIND) == set()


def test_a_template_that_was_deleted_comes_back() -> None:
    """Under its name, while nothing else is written."""
    world = World(model(accelerator=dra()))
    world.settle()
    (name,) = world.names(KIND)
    del world.children[Ref(KIND, "vision", name)]
    assert world.settle() == [f"create {KIND} vision/{name}"]


def test_it_goes_with_its_version() -> None:
    """A version that left the spec keeps its template while it answers, and takes it along."""
    world = World(model(version("v1", accelerator=dra())))
    world.settle()
    world.roll_out("v1")
    world.settle()
    world.edit(model(version("v2")))
    world.settle()
    assert len(world.names(KIND)) == 1, "v1 answers"
    world.roll_out("v2")
    world.settle()
    assert world.names(KIND) == set()


@pytest.mark.parametrize(
    ("there", "reason", "words"),
    [
        (Availability.ABSENT, "APIMissing", "update Kubernetes to 1.34 or later"),
        (Availability.FORBIDDEN, "Forbidden", "check its Role"),
    ],
)
def test_without_the_kind(there: Availability, reason: str, words: str) -> None:
    """Nothing of the version is written where templates cannot be, and others go on; when they can be, all is well."""
    world = World(model(version("v1"), version("v2", accelerator=dra()), traffic={"target": "v1"}))
    world.claim_templates = there
    world.settle()
    assert world.names() == {"resnet-v1"}
    found = {it["type"]: it for it in world.report().status["conditions"]}
    assert (found["Accepted"]["status"], found["Accepted"]["reason"]) == ("False", reason)
    assert words in found["Accepted"]["message"]
    assert "Version v2, accelerator.provider" in found["Accepted"]["message"]
    world.claim_templates = Availability.SERVED
    world.settle()
    assert world.names() == {"resnet-v1", "resnet-v2"}


def test_a_template_that_is_refused_holds_its_deployment_back() -> None:
    """Pods that name a template that does not exist would wait for ever, and the old ones would have to go for them."""
    world = World(model(accelerator=dra()))
    plan = world.plan()
    deployment = next(it for it in plan.apply if it["kind"] == "Deployment")
    template = next(it for it in plan.apply if it["kind"] == KIND)
    refused = {Ref.of(template): Problem(Reason.REJECTED, "no")}
    other = {Ref(KIND, "vision", "resnet-v2-0"): Problem(Reason.REJECTED, "no")}
    assert not barrier.founded(deployment, refused)
    assert barrier.founded(deployment, other)
    assert barrier.founded(template, refused)
