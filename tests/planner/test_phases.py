"""A model through its life: replacement of versions, parking, freezing, pausing, and what gets in the way."""

from typing import Any

import pytest

from pantala.manifest.types import Manifest, Ref
from tests.planner.world import World, model, version


def running(*versions: Manifest, **spec: Any) -> World:
    """A world in which the model's target is rolled out and has the traffic."""
    world = World(model(*versions, **spec))
    world.settle()
    world.roll_out(spec.get("traffic", {}).get("target", versions[0]["name"] if versions else "v1"))
    world.settle()
    return world


def states(world: World) -> dict[str, str]:
    return {item["name"]: item["state"] for item in world.report().status["versions"]}


def test_new_target_waits_for_its_pods() -> None:
    """A version that is to get the traffic starts beside the old one, and the old one keeps all of it."""
    world = running(version("v1"), traffic={"target": "v1"})
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}))
    world.settle()
    assert world.stable() == "v1"
    assert world.deployment("v1")["spec"]["replicas"] == 1
    assert world.deployment("v2")["spec"]["replicas"] == 1
    assert states(world) == {"v1": "Serving", "v2": "Starting"}
    status = world.report().status
    assert status["version"] == "v1"
    conditions = {item["type"]: item for item in status["conditions"]}
    assert conditions["Ready"]["status"] == "True"
    assert conditions["Reconciling"]["reason"] == "Replacing"


def test_traffic_moves_before_the_old_version_is_parked() -> None:
    """In the pass that moves the Service the old version keeps its replicas; the pass after parks it."""
    world = running(version("v1"), traffic={"target": "v1"}, expose={"nodePort": {}})
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}, expose={"nodePort": {}}))
    world.settle()
    world.roll_out("v2")
    assert world.step() == ["update Service vision/resnet", "update Service vision/resnet-nodeport"]
    assert world.stable() == "v2"
    assert world.deployment("v1")["spec"]["replicas"] == 1
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.deployment("v1")["spec"]["replicas"] == 0
    assert states(world) == {"v1": "Parked", "v2": "Serving"}
    assert world.step() == []


def test_rollback_moves_back() -> None:
    """A target set back to a parked version starts it again, and it gets the traffic when it is ready."""
    both = (version("v1"), version("v2"))
    world = running(*both, traffic={"target": "v2"})
    world.edit(model(*both, traffic={"target": "v1"}))
    world.settle()
    assert world.stable() == "v2"
    world.roll_out("v1")
    world.settle()
    assert world.stable() == "v1"
    assert world.deployment("v2")["spec"]["replicas"] == 0


def test_replaced_version_is_frozen_until_its_successor_is_ready() -> None:
    """A version that left the spec stays as it is while it answers, and goes when the new one has the traffic."""
    world = running(version("v1"))
    before = world.deployment("v1")
    world.edit(model(version("v2"), resources={"requests": {"cpu": "1"}}))
    world.settle()
    assert world.deployment("v1") == before
    assert world.stable() == "v1"
    assert states(world) == {"v2": "Starting", "v1": "Frozen"}
    world.roll_out("v2")
    assert world.step() == ["update Service vision/resnet"]
    assert "resnet-v1" in world.names()
    gone = world.step()
    assert {write.split()[0] for write in gone} == {"delete"}
    assert world.names() == {"resnet-v2"}
    assert world.names("Service") == {"resnet", "resnet-v2"}
    assert world.names("ConfigMap") == {"resnet-v2"}
    assert states(world) == {"v2": "Serving"}


def test_unready_replacement_is_replaced() -> None:
    """A new version that never gets ready can be taken back: its objects go, the frozen one is not touched."""
    world = running(version("v1"))
    world.edit(model(version("v2")))
    world.settle()
    world.edit(model(version("v3")))
    world.settle()
    assert world.names() == {"resnet-v1", "resnet-v3"}
    assert world.stable() == "v1"
    world.edit(model(version("v1")))
    world.settle()
    assert world.names() == {"resnet-v1"}
    assert states(world) == {"v1": "Serving"}


def test_traffic_stays_if_the_service_is_deleted_meanwhile() -> None:
    """The model's Service, deleted by hand during a replacement, comes back with the version that answers."""
    world = running(version("v1"), version("v2"), traffic={"target": "v1"})
    world.report()
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}))
    world.settle()
    del world.children[Ref("Service", "vision", "resnet")]
    world.settle()
    assert world.stable() == "v1"
    assert world.deployment("v1")["spec"]["replicas"] == 1


def test_unready_stable_keeps_the_traffic() -> None:
    """The version with the traffic keeps it while its own pods are replaced."""
    world = running(version("v1"))
    world.edit(model(version("v1"), resources={"requests": {"cpu": "1"}}))
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.stable() == "v1"
    reconciling = {item["type"]: item for item in world.report().status["conditions"]}["Reconciling"]
    assert reconciling["reason"] == "RollingOut"


def test_paused() -> None:
    """A paused model is left as it is, whatever changes, and says so; afterwards it goes on."""
    world = running(version("v1"))
    world.report()
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}, paused=True))
    world.deployment("v1")["spec"]["replicas"] = 7
    assert world.step() == []
    told = {item["type"]: item for item in world.report().status["conditions"]}
    assert told["Accepted"]["reason"] == "Paused"
    assert told["Ready"]["status"] == "True"
    assert "Reconciling" not in told
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}))
    assert "update Deployment vision/resnet-v1" in world.step()


@pytest.mark.parametrize(
    ("uri", "words"),
    [("s4://bucket/key", "s4"), ("s3://", "bucket"), ("pvc://", "claim"), ("ftp://host/file", "ftp")],
)
def test_bad_uri(uri: str, words: str) -> None:
    """A version whose weights nobody can fetch has no pod, and the status names the field and the value."""
    world = World(model({"name": "v1", "uri": uri}))
    assert world.settle() == []
    told = {item["type"]: item for item in world.report().status["conditions"]}
    assert told["Accepted"]["status"] == "False"
    assert told["Accepted"]["reason"] == "InvalidSpec"
    assert "Version v1" in told["Accepted"]["message"]
    assert "uri" in told["Accepted"]["message"]
    assert words in told["Accepted"]["message"]
    assert told["Stalled"]["reason"] == "InvalidSpec"
    assert states(world) == {"v1": "Failed"}


def test_bad_new_version_leaves_the_old_one_alone() -> None:
    """A new version that cannot be rendered takes nothing from the one that answers, even if that left the spec."""
    world = running(version("v1"))
    world.edit(model({"name": "v2", "uri": "s4://bucket/key"}))
    assert world.settle() == []
    assert states(world) == {"v2": "Failed", "v1": "Frozen"}
    ready = {item["type"]: item for item in world.report().status["conditions"]}["Ready"]
    assert ready["status"] == "True"


def test_dropped_features_go() -> None:
    """What the spec no longer asks for is deleted: NodePort Service, autoscaler, budget."""
    scaling = {"minReplicas": 2, "maxReplicas": 4, "metrics": [{"type": "CPUUtilization", "target": 70}]}
    world = running(version("v1"), scaling=scaling, expose={"nodePort": {}})
    world.edit(model(version("v1")))
    assert sorted(world.step()) == [
        "delete HorizontalPodAutoscaler vision/resnet-v1",
        "delete PodDisruptionBudget vision/resnet-v1",
        "delete Service vision/resnet-nodeport",
    ]
    # Not beside the autoscaler, which would set the number again.
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.deployment()["spec"]["replicas"] == 1


def test_objects_of_others_are_not_leftovers() -> None:
    """An object with our labels that this model does not own is neither counted nor deleted."""
    world = running(version("v1"))
    stranger: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "theirs", "namespace": "vision", "labels": {"pantala.dev/version": "v9"}},
    }
    world.children[Ref.of(stranger)] = stranger
    assert world.step() == []
    assert "v9" not in world.seen().versions()
