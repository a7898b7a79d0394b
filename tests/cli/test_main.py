"""The command line as a whole: help, versions, and errors that say what to do next."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from pantala.api.model import InferenceModel
from pantala.cli.failures import explain
from pantala.cli.main import main
from pantala.errors import ApiError, Unavailable

COMMANDS = ("digest", "doctor", "fetch", "gpus", "operator", "refresh", "render", "status", "validate")
PROGRAM = str(Path(sys.executable).with_name("pantala"))


def test_help() -> None:
    """`pantala --help` names every command, the exit codes and examples."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.output for command in COMMANDS)
    assert "Exit codes: 0 done" in result.output
    assert "kubectl apply -f model.yaml" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of(command: str) -> None:
    """The help of each command ends with examples that can be copied, one command in a line."""
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    examples = result.output.partition("  Examples:\n")[2].splitlines()
    assert any(line.strip().startswith("# ") for line in examples)
    assert any(f"pantala {command} " in line for line in examples)
    assert result.output.startswith(f"Usage: main {command} ")


@pytest.mark.parametrize("arguments", [["rendr"], ["render"], ["render", "--fast", "x.yaml"], ["status", "x", "-A"]])
def test_usage(arguments: list[str]) -> None:
    """What cannot be understood ends with 2, and with the way to the help."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--help" in result.output


def test_version() -> None:
    """`--version` says which release this is."""
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, "main, version 0.1.0\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApiError(404, "NotFound", 'inferencemodels.pantala.dev "a" not found'), "`pantala status -A` lists"),
        (ApiError(404, "NotFound", "the server could not find the requested resource"), "kubectl apply -f crds/"),
        (ApiError(401, "Unauthorized", "Unauthorized"), "renew the credentials"),
        (ApiError(403, "Forbidden", 'User "u" cannot list pods'), 'User "u" cannot list pods. Ask for that right'),
        (ApiError(422, "Invalid", "spec.x: no"), "The API server refused: 422 Invalid: spec.x: no"),
        (Unavailable("The API server did not answer GET /x: refused"), "Check the address in the kubeconfig"),
        (ConfigException("no file"), "Name a kubeconfig with --kubeconfig"),
    ],
)
def test_explained(error: Exception, words: str) -> None:
    """Every error that a person can do something about is one line with the next step, and ends with 2."""
    failure = explain(error)
    assert failure is not None
    assert words in failure.format_message()
    assert "\n" not in failure.format_message()
    assert failure.exit_code == 2


def test_unreadable_resource() -> None:
    """A stored resource of another release is an error that names the field."""
    stored = {"metadata": {"name": "a"}, "spec": {"runtime": {"name": "later"}, "versions": []}}
    with pytest.raises(ValidationError) as caught:
        InferenceModel.read(stored)
    failure = explain(caught.value)
    assert failure is not None
    assert "spec.runtime.name: Input should be 'torchserve'" in failure.format_message()


def test_defects_are_loud() -> None:
    """A defect of the program keeps its traceback."""
    assert explain(ZeroDivisionError()) is None


@pytest.mark.parametrize(
    ("kubeconfig", "words"),
    [
        (None, "there is no ~/.kube/config"),
        ("/nowhere/config", "the kubeconfig /nowhere/config does not exist"),
        ("empty", "Invalid kube-config file"),
        ("dead", "Check the address in the kubeconfig"),
        ("broken", "cannot be read"),
    ],
)
@pytest.mark.parametrize("arguments", [["status"], ["gpus"], ["refresh", "resnet", "--yes"]])
def test_no_cluster(tmp_path: Path, kubeconfig: str | None, words: str, arguments: list[str]) -> None:
    """Without a cluster every command that needs one ends with 2 and one line, whatever is the matter."""
    (tmp_path / "empty").write_text("{}")
    (tmp_path / "broken").write_text("a: [")
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    dead = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
    (tmp_path / "dead").write_text(str(dead))
    path = None if kubeconfig is None else str(tmp_path / kubeconfig)
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("KUBECONFIG", None)
    options = [] if path is None else ["--kubeconfig", path]
    done = subprocess.run(
        [PROGRAM, *arguments, *options], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr
