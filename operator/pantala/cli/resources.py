"""The InferenceModels of files, as an API server would store them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import click
import yaml

from pantala.api import base
from pantala.cli.failures import Failure
from pantala.cli.validate import documents, results
from pantala.manifest.types import Manifest


def load(files: Iterable[str]) -> list[Manifest]:
    """Every InferenceModel of the files, checked as `pantala validate` checks; `-` is standard input.

    Raises:
        Failure: A file cannot be read, holds none, or a resource is not valid; all problems are in the message.
    """
    found: list[Manifest] = []
    problems: list[str] = []
    for name in files:
        try:
            with click.open_file(name, encoding="utf-8") as stream:
                text = stream.read()
            verdicts = list(results(name, io.StringIO(text)))
            here = [obj for _, document in documents(io.StringIO(text)) for obj in _models(document)]
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Failure(f"{name}: cannot be read: {error}") from error
        if not verdicts:
            raise Failure(f"{name}: holds no {base.KIND} of {base.API_VERSION}")
        problems += [
            f"{verdict.file}:{line}: {verdict.name}: {problem.line}"
            for verdict in verdicts
            for line, problem in verdict.problems
        ]
        found += here
    if problems:
        raise Failure("\n".join(problems))
    return found


def place(obj: Manifest, namespace: str | None, default: str) -> Manifest:
    """The resource in its namespace: its own, else `namespace`, else `default`.

    Raises:
        Failure: It names another namespace than the one that was asked for.
    """
    meta = obj["metadata"]
    own = meta.get("namespace")
    if own and namespace and own != namespace:
        raise Failure(
            f"{meta['name']}: metadata.namespace is {own} and --namespace is {namespace}. Leave one of them out."
        )
    return {**obj, "metadata": {**meta, "namespace": own or namespace or default}}


def _models(document: Any) -> Iterator[Manifest]:
    """The resources of a document that `results` judges."""
    if not isinstance(document, dict):
        return
    listed = document.get("kind") == "List" and isinstance(document.get("items"), list)
    for item in document["items"] if listed else [document]:
        # Another project has a kind of this name in a group of its own.
        if isinstance(item, dict) and item.get("kind") == base.KIND and item.get("apiVersion") == base.API_VERSION:
            yield item
