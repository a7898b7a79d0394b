"""Routes as part of the plan: written, followed and left alone."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from pantala import naming
from pantala.manifest.types import Manifest, Ref
from pantala.planner.live_route import read
from pantala.planner.observed import Mesh
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from tests.planner.world import NOW, World, model, version

SPLIT = {"split": [{"version": "v1", "weight": 80}, {"version": "v2", "weight": 20}]}
V1, V2, V3 = version("v1"), version("v2"), version("v3")


def world(*versions: Manifest, mesh: Mesh = Mesh.ISTIO, ready: tuple[str, ...] = ("v1", "v2"), **spec: Any) -> World:
    """A model whose named versions are ready for long."""
    made = World(model(*versions, **spec))
    made.mesh = mesh
    made.settle()
    made.roll_out(*ready)
    made.now = NOW + timedelta(hours=1)
    made.settle()
    return made


def weights(made: World) -> dict[str, int]:
    """The shares of the live VirtualService, by Service."""
    route = made.children[Ref("VirtualService", "vision", "resnet")]
    last = route["spec"]["http"][-1]["route"]
    return {it["destination"]["host"].partition(".")[0]: it.get("weight", 100) for it in last}


def traffic_ready(made: World) -> tuple[str, str]:
    """Status and reason of the condition."""
    found = {it["type"]: it for it in made.report(now=made.now).status["conditions"]}
    return found["TrafficReady"]["status"], found["TrafficReady"]["reason"]


def lose(made: World, name: str) -> None:
    """All pods of a version stop to be ready."""
    for pod in made.pods:
        if pod["metadata"]["labels"][naming.LABEL_VERSION] == name:
            for condition in pod["status"]["conditions"]:
                condition["status"] = "False" if condition["type"] == "Ready" else condition["status"]
    made.deployment(name)["status"]["availableReplicas"] = 0


def test_split() -> None:
    """Versions that are ready get the shares that the spec asks for, and the status says so."""
    made = world(V1, V2, traffic=SPLIT)
    assert weights(made) == {"resnet-v1": 80, "resnet-v2": 20}
    assert traffic_ready(made) == ("True", "Routed")
    status = made.report(now=made.now).status
    assert status["traffic"] == [
        {"version": "v1", "asked": 80, "configured": 80},
        {"version": "v2", "asked": 20, "configured": 20},
    ]
    assert [it["state"] for it in status["versions"]] == ["Serving", "Serving"]
    assert made.step() == []


def test_a_version_without_ready_pods_leaves_in_one_write() -> None:
    """When a version loses its pods, the one write of the next pass is the route without it; later it comes back."""
    made = world(V1, V2, traffic=SPLIT)
    lose(made, "v2")
    assert made.step() == ["update VirtualService vision/resnet"]
    assert weights(made) == {"resnet-v1": 100}
    assert traffic_ready(made) == ("False", "VersionNotReady")
    made.roll_out("v2")
    made.pods[-1]["status"]["conditions"][-1]["lastTransitionTime"] = "2026-01-02T04:04:00Z"
    assert made.step() == []
    assert made.plan().wait == 10.0
    made.now += timedelta(seconds=10)
    assert made.step() == ["update VirtualService vision/resnet"]
    assert weights(made) == {"resnet-v1": 80, "resnet-v2": 20}


def test_services_follow_the_largest_share() -> None:
    """Clients without a mesh reach the version with most requests, so that they are answered when stable is down."""
    made = world(V1, V2, traffic=SPLIT, expose={"nodePort": {}})
    assert made.stable() == "v1"
    found = made.report(now=made.now).status
    (told,) = [it for it in found["conditions"] if it["type"] == "TrafficReady"]
    assert "Node ports and load balancers reach version v1 only." in told["message"]
    lose(made, "v1")
    made.settle()
    assert (made.stable(), weights(made)) == ("v2", {"resnet-v2": 100})


def test_no_version_is_ready() -> None:
    """Where no version is ready the last shares stay: nothing is written."""
    made = world(V1, V2, traffic=SPLIT)
    lose(made, "v1")
    lose(made, "v2")
    assert made.step() == []
    assert traffic_ready(made) == ("False", "VersionNotReady")


def test_a_new_model_is_not_routed_before_it_is_ready() -> None:
    """The route of a new model has the shares that are asked for, and nobody calls it ready before a version answers."""
    made = World(model(V1, V2, traffic=SPLIT))
    made.mesh = Mesh.ISTIO
    made.settle()
    assert weights(made) == {"resnet-v1": 80, "resnet-v2": 20}
    assert traffic_ready(made) == ("False", "VersionNotReady")


def test_rules_and_copies_wait_for_their_version() -> None:
    """A rule or a mirror leads to a version only while that is ready; until then its requests are shared out."""
    traffic = {
        "target": "v1",
        "mirrors": [{"version": "v2", "percent": 25}],
        "rules": [{"name": "pin", "headers": [{"name": "x-version", "value": "v3"}], "version": "v3"}],
    }
    made = world(V1, V2, V3, traffic=traffic, ready=("v1",))
    spec = made.children[Ref("VirtualService", "vision", "resnet")]["spec"]
    assert "mirrors" not in str(spec)
    assert "resnet-v3" not in str(spec)
    assert traffic_ready(made) == ("False", "VersionNotReady")
    made.roll_out("v2", "v3")
    made.settle()
    spec = made.children[Ref("VirtualService", "vision", "resnet")]["spec"]
    assert spec["http"][-1]["mirrors"][0]["percentage"] == {"value": 25.0}
    assert "resnet-v3" in str(spec["http"][0])
    status = made.report(now=made.now).status
    assert {it["name"]: it["state"] for it in status["versions"]} == {
        "v1": "Serving",
        "v2": "Mirroring",
        "v3": "Serving",
    }
    assert status["traffic"][1] == {"version": "v2", "mirror": 25}


def test_without_a_mesh() -> None:
    """Where there is no mesh all requests go to the largest share, its name is in the condition, and nothing else is lost."""
    made = world(V1, V2, traffic=SPLIT, mesh=Mesh.NONE)
    assert made.stable() == "v1"
    assert traffic_ready(made) == ("False", "MeshMissing")
    assert "traffic" not in made.report(now=made.now).status
    made.mesh = Mesh.ISTIO
    assert made.step() == ["create VirtualService vision/resnet"]
    assert traffic_ready(made) == ("True", "Routed")


def test_a_plain_model_says_nothing_without_a_mesh() -> None:
    """A model that asks for nothing of a mesh has no word about it."""
    made = world(V1, mesh=Mesh.NONE, ready=("v1",))
    assert "TrafficReady" not in {it["type"] for it in made.report(now=made.now).status["conditions"]}


def test_protected_without_sidecars() -> None:
    """A model whose protection nobody enforces is not shown at a gateway; with sidecars it is."""
    traffic = {"access": {"deny": [{"paths": ["/admin*"]}]}}
    made = world(
        V1, traffic=traffic, ready=("v1",), expose={"hosts": ["a.example.com"], "gatewayRef": {"name": "ingress"}}
    )
    route = Ref("VirtualService", "vision", "resnet.gateway")
    assert made.names("VirtualService") == {"resnet"}
    assert traffic_ready(made) == ("False", "NotEnforced")
    assert "AuthorizationPolicy" in {ref.kind for ref in made.children}
    for pod in made.pods:
        pod["status"]["initContainerStatuses"].append({"name": "istio-proxy", "restartCount": 0, "state": {}})
    evicted = copy.deepcopy(made.pods[0])
    evicted["status"] |= {"phase": "Failed", "initContainerStatuses": []}
    made.pods.append(evicted)
    made.settle()
    assert made.children[route]["spec"]["hosts"] == ["a.example.com"]
    assert traffic_ready(made) == ("True", "Routed")
    assert made.report(now=made.now).status["url"] == "http://a.example.com"


def test_protected_before_a_replica_is_there() -> None:
    """No gateway leads to a model that is to be protected before a sidecar is seen; a host that it has it keeps."""
    traffic = {"access": {"deny": [{"paths": ["/admin*"]}]}}
    expose = {"hosts": ["a.example.com"], "gatewayRef": {"name": "ingress"}}
    made = world(V1, traffic=traffic, ready=(), expose=expose)
    route = Ref("VirtualService", "vision", "resnet.gateway")
    assert made.names("VirtualService") == {"resnet"}
    assert traffic_ready(made) == ("False", "VersionNotReady")
    made.roll_out("v1")
    for pod in made.pods:
        pod["status"]["initContainerStatuses"].append({"name": "istio-proxy", "restartCount": 0, "state": {}})
    made.settle()
    assert made.children[route]["spec"]["hosts"] == ["a.example.com"]
    made.pods.clear()
    made.settle()
    assert made.children[route]["spec"]["hosts"] == ["a.example.com"]


@pytest.mark.parametrize("kind", ["VirtualService", "AuthorizationPolicy"])
def test_a_route_that_was_not_written_is_not_called_ready(kind: str) -> None:
    """What a webhook refuses of a route is told by the condition about traffic; the status has hosts that the route has."""
    expose = {"hosts": ["a.example.com"], "gatewayRef": {"name": "ingress"}}
    made = world(V1, V2, traffic=SPLIT, expose=expose)
    assert made.report(now=made.now).status["hosts"] == ["a.example.com"]
    made.edit(model(V1, V2, traffic=SPLIT, expose={**expose, "hosts": ["b.example.com"]}))
    status = made.report(Problem(Reason.REJECTED, "refused.", kind), now=made.now).status
    assert {it["type"]: it["reason"] for it in status["conditions"]}["TrafficReady"] == "Rejected"
    assert status["hosts"] == ["a.example.com"]
    assert status["url"] == "http://resnet.vision.svc:8000"
    made.report(Problem(Reason.REJECTED, "refused.", "PodDisruptionBudget"), now=made.now)
    assert traffic_ready(made) == ("True", "Routed")


def test_another_api_takes_over_while_nothing_of_the_spec_is_ready() -> None:
    """When the API changes while versions answer that left the spec, the route of the API before goes; it would stay as it is."""
    made = world(V1, V2, traffic=SPLIT)
    made.edit(model(V3, expose={"hosts": ["a.example.com"], "gatewayRef": {"name": "ingress"}}))
    made.settle()
    assert made.names("VirtualService") == {"resnet", "resnet.gateway"}
    made.mesh = Mesh.GATEWAY_API
    made.settle()
    assert (made.names("VirtualService"), made.names("HTTPRoute")) == (set(), {"resnet"})
    assert {"resnet-v1", "resnet-v2"} <= made.names("Service")


@pytest.mark.parametrize("mesh", [Mesh.ISTIO, Mesh.GATEWAY_API])
def test_versions_that_left_the_spec_leave_the_route_as_well(mesh: Mesh) -> None:
    """While a successor starts, those before it answer; one of them that loses its pods gets nothing any more."""
    made = world(V1, V2, traffic=SPLIT, mesh=mesh)
    made.edit(model(V3))
    made.settle()
    assert read(made.seen()).shares == {"v1": 80, "v2": 20}
    lose(made, "v1")
    made.settle()
    assert read(made.seen()).shares == {"v2": 100}
    made.roll_out("v3")
    made.now += timedelta(minutes=1)
    made.settle()
    assert made.names("HTTPRoute") == set()
    assert read(made.seen()).shares == ({"v3": 100} if mesh is Mesh.ISTIO else {})


def test_a_refused_field_leaves_the_route_alone() -> None:
    """What the mesh cannot do is refused, and the live route stays as it was."""
    expose = {"hosts": ["a.example.com"], "gatewayRef": {"name": "ingress"}}
    made = world(V1, V2, traffic=SPLIT, mesh=Mesh.GATEWAY_API, expose=expose)
    before = made.children[Ref("HTTPRoute", "vision", "resnet")]
    made.edit(model(V1, V2, traffic={**SPLIT, "rateLimit": {"requests": 5, "per": "1s"}}, expose=expose))
    made.settle()
    assert made.children[Ref("HTTPRoute", "vision", "resnet")] == before
    status = made.report(now=made.now).status
    found = {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}
    assert found["Accepted"] == found["TrafficReady"] == ("False", "NotSupported")
    assert found["Stalled"] == ("True", "NotSupported")
    assert found["Ready"][0] == "True"
    assert status["hosts"] == ["a.example.com"]


@pytest.mark.parametrize("mesh", [Mesh.ISTIO, Mesh.GATEWAY_API])
def test_another_mesh_takes_over(mesh: Mesh) -> None:
    """When the installation changes its mesh, the objects of the other one go."""
    other = {Mesh.ISTIO: Mesh.GATEWAY_API, Mesh.GATEWAY_API: Mesh.ISTIO}[mesh]
    made = world(V1, V2, traffic=SPLIT, mesh=mesh)
    made.mesh = other
    made.settle()
    kinds = {ref.kind for ref in made.children}
    assert ("VirtualService" in kinds, "HTTPRoute" in kinds) == (other is Mesh.ISTIO, other is Mesh.GATEWAY_API)


def test_replacing_the_only_version() -> None:
    """A spec with another single version: the old one keeps the route until the new one is rolled out, then all moves at once."""
    made = world(V1, ready=("v1",))
    made.edit(model(V2))
    made.settle()
    assert weights(made) == {"resnet-v1": 100}
    assert made.plan().frozen == ("v1",)
    made.roll_out("v2")
    assert "update VirtualService vision/resnet" in made.step()
    assert weights(made) == {"resnet-v2": 100}
    assert "resnet-v1" in made.names(), "kept until the mesh knows"


@pytest.mark.parametrize("mesh", [Mesh.ISTIO, Mesh.GATEWAY_API, Mesh.NONE])
def test_a_mesh_is_given_time_to_learn_of_the_first_pod(mesh: Mesh) -> None:
    """A target that is rolled out takes over after five seconds of readiness, Services and route at once; without a mesh at once."""
    made = world(V1, ready=("v1",), mesh=mesh)
    made.edit(model(V2))
    made.settle()
    made.roll_out("v2")
    rolled = made.now
    for condition in made.pods[-1]["status"]["conditions"]:
        condition["lastTransitionTime"] = f"{rolled:%Y-%m-%dT%H:%M:%SZ}"
    made.now = rolled + timedelta(seconds=4.5)
    found = made.plan()
    if mesh is Mesh.NONE:
        assert found.serving == "v2"
        return
    assert (found.serving, found.wait) == ("v1", 0.5)
    assert traffic_ready(made) == ("False", "VersionNotReady")
    made.now = rolled + timedelta(seconds=5)
    assert made.plan().serving == "v2"
    made.step()
    assert made.stable() == "v2"


def test_several_versions_left_the_spec() -> None:
    """Two versions that share the traffic and leave the spec at once both answer until their successor is ready."""
    made = world(V1, V2, traffic=SPLIT)
    made.edit(model(V3))
    made.settle()
    assert (weights(made), made.plan().frozen) == ({"resnet-v1": 80, "resnet-v2": 20}, ("v1", "v2"))
    states = {it["name"]: it["state"] for it in made.report(now=made.now).status["versions"]}
    assert states == {"v1": "Frozen", "v2": "Frozen", "v3": "Starting"}
    made.roll_out("v3")
    made.settle()
    assert weights(made) == {"resnet-v3": 100}


@pytest.mark.parametrize("mesh", [Mesh.NONE, Mesh.ISTIO])
def test_nothing_is_opened_before_it_is_protected(mesh: Mesh) -> None:
    """Node ports and load balancers of a protected model come with its sidecars; those that are open stay."""
    expose = {"nodePort": {}, "loadBalancer": {}}
    made = world(V1, ready=("v1",), mesh=mesh, traffic={"access": {"deny": [{"paths": ["/admin*"]}]}}, expose=expose)
    assert made.names("Service") == {"resnet", "resnet-v1"}
    for pod in made.pods:
        pod["status"]["initContainerStatuses"].append({"name": "istio-proxy", "restartCount": 0, "state": {}})
    made.settle()
    open_now = {"resnet-nodeport", "resnet-loadbalancer"} if mesh is Mesh.ISTIO else set()
    assert made.names("Service") == {"resnet", "resnet-v1"} | open_now
    made.pods[0]["status"]["initContainerStatuses"].pop()
    made.settle()
    assert made.names("Service") == {"resnet", "resnet-v1"} | open_now
