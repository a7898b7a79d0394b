"""What the API server's refusals to write a child of a mesh become."""

from typing import Any, cast

import pytest

from pantala.cluster.apply import Writer
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.resources import CONFIG_MAP, VIRTUAL_SERVICE, Resource
from pantala.errors import ApiError
from pantala.planner.observed import Observed
from pantala.status.reasons import Reason

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
