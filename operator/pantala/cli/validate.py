"""``pantala validate``: the verdict of the API server on files, without a cluster, and typos on top."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import click
import yaml

from pantala.accelerators import registry as accelerators
from pantala.api import base, resolve
from pantala.api.check import Problem, check
from pantala.api.model import InferenceModel
from pantala.manifest.settings import AcceleratorSettings, AutoscalingSettings
from pantala.manifest.types import Invalid
from pantala.planner import scaling

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
    """Line of the file where the resource begins, from 1 on."""
    name: str
    problems: tuple[tuple[int, Problem], ...]
    """What is wrong, each with its line."""
    warnings: tuple[tuple[int, Problem], ...] = ()
    """What one should know of a valid resource, each with its line."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict for programs."""
        problems, warnings = (
            [{"line": line, "path": problem.path, "message": problem.message} for line, problem in found]
            for found in (self.problems, self.warnings)
        )
        return {
            "file": self.file,
            "line": self.line,
            "name": self.name,
            "valid": not problems,
            "problems": problems,
            "warnings": warnings,
        }


def line_of(node: yaml.Node, path: str) -> int:
    """The line of a field, from 1 on; that of the nearest block around it if it is not there."""
    line = node.start_mark.line + 1
    for name, index in re.findall(r"([^.[\]]+)|\[([0-9]+)\]", path):
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == name), None)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and index and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def documents(stream: IO[str]) -> Iterator[tuple[yaml.Node, Any]]:
    """The documents of a YAML or JSON file, each with its node, which knows the lines.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    loader = _Loader(stream)
    try:
        while loader.check_node():
            if node := loader.get_node():
                yield node, loader.construct_document(node)
    finally:
        loader.dispose()


def results(name: str, stream: IO[str]) -> Iterator[Result]:
    """The verdict on each `InferenceModel` of a file; documents of other kinds are passed over."""
    for node, document in documents(stream):
        if document is None:
            continue
        if not isinstance(document, dict):
            problem = Problem("", "the document is no object: write apiVersion, kind, metadata and spec")
            yield Result(name, line_of(node, ""), "", ((line_of(node, ""), problem),))
            continue
        listed = document.get("kind") == "List" and isinstance(document.get("items"), list)
        for index, item in enumerate(document["items"] if listed else [document]):
            if not isinstance(item, dict) or item.get("kind") != base.KIND:
                continue
            if str(item.get("apiVersion", base.GROUP)).partition("/")[0] == base.GROUP:
                within = f"items[{index}]" if listed else ""
                named, problems = _verdict(item)
                warnings = () if problems else _warnings(item)
                found, told = (
                    tuple((line_of(node, f"{within}.{problem.path}"), problem) for problem in problems)
                    for problems in (problems, warnings)
                )
                yield Result(name, line_of(node, within), named, found, told)


def _verdict(obj: dict[str, Any]) -> tuple[str, tuple[Problem, ...]]:
    """The name of a resource, and what is wrong with it."""
    metadata = obj.get("metadata")
    named = metadata.get("name") if isinstance(metadata, dict) else None
    version = obj.get("apiVersion")
    if version != base.API_VERSION:
        return str(named or ""), (Problem("apiVersion", f"{version} is not served: write {base.API_VERSION}"),)
    if not isinstance(named, str):
        return "", (Problem("metadata.name", "Required value"),)
    return named, tuple(check(obj))


def _warnings(obj: dict[str, Any]) -> tuple[Problem, ...]:
    """What to know of the cards of a valid resource, each once; without a provider the installation chooses one."""
    model = InferenceModel.read({"metadata": {"name": obj["metadata"]["name"]}, "spec": obj["spec"]})
    found: dict[Problem, None] = {}
    for index, version in enumerate(model.spec.versions):
        resolved = resolve.resolve(model, version.name)
        asked = resolved.accelerator
        if asked is None or asked.provider is None:
            continue
        claim = accelerators.claim(asked, asked.provider, AcceleratorSettings())
        where = f"spec.versions[{index}].accelerator" if version.accelerator else "spec.accelerator"
        if not isinstance(claim, Invalid):
            found |= dict.fromkeys(Problem(where, words) for words in claim.warnings)
        where = f"spec.versions[{index}].scaling" if version.scaling else "spec.scaling"
        never = scaling.warnings(resolved, asked.provider, AutoscalingSettings())
        found |= dict.fromkeys(Problem(f"{where}.metrics[{place}]", words) for place, words in never)
    return tuple(found)


def _print(found: list[Result]) -> None:
    """Write the verdicts for a person."""
    for result in found:
        if not result.problems:
            click.echo(f"{result.file}:{result.line}: {result.name} is valid")
        for line, problem in result.problems:
            click.echo(f"{result.file}:{line}: {result.name}: {problem.line}")
        for line, warning in result.warnings:
            click.echo(f"{result.file}:{line}: {result.name}: warning: {warning.message}", err=True)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the verdicts.")
def validate(files: tuple[str, ...], output: str) -> None:
    """Check InferenceModel resources in files without a cluster.

    Gives the verdicts and messages of the API server, and finds fields that do not exist, which an API server may drop in
    silence. FILE is YAML or JSON, several documents are fine, and - reads standard input. Resources of other kinds are
    passed over. What is valid but surprising, such as cards that nobody reserves or measures, is a warning on standard error.

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
