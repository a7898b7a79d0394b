"""The autoscaler and the disruption budget of a version."""

from decimal import Decimal
from typing import Any

import pytest

from pantala import naming
from pantala.api.scaling import Scaling
from pantala.autoscaling import budget, hpa
from pantala.autoscaling.signals import Signal, Source
from tests.golden import assert_golden
from tests.runtimes.build import OWNER

CPU = {"type": "CPUUtilization", "target": 70}
SIGNAL = Signal("CPUUtilization", Source.RESOURCE, "cpu", Decimal(70))
LABELS = naming.labels("resnet", "v1")


def scaling(**block: Any) -> Scaling:
    return Scaling.model_validate(block)


def test_hpa() -> None:
    """The autoscaler measures the server's own container, so that a sidecar does not count."""
    made = hpa.horizontal_pod_autoscaler(
        "resnet-v1", "vision", LABELS, OWNER, scaling(minReplicas=2, maxReplicas=8, metrics=[CPU]), [SIGNAL]
    )
    assert_golden("hpa-cpu/hpa.yaml", made)


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"minReplicas": 3},
        {"minReplicas": 3, "maxReplicas": 3, "metrics": [CPU]},
        {"minReplicas": 1, "maxReplicas": 3},
        {"metrics": [CPU]},
        {"minReplicas": 4, "maxReplicas": 2, "metrics": [CPU]},
    ],
)
def test_no_hpa_for_a_fixed_number(block: dict[str, Any]) -> None:
    """Without room between the bounds, or without a measure, there is no autoscaler."""
    assert hpa.horizontal_pod_autoscaler("n", "vision", LABELS, OWNER, scaling(**block), [SIGNAL]) is None
    assert not hpa.wanted(scaling(**block))


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ({}, False),
        ({"minReplicas": 1, "maxReplicas": 1}, False),
        ({"minReplicas": 2}, True),
        ({"minReplicas": 1, "maxReplicas": 2, "metrics": [CPU]}, True),
    ],
)
def test_budget(block: dict[str, Any], wanted: bool) -> None:  # noqa: FBT001 - a column of the table
    """A budget exists where there can be several replicas; alone it would only block drains."""
    made = budget.disruption_budget(
        "resnet-v1", "vision", LABELS, OWNER, naming.selector("v1", "resnet"), scaling(**block)
    )
    assert (made is not None) == wanted
    if made is not None:
        assert_golden("budget/budget.yaml", made)
