"""Reading resources, and merging shared and own blocks."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pantala.api.model import InferenceModel
from pantala.api.resolve import find, resolve, target

GOOD = Path(__file__).parents[1] / "apiserver" / "data" / "good"


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((GOOD / f"{name}.yaml").read_text())


@pytest.mark.parametrize("path", sorted(GOOD.glob("*.yaml")), ids=lambda path: path.stem)
def test_good_resources_are_read(path: Path) -> None:
    """Whatever the API server accepts, the operator can read, and it loses nothing of it."""
    obj = yaml.safe_load(path.read_text())
    written = InferenceModel.read(obj).as_dict()["spec"]
    assert contains(written, obj["spec"])


def contains(written: Any, given: Any) -> bool:
    """Whether everything given is in what is written; quantities are text inside."""
    if isinstance(given, dict):
        return all(name in written and contains(written[name], value) for name, value in given.items())
    if isinstance(given, list):
        return len(written) == len(given) and all(map(contains, written, given))
    return written == given or written == str(given)


def test_unknown_fields_of_newer_operators_are_ignored() -> None:
    """An object that a newer version stored is still understood."""
    obj = load("minimal")
    obj["spec"]["later"] = {"a": 1}
    obj["spec"]["versions"][0]["later"] = True
    assert InferenceModel.read(obj).spec.runtime.name == "triton"
    with pytest.raises(ValidationError):
        InferenceModel.model_validate(obj)


def test_blocks_are_immutable() -> None:
    """A plan cannot change the resource that it was made from."""
    model = InferenceModel.read(load("minimal"))
    with pytest.raises(ValidationError):
        model.spec.paused = True


def test_served_name() -> None:
    """Clients use modelName, or the name of the resource."""
    assert InferenceModel.read(load("torchserve")).served_name == "squeezenet1_1"
    assert InferenceModel.read(load("minimal")).served_name == "minimal"


def test_target() -> None:
    """The target is named, or the only version."""
    assert target(InferenceModel.read(load("two-versions"))) == "v2"
    assert target(InferenceModel.read(load("minimal"))) == "v1"


def test_own_blocks_replace_shared_ones_whole() -> None:
    """Nothing of a shared block is left where a version has its own."""
    model = InferenceModel.read(load("own-blocks"))
    shared, own = resolve(model, "v1"), resolve(model, "v2")
    assert (shared.runtime.name, own.runtime.name) == ("triton", "torchserve")
    assert shared.resources
    assert own.resources
    assert (shared.resources.requests, own.resources.requests) == ({"cpu": "500m"}, None)
    assert own.storage
    assert own.storage.endpoint is None
    assert (shared.accelerator, own.accelerator and own.accelerator.count) == (None, 1)
    assert (shared.scaling.max_replicas, own.scaling.max_replicas) == (2, None)
    assert shared.model_name == own.model_name == "own-blocks"


def test_versions_that_do_not_exist() -> None:
    """A version that left the spec is found by nobody."""
    model = InferenceModel.read(load("minimal"))
    assert find(model, "v9") is None
    with pytest.raises(KeyError):
        resolve(model, "v9")
