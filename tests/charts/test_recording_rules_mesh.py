"""What the rules make of the counters of a mesh's proxies, value by value (promtool)."""

import json

import pytest

from pantala.autoscaling import signals
from tests.charts import rules
from tests.charts.rules import expect
from tests.remote.recorded import came, sent

MESH = signals.SERVICE_REQUESTS
RESNET = ("vision", "resnet-v1")


def _proxy(metric: str, labels: dict[str, str], values: str, pod: str = "proxy", **target: str) -> rules.Series:
    where = {"job": "proxies", "instance": pod, "namespace": "istio-system", "pod": pod, **target, **labels}
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in where.items() if value)
    return {f"{metric}{{{inside}}}": values}


def _istio(labels: dict[str, str], values: str, pod: str = "proxy", **target: str) -> rules.Series:
    return _proxy("istio_requests_total", labels, values, pod, **target)


def test_proxies_of_the_servers() -> None:
    """They see all that comes to a Service, copies too; what the gateway tells of the same requests is not added."""
    series = _istio(came("resnet-v1"), "0+30x40", "resnet-v1-a") | _istio(came("resnet-v1"), "0+15x40", "resnet-v1-b")
    series |= _istio(came("resnet-v1", "503"), "0+15x40", "resnet-v1-b") | _istio(sent("resnet-v1"), "0+60x40")
    expect(series, (MESH, "5m", {RESNET: 4}), label="service")


def test_proxies_of_the_senders() -> None:
    """Where the servers have none the senders tell, also when the endpoint was unknown because all requests failed."""
    lost = sent("resnet-v1", "503", destination_service_namespace="unknown", destination_workload="unknown")
    series = _istio(sent("resnet-v1"), "0+30x40") | _istio(lost, "0+15x40", "ingress")
    expect(series, (MESH, "5m", {RESNET: 3}), label="service")


@pytest.mark.parametrize("domain", ["cluster.local", "k8s.example.com"])
def test_a_plain_envoy(domain: str) -> None:
    """Its clusters are called as Istio calls them: one for each port, of which the host name counts."""
    series: rules.Series = {}
    for port, code in (("80", "2"), ("80", "5"), ("9000", "2")):
        name = f"outbound|{port}||resnet-v1.vision.svc.{domain}"
        labels = {"cluster_name": name, "envoy_response_code_class": code}
        series |= _proxy("envoy_cluster_upstream_rq_xx", labels, "0+15x40")
    other = {"cluster_name": "outbound|80||example.com", "envoy_response_code_class": "2"}
    series |= _proxy("envoy_cluster_upstream_rq_xx", other, "0+15x40")
    expect(series, (MESH, "5m", {RESNET: 3}), label="service")


def test_a_gateway_that_has_ended() -> None:
    """What it counted is not counted on; another that goes on is."""
    series = _istio(sent("resnet-v1"), "0+30x20 stale", "old") | _istio(sent("resnet-v1"), "0+15x40", "new")
    expect(series, (MESH, "5m", {RESNET: 3}), (MESH, "5m15s", {RESNET: 1}), label="service")


TWICE = [
    (came("resnet-v1"), "istio_requests_total"),
    (sent("resnet-v1"), "istio_requests_total"),
    (
        {"cluster_name": "outbound|80||resnet-v1.vision.svc.cluster.local", "envoy_response_code_class": "2"},
        "envoy_cluster_upstream_rq_xx",
    ),
]
"""Labels of a proxy's counter, and its name."""


@pytest.mark.parametrize(("labels", "counter"), TWICE)
def test_two_scrapes_of_a_proxy(labels: dict[str, str], counter: str) -> None:
    """By the port with all metrics of a pod and by Envoy's own, or by two jobs: the larger counts; pods are added up."""
    series = _proxy(counter, labels, "0+30x40", "a", instance="10.0.1.1:15020")
    series |= _proxy(counter, labels, "0+30x40", "a", instance="10.0.1.1:15090", job="envoy-stats")
    expect(series, (MESH, "5m", {RESNET: 2}), label="service")
    expect(series | _proxy(counter, labels, "0+15x40", "b"), (MESH, "5m", {RESNET: 3}), label="service")


@pytest.mark.parametrize(("labels", "counter"), TWICE)
def test_proxies_of_targets_without_a_pod(labels: dict[str, str], counter: str) -> None:
    """They are added up, also to those of targets with one: nobody knows whether two are the same."""
    series = _proxy(counter, labels, "0+30x40", "a")
    for number in (1, 2):
        series |= _proxy(counter, labels, "0+15x40", pod="", instance=f"10.0.1.{number}:15090")
    expect(series, (MESH, "5m", {RESNET: 4}), label="service")
