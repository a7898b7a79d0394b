"""From the exporter's text to what an HPA is told: the chart's rules in Prometheus, its configuration in the real adapter."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.helm import Helm, documents, of_kind
from tests.cluster import Cluster
from tests.cluster.addons import aggregation, loopback
from tests.cluster.addons.autoscaled import Workload
from tests.cluster.addons.exporter import Exporter
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.process import wait_for
from tests.remote.recorded import came

pytestmark = [pytest.mark.adapter, pytest.mark.apiserver]

SHORT = {"rules": {"interval": "1s", "window": "20s", "rateWindow": "10s"}}
CHART_DEFAULT: dict[str, Any] = {
    "seriesQuery": '{namespace!="",__name__!~"^container_.*"}',
    "seriesFilters": [{"isNot": ".*_total$"}],
    "resources": {"template": "<<.Resource>>"},
    "name": {"matches": "", "as": ""},
    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
}
"""One of the rules that the adapter's own chart has by default (`rules.default`), which takes gauges of every name."""


@pytest.fixture(scope="module")
def work(kwok_cluster: Cluster) -> Iterator[Workload]:
    """A Deployment with two pods in a namespace of its own."""
    with Workload(kwok_cluster, "test-adapter-rules") as made:
        kwok_cluster.kubectl("--namespace", made.namespace, "scale", "deployment/worker", "--replicas=2")
        made.wait_for_replicas(2)
        yield made


@pytest.fixture(scope="module")
def prometheus(work: Workload, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the chart's rules, an exporter whose cards those pods have, and proxies beside the servers."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    first, second = sorted(work.pods())
    text = rules.text("dcgm").replace('namespace="vision"', f'namespace="{work.namespace}"')
    text = text.replace('namespace="language"', f'namespace="{work.namespace}"')
    text = text.replace(rules.VISION[1], first).replace(rules.LANGUAGE[1], second)
    labels = came("worker", destination_workload_namespace=work.namespace)
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    proxies = f"istio_requests_total{{{inside}}} 5\n"
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(rules.file(SHORT))
    target = {"namespace": "monitoring", "pod": "exporter-x7k2p"}
    with Exporter(text) as cards, Exporter(proxies) as mesh:
        jobs = [cards.scrape_job("dcgm-exporter", labels=target), mesh.scrape_job("proxies", labels=target)]
        with Prometheus({"rule_files": [str(file)], "scrape_configs": jobs}) as server:
            server.wait_for(signals.GPU_UTILIZATION)
            server.wait_for(signals.SERVICE_REQUESTS)
            yield server


def _config() -> dict[str, Any]:
    text = Helm().template({}, "--show-only=templates/adapter-config.yaml")
    (config,) = of_kind(documents(text), "ConfigMap")
    return dict(yaml.safe_load(config["data"]["config.yaml"]))


def test_what_an_hpa_is_told(kwok_cluster: Cluster, work: Workload, prometheus: Prometheus) -> None:
    """By pod the mean of its cards in percent, the Service's requests by its name, and no metric of a card that is nobody's."""
    first, second = sorted(work.pods())
    with PrometheusAdapter(kwok_cluster, prometheus.url, _config(), versions=("v1beta1",)) as adapter:
        found = adapter.wait_for_pods(work.namespace, signals.GPU_UTILIZATION, lambda all_: len(all_) == 2)
        assert found == {first: 70.0, second: 60.0}
        assert adapter.pods(work.namespace, signals.GPU_MEMORY) == {first: 25.0, second: 80.0}
        assert adapter.pods(work.namespace, signals.GPU_UTILIZATION, "app=worker") == found
        root = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{work.namespace}"
        (item,) = aggregation.raw(kwok_cluster, f"{root}/services/worker/{signals.SERVICE_REQUESTS}")["items"]
        assert (item["describedObject"]["name"], item["value"]) == ("worker", "0")


def test_an_hpa_scales_on_it(kwok_cluster: Cluster, work: Workload, prometheus: Prometheus) -> None:
    """A mean of 65 percent, of which 30 are wanted, makes five of two: the real controller reads the metric by its name."""
    with PrometheusAdapter(kwok_cluster, prometheus.url, _config(), versions=("v1beta1",)):
        target = {"type": "AverageValue", "averageValue": "30"}
        metric = {"type": "Pods", "pods": {"metric": {"name": signals.GPU_UTILIZATION}, "target": target}}
        # two of five pods have a figure: the others are missing, and make it go no further
        work.autoscale(metric, at_most=5)
        wait_for(lambda: work.get("deployment/worker")["spec"]["replicas"] == 5, "5 replicas", 30, every=0.2)
        kwok_cluster.kubectl("--namespace", work.namespace, "delete", "hpa/worker")


def test_the_adapters_own_default_rules(kwok_cluster: Cluster, work: Workload, prometheus: Prometheus) -> None:
    """An adapter as its chart installs it publishes the recorded series too, with the same values: ours is not needed there."""
    with PrometheusAdapter(kwok_cluster, prometheus.url, {"rules": [CHART_DEFAULT]}, versions=("v1beta1",)) as adapter:
        found = adapter.wait_for_pods(work.namespace, signals.GPU_UTILIZATION, lambda all_: len(all_) == 2)
        assert sorted(found.values()) == [60.0, 70.0]
