"""Cards by DynamicResourceAllocation on an API server of before: Kubernetes 1.31 has no resource.k8s.io/v1."""

from collections.abc import Iterator

import pytest

from tests.apiserver.operator_process import Installation, Space, api_of
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def space(api_server_1_31: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """An operator at the oldest API server."""
    folder = tmp_path_factory.mktemp("operator")
    with api_of(api_server_1_31) as api, Installation(api_server_1_31, api, folder) as made:
        made.start().wait("leader")
        yield made.space


def test_the_kind_is_missing(space: Space) -> None:
    """The version that needs the kind has nothing written: its pods would run without cards, as the field would be dropped.

    The message names what is missing and the next step; the other version of the model goes on.
    """
    versions = [
        {"name": "v1", "uri": "s3://models/m/1/"},
        {"name": "v2", "uri": "s3://models/m/2/", "accelerator": {"provider": "dra"}},
    ]
    space.model("absent", versions=versions, traffic={"target": "v1"})
    space.wait(lambda: space.condition("absent", "Accepted").get("reason") == "APIMissing", "the condition")
    found = space.condition("absent", "Accepted")
    assert found["status"] == "False"
    assert (
        "Version v2, accelerator.provider: provider dra needs resource.k8s.io/v1 ResourceClaimTemplate"
        in found["message"]
    )
    assert "update Kubernetes to 1.34 or later" in found["message"]
    assert space.condition("absent", "Stalled")["reason"] == "APIMissing"
    space.wait(lambda: space.get("Deployment", "absent-v1") is not None, "the other version")
    assert space.get("Deployment", "absent-v2") is None
    assert space.get("Service", "absent-v2") is None


def test_another_provider_heals_it(space: Space) -> None:
    """With another provider it is as if nothing had been."""
    space.model("healed", accelerator={"provider": "dra"})
    space.wait(lambda: space.condition("healed", "Accepted").get("reason") == "APIMissing", "the condition")
    space.patch("InferenceModel", "healed", {"spec": {"accelerator": {"provider": "nvidia"}}})
    space.wait(lambda: space.condition("healed", "Accepted").get("status") == "True", "accepted")
    assert space.get("Deployment", "healed-v1") is not None
