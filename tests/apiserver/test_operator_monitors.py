"""The ServiceMonitors of models on a real API server, and what the real Prometheus Operator makes of them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.apiserver.operator_process import Installation, Space
from tests.charts.helm import Helm, documents
from tests.cluster import Cluster
from tests.cluster.addons import prometheus_operator
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_operator import PrometheusOperator
from tests.cluster.addons.standin_endpoints import StandinEndpointsDiscovery
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.apiserver, pytest.mark.adapter]

KIND = "servicemonitors"
OPTIONS = ("--service-monitor", "--service-monitor-interval=5s", "--service-monitor-label=release=prometheus")


@pytest.fixture(autouse=True, scope="module")
def bare(kwok_cluster: Cluster) -> Iterator[None]:
    """The tests begin without the kinds of the Prometheus Operator, and leave none behind."""
    prometheus_operator.remove(kwok_cluster)
    yield
    prometheus_operator.remove(kwok_cluster)


def monitor(space: Space, name: str) -> Any:
    """A ServiceMonitor; None where there is none."""
    found = space.api.call("GET", f"/apis/monitoring.coreos.com/v1/namespaces/{space.name}/{KIND}/{name}")
    return found if found.get("kind") == "ServiceMonitor" else None


def test_they_come_and_go_with_their_kind(install: Callable[..., Installation], kwok_cluster: Cluster) -> None:
    """A model that is there gets one as soon as the kind is served; it is mended, written once, and removed when it is not wanted.

    The end of the kind is no trouble of the model's.
    """
    made = install()
    operator, space = made.start(*OPTIONS).wait("leader"), made.space
    space.model("net")
    space.wait_ready("net")
    prometheus_operator.install(kwok_cluster, KIND)
    space.wait(lambda: monitor(space, "net"), "a monitor")
    first = monitor(space, "net")
    assert first["metadata"]["labels"]["release"] == "prometheus"
    assert first["metadata"]["ownerReferences"][0]["uid"] == space.get("InferenceModel", "net")["metadata"]["uid"]
    assert [(it["port"], it["path"], it["interval"]) for it in first["spec"]["endpoints"]] == [
        ("metrics", "/metrics", "5s")
    ]
    path = f"/apis/monitoring.coreos.com/v1/namespaces/{space.name}/{KIND}/net"
    since = len(made.proxy.requests)
    broken = {"spec": {"endpoints": [{"port": "http"}]}}
    space.api.call("PATCH", path, broken, content="application/merge-patch+json")
    space.wait(lambda: monitor(space, "net")["spec"] == first["spec"], "mended")
    space.api.call("DELETE", path)
    space.wait(lambda: monitor(space, "net"), "made again")
    space.model("other")
    space.wait_ready("other")
    space.wait(lambda: monitor(space, "other"), "that of another model")
    writes = [it.target for it in made.proxy.writes(since) if KIND in it.target]
    assert writes == [f"PATCH {KIND}/net"] * 2 + [f"PATCH {KIND}/other"]
    operator.kill()
    operator = made.start(identity="again").wait("leader")
    space.wait(lambda: monitor(space, "net") is None and monitor(space, "other") is None, "none any more")
    operator.kill()
    operator = made.start(*OPTIONS, identity="again").wait("leader")
    space.wait(lambda: monitor(space, "net"), "one again")
    kwok_cluster.kubectl("delete", "--wait=false", "crd", f"{KIND}.monitoring.coreos.com")
    gone = 'pantala_api_present{group="monitoring.coreos.com",kind="ServiceMonitor"} 0.0'
    space.wait(lambda: gone in operator.get("/metrics")[1], "the operator knows")
    space.model("after")
    space.wait_ready("after")
    assert space.is_ready("net")
    assert space.condition("net", "Accepted")["status"] == "True"
    operator.check()
    assert "Traceback" not in operator.log.read_text()
    prometheus_operator.remove(kwok_cluster, KIND)


def test_each_replica_is_read_once(install: Callable[..., Installation], kwok_cluster: Cluster) -> None:
    """Out of the monitors the Prometheus Operator makes jobs by which Prometheus finds each replica once, where its metrics are.

    The series name the model and the version. Those of other monitors, Services and pods are not among the targets.
    """
    made = install()
    made.start(*OPTIONS).wait("leader")
    space = made.space

    def custom(path: str) -> Any:
        block = {"port": 8080, "metricsPort": 8080, "metricsPath": path}
        return {"name": "custom", "image": "example.com/server:1", "custom": block}

    versions = [
        {"name": "v1", "uri": "s3://models/m/1/"},
        {"name": "v2", "uri": "s3://models/m/2/", "runtime": custom("/prom")},
    ]
    with PrometheusOperator(kwok_cluster, {"release": "prometheus"}) as prometheus_of_cluster:
        # Without a mesh one version answers and the other is parked: each model has another one.
        space.model(
            "net", versions=versions, traffic={"target": "v1"}, scaling={"minReplicas": 2}, expose={"nodePort": {}}
        )
        space.model("moved", versions=versions, traffic={"target": "v2"})
        for name, version in (("net", "v1"), ("moved", "v2")):
            space.wait_ready(name, version)
        names = {f"serviceMonitor/{space.name}/{name}/{number}" for name in ("net", "moved") for number in (0, 1)}
        jobs = prometheus_of_cluster.wait_for_jobs(names)

    def objects(kind: str) -> list[Any]:
        items: list[Any] = json.loads(kwok_cluster.kubectl("get", kind, "-n", space.name, "-o", "json"))["items"]
        return items

    expected = {
        (pod["metadata"]["name"], f"http://{pod['status']['podIP']}:{where}", f"{name}-{version}", name, version)
        for name, version, where in (("net", "v1", "8002/metrics"), ("moved", "v2", "8080/prom"))
        for pod in space.list("Pod", model=name)
    }
    assert len(expected) == 3
    with StandinEndpointsDiscovery(objects) as discovery, Prometheus({"scrape_configs": []}) as prometheus:
        prometheus.reload({"scrape_configs": discovery.instead(jobs)})

        def found() -> list[tuple[str, ...]]:
            labels = ("service", "pantala_dev_model", "pantala_dev_version")
            return [
                (it["labels"]["pod"], it["scrapeUrl"], *(it["labels"][name] for name in labels))
                for it in prometheus.targets()
            ]

        wait_for(lambda: len(found()) >= len(expected), f"targets; {found()}", 30)
        assert sorted(found()) == sorted(expected)
        assert {it["labels"]["namespace"] for it in prometheus.targets()} == {space.name}
        assert {it["scrapeInterval"] for it in prometheus.targets()} == {"5s"}


def test_what_the_chart_makes_is_read(kwok_cluster: Cluster) -> None:
    """The chart's own monitor becomes a job that leaves series' labels alone, and all groups of its rules reach Prometheus."""
    labels = {"release": "prometheus"}
    values = {
        "autoscaling": {"rules": {"labels": labels}},
        "monitoring": {"alerts": {"labels": labels}},
        "metrics": {"serviceMonitor": {"enabled": True, "labels": labels}},
    }
    group = "monitoring.coreos.com/v1"
    served = [f"--api-versions={group}/{kind}" for kind in ("ServiceMonitor", "PrometheusRule")]
    objects = [it for it in documents(Helm().template(values, *served)) if it["apiVersion"] == group]
    wanted = [it["name"] for obj in objects if obj["kind"] == "PrometheusRule" for it in obj["spec"]["groups"]]
    assert wanted
    space = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pantala-system"}})
    kwok_cluster.kubectl("apply", "-f", "-", stdin=space)
    with PrometheusOperator(kwok_cluster, labels) as prometheus:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        kwok_cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
        (job,) = prometheus.wait_for_jobs({"serviceMonitor/pantala-system/pantala/0"})
        assert job["honor_labels"] is True
        wait_for(lambda: sorted(prometheus.rules()) == sorted(wanted), f"groups {wanted}", 60)
