"""Objects as text."""

import json
from typing import Any

import pytest
import yaml

from pantala.cli import output
from tests.golden import assert_golden

OBJECT = {
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "ports": [{"protocol": "TCP", "containerPort": 80}],
                        "args": ["--x", "1e3"],
                        "name": "server",
                        "image": "a:1",
                    }
                ]
            }
        },
        "replicas": 1,
    },
    "metadata": {
        "annotations": {
            "pantala.dev/applied": "12e3456789012345",
            "pantala.dev/rendered-with": '{"body":"AAAA","inputs":"1"}',
        },
        "namespace": "vision",
        "name": "resnet",
    },
    "kind": "Deployment",
    "apiVersion": "apps/v1",
}
AMBIGUOUS = ("1e3", "12e3456789", "0x1F", "0o17", "017", "1_000", "1.", ".5", "1:30", "y", "N", "yes", "null", "~", "")


def test_order() -> None:
    """An object reads from what it is, over its name, to what it does, with text as blocks."""
    config = {"kind": "ConfigMap", "data": {"a.properties": "x=1\ny=2\n"}, "metadata": {"name": "c"}}
    assert_golden("cli-output/objects.txt", output.manifests([OBJECT, config], "yaml"))


@pytest.mark.parametrize("text", [*AMBIGUOUS, "two\nlines", "a: b", "-", "#", "s3://models/x/", "ümläut"])
def test_text_stays_text(text: str) -> None:
    """Text is text to every reader of YAML, also where it looks like a number to one of them."""
    written = output.as_yaml({"value": text})
    assert yaml.safe_load(written) == {"value": text}
    if text in AMBIGUOUS:
        assert written[len("value: ")] in "'\""


def test_json_is_a_list() -> None:
    """Several objects are a List in JSON, which kubectl takes."""
    found = json.loads(output.manifests([OBJECT], "json"))
    assert (found["kind"], found["items"]) == ("List", [OBJECT])


def test_without() -> None:
    """Hidden annotations leave no empty map behind."""
    assert "annotations" not in output.without(OBJECT, output.OPERATORS_OWN)["metadata"]
    kept = {**OBJECT, "metadata": {"name": "x", "annotations": {"a": "b", "pantala.dev/applied": "c"}}}
    assert output.without(kept, output.OPERATORS_OWN)["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize("text", ["no json", "[]", "1", '{"inputs": 1}'])
def test_damaged_record(text: str) -> None:
    """A record that somebody damaged is shown as it is."""
    obj: dict[str, Any] = {"metadata": {"annotations": {"pantala.dev/rendered-with": text}}}
    assert output.readable(obj) == obj
