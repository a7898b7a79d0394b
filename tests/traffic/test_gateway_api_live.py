"""What live HTTPRoutes say."""

import copy
from typing import Any

import pytest

from pantala.manifest.types import Manifest
from pantala.traffic import gateway_api
from tests.traffic.gateway_routes import FULL, GATEWAY, HOST, V1, V2, V3, route, traffic

SERVICES = {it.service: it.version for it in (V1, V2, V3)}
REF = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": "ingress"}
SERVICE = {"group": "", "kind": "Service", "name": "resnet"}


def live(**changes: Any) -> Manifest:
    made = gateway_api.objects(route(**{"gateway": GATEWAY, "hosts": (HOST,), **changes}))[-1]
    made["metadata"]["generation"] = 3
    return made


@pytest.mark.parametrize("prefix", [None, "/models/resnet"])
def test_shares_mirrors_and_hosts_are_read_back(prefix: str | None) -> None:
    """What was written is read, whatever rules there are beside."""
    one = live(wanted=traffic(**FULL), prefix=prefix)
    assert gateway_api.shares(one, SERVICES) == {"v1": 80, "v2": 20}
    assert gateway_api.mirrors(one, SERVICES) == {"v3": 25}
    assert gateway_api.hosts(one) == (HOST,)


def test_whole_share_and_whole_copy() -> None:
    """One version has all, and copies without a percent are copies of all."""
    one = live(shares=((V1, 100),), wanted=traffic(mirrors=[{"version": "v2", "percent": 100}]))
    assert gateway_api.shares(one, SERVICES) == {"v1": 100}
    assert gateway_api.mirrors(one, SERVICES) == {"v2": 100}


def test_shares_beside_a_version_without_grpc() -> None:
    """The shares are those of HTTP, also where gRPC has fewer versions."""
    assert gateway_api.shares(live(shares=((V1, 80), (V3, 20))), SERVICES) == {"v1": 80, "v3": 20}


def test_route_without_a_gateway_claims_no_host() -> None:
    """Hosts mean nothing to the inside of the cluster."""
    one = live(gateway=None)
    one["spec"]["hostnames"] = [HOST]
    assert gateway_api.hosts(one) == ()


def test_what_others_changed_cannot_be_told() -> None:
    """An unknown Service, weights of 0 and a route without a way for all requests say nothing about shares."""
    unknown, zero, empty = live(), live(), live()
    unknown["spec"]["rules"][-1]["backendRefs"][0]["name"] = "other"
    for ref in zero["spec"]["rules"][-1]["backendRefs"]:
        ref["weight"] = 0
    empty["spec"]["rules"] = []
    assert [gateway_api.shares(one, SERVICES) for one in (unknown, zero, empty, {"metadata": {}})] == [None] * 4
    assert gateway_api.mirrors(empty, SERVICES) is None
    copies = live(wanted=traffic(mirrors=[{"version": "v3"}]))
    assert gateway_api.mirrors(copies, {"resnet-v1": "v1"}) is None


def told(one: Manifest, *parents: tuple[dict[str, Any], str, str, str, int | None]) -> Manifest:
    """A route with conditions: parent, type, status, reason, generation."""
    made = copy.deepcopy(one)
    made["status"] = {"parents": []}
    for ref, kind, status, reason, generation in parents:
        condition = {"type": kind, "status": status, "reason": reason, "message": f"about {reason}."}
        if generation is not None:
            condition["observedGeneration"] = generation
        made["status"]["parents"].append({"parentRef": ref, "controllerName": "c", "conditions": [condition]})
    return made


def test_accepted_route_has_no_problem() -> None:
    """Accepted as it is now, by one of two controllers, or by one that tells no generation."""
    for generation in (3, 4, None):
        assert gateway_api.problem(told(live(), (REF, "Accepted", "True", "Accepted", generation)), GATEWAY) is None
    both = told(live(), (REF, "Accepted", "True", "Accepted", 3), (SERVICE, "Accepted", "False", "NoMatchingParent", 3))
    assert gateway_api.problem(both, GATEWAY) is None


@pytest.mark.parametrize("parents", [(), ((REF, "Accepted", "False", "Odd", 2),)])
def test_route_that_nobody_took_is_waited_for(parents: tuple[Any, ...]) -> None:
    """Without a word about the route as it is now, it is said what to look at."""
    found = gateway_api.problem(told(live(), *parents), GATEWAY)
    assert found is not None
    assert found.startswith("no controller has taken the route for the Gateway infra/ingress yet")


def test_a_route_that_was_taken_is_not_doubted() -> None:
    """Each change of the shares is a new generation: until the controller has looked, that it took the last one counts."""
    assert gateway_api.problem(told(live(), (REF, "Accepted", "True", "Accepted", 2)), GATEWAY) is None


def test_wrongs_are_told_with_the_next_step() -> None:
    """What a controller refuses is said in its words, with what to do; of other gateways nothing is said."""
    refused = told(live(), (REF, "Accepted", "False", "NotAllowedByListeners", 3))
    assert gateway_api.problem(refused, GATEWAY) == (
        "the Gateway infra/ingress does not take the route (NotAllowedByListeners: about NotAllowedByListeners): allow"
        " routes of this namespace and kind in allowedRoutes of the Gateway's listener"
    )
    lost = told(live(), (REF, "Accepted", "True", "Accepted", 3), (REF, "ResolvedRefs", "False", "BackendNotFound", 3))
    assert "cannot reach what the route leads to (BackendNotFound" in (gateway_api.problem(lost, GATEWAY) or "")
    odd = told(live(), (REF, "Accepted", "False", "Odd", 3))
    assert "see the conditions of the HTTPRoute" in (gateway_api.problem(odd, GATEWAY) or "")
    other = told(
        live(), (REF, "Accepted", "True", "Accepted", 3), ({**REF, "name": "b"}, "Accepted", "False", "Odd", 3)
    )
    assert gateway_api.problem(other, GATEWAY) is None
    near = {"name": "ingress"}
    assert "Odd" in (
        gateway_api.problem(
            told(live(gateway=("vision", "ingress")), (near, "Accepted", "False", "Odd", 3)), ("vision", "ingress")
        )
        or ""
    )


def test_route_inside_of_the_cluster_waits_for_nobody() -> None:
    """Without a gateway silence is fine, with one for another of the routes, too; what a mesh refuses is told."""
    inside = live(gateway=None)
    beside = gateway_api.objects(route(gateway=GATEWAY, hosts=(HOST,), prefix="/m"))[0]
    assert beside["metadata"]["name"] == "resnet.mesh"
    assert gateway_api.problem(inside, None) is None
    assert gateway_api.problem(beside, GATEWAY) is None
    assert "the mesh does not take" in (
        gateway_api.problem(told(inside, (SERVICE, "Accepted", "False", "Odd", 3)), None) or ""
    )
