"""The reasons of `MetricsAvailable` for KEDA, provoked and healed with the real KEDA on simulated nodes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.apiserver.metrics_scene import CARD, Scene, scaling
from tests.apiserver.operator_process import Installation
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.keda import Keda
from tests.cluster.process import free_port

pytestmark = [pytest.mark.keda, pytest.mark.apiserver]

MODEL, QUERY = "busy", "asked"
MOST = 3
"""Replicas, by default of `scaling`."""


def queried(query: str) -> dict[str, Any]:
    """Scaling by a query of the user's alone."""
    found = scaling(engine="KEDA", prometheus=[{"name": "tokens", "query": query, "target": "10"}])
    del found["metrics"]
    return found


@pytest.fixture(scope="module")
def scene(
    kwok_cluster: Cluster, install: Callable[..., Installation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A Prometheus with the chart's rules, and an operator that knows it."""
    if reason := loopback.missing():
        pytest.skip(f"tier keda: {reason}")
    with Scene(kwok_cluster, install(), tmp_path_factory.mktemp("rules")) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def keda(scene: Scene) -> Iterator[Keda]:
    """KEDA, which comes when the model is there already: that it is missing is said until then."""
    scene.space.model(MODEL, accelerator=CARD, scaling=scaling(engine="KEDA"))
    scene.wait(MODEL, "KEDAMissing", "Install KEDA, or set engine: HPA")
    scene.space.wait_ready(MODEL)
    scene.cards()
    with ExitStack() as stack:
        started = stack.enter_context(Keda(scene.cluster))
        # First: KEDA's finalizers go only while it runs.
        stack.callback(lambda: [scene.space.delete("InferenceModel", name) for name in (MODEL, QUERY)])
        scene.wait(MODEL, "MetricsFound")
        yield started


def test_found(scene: Scene, keda: Keda) -> None:
    """When KEDA comes its autoscaler is made, and has the measure."""
    assert scene.autoscaler(MODEL)["engine"] == "KEDA"
    scene.cards(120)
    scene.space.wait(lambda: scene.autoscaler(MODEL).get("lastScale", {}).get("toReplicas") == 2, "a second replica")
    assert scene.autoscaler(MODEL)["lastScale"]["why"].startswith("GPUUtilization ")
    scene.cards(10)
    scene.space.wait(lambda: scene.autoscaler(MODEL)["lastScale"]["toReplicas"] == 1, "one replica again")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_values_that_change_cost_nothing(scene: Scene, keda: Keda) -> None:
    """KEDA notes in its objects whenever it looked, and its HPA too: that wakes no pass and causes no write."""
    scene.costs_nothing(f"keda-hpa-{MODEL}-v1")


def test_no_series(scene: Scene, keda: Keda) -> None:
    """Without the exporter's series the cause is the same as for an HPA, though KEDA only says that a trigger fails."""
    scene.silence()
    scene.wait(MODEL, "NoSeries", "no DCGM_FI_DEV_GPU_UTIL, of any card")
    assert scene.autoscaler(MODEL)["missing"] == ["GPUUtilization"]
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_no_metrics_api(scene: Scene, keda: Keda) -> None:
    """Without KEDA's metrics server its HPA reads nothing: that is said."""
    assert keda.adapter is not None
    keda.adapter.kill()
    scene.wait(MODEL, "NoMetricsAPI", "what serves external.metrics.k8s.io does not answer", "KEDA's metrics server")
    keda.start()
    scene.wait(MODEL, "MetricsFound")


@pytest.mark.parametrize(("annotation", "replicas"), [("paused=true", 1), ("paused-replicas=2", 2)])
def test_paused(scene: Scene, keda: Keda, annotation: str, replicas: int) -> None:
    """A person who pauses KEDA is told how to end that; the operator does not, and KEDA has the number of replicas until then."""
    kubectl, name = scene.cluster.kubectl, f"{MODEL}-v1"
    kubectl("-n", scene.space.name, "annotate", "scaledobject", name, f"autoscaling.keda.sh/{annotation}")
    told = scene.wait(MODEL, "Paused", "looks at no measure")
    assert scene.autoscaler(MODEL)["limited"] == "paused by an annotation of its ScaledObject"
    scene.space.wait(lambda: _wanted(scene, name) == replicas, f"{replicas} replicas")
    # With it KEDA took the HPA away: nothing else would heed a card that is this busy.
    scene.cards(120)
    assert scene.space.get("HorizontalPodAutoscaler", f"keda-hpa-{name}") is None
    kubectl(*told.partition("run kubectl ")[2].split())
    scene.space.wait(lambda: _wanted(scene, name) == MOST, "all replicas for such a load")
    scene.cards(10)
    scene.space.wait(lambda: _wanted(scene, name) == 1, "one replica again")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def _wanted(scene: Scene, deployment: str) -> int:
    found: int = scene.space.get("Deployment", deployment)["spec"]["replicas"]
    return found


@pytest.mark.parametrize(
    ("query", "reason", "part"),
    [
        ("sum(nothing)", "NoSeries", "its query has no answer"),
        ("sum(", "TriggerFailed", "parse error"),
        ("DCGM_FI_DEV_GPU_UTIL", "TriggerFailed", "it gives several numbers"),
    ],
)
def test_queries_of_users(scene: Scene, keda: Keda, query: str, reason: str, part: str) -> None:
    """A query without an answer, one that is none and one with several answers: what is wrong is said, until it is mended."""
    if scene.space.get("InferenceModel", QUERY) is None:
        scene.space.model(QUERY, scaling=queried(query))
        scene.space.wait_ready(QUERY)
    else:
        scene.space.patch("InferenceModel", QUERY, {"spec": {"scaling": queried(query)}})
    scene.wait(QUERY, reason, "tokens: ", part, "scaling.prometheus")
    scene.wait(MODEL, "MetricsFound")
    scene.space.patch("InferenceModel", QUERY, {"spec": {"scaling": queried("sum(up)")}})
    scene.wait(QUERY, "MetricsFound")


def test_an_address_that_leads_nowhere(scene: Scene, keda: Keda, install: Callable[..., Installation]) -> None:
    """Where KEDA does not reach Prometheus, and the operator does, the chart's value is named."""
    other = install()
    nowhere = f"http://127.0.0.1:{free_port()}"
    quick = ("--metrics-grace", "1s", "--metrics-probe-interval", "1s")
    other.start("--prometheus-url", scene.prometheus.url, "--keda-prometheus-url", nowhere, *quick).wait("leader")
    other.space.model("lost", scaling=queried("sum(up)"))
    other.space.wait_ready("lost")

    def told(reason: str, part: str) -> bool:
        found = other.space.condition("lost", "MetricsAvailable")
        return bool(found.get("reason") == reason and part in found["message"])

    other.space.wait(lambda: told("TriggerFailed", "autoscaling.keda"), "KEDA's address is suspected")
    other.operators[-1].terminate()
    other.start("--prometheus-url", scene.prometheus.url, *quick).wait("leader")
    other.space.wait(lambda: told("MetricsFound", "tokens"), "the right address")
    other.space.delete("InferenceModel", "lost")
    other.space.wait(lambda: other.space.get("InferenceModel", "lost") is None, "gone")
