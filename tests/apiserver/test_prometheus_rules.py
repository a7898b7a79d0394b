"""The chart's PrometheusRules on a real API server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.charts.helm import Helm, documents, of_kind
from tests.cluster import Cluster
from tests.cluster.addons import prometheus_operator

pytestmark = [pytest.mark.apiserver, pytest.mark.adapter]


@contextmanager
def rules_served(cluster: Cluster) -> Iterator[None]:
    """The API server serves PrometheusRules meanwhile."""
    prometheus_operator.install(cluster, "prometheusrules")
    try:
        yield
    finally:
        prometheus_operator.remove(cluster, "prometheusrules")


def test_the_rules_are_prometheus_operators(kwok_cluster: Cluster) -> None:
    """The real CRD takes the chart's PrometheusRules without a field that it does not know, and they are stored as they were."""
    rendered = Helm().template(None, "--api-versions=monitoring.coreos.com/v1/PrometheusRule")
    rules = of_kind(documents(rendered), "PrometheusRule")
    assert len(rules) == 2
    with rules_served(kwok_cluster):
        for rule in rules:
            rule["metadata"]["namespace"] = "default"
            options = ("--validate=strict", "--dry-run=server", "-o", "json", "-f", "-")
            stored = json.loads(kwok_cluster.kubectl("create", *options, stdin=json.dumps(rule)))
            assert stored["spec"] == rule["spec"]
