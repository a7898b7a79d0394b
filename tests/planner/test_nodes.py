"""Which nodes a pod may go to, as kube-scheduler judges it."""

from typing import Any

import pytest

from pantala.planner import nodes as judge
from tests.planner.nodes import node

LABELS = {"pool": "gpu", "gpus": "8", "word": "many"}


def required(*terms: Any) -> dict[str, Any]:
    kind = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"affinity": {"nodeAffinity": {kind: {"nodeSelectorTerms": list(terms)}}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("it", "fits"),
    [
        (expression("pool", "In", "cpu", "gpu"), True),
        (expression("none", "In", "gpu"), False),
        (expression("pool", "NotIn", "gpu"), False),
        (expression("none", "NotIn", "gpu"), True),
        (expression("pool", "Exists"), True),
        (expression("none", "Exists"), False),
        (expression("none", "DoesNotExist"), True),
        (expression("pool", "DoesNotExist"), False),
        (expression("gpus", "Gt", "7"), True),
        (expression("gpus", "Gt", "8"), False),
        (expression("gpus", "Lt", "9"), True),
        (expression("word", "Gt", "7"), False),
        (expression("none", "Lt", "7"), False),
        (expression("pool", "Unheard"), False),
    ],
    ids=str,
)
def test_expressions(it: Any, *, fits: bool) -> None:
    """Every operator of a requirement on labels."""
    assert judge.meets([it], LABELS) is fits
    assert judge.fits_affinity(required({"matchExpressions": [it]}), node("a", labels=LABELS)) is fits


def test_terms() -> None:
    """Terms are alternatives, all parts of one must hold, and an empty one matches nothing."""
    here, there = expression("pool", "In", "gpu"), expression("pool", "In", "cpu")
    found = node("a", labels=LABELS)
    assert judge.fits_affinity(required({"matchExpressions": [there]}, {"matchExpressions": [here]}), found)
    assert not judge.fits_affinity(required({"matchExpressions": [here, there]}), found)
    assert not judge.fits_affinity(required({}), found)
    assert not judge.fits_affinity(required(), found)
    assert judge.fits_affinity({"affinity": {"nodeAffinity": {}}}, found)
    by_name = expression("metadata.name", "In", "a")
    assert judge.fits_affinity(required({"matchFields": [by_name]}), found)
    assert not judge.fits_affinity(required({"matchFields": [by_name]}), node("b"))


def test_selector() -> None:
    """All labels of a nodeSelector."""
    found = node("a", labels=LABELS)
    assert judge.selected({}, found)
    assert judge.selected({"nodeSelector": {"pool": "gpu", "gpus": "8"}}, found)
    assert not judge.selected({"nodeSelector": {"pool": "gpu", "gpus": "4"}}, found)


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "holds"),
    [
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu"}, False),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
    ids=str,
)
def test_tolerations(toleration: Any, *, holds: bool) -> None:
    """Which toleration lets a pod pass a taint."""
    spec = {"tolerations": [toleration]}
    assert judge.untolerated(spec, node("a", taints=[TAINT])) == (() if holds else (TAINT,))


def test_taints() -> None:
    """Only those that keep pods away count, and a cordoned node has one even before Kubernetes writes it."""
    soft = {**TAINT, "effect": "PreferNoSchedule"}
    assert judge.untolerated({}, node("a", taints=[soft])) == ()
    assert judge.untolerated({}, node("a", unschedulable=True)) == (judge.CORDONED,)
    assert judge.untolerated({}, node("a", unschedulable=True, taints=[dict(judge.CORDONED)])) == (judge.CORDONED,)
    number = {"key": "n", "value": "3", "effect": "NoExecute"}
    assert (
        judge.untolerated({"tolerations": [{"key": "n", "operator": "Gt", "value": "2"}]}, node("a", taints=[number]))
        == ()
    )
    assert judge.untolerated(
        {"tolerations": [{"key": "n", "operator": "Lt", "value": "2"}]}, node("a", taints=[number])
    )
