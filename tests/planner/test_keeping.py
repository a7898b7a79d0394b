"""How long versions that nothing asks for keep their replicas."""

from datetime import timedelta

from pantala.planner.observed import Mesh
from tests.planner.world import NOW, World, model, version


def replaced(mesh: Mesh, **traffic: object) -> World:
    """A model whose traffic has just gone from v1 to v2."""
    world = World(model(version("v1"), version("v2"), traffic={"target": "v1"}))
    world.mesh = mesh
    world.settle()
    world.roll_out("v1")
    world.settle()
    world.report()
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2", **traffic}))
    world.settle()
    world.roll_out("v2")
    world.step()
    world.report()
    return world


def replicas(world: World) -> int:
    """Of the version that was replaced."""
    count: int = world.deployment("v1")["spec"]["replicas"]
    return count


def state(world: World) -> str:
    """Of the version that was replaced, as the status has it."""
    found = {item["name"]: item for item in world.report(now=world.now).status["versions"]}
    return str(found["v1"]["state"])


def test_parked_at_once_without_a_mesh() -> None:
    """Where nothing has to learn of the change, the old version is parked in the next pass."""
    world = replaced(Mesh.NONE)
    world.settle()
    assert (replicas(world), state(world)) == (0, "Parked")


def test_a_mesh_gets_time_to_learn() -> None:
    """Behind a mesh the old version stays for five seconds, and the plan says when to look again."""
    world = replaced(Mesh.ISTIO)
    world.settle()
    assert (replicas(world), state(world)) == (1, "Idle")
    assert world.plan().wait == 5.0
    world.now = NOW + timedelta(seconds=4)
    assert (world.settle(), world.plan().wait) == ([], 1.0)
    world.now = NOW + timedelta(seconds=5)
    world.settle()
    assert (replicas(world), state(world), world.plan().wait) == (0, "Parked", None)


def test_keep_stable() -> None:
    """With `rollout.keepStable` the old version stays warm for that time, from when it got its last request."""
    world = replaced(Mesh.NONE, rollout={"keepStable": "10m"})
    world.settle()
    world.now = NOW + timedelta(minutes=9, seconds=59)
    world.settle()
    assert (replicas(world), state(world)) == (1, "Idle")
    world.now = NOW + timedelta(minutes=10)
    world.settle()
    assert replicas(world) == 0


def test_the_way_back_is_instant() -> None:
    """While the old version is kept, traffic goes back to it in one pass, without a new pod."""
    world = replaced(Mesh.ISTIO, rollout={"keepStable": "10m"})
    world.settle()
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v1", "rollout": {"keepStable": "10m"}}))
    writes = world.step()
    assert "update VirtualService vision/resnet" in writes
    assert "update Service vision/resnet" in writes
    assert not any("Deployment" in write for write in writes)


def test_a_version_that_left_the_spec_is_kept_too() -> None:
    """Behind a mesh the objects of a version that was removed from the spec stay until the route is known everywhere."""
    world = replaced(Mesh.ISTIO)
    world.edit(model(version("v2"), traffic={"target": "v2"}))
    world.settle()
    assert "resnet-v1" in world.names("Service")
    world.report(now=world.now)
    world.now = NOW + timedelta(seconds=5)
    world.settle()
    assert "resnet-v1" not in world.names("Service") | world.names()
