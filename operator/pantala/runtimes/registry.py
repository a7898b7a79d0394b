"""Which module serves which runtime: a new model server is one line here."""

from pantala.runtimes.base import Runtime
from pantala.runtimes.custom import Custom
from pantala.runtimes.torchserve import TorchServe
from pantala.runtimes.triton import Triton

RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in (TorchServe(), Triton(), Custom())}
"""The model servers by `runtime.name`."""


def get(name: str) -> Runtime:
    """The module of a model server.

    Raises:
        KeyError: The operator does not know the server.
    """
    return RUNTIMES[name]
