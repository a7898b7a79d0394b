"""The real Prometheus Adapter, the aggregation layer and the real HPA controller, on simulated nodes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import aggregation, loopback
from tests.cluster.addons.autoscaled import Workload
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.adapter, pytest.mark.apiserver]

_RESOURCES = {"overrides": {name: {"resource": name} for name in ("namespace", "pod", "node")}}
_RULE = {
    "seriesQuery": 'busy_percent{namespace!="",pod!=""}',
    "resources": _RESOURCES,
    "name": {"as": "busy"},
    "metricsQuery": "avg by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
}
_EXTERNAL = {
    "seriesQuery": "waiting",
    "resources": {"overrides": {"namespace": {"resource": "namespace"}}},
    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>})",
}
_USED = {"containerLabel": "container", "resources": _RESOURCES, "nodeQuery": "sum by (<<.GroupBy>>) (absent)"}
_RESOURCE = {
    "cpu": {"containerQuery": "sum by (<<.GroupBy>>) (cores{<<.LabelMatchers>>})", **_USED},
    "memory": {"containerQuery": "sum by (<<.GroupBy>>) (bytes{<<.LabelMatchers>>})", **_USED},
    "window": "1m",
}


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """What Prometheus scrapes every second."""
    with Exporter() as started:
        yield started


@pytest.fixture(scope="module")
def adapter(kwok_cluster: Cluster, exporter: Exporter) -> Iterator[PrometheusAdapter]:
    """An adapter with one rule: percent of `busy_percent` by pod, as `busy`."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    with (
        Prometheus({"scrape_configs": [exporter.scrape_job(honor_labels=True)]}) as prometheus,
        PrometheusAdapter(kwok_cluster, prometheus.url, {"rules": [_RULE]}) as started,
    ):
        yield started


def _scales(work: Workload, exporter: Exporter, metric: str, value: float, replicas: int) -> None:
    """Every pod, also a new one, has a series of this value, until there are so many replicas."""

    def reached() -> bool:
        pods = work.pods()
        exporter.text = "".join(series(metric, value, {"namespace": work.namespace, "pod": pod}) for pod in pods)
        return len(pods) == replicas

    wait_for(reached, f"{replicas} pods at {value}", 60, every=0.3)
    work.wait_for_replicas(replicas)


def test_an_hpa_scales_on_a_pods_metric(kwok_cluster: Cluster, adapter: PrometheusAdapter, exporter: Exporter) -> None:
    """Above its target the HPA adds pods up to the maximum, below it takes them away; without a series it says so and scales nothing."""
    with Workload(kwok_cluster, "test-adapter-hpa") as work:
        work.wait_for_replicas(1)
        target = {"type": "AverageValue", "averageValue": "50"}
        work.autoscale({"type": "Pods", "pods": {"metric": {"name": "busy"}, "target": target}})
        inactive = ("False", "FailedGetPodsMetric")
        wait_for(lambda: work.conditions().get("ScalingActive") == inactive, "an HPA without a metric", 30)
        assert len(work.pods()) == 1
        _scales(work, exporter, "busy_percent", 95, 4)
        assert work.conditions()["ScalingActive"] == ("True", "ValidMetricFound")
        values = adapter.wait_for_pods(work.namespace, "busy", lambda found: len(found) == 4)
        assert set(values.values()) == {95.0}
        _scales(work, exporter, "busy_percent", 10, 1)


def test_other_metrics_are_registered_with_their_rules(
    kwok_cluster: Cluster, adapter: PrometheusAdapter, exporter: Exporter
) -> None:
    """External and resource metrics are served as long as the configuration has rules for them; the HPA reads those of `kubectl top`."""
    config: dict[str, Any] = {"rules": [_RULE], "externalRules": [_EXTERNAL], "resourceRules": _RESOURCE}
    adapter.configure(config)
    with Workload(kwok_cluster, "test-adapter-resource") as work:
        work.wait_for_replicas(1)
        labels = {"namespace": work.namespace}
        whose = {**labels, "container": "server"}
        exporter.text = series("waiting", 7, labels) + "".join(
            series("cores", 0.2, {**whose, "pod": pod}) + series("bytes", 2**20, {**whose, "pod": pod})
            for pod in work.pods()
        )
        wait_for(lambda: adapter.known("external", "waiting"), "the external metric", 30, every=0.2)
        assert adapter.external(work.namespace, "waiting") == [7.0]
        target = {"type": "Utilization", "averageUtilization": 100}
        work.autoscale({"type": "Resource", "resource": {"name": "cpu", "target": target}})
        work.wait_for_replicas(2)  # 0.2 of 0.1 requested cores; the second pod has no series, so it counts as idle
    adapter.configure({"rules": [_RULE]})
    assert not aggregation.condition(kwok_cluster, "v1beta1.external.metrics.k8s.io")
    wait_for(lambda: adapter.known("custom", "pods/busy"), "the custom metric again", 30, every=0.2)
