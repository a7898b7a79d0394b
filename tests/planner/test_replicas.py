"""Who decides the number of replicas, and how that passes from the operator to an autoscaler and back."""

from typing import Any

from pantala.planner.observed import REPLICAS_OWNERS
from tests.planner.world import World, model, version

SCALED = {"minReplicas": 2, "maxReplicas": 6, "metrics": [{"type": "CPUUtilization", "target": 70}]}


def running(**spec: Any) -> World:
    world = World(model(**spec))
    world.settle()
    world.roll_out("v1")
    return world


def asked(world: World, name: str = "v1") -> int | None:
    """`spec.replicas` as the operator applies it."""
    found = [
        it for it in world.plan().apply if it["kind"] == "Deployment" and it["metadata"]["name"] == f"resnet-{name}"
    ]
    replicas: int | None = found[0]["spec"].get("replicas")
    return replicas


def test_fixed_number() -> None:
    """Without an autoscaler the number is minReplicas, and whoever changes it is corrected."""
    world = running(scaling={"minReplicas": 3})
    world.scale("v1", 9, "kubectl")
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.deployment()["spec"]["replicas"] == 3


def test_new_autoscaler_takes_over_when_it_has_scaled() -> None:
    """The live number stays in our apply until somebody else owns it: dropping it earlier would reset it to 1."""
    world = running(scaling={"minReplicas": 3})
    world.edit(model(scaling=SCALED))
    world.settle()
    assert world.deployment()["spec"]["replicas"] == 3
    assert asked(world) == 3
    world.scale("v1", 5)
    assert asked(world) is None
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.deployment()["spec"]["replicas"] == 5
    assert world.deployment()["metadata"][REPLICAS_OWNERS] == ["kube-controller-manager"]
    world.scale("v1", 2)
    assert world.step() == []


def test_autoscaler_that_never_scales() -> None:
    """An autoscaler that finds the number right never owns it; ours stays for as long as that takes."""
    world = running(scaling=SCALED)
    for _ in range(3):
        assert world.step() == []
        assert asked(world) == 2


def test_number_comes_back() -> None:
    """Without its autoscaler a version goes to minReplicas, and the number is ours again."""
    world = running(scaling=SCALED)
    world.scale("v1", 5)
    world.settle()
    world.edit(model(scaling={"minReplicas": 2}))
    world.settle()
    assert world.deployment()["spec"]["replicas"] == 2
    assert world.deployment()["metadata"][REPLICAS_OWNERS] == ["pantala"]
    assert not world.names("HorizontalPodAutoscaler")


def test_parked_and_back() -> None:
    """A parked version is at zero without an autoscaler; back again it starts with what its predecessor had."""
    both = (version("v1"), version("v2"))
    world = running(versions=list(both), traffic={"target": "v1"}, scaling=SCALED)
    world.settle()
    world.scale("v1", 5)
    world.settle()
    world.edit(model(*both, traffic={"target": "v2"}, scaling=SCALED))
    world.settle()
    assert world.deployment("v2")["spec"]["replicas"] == 5
    world.roll_out("v2")
    world.settle()
    assert world.deployment("v1")["spec"]["replicas"] == 0
    assert world.names("HorizontalPodAutoscaler") == {"resnet-v2"}
    assert world.names("PodDisruptionBudget") == {"resnet-v2"}
    world.scale("v2", 6)
    world.settle()
    world.edit(model(*both, traffic={"target": "v1"}, scaling=SCALED))
    world.settle()
    assert world.deployment("v1")["spec"]["replicas"] == 6
    assert world.names("HorizontalPodAutoscaler") == {"resnet-v1", "resnet-v2"}


def test_start_is_within_the_bounds() -> None:
    """A new version starts with the replicas of the old one, but never outside of its own bounds."""
    world = running(scaling={"minReplicas": 9})
    world.edit(model(version("v2"), scaling=SCALED))
    world.settle()
    assert world.deployment("v2")["spec"]["replicas"] == 6
