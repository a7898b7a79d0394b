"""Versions for the tests of the pure modules."""

from typing import Any

from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion, resolve
from pantala.manifest.types import ServerParts
from pantala.runtimes import registry

OWNER = (
    {
        "apiVersion": "pantala.dev/v1alpha1",
        "kind": "InferenceModel",
        "name": "resnet",
        "uid": "6f1c3f3e-0000-4000-8000-000000000000",
        "controller": True,
    },
)


def version(runtime: dict[str, Any], model_name: str = "resnet_50", **spec: Any) -> ResolvedVersion:
    """The version `v1` of a model with this runtime block."""
    block = {
        "modelName": model_name,
        "runtime": runtime,
        "versions": [{"name": "v1", "uri": "s3://models/resnet/1/"}],
        **spec,
    }
    return resolve(InferenceModel.read({"metadata": {"name": "resnet", "namespace": "vision"}, "spec": block}), "v1")


def server(runtime: dict[str, Any], image: str = "example.com/server:1", cards: int = 0, **spec: Any) -> ServerParts:
    """What the runtime contributes to the pods of that version, whose server sees so many cards."""
    resolved = version(runtime, **spec)
    return registry.get(resolved.runtime.name).server(resolved, image, cards)
