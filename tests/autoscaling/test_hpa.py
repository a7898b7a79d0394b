"""The autoscaler and the disruption budget of a version."""

from decimal import Decimal
from typing import Any

import pytest

from pantala import naming
from pantala.autoscaling import budget, hpa
from tests.autoscaling.build import FOR_HPA, LABELS, NAME, NAMESPACE, SIGNALS, made_hpa, scaling
from tests.golden import assert_golden
from tests.runtimes.build import OWNER

CPU = {"type": "CPUUtilization", "target": 70}


@pytest.mark.parametrize("case", FOR_HPA)
def test_hpa(case: str) -> None:
    """CPU and memory are of the server's own container, so that a sidecar does not count; all else is by replica."""
    assert_golden(f"hpa-{case}/hpa.yaml", made_hpa(case))


def test_query_is_not_for_an_hpa() -> None:
    """PromQL of the user's is refused by admission without KEDA; here it would be a mistake of the caller."""
    assert "total" not in FOR_HPA
    assert not hpa.readable([SIGNALS["gpu"], SIGNALS["total"]])
    with pytest.raises(ValueError, match="reads no PromQL"):
        made_hpa("total")


@pytest.mark.parametrize(("value", "text"), [("70", "70"), ("17.5", "17500m"), ("0.0001", "1m"), ("1.0005", "1001m")])
def test_quantity(value: str, text: str) -> None:
    """A target is written in thousandths where it is no whole number, rounded up so that it is never zero."""
    assert hpa.quantity(Decimal(value)) == text


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ({}, False),
        ({"minReplicas": 3}, False),
        ({"minReplicas": 3, "maxReplicas": 3, "metrics": [CPU]}, False),
        ({"minReplicas": 1, "maxReplicas": 3}, False),
        ({"metrics": [CPU]}, False),
        ({"minReplicas": 4, "maxReplicas": 2, "metrics": [CPU]}, False),
        ({"minReplicas": 1, "maxReplicas": 2, "metrics": [CPU]}, True),
        (
            {"maxReplicas": 2, "engine": "KEDA", "prometheus": [{"name": "tokens", "query": "x", "target": "1"}]},
            True,
        ),
    ],
)
def test_autoscaler_needs_room_and_a_measure(block: dict[str, Any], wanted: bool) -> None:  # noqa: FBT001 - a column
    """Without room between the bounds, or without a measure, the number is fixed."""
    assert hpa.wanted(scaling(**block)) == wanted


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
    made = budget.disruption_budget(NAME, NAMESPACE, LABELS, OWNER, naming.selector("v1", "resnet"), scaling(**block))
    assert (made is not None) == wanted
    if made is not None:
        assert_golden("budget/budget.yaml", made)
