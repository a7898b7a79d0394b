"""Routes that are not written as planned, because something else could not be."""

from typing import Any

import pytest

from pantala.manifest.types import Manifest, Ref
from pantala.planner import barrier
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import gateway_api, istio
from tests.traffic.gateway_routes import route as gateway_route
from tests.traffic.istio_cases import EXPOSED, HOSTS, route

REJECTED, TAKEN = Problem(Reason.REJECTED, "no"), Problem(Reason.NAME_CONFLICT, "taken")


def problems(kind: str, name: str = "resnet-deny", problem: Problem = REJECTED) -> dict[Ref, Problem]:
    """One object of the model that could not be written."""
    return {Ref(kind, "vision", name): problem}


def planned(**fields: Any) -> tuple[Manifest, Manifest]:
    """The VirtualServices of the gateway and of the inside."""
    outside, inside = istio.objects(route(**{**EXPOSED, **fields}))
    return outside, inside


@pytest.mark.parametrize("kind", sorted(barrier.GUARDS))
def test_no_host_without_its_guards(kind: str) -> None:
    """While a guard is refused no host is opened; those that are open stay, and their shares are written."""
    outside, inside = planned()
    assert barrier.safe(outside, None, problems(kind)) is None
    assert barrier.safe(inside, None, problems(kind)) == inside
    assert barrier.safe(outside, outside, problems(kind)) == outside
    more, _ = planned(hosts=(*HOSTS, "b.example.com"))
    assert barrier.safe(more, outside, problems(kind)) == outside
    assert barrier.safe(more, outside, {}) == more


@pytest.mark.parametrize("kind", ["Deployment", "Service", "DestinationRule", "HorizontalPodAutoscaler"])
def test_what_guards_nothing_holds_nothing_back(kind: str) -> None:
    """A route does not wait for what only bounds or scales the model."""
    for manifest in planned():
        assert barrier.safe(manifest, None, problems(kind)) == manifest


@pytest.mark.parametrize("name", ["resnet", "resnet-v1"])
def test_no_route_by_the_service_of_a_stranger(name: str) -> None:
    """A route neither takes the requests of a Service that is not the model's, nor leads any to one; a live one goes on."""
    taken = problems("Service", name, TAKEN)
    _, inside = planned()
    http = gateway_api.objects(gateway_route())[-1]
    for manifest in (inside, http):
        assert barrier.safe(manifest, None, taken) is None
        assert barrier.safe(manifest, manifest, taken) == manifest
        assert barrier.safe(manifest, None, problems("Service", "resnet-nodeport", TAKEN)) == manifest


def test_no_route_goes_before_its_successor_is_there() -> None:
    """While the route of one API is refused, that of the other stays; other leftovers go, if no right is missing.

    A route of the same API goes, as it shows what is to be shown no more.
    """
    kinds = ("HTTPRoute", "ConfigMap", "VirtualService")
    leftovers = [{"kind": kind} for kind in kinds]
    planned = [{"kind": "VirtualService"}]
    webhook = Problem(Reason.WEBHOOK_FAILED, "no", "VirtualService")
    assert barrier.deletable(leftovers, planned, [webhook]) == leftovers[1:]
    assert barrier.deletable(leftovers, [], [webhook]) == leftovers
    assert barrier.deletable(leftovers, planned, [Problem(Reason.REJECTED, "no", "ConfigMap")]) == leftovers
    assert barrier.deletable(leftovers, planned, []) == leftovers
    assert barrier.deletable(leftovers, planned, [Problem(Reason.FORBIDDEN, "no", "ConfigMap")]) == []
