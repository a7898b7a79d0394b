"""An API server that serves the resource, and the good and bad resources that it is asked about."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from kubernetes.client import ApiClient

from pantala.api import crd
from pantala.api.check import NOT_CHECKED
from tests.cluster.process import wait_for

DATA = Path(__file__).parent / "data"
SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
GOOD = sorted([*(DATA / "good").glob("*.yaml"), *SAMPLES.glob("*.yaml")])
BAD = sorted((DATA / "bad").glob("*.yaml"))
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MODELS = "/apis/pantala.dev/v1alpha1/namespaces/default/inferencemodels"


def load(path: Path) -> Any:
    """Read a resource."""
    return yaml.safe_load(path.read_text())


def causes(status: Any) -> list[tuple[str, str]]:
    """Path and message of everything that the server finds wrong."""
    found = [(cause["field"], cause["message"]) for cause in status["details"]["causes"]]
    return [("" if path == "<nil>" else path, text) for path, text in found if not text.endswith(NOT_CHECKED)]


class Api:
    """The few calls that these tests make, as JSON."""

    def __init__(self, client: ApiClient) -> None:
        self.pool = client.rest_client.pool_manager
        self.url = client.configuration.host

    def call(self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: str) -> Any:
        """Send a request and return the answer's object; a refusal comes back as its Status."""
        answer = self.pool.request(
            method,
            f"{self.url}{path}?{urlencode(query)}",
            body=None if body is None else json.dumps(body).encode(),
            headers={"Accept": "application/json", "Content-Type": content},
        )
        return (
            json.loads(answer.data) if "json" in answer.headers["Content-Type"] else {"message": answer.data.decode()}
        )

    def apply(self, path: str, body: Any, **query: str) -> Any:
        """Apply an object on the server's side."""
        query |= {"fieldManager": "tests", "force": "true"}
        return self.call("PATCH", path, body, content="application/apply-patch+yaml", **query)

    def create(self, model: Any, **query: str) -> Any:
        """Ask the server to create a model, without doing it."""
        return self.call("POST", MODELS, model, dryRun="All", **query)

    def install(self) -> None:
        """Install the CRD and wait until it is served."""
        name = "inferencemodels.pantala.dev"
        applied = self.apply(f"{CRDS}/{name}", crd.generate())
        assert applied["kind"] == "CustomResourceDefinition", applied
        wait_for(self._is_served, "the rules of the CRD", 60)

    def _is_served(self) -> bool:
        """Whether the server refuses what the rules refuse: it serves a schema a moment after it established it."""
        broken = load(DATA / "bad" / "target-unknown.yaml")
        return bool(self.create(broken).get("reason") == "Invalid")
