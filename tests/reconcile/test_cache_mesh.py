"""What the cache knows of a mesh: which one, its gateways, and pods that are lost."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import (
    DESTINATION_RULE,
    HTTP_ROUTE,
    ISTIO_GATEWAY,
    K8S_GATEWAY,
    MODEL,
    POD,
    VIRTUAL_SERVICE,
    wave,
)
from pantala.planner.observed import Mesh, Observed

KEY = Key("vision", "resnet")
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
UNREADY = {"conditions": [{"type": "Ready", "status": "False"}]}


class World:
    """A cache with a model in it, and what it told."""

    def __init__(self, mesh: str = "auto") -> None:
        self.model: list[Key] = []
        self.child: list[Key] = []
        self.lost: list[Key] = []
        self.cache = Cache(self.model.append, self.child.append, self.lost.append, mesh=mesh)
        self.version = 0
        self.cache.upsert(MODEL, self.obj("InferenceModel", "resnet"))
        self.told()

    def obj(self, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        """An object of the model, newer than all before."""
        self.version += 1
        labels = {"pantala.dev/model": "resnet", "pantala.dev/version": "v1"}
        meta = {"name": name, "namespace": "vision", "resourceVersion": str(self.version), "labels": labels}
        return {"apiVersion": "x/v1", "kind": kind, "metadata": meta | fields.pop("metadata", {}), **fields}

    def told(self) -> tuple[int, int]:
        """How often a child changed and a pod was lost, since the last question."""
        found = len(self.child), len(self.lost)
        self.child.clear()
        self.lost.clear()
        return found

    def pod(self, **fields: Any) -> tuple[int, int]:
        """News of the one pod; what was told."""
        self.cache.upsert(POD, self.obj("Pod", "p", **fields))
        return self.told()

    @property
    def seen(self) -> Observed:
        """What the cache knows of the model."""
        seen = self.cache.observe(KEY)
        assert seen is not None
        return seen


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    "then",
    [
        {"status": UNREADY},
        {"status": {}},
        {"status": READY, "metadata": {"deletionTimestamp": "now"}},
        {"status": READY, "metadata": {"labels": {"pantala.dev/model": "resnet", "pantala.dev/version": "other"}}},
        {"status": READY, "metadata": {"labels": {}}},
        {"status": READY, "metadata": {"labels": {"pantala.dev/model": "else", "pantala.dev/version": "v1"}}},
    ],
    ids=["not ready", "no status", "ends", "other version", "no labels", "other model"],
)
def test_lost(world: World, then: dict[str, Any]) -> None:
    """A pod that answered and no longer does is told once and at once."""
    assert world.pod(status=READY) == (1, 0)
    assert world.pod(status=READY) == (1, 0)
    _, lost = world.pod(**then)
    assert lost == 1
    _, lost = world.pod(**then)
    assert lost == 0


def test_gone(world: World) -> None:
    """So is a pod that is gone, by an event or by a list; one that did not answer is no loss."""
    for loss, status in enumerate((UNREADY, READY)):
        world.pod(status=status)
        world.cache.remove(POD, world.obj("Pod", "p"))
        assert world.told() == (1 - loss, loss)
        world.pod(status=status)
        world.cache.replace(POD, "vision", [])
        assert world.told() == (1 - loss, loss)


def test_sidecars_are_seen(world: World) -> None:
    """The names of all containers stay known: a sidecar of the mesh is seen by its status."""
    statuses = {"initContainerStatuses": [{"name": "istio-proxy"}], "containerStatuses": [{"name": "server"}]}
    world.pod(status=statuses, spec={"containers": [1]})
    assert world.seen.pods[0]["status"] == statuses


def test_mesh(world: World) -> None:
    """The mesh is what the API server serves; a change wakes every model, a repetition none."""
    assert world.seen.mesh is Mesh.NONE
    world.cache.apis(frozenset({HTTP_ROUTE}))
    assert (world.seen.mesh, world.told()) == (Mesh.GATEWAY_API, (1, 0))
    world.cache.apis(frozenset({HTTP_ROUTE, VIRTUAL_SERVICE}))
    assert (world.seen.mesh, world.told()) == (Mesh.ISTIO, (1, 0))
    world.cache.apis(frozenset({HTTP_ROUTE, VIRTUAL_SERVICE}))
    assert world.told() == (0, 0)


def test_what_the_installation_wants() -> None:
    """The installation's choice goes before what is there."""
    world = World("none")
    world.cache.apis(frozenset({HTTP_ROUTE, VIRTUAL_SERVICE}))
    assert world.seen.mesh is Mesh.NONE
    assert world.seen.gateways is None


def test_an_api_that_leaves_takes_its_objects_along(world: World) -> None:
    """Objects of a kind that is no longer served are forgotten at once, and those of other kinds stay."""
    world.cache.apis(frozenset({VIRTUAL_SERVICE, DESTINATION_RULE}))
    route, rule = world.obj("VirtualService", "resnet", spec={}), world.obj("DestinationRule", "resnet", spec={})
    world.cache.upsert(VIRTUAL_SERVICE, route)
    world.cache.upsert(DESTINATION_RULE, rule)
    world.told()
    world.cache.apis(frozenset({DESTINATION_RULE}))
    assert [ref.kind for ref in world.seen.children] == ["DestinationRule"]
    assert world.told() == (1, 0)
    world.cache.written(VIRTUAL_SERVICE, world.obj("VirtualService", "resnet"))
    assert [ref.kind for ref in world.seen.children] == ["DestinationRule"], "a write that was under way"


def test_an_api_that_arrives_is_unknown_until_all_is(world: World) -> None:
    """Objects that are listed before their kind counts as present stay hidden: a plan without a mesh would delete them."""
    world.cache.replace(VIRTUAL_SERVICE, None, [world.obj("VirtualService", "resnet", spec={})])
    assert not world.seen.children
    world.cache.apis(frozenset({VIRTUAL_SERVICE}))
    assert [ref.kind for ref in world.seen.children] == ["VirtualService"]
    assert world.told()[0] > 0


def test_status_of_routes(world: World) -> None:
    """An HTTPRoute keeps its status, which says whether the gateway took it; of Istio's kinds nobody reads it."""
    status = {"parents": [{"conditions": [{"type": "Accepted", "status": "True"}]}]}
    world.cache.apis(frozenset({HTTP_ROUTE, VIRTUAL_SERVICE}))
    world.cache.upsert(HTTP_ROUTE, world.obj("HTTPRoute", "resnet", spec={}, status=status))
    world.cache.upsert(VIRTUAL_SERVICE, world.obj("VirtualService", "resnet", spec={}, status=status))
    kept = {ref.kind: obj.get("status") for ref, obj in world.seen.children.items()}
    assert kept == {"HTTPRoute": status, "VirtualService": None}


def test_gateways(world: World) -> None:
    """The gateways of the mesh in use are known by namespace and name; those of the other are not mixed in."""
    assert world.seen.gateways is None
    for resource, name in ((ISTIO_GATEWAY, "istio"), (K8S_GATEWAY, "k8s")):
        world.cache.replace(resource, None, [world.obj("Gateway", name, spec={"of": name})])
    assert world.told() == (0, 0)
    world.cache.apis(frozenset({VIRTUAL_SERVICE}))
    assert world.seen.gateways is None, "a Role that does not name them"
    world.cache.apis(frozenset({VIRTUAL_SERVICE, ISTIO_GATEWAY, K8S_GATEWAY}))
    assert world.seen.gateways is not None
    assert {name: obj["spec"] for name, obj in world.seen.gateways.items()} == {("vision", "istio"): {"of": "istio"}}
    assert not world.seen.children
    world.cache.apis(frozenset({HTTP_ROUTE, K8S_GATEWAY}))
    assert world.seen.gateways is not None
    assert list(world.seen.gateways) == [("vision", "k8s")]


def test_news_of_gateways(world: World) -> None:
    """A gateway that comes, changes or goes wakes the models; how many routes are attached to it does not."""
    world.cache.apis(frozenset({HTTP_ROUTE, K8S_GATEWAY, ISTIO_GATEWAY}))
    world.told()

    def gateway(attached: int, programmed: str) -> int:
        conditions = [{"type": "Programmed", "status": programmed, "lastTransitionTime": str(world.version)}]
        listeners = [{"name": "http", "attachedRoutes": attached, "conditions": conditions}]
        status = {"conditions": conditions, "listeners": listeners, "addresses": [{"value": "10.0.0.1"}]}
        world.cache.upsert(K8S_GATEWAY, world.obj("Gateway", "g", spec={}, status=status))
        return world.told()[0]

    assert [gateway(0, "False"), gateway(1, "False"), gateway(1, "True"), gateway(2, "True")] == [1, 0, 1, 0]
    assert world.seen.gateways is not None
    assert world.seen.gateways["vision", "g"]["status"]["conditions"] == [{"type": "Programmed", "status": "True"}]
    assert world.seen.gateways["vision", "g"]["status"]["addresses"] == [{"value": "10.0.0.1"}]
    world.cache.upsert(ISTIO_GATEWAY, world.obj("Gateway", "g", spec={}))
    assert world.told()[0] == 0, "the mesh that is not in use"
    world.cache.remove(K8S_GATEWAY, world.obj("Gateway", "g"))
    assert world.told()[0] == 1
    assert world.seen.gateways == {}


def test_order_of_writing() -> None:
    """What a Deployment needs is first, policies go before routes, and routes are last."""
    order = ["ConfigMap", "Service", "Deployment", "DestinationRule", "VirtualService"]
    assert sorted(order, key=wave) == order
    assert wave("Service") < wave("Deployment") < wave("HTTPRoute")
    assert wave("AuthorizationPolicy") < wave("VirtualService")
