"""What admission refuses is what the runtimes protect."""

import re

from pantala.api import owned
from pantala.api.resolve import resolve
from pantala.runtimes import torchserve, triton
from tests.api.test_model import InferenceModel, load


def test_settings() -> None:
    """Every setting that a runtime protects is refused by a rule, and no other."""
    assert set(owned.TORCHSERVE_CONFIG) == torchserve.PROTECTED
    assert set(owned.TRITON_FLAGS) == triton.PROTECTED


def test_environment_and_flags() -> None:
    """Every variable that TorchServe's container is given, but HOME, and every flag, is refused from users."""
    model = InferenceModel.read(load("two-versions"))
    container = torchserve.TorchServe().server(resolve(model, "v1"), "image").container
    assert {item["name"] for item in container["env"]} - {"HOME"} <= set(owned.ENV) | {"OMP_NUM_THREADS"}
    flags = {re.split("=", arg.removeprefix("--"))[0] for arg in container["args"]}
    assert flags <= set(owned.TORCHSERVE_FLAGS)
