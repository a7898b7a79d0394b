"""What the API server's refusals to write a child of a mesh become."""

from typing import Any, cast

import pytest

from pantala.cluster.apply import Writer
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.resources import AUTHORIZATION_POLICY, CONFIG_MAP, VIRTUAL_SERVICE, Resource
from pantala.errors import ApiError
from pantala.planner.observed import Observed
from pantala.status.reasons import Reason
from pantala.traffic import istio, policies
from tests.traffic.istio_cases import EXPOSED, route

MODEL = {"metadata": {"name": "net", "namespace": "vision", "uid": "1"}}
TERMINATING = 'virtualservices "net" is forbidden: create not allowed while custom resource definition is terminating'


class StandinClient:
    """Refuses every write."""

    def __init__(self, error: ApiError) -> None:
        self.error = error

    async def apply(self, *_: object) -> Any:
        """Raise."""
        raise self.error


async def write(error: ApiError, resource: Resource = VIRTUAL_SERVICE) -> Any:
    """The problems of a pass."""
    writer = Writer(cast("Client", StandinClient(error)), Cache(lambda _: None, lambda _: None))
    meta = {"name": "net", "namespace": "vision"}
    child = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
    return await writer.apply(Observed(model=MODEL), [child])


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (ApiError(404, "Not Found", "404 page not found"), Reason.REJECTED, "Install its CRD"),
        (ApiError(403, "Forbidden", TERMINATING), Reason.REJECTED, "Install its CRD"),
        (ApiError(403, "Forbidden", 'User "op" cannot patch'), Reason.FORBIDDEN, "Check the operator's Role"),
        (ApiError(422, "Invalid", "spec.http: wrong"), Reason.REJECTED, "spec.http: wrong"),
    ],
)
async def test_refused(error: ApiError, reason: Reason, words: str) -> None:
    """A kind that is not there, or leaves, is told from a missing right and from a field that is refused."""
    (problem,) = await write(error)
    assert problem.reason is reason
    assert words in problem.message


class StandinGuardless:
    """Refuses AuthorizationPolicies, and takes everything else."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def apply(self, resource: Resource, obj: Any) -> Any:
        """Raise, or give the object back as stored."""
        if resource is AUTHORIZATION_POLICY:
            raise ApiError(404, "Not Found", "404 page not found")
        self.taken.append(obj)
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "2"}}


async def test_no_host_is_opened_without_its_guards() -> None:
    """Where an access list cannot be written, the route for the gateway is not; that for the inside is."""
    wanted = route(traffic={"access": {"deny": [{"paths": ["/admin*"]}]}}, **EXPOSED)
    client = StandinGuardless()
    writer = Writer(cast("Client", client), Cache(lambda _: None, lambda _: None))
    (problem,) = await writer.apply(Observed(model=MODEL), [*policies.objects(wanted), *istio.objects(wanted)])
    assert "AuthorizationPolicy" in problem.message
    assert [it["spec"]["hosts"] for it in client.taken] == [["resnet.vision.svc.cluster.local"]]


@pytest.mark.parametrize(
    ("error", "resource"),
    [
        (ApiError(404, "NotFound", 'namespaces "vision" not found'), VIRTUAL_SERVICE),
        (ApiError(404, "Not Found", "404 page not found"), CONFIG_MAP),
        (ApiError(500, "InternalError", "etcd"), VIRTUAL_SERVICE),
    ],
)
async def test_tried_again(error: ApiError, resource: Resource) -> None:
    """What passes by itself is tried again: a namespace that is gone, a kind that every API server has."""
    with pytest.raises(ApiError):
        await write(error, resource)
