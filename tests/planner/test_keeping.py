"""How long versions that nothing asks for keep their replicas."""

from datetime import timedelta
from typing import Any

import pytest

from pantala.manifest.types import Ref
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


RULES: dict[str, Any] = {"rules": [{"name": "pin", "prefix": "/pin", "version": "v1"}]}
MIRRORS: dict[str, Any] = {"mirrors": [{"version": "v1"}]}
SHARES: dict[str, Any] = {"target": None, "split": [{"version": "v1", "weight": 20}, {"version": "v2", "weight": 80}]}
PREFIXED = {"hosts": ["a.example.com"], "gatewayRef": {"namespace": "istio-system", "name": "ingress"}, "prefix": "/a"}


@pytest.mark.parametrize(
    ("mesh", "kind", "name"),
    [
        (Mesh.ISTIO, "VirtualService", "resnet"),
        (Mesh.ISTIO, "VirtualService", "resnet.gateway"),
        (Mesh.GATEWAY_API, "HTTPRoute", "resnet"),
    ],
)
@pytest.mark.parametrize("before", [RULES, MIRRORS, SHARES], ids=["rules", "mirrors", "shares"])
def test_a_route_that_cannot_be_written_keeps_its_versions(
    mesh: Mesh, kind: str, name: str, before: dict[str, Any]
) -> None:
    """While a webhook refuses a route, no version goes that the live one leads to; its five seconds count from the change.

    The webhook is istiod's own, which is away for as long as istiod is.
    """
    expose = {"expose": PREFIXED} if name.endswith(".gateway") else {}
    traffic = {key: value for key, value in {"target": "v2", **before}.items() if value}
    world = World(model(version("v1"), version("v2"), traffic=traffic, **expose))
    world.mesh = mesh
    world.settle()
    world.roll_out("v1", "v2")
    world.now += timedelta(minutes=1)
    world.settle()
    world.report(now=world.now)
    ref = Ref(kind, "vision", name)
    refused = world.children[ref]
    assert "resnet-v1" in str(refused["spec"])
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}, **expose))
    for _ in range(5):
        world.step()
        world.children[ref] = refused
        world.report(now=world.now)
        world.now += timedelta(seconds=30)
    assert replicas(world) == 1
    world.step()
    assert "resnet-v1" not in str(world.children.get(ref))
    world.report(now=world.now)
    world.settle()
    assert replicas(world) == 1
    world.now += timedelta(seconds=5)
    world.settle()
    assert replicas(world) == 0
