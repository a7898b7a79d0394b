"""Whatever is asked of whatever provider: the real API server takes the resource, and all that it becomes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pantala.accelerators.registry import PROVIDERS
from pantala.api.check import check
from pantala.cli.render import rendered
from pantala.manifest.settings import Settings
from tests.accelerators.test_rounding import asks
from tests.apiserver.models import Api

pytestmark = pytest.mark.apiserver

COUNT = 30
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATHS = {
    "ConfigMap": "/api/v1/namespaces/default/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/default/deployments",
    "Pod": "/api/v1/namespaces/default/pods",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates",
    "Service": "/api/v1/namespaces/default/services",
}


def _model(block: Any) -> Any:
    return {
        "apiVersion": "pantala.dev/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "asks", "namespace": "default"},
        "spec": {
            "runtime": {"name": "triton"},
            "accelerator": block,
            "versions": [{"name": "v1", "uri": "s3://models/asks/"}],
        },
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_asked_is_accepted(kwok_api: Api, provider: str) -> None:
    """Asks that nobody thought of pass admission, and their children and pods are valid."""
    pods = 0
    for block, accelerators in asks(provider, seed=11)[:COUNT]:
        obj = _model(block)
        assert check(obj) == [], block
        stored = kwok_api.create(obj, fieldValidation="Strict")
        assert stored["kind"] == "InferenceModel", (block, stored)
        made = rendered(stored, None, Settings(accelerators=accelerators), NOW)
        assert not made.problems, block
        children = list(made.apply)
        for child in made.apply:
            if child["kind"] == "Deployment":
                meta = {**child["spec"]["template"]["metadata"], "name": "asks"}
                children.append(
                    {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": child["spec"]["template"]["spec"]}
                )
                pods += 1
        for child in children:
            answer = kwok_api.call("POST", PATHS[child["kind"]], child, dryRun="All", fieldValidation="Strict")
            assert answer["kind"] == child["kind"], (block, answer)
    assert pods == COUNT
