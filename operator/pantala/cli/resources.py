"""The InferenceModels of files, as an API server would store them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click
import yaml

from pantala.api import base
from pantala.api.check import check
from pantala.cli.failures import Failure
from pantala.cli.validate import documents
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
                here = [(line, obj) for line, document in documents(stream) for obj in _models(document)]
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Failure(f"{name}: cannot be read: {error}") from error
        if not here:
            raise Failure(f"{name}: holds no {base.KIND} of {base.API_VERSION}")
        for line, obj in here:
            where = f"{name}:{line}: {_name(obj)}"
            problems += [f"{where}: {words}" for words in _problems(obj)]
            found.append(obj)
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
    if not isinstance(document, dict):
        return
    inner = document.get("items") or () if document.get("kind") == "List" else (document,)
    for item in inner:
        if isinstance(item, dict) and item.get("kind") == base.KIND:
            yield item


def _name(obj: Manifest) -> str:
    meta = obj.get("metadata")
    return str(meta.get("name", "")) if isinstance(meta, dict) else ""


def _problems(obj: Manifest) -> list[str]:
    if obj.get("apiVersion") != base.API_VERSION:
        return [f"apiVersion: {obj.get('apiVersion')} is not served: write {base.API_VERSION}"]
    if not _name(obj):
        return ["metadata.name: Required value"]
    return [problem.line for problem in check(obj)]
