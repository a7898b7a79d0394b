"""The rules on cards, and the resources that break them (each is sent to a real API server by `tests/apiserver`)."""

from pathlib import Path
from typing import get_args

import yaml

from pantala.api import crd, rules_accelerator, rules_escapes
from pantala.api.accelerator import Provider
from pantala.api.check import check

DATA = Path(__file__).parents[1] / "apiserver" / "data"
RULES = (*rules_accelerator.RULES, *rules_escapes.RULES)


def _said(path: Path) -> set[str]:
    return {problem.message for problem in check(yaml.safe_load(path.read_text()))}


def test_every_rule_is_broken_by_a_resource() -> None:
    """Whatever can be refused is refused somewhere in the corpus of bad resources, and nothing of it in that of good ones."""
    broken = {message for path in (DATA / "bad").glob("accelerator-*.yaml") for message in _said(path)}
    assert [rule.message for rule in RULES if rule.message not in broken] == []
    assert not any(_said(path) for path in (DATA / "good").glob("accelerator-*.yaml"))


def test_every_bound_is_broken_by_a_resource() -> None:
    """Of each field of the block whose schema bounds it, a bad resource shows a value that is out of bounds."""
    (block,) = (schema for path, schema in crd.fields(crd.schema()) if path == "spec.accelerator")
    bounds = {"enum", "minimum", "pattern", "minItems", "maxLength"}
    leaves = {name for name, schema in block["properties"].items() if bounds & schema.keys()}
    blamed = {
        problem.path.removeprefix("spec.accelerator.").partition("[")[0]
        for path in (DATA / "bad").glob("accelerator-*.yaml")
        for problem in check(yaml.safe_load(path.read_text()))
        if problem.path.startswith("spec.accelerator.")
    }
    assert leaves - blamed == set()


def test_every_field_says_who_takes_it() -> None:
    """A new field of the block cannot be forgotten: it is for all providers, or for those that are listed."""
    (block,) = (schema for path, schema in crd.fields(crd.schema()) if path == "spec.accelerator")
    assert set(block["properties"]) - {"provider", "count"} == set(rules_accelerator.FIELDS)
    assert {name for names in rules_accelerator.FIELDS.values() for name in names} == set(get_args(Provider))


def test_messages_say_what_to_do() -> None:
    """A message names the field and, behind a colon, the next step."""
    for rule in RULES:
        what, _, step = rule.message.partition(": ")
        field = rule.field.rpartition(".")[2]
        assert step, rule.message
        assert not field or field in what or "env" in what, rule.message
