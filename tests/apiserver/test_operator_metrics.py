"""Every reason of `MetricsAvailable` for an HPA, provoked and healed with the real components on simulated nodes.

What cannot be had here is the exporter itself: its text is written by the test, in dcgm-exporter's form.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.apiserver.metrics_scene import CARD, TARGET, Scene, adapter, adapter_config, scaling
from tests.apiserver.operator_process import Installation
from tests.cluster import Cluster
from tests.cluster.addons import aggregation, loopback
from tests.cluster.addons.prometheus_adapter import NAMESPACE, SERVICE, PrometheusAdapter

pytestmark = [pytest.mark.adapter, pytest.mark.apiserver]

MODEL = "busy"
OTHER_RULE = {
    "seriesQuery": 'up{namespace!="",pod!=""}',
    "resources": {"overrides": {name: {"resource": name} for name in ("namespace", "pod")}},
    "metricsQuery": "max by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
}


@pytest.fixture(scope="module")
def scene(
    kwok_cluster: Cluster, install: Callable[..., Installation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A model on a card, and everything by which it scales."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    with Scene(kwok_cluster, install(), tmp_path_factory.mktemp("rules")) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def metrics(scene: Scene) -> Iterator[PrometheusAdapter]:
    """Prometheus Adapter, with the model ready and its card at 50 percent."""
    with adapter(scene) as started:
        scene.space.model(MODEL, accelerator=CARD, scaling=scaling())
        scene.space.wait_ready(MODEL)
        scene.cards()
        scene.wait(MODEL, "MetricsFound")
        yield started


def test_found(scene: Scene, metrics: PrometheusAdapter) -> None:
    """With all components in place the measure is there; nothing else is said of it, and the status tells who decides."""
    assert scene.wait(MODEL, "MetricsFound").endswith("has a value of each measure: GPUUtilization.")
    told = {"engine": "HPA", "desiredReplicas": 1}
    scene.space.wait(lambda: scene.autoscaler(MODEL) == told, "what it wants")
    scene.space.wait(lambda: scene.space.is_ready(MODEL), "ready all the same")


def test_values_that_change_cost_nothing(scene: Scene, metrics: PrometheusAdapter) -> None:
    """An HPA that reads another value at each look wakes no pass and causes no write, as long as it decides the same."""
    scene.costs_nothing(f"{MODEL}-v1")


def test_it_scales_and_says_why(scene: Scene, metrics: PrometheusAdapter) -> None:
    """What the HPA did, and by which value, is in the status; an event of its own is not needed."""
    scene.cards(120)
    scene.space.wait(lambda: scene.autoscaler(MODEL).get("lastScale", {}).get("toReplicas") == 2, "a second replica")
    last = scene.autoscaler(MODEL)["lastScale"]
    assert (last["fromReplicas"], last["toReplicas"]) == (1, 2)
    name, _, rest = last["why"].partition(" ")
    value, _, target = rest.partition(", ")
    assert (name, target) == ("GPUUtilization", "target 70")
    assert 77 < float(value) <= 120
    scene.cards(10)
    scene.space.wait(lambda: scene.autoscaler(MODEL)["lastScale"]["toReplicas"] == 1, "one replica again")
    assert scene.autoscaler(MODEL)["lastScale"]["why"].endswith("target 70")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_no_metrics_api(scene: Scene, metrics: PrometheusAdapter) -> None:
    """An adapter that died, and one that is not registered, are told apart; both heal."""
    metrics.kill()
    scene.wait(MODEL, "NoMetricsAPI", "what serves custom.metrics.k8s.io does not answer", "kubectl get apiservices")
    aggregation.unregister(scene.cluster, metrics.apis, SERVICE, NAMESPACE)
    scene.wait(MODEL, "NoMetricsAPI", "does not serve custom.metrics.k8s.io", "install Prometheus Adapter")
    metrics.start()
    scene.wait(MODEL, "MetricsFound")
    reasons = {it["reason"] for it in scene.space.list("Event") if it["regarding"]["name"] == MODEL}
    assert {"NoMetricsAPI", "MetricsFound"} <= reasons


def test_adapter_rule_missing(scene: Scene, metrics: PrometheusAdapter) -> None:
    """An adapter with other rules offers other metrics: that Prometheus has the series is said."""
    metrics.configure({"rules": [OTHER_RULE]})
    scene.wait(MODEL, "AdapterRuleMissing", "Prometheus has pantala_gpu_utilization", "*-prometheus-adapter")
    assert scene.autoscaler(MODEL)["missing"] == ["GPUUtilization"]
    metrics.configure(adapter_config())
    scene.wait(MODEL, "MetricsFound")


def test_recording_rule_missing(scene: Scene, metrics: PrometheusAdapter) -> None:
    """A Prometheus that does not load the chart's rules has what the exporter measures, and not what is made of it."""
    with scene.without_rules():
        scene.wait(
            MODEL, "RecordingRuleMissing", "Prometheus has DCGM_FI_DEV_GPU_UTIL of the replicas", "autoscaling.rules"
        )
    scene.wait(MODEL, "MetricsFound")


def test_no_exporter(scene: Scene, metrics: PrometheusAdapter) -> None:
    """Without the exporter's series that is said, with the name of the exporter."""
    scene.silence()
    scene.wait(MODEL, "NoSeries", "no DCGM_FI_DEV_GPU_UTIL, of any card", "install dcgm-exporter")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


@pytest.mark.parametrize(
    ("job", "parts"),
    [
        ("relabeled", ("in the label kubernetes_pod_name", "autoscaling.dcgm.podLabel=kubernetes_pod_name")),
        ("nameless", ("no series of DCGM_FI_DEV_GPU_UTIL names the pod", "DCGM_EXPORTER_KUBERNETES=true")),
    ],
)
def test_wrong_labels(scene: Scene, metrics: PrometheusAdapter, job: str, parts: tuple[str, ...]) -> None:
    """Labels in which nobody looks, and labels that name nobody: each has its own step."""
    scene.cards(job=job)
    scene.wait(MODEL, "WrongLabels", *parts)
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_cards_of_others(scene: Scene, metrics: PrometheusAdapter) -> None:
    """An exporter that knows cards, but not those of the replicas, is not taken for one that is missing."""
    scene.cards(pods=["somebody-else"])
    scene.wait(MODEL, "NoSeries", "but not of the replicas of this version", "runs on their nodes")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_copies_of_a_shared_card(scene: Scene, metrics: PrometheusAdapter) -> None:
    """Series that are the whole card's, one copy for each pod, are not scaled on; that is said."""
    scene.cards(labels={"vgpu": "0"})
    scene.wait(MODEL, "SharedDeviceMetric", "copy of the whole card's", "autoscaling.dcgm.sharedPerProcess")
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_prometheus_hangs(scene: Scene, metrics: PrometheusAdapter) -> None:
    """Why is not known while Prometheus hangs: that is said, and no other model waits for it."""
    scene.silence()
    scene.wait(MODEL, "NoSeries")
    with scene.frozen():
        scene.wait(MODEL, "PrometheusUnreachable", "did not answer in time", "prometheus.url")
        scene.space.model("bystander")
        scene.space.wait(lambda: scene.space.is_ready("bystander"), "another model is made meanwhile", 20)
    scene.cards()
    scene.wait(MODEL, "MetricsFound")


def test_prometheus_crashed(scene: Scene, metrics: PrometheusAdapter) -> None:
    """Without Prometheus nobody has a value, and nobody can say why: that it does not answer is what is said."""
    with scene.dead():
        scene.wait(MODEL, "PrometheusUnreachable", "prometheus.url")
    scene.wait(MODEL, "MetricsFound")


def test_a_second_hpa(scene: Scene, metrics: PrometheusAdapter) -> None:
    """An HPA that somebody made for the same Deployment stops both: it is named."""
    ours = scene.space.get("HorizontalPodAutoscaler", f"{MODEL}-v1")
    spec = {key: ours["spec"][key] for key in ("scaleTargetRef", "minReplicas", "maxReplicas", "metrics")}
    scene.space.create("HorizontalPodAutoscaler", {"metadata": {"name": "rival"}, "spec": spec})
    scene.wait(MODEL, "AutoscalerConflict", "rival", "remove the other one")
    scene.space.delete("HorizontalPodAutoscaler", "rival")
    scene.wait(MODEL, "MetricsFound")


def test_no_figures_of_cpu(scene: Scene, metrics: PrometheusAdapter) -> None:
    """For CPU the API of the kubelets' figures is looked for, and metrics-server named; the card's measure goes on."""
    cpu = {"type": "CPUUtilization", "target": 80}
    resources = {"requests": {"cpu": "100m"}}
    scene.space.model(
        "both", accelerator=CARD, resources=resources, scaling=scaling(cpu, {"type": "GPUUtilization", "target": 70})
    )
    scene.space.wait_ready("both")
    scene.cards()
    scene.wait("both", "NoMetricsAPI", "CPUUtilization: the cluster does not serve metrics.k8s.io", "metrics-server")
    scene.space.wait(lambda: scene.autoscaler("both").get("missing") == ["CPUUtilization"], "only CPU is missing")
    message = scene.wait("both", "NoMetricsAPI")
    assert "GPUUtilization" not in message
    scene.wait(MODEL, "MetricsFound")
    scene.space.delete("InferenceModel", "both")


def test_shared_cards_say_so_at_once(scene: Scene, metrics: PrometheusAdapter) -> None:
    """A model on a share of a card learns at once that its measure is the whole card's, before a replica is ready."""
    share = {"count": 1, "provider": "nvidia", "sharing": "TimeSlicing"}
    scene.space.model("shared", accelerator=share, scaling=scaling())
    scene.wait(
        "shared",
        "SharedDeviceMetric",
        "DCGM measures the whole card, which other pods share: scale on RequestsPerSecond",
    )
    scene.space.delete("InferenceModel", "shared")


def test_without_prometheus(scene: Scene, metrics: PrometheusAdapter, install: Callable[..., Installation]) -> None:
    """An operator that was not told where Prometheus is says less, and what to do; the truth about the rest is the same."""
    other = install()
    other.start("--metrics-grace", "1s", "--metrics-probe-interval", "1s").wait("leader")
    other.space.model("blind", accelerator=CARD, scaling=scaling())
    other.space.wait_ready("blind")

    def says(reason: str, *parts: str) -> None:
        def told() -> bool:
            found = other.space.condition("blind", "MetricsAvailable")
            return found.get("reason") == reason and all(part in found["message"] for part in parts)

        other.space.wait(told, f"blind: {reason}")

    says("NoSeries", "look for it in Prometheus", "prometheus.url")
    metrics.configure({"rules": [OTHER_RULE]})
    says("AdapterRuleMissing", "does not offer pantala_gpu_utilization", "the operator tells which")
    metrics.configure(adapter_config())
    scene.wait(MODEL, "MetricsFound")
    assert TARGET["namespace"] not in other.space.condition("blind", "MetricsAvailable")["message"]
