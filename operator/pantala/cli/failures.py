"""Errors as one line that says what to do next, in place of a traceback."""

from __future__ import annotations

import sys

import click
from typing_extensions import override

from pantala import naming
from pantala.errors import ApiError, Unavailable

ERROR = 2
"""Exit code: the command could not do what it was asked for. 1 is an answer: differences, or models that are not ready."""
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class Failure(click.ClickException):
    """An end with exit code 2 and a line on stderr."""

    exit_code = ERROR

    @override
    def format_message(self) -> str:
        return self.message


def explain(error: Exception) -> Failure | None:
    """The line for an error that a person can do something about; None for a defect, whose traceback is wanted."""
    if isinstance(error, ApiError):
        return Failure(_refused(error))
    if isinstance(error, Unavailable):
        return Failure(f"{error}. Check the address in the kubeconfig, and whether the cluster is up.")
    # Known only where the module was needed, which costs half a second to import.
    config = sys.modules.get("kubernetes.aio.config")
    if config is not None and isinstance(error, config.ConfigException):
        return Failure(f"No access to a cluster: {error}. Name a kubeconfig with --kubeconfig, or set KUBECONFIG.")
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        words = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        return Failure(
            f"The resource cannot be read: {words}. Is it of a newer release? Use the `pantala` of its operator."
        )
    return None


def _refused(error: ApiError) -> str:
    if error.status == _NOT_FOUND and error.message.startswith("the server could not find"):
        return f"The cluster does not know {naming.KIND}: install the resource first (kubectl apply -f crds/)."
    if error.status == _NOT_FOUND:
        return f"{error.message}. `pantala status -A` lists what there is."
    if error.status == _UNAUTHORIZED:
        return "The API server does not know you (401): renew the credentials of the kubeconfig."
    if error.status == _FORBIDDEN:
        return f"{error.message}. Ask for that right, or use another --context."
    return f"The API server refused: {error}"
