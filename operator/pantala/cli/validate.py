"""``pantala validate``: the verdict of the API server on files, without a cluster, and typos on top."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import click
import yaml

from pantala.api import base
from pantala.api.check import Problem, check

INVALID = 1
"""Exit code: some resource is not valid."""
UNREADABLE = 2
"""Exit code: a file cannot be read, or holds no resource of ours."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as kubectl does: dates stay text, and a key that appears twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # type: ignore[explicit-override]  # noqa: FBT001, FBT002 - the base's signature
        """Build a mapping, and refuse a key that appears twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Result:
    """The verdict on one resource of a file."""

    file: str
    line: int
    """Line of the file where the document begins, from 1 on."""
    name: str
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """The verdict for programs."""
        problems = [{"path": problem.path, "message": problem.message} for problem in self.problems]
        return {
            "file": self.file,
            "line": self.line,
            "name": self.name,
            "valid": not problems,
            "problems": problems,
        }


def documents(stream: IO[str]) -> Iterator[tuple[int, Any]]:
    """The documents of a YAML or JSON file, each with the line where it begins.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    loader = _Loader(stream)
    try:
        while loader.check_node():
            if node := loader.get_node():
                yield node.start_mark.line + 1, loader.construct_document(node)
    finally:
        loader.dispose()


def results(name: str, stream: IO[str]) -> Iterator[Result]:
    """The verdict on each `InferenceModel` of a file; documents of other kinds are passed over."""
    for line, document in documents(stream):
        if not isinstance(document, dict):
            if document is not None:
                problem = Problem("", "the document is no object: write apiVersion, kind, metadata and spec")
                yield Result(name, line, "", (problem,))
            continue
        if document.get("kind") == "List":
            inner = [item for item in document.get("items") or () if isinstance(item, dict)]
        else:
            inner = [document]
        for item in inner:
            if item.get("kind") == base.KIND and str(item.get("apiVersion", "")).startswith(base.GROUP):
                yield Result(name, line, *_verdict(item))


def _verdict(obj: dict[str, Any]) -> tuple[str, tuple[Problem, ...]]:
    """The name of a resource, and what is wrong with it."""
    metadata = obj.get("metadata")
    named = metadata.get("name") if isinstance(metadata, dict) else None
    if obj["apiVersion"] != base.API_VERSION:
        return str(named or ""), (
            Problem("apiVersion", f"{obj['apiVersion']} is not served: write {base.API_VERSION}"),
        )
    if not isinstance(named, str):
        return "", (Problem("metadata.name", "Required value"),)
    return named, tuple(check(obj))


def _print(found: list[Result]) -> None:
    """Write the verdicts for a person."""
    for result in found:
        where = f"{result.file}:{result.line}"
        if not result.problems:
            click.echo(f"{where}: {result.name} is valid")
        for problem in result.problems:
            click.echo(f"{where}: {result.name}: {problem.line}")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the verdicts.")
def validate(files: tuple[str, ...], output: str) -> None:
    """Check InferenceModel resources in files without a cluster.

    Gives the verdicts and messages of the API server, and finds fields that do not exist, which an API server may drop in
    silence. FILE is YAML or JSON, several documents are fine, and - reads standard input. Resources of other kinds are
    passed over.

    Exit code: 0 all are valid, 1 some are not, 2 a file cannot be read or holds no InferenceModel.
    """
    found: list[Result] = []
    unreadable = False
    for name in files:
        try:
            with click.open_file(name, encoding="utf-8") as stream:
                here = list(results(name, stream))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            click.echo(f"{name}: cannot be read: {error}", err=True)
            unreadable = True
            continue
        if not here:
            click.echo(f"{name}: holds no {base.KIND} of {base.API_VERSION}", err=True)
            unreadable = True
        found += here
    if output == "json":
        click.echo(json.dumps([result.as_dict() for result in found], indent=2))
    else:
        _print(found)
    if unreadable:
        sys.exit(UNREADABLE)
    if any(result.problems for result in found):
        sys.exit(INVALID)
