"""`MetricsAvailable`: what is said when an autoscaler has its measures, and each reason why it may not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pantala.manifest.settings import AutoscalingSettings, Settings
from pantala.planner.observed import Availability
from pantala.planner.probed import Clue, Finding
from pantala.status.reasons import TERMINAL, Reason
from tests.planner.scaled import (
    FOUND,
    KEDAS,
    NONE,
    QUEUE,
    SCALED_OBJECT,
    UTILIZATION,
    Scaled,
    failing,
    pods,
)
from tests.planner.world import NOW, model, version

GPU = "pantala_gpu_utilization"
UNKNOWN = failing(f"unable to get metric {GPU}: unable to fetch metrics from custom metrics API: no such metric")
KEDA = {"scaling": {"engine": "KEDA"}}


def found(clue: Clue, detail: str = "", *, offered: bool | None = None, measure: str = "GPUUtilization") -> Any:
    """A finding about one measure of version v1."""
    return {("v1", measure): Finding(clue, detail, offered)}


def test_nothing_is_said_without_an_autoscaler() -> None:
    """A fixed number of replicas needs no measures."""
    world = Scaled()
    world.edit(model(version(), scaling={"minReplicas": 2}))
    world.settle()
    assert world.says() == ("", "", "")


def test_all_measures_have_values() -> None:
    """True with the names of the measures and without their values, so that a value that changes writes nothing."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "42"), pods("pantala_queue_length", "500m"))
    status, reason, words = world.says()
    assert (status, reason) == ("True", "MetricsFound")
    assert words == "The autoscaler of version v1 has a value of each measure: GPUUtilization, QueueLength."
    before = world.model["status"]
    world.looks(pods(GPU, "43"), pods("pantala_queue_length", "600m"))
    world.tell()
    assert world.model["status"] == before


def test_a_young_replica_is_given_time() -> None:
    """While no replica has been ready for two minutes nothing is missing yet; nobody is asked, and the pass comes back then."""
    world = Scaled()
    world.looks(NONE, condition=UNKNOWN)
    young = NOW - timedelta(seconds=166)  # the pod has been ready for a minute
    told = world.tell(young)
    assert (told.asks, told.wait) == ((), 60.0)
    assert world.says(young)[:2] == ("Unknown", "Starting")
    assert world.tell().asks


def test_what_was_said_holds_until_it_is_known_why() -> None:
    """A measure that goes is asked about first: the reason is right when the condition flips."""
    world = Scaled()
    world.looks(pods(GPU, "42"))
    world.says()
    world.looks(NONE, condition=UNKNOWN)
    assert world.says()[0] == "True"
    (ask,) = world.tell().asks
    assert (ask.version, ask.signal.series, ask.pods, ask.group) == (
        "v1",
        GPU,
        ("resnet-v1-0",),
        "custom.metrics.k8s.io",
    )
    world.probed = found(Clue.NOTHING)
    assert world.says()[:2] == ("False", "NoSeries")
    world.looks(pods(GPU, "42"))
    assert world.says()[0] == "True"
    assert world.tell().asks == ()


CAUSES = [
    (found(Clue.API_ABSENT), "NoMetricsAPI", "install Prometheus Adapter"),
    (found(Clue.API_DOWN), "NoMetricsAPI", "kubectl get apiservices"),
    (found(Clue.UNREACHABLE, "p:9090 does not answer"), "PrometheusUnreachable", "prometheus.url"),
    (found(Clue.UNASKED, offered=False), "AdapterRuleMissing", "*-prometheus-adapter"),
    (found(Clue.UNASKED, offered=True), "NoSeries", "look for it in Prometheus"),
    (found(Clue.NOTHING), "NoSeries", "install dcgm-exporter"),
    (found(Clue.ELSEWHERE, "DCGM_FI_DEV_GPU_UTIL"), "NoSeries", "dcgm-exporter runs on their nodes"),
    (found(Clue.NAMELESS, "DCGM_FI_DEV_GPU_UTIL"), "WrongLabels", "DCGM_EXPORTER_KUBERNETES=true"),
    (found(Clue.MISLABELED, "k8s_pod"), "WrongLabels", "autoscaling.dcgm.podLabel=k8s_pod"),
    (found(Clue.COPIES, "DCGM_FI_DEV_GPU_UTIL"), "SharedDeviceMetric", "autoscaling.dcgm.sharedPerProcess"),
    (found(Clue.UNRECORDED, "DCGM_FI_DEV_GPU_UTIL"), "RecordingRuleMissing", "autoscaling.rules"),
    (found(Clue.RECORDED, offered=False), "AdapterRuleMissing", "restart it"),
    (found(Clue.RECORDED, offered=True), "MetricFailed", "describe hpa resnet-v1"),
]


@pytest.mark.parametrize(("probed", "reason", "step"), CAUSES)
def test_causes(probed: Any, reason: str, step: str) -> None:
    """Each cause has its reason, the measure and the version by name, the next step, and what it means for the replicas."""
    world = Scaled()
    world.looks(NONE, condition=UNKNOWN)
    world.probed = probed
    status, told, words = world.says()
    assert (status, told) == ("False", reason)
    assert words.startswith("Version v1: GPUUtilization: ")
    assert step in words
    assert words.endswith("Until then the number of replicas stays as it is.")
    kinds = {it["type"]: it["status"] for it in world.model["status"]["conditions"]}
    assert kinds["Ready"] == "True"
    assert "Stalled" not in kinds


def test_no_reason_stalls_a_model() -> None:
    """A model without a measure serves on."""
    reasons = list(Reason)
    assert TERMINAL.isdisjoint(reasons[reasons.index(Reason.METRICS_FOUND) :])


def test_words_of_the_autoscaler_lose_their_frame() -> None:
    """Of Kubernetes' sentence the part that matters is told."""
    world = Scaled()
    world.looks(NONE, condition=UNKNOWN)
    world.probed = found(Clue.RECORDED, offered=True)
    assert f"the HPA cannot read it (unable to get metric {GPU}: no such metric): see" in world.says()[2]


def test_one_of_two_is_missing() -> None:
    """With one value the autoscaler adds replicas and removes none: that is said, also where it says itself that all is well."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "42"), NONE)
    world.probed = found(Clue.NOTHING, measure="QueueLength")
    status, reason, words = world.says()
    assert (status, reason) == ("False", "NoSeries")
    assert words.startswith("Version v1: QueueLength: Prometheus has no nv_inference_pending_request_count: ")
    assert words.endswith("Until then replicas are added, but none is removed.")


def test_the_root_comes_first() -> None:
    """Of two causes the reason is the one nearer to the root; both are told."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(NONE, NONE, condition=UNKNOWN)
    world.probed = found(Clue.RECORDED, offered=False) | found(Clue.NOTHING, measure="QueueLength")
    _, reason, words = world.says()
    assert reason == "NoSeries"
    assert "the metrics adapter does not offer it" in words


def test_before_the_first_look() -> None:
    """An autoscaler that nobody has looked at yet misses nothing."""
    assert Scaled().says()[:2] == ("Unknown", "Starting")


def test_bounds_alone_keep_what_was_said() -> None:
    """Where a bound is enough an HPA looks at no measure: what was said holds."""
    world = Scaled()
    world.looks(pods(GPU, "42"))
    world.says()
    world.looks(desiredReplicas=2)
    assert world.says()[0] == "True"


def test_another_autoscaler() -> None:
    """Two autoscalers on the same pods are named, and that neither works."""
    world = Scaled()
    words = "pods by selector app=x are controlled by multiple HPAs: [{other vision} {resnet-v1 vision}]"
    world.looks(condition={**FOUND, "status": "False", "reason": "AmbiguousSelector", "message": words})
    status, reason, told = world.says()
    assert (status, reason) == ("False", "AutoscalerConflict")
    assert "{other vision}" in told
    assert "remove the other one" in told


@pytest.mark.parametrize(
    ("accelerator", "reason"),
    [
        ({"count": 1, "provider": "nvidia", "sharing": "TimeSlicing"}, "SharedDeviceMetric"),
        ({"provider": "visible-devices", "devices": ["0"]}, "WrongLabels"),
        ({"count": 1, "provider": "hami", "mode": "MIG", "memoryPerCard": "5Gi"}, "NoSeries"),
    ],
)
def test_cards_that_nobody_measures(accelerator: Any, reason: str) -> None:
    """Where no exporter can tell whose card is busy that is said at once, in the provider's words, whatever has a value."""
    world = Scaled(accelerator=accelerator)
    world.looks(NONE, condition=UNKNOWN)
    status, told, words = world.says()
    assert (status, told) == ("False", reason)
    assert "scale on " in words
    assert words.endswith("Until then the number of replicas stays as it is.")
    assert world.tell().asks == ()


SHARED = {"count": 1, "provider": "nvidia", "sharing": "TimeSlicing"}


def test_shared_cards_beside_another_measure() -> None:
    """With a measure of requests beside it replicas are added; a copy that has a value is told all the same."""
    world = Scaled(UTILIZATION, QUEUE, accelerator=SHARED)
    world.looks(NONE, pods("pantala_queue_length", "2"))
    status, reason, words = world.says()
    assert (status, reason) == ("False", "SharedDeviceMetric")
    assert (
        "or measure each pod and set the chart's value autoscaling.dcgm.sharedPerProcess. Until then replicas" in words
    )
    assert words.endswith("Until then replicas are added, but none is removed.")
    world.looks(pods(GPU, "42"), pods("pantala_queue_length", "2"))
    assert world.says()[:2] == ("False", "SharedDeviceMetric")
    assert world.says()[2].endswith("autoscaling.dcgm.sharedPerProcess.")


def test_cards_that_are_only_counted() -> None:
    """Of aliyun's cards no setting makes a measure of each pod, so none is named."""
    world = Scaled(accelerator={"provider": "aliyun", "memoryPerCard": "1Gi"})
    world.looks(NONE, condition=UNKNOWN)
    status, reason, words = world.says()
    assert (status, reason) == ("False", "SharedDeviceMetric")
    assert "sharedPerProcess" not in words
    assert "scale on RequestsPerSecond" in words


@pytest.mark.parametrize("clue", [Clue.NAMELESS, Clue.ELSEWHERE])
def test_cards_by_claims(clue: Clue) -> None:
    """Where the exporter names no pod with a claim the step is the exporter's switch for claims, not names of resources."""
    world = Scaled(accelerator={"count": 1, "provider": "dra"})
    world.looks(NONE, condition=UNKNOWN)
    world.probed = found(clue, "DCGM_FI_DEV_GPU_UTIL")
    words = world.says()[2]
    assert "set KUBERNETES_ENABLE_DRA=true in dcgm-exporter" in words
    assert "NVIDIA_RESOURCE_NAMES" not in words


def test_shared_cards_that_are_measured_per_process() -> None:
    """With an exporter that measures each pod of a shared card its figures count."""
    settings = Settings(autoscaling=AutoscalingSettings(shared_per_process=True))
    world = Scaled(settings=settings, accelerator={"count": 1, "provider": "nvidia", "sharing": "TimeSlicing"})
    world.looks(pods(GPU, "42"))
    assert world.says()[0] == "True"


def test_keda_is_missing() -> None:
    """Without KEDA an autoscaler by KEDA is told as missing at once, with both ways out."""
    world = Scaled(**KEDA)
    world.children.pop(SCALED_OBJECT)
    world.scaled_objects = Availability.ABSENT
    status, reason, words = world.says()
    assert (status, reason) == ("False", "KEDAMissing")
    assert "engine: HPA" in words


def test_keda_refuses_the_object() -> None:
    """Where KEDA makes no HPA its own words are told, or that it does not run."""
    world = Scaled(**KEDA)
    assert world.says()[:2] == ("False", "TriggerFailed")
    assert "keda-operator runs" in world.says()[2]
    refusal = {"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "no such trigger"}
    world.children[SCALED_OBJECT]["status"] = {"conditions": [refusal]}
    assert "no such trigger" in world.says()[2]
    assert "kubectl -n vision describe scaledobject resnet-v1`" in world.says()[2]


def test_kedas_values() -> None:
    """KEDA's own HPA tells whether its triggers have values."""
    world = Scaled(**KEDA)
    world.keda()
    value = {"type": "External", "external": {"metric": {"name": "s0-prometheus"}, "current": {"value": "42"}}}
    world.looks(value, ref=KEDAS)
    assert world.says()[0] == "True"
    lost = failing(
        "unable to get external metric vision/s0-prometheus/&LabelSelector{MatchLabels:map[string]string{a: b,},}: "
        "unable to fetch metrics from external metrics API: connection refused",
        "FailedGetExternalMetric",
    )
    world.looks(NONE, condition=lost, ref=KEDAS)
    world.probed = found(Clue.RECORDED)
    _, reason, words = world.says()
    assert reason == "TriggerFailed"
    assert (
        "KEDA cannot read it, though Prometheus answers the operator (connection refused): check the chart's" in words
    )
    assert "kubectl -n vision describe scaledobject resnet-v1." in words


def test_events_tell_the_flips() -> None:
    """A measure that goes is told once, as one that comes back; a start and a change of the reason are not."""
    world = Scaled()
    told = []
    for probed, looks in ((None, NONE), (Clue.NOTHING, NONE), (Clue.API_DOWN, NONE), (None, pods(GPU, "1"))):
        world.looks(looks, condition=UNKNOWN if looks is NONE else FOUND)
        world.probed = {} if probed is None else found(probed)
        told.append([(it.type, it.reason) for it in world.tell().events if it.reason != "Serving"])
    assert told == [[], [("Warning", "NoSeries")], [], [("Normal", "MetricsFound")]]


@pytest.mark.parametrize("ready", [True, False])
def test_keda_is_paused(*, ready: bool) -> None:
    """Where a user paused KEDA, which then removes its HPA, nothing is wrong and nothing is known; how it goes on is said."""
    world = Scaled(**KEDA)
    paused = {"type": "Paused", "status": "True", "reason": "ScaledObjectPaused", "message": "ScaledObject is paused"}
    world.children[SCALED_OBJECT]["status"] = {"conditions": [{"type": "Ready", "status": "True"}, paused]}
    if not ready:
        world.pods = []
    status, reason, words = world.says()
    assert (status, reason) == ("Unknown", "Paused")
    assert "paused by an annotation of its ScaledObject" in words
    step = "kubectl -n vision annotate scaledobject resnet-v1 autoscaling.keda.sh/paused- autoscaling.keda.sh/paused-replicas-"
    assert words.endswith(step)
    assert world.autoscaler()["limited"] == "paused by an annotation of its ScaledObject"
    world.keda()
    world.looks(
        {"type": "External", "external": {"metric": {"name": "s0-prometheus"}, "current": {"value": "42"}}}, ref=KEDAS
    )
    assert world.says()[0] == "True"


def test_a_finding_is_of_its_question() -> None:
    """What was found out for another engine is not told of this one: what was said holds until it is looked at."""
    world = Scaled()
    world.looks(NONE, condition=UNKNOWN)
    world.probed = found(Clue.API_ABSENT)
    before = world.says()
    assert "install Prometheus Adapter" in before[2]
    world.asked = world.tell().asks
    (ask,) = world.asked
    world.asked = (replace(ask, group="external.metrics.k8s.io"),)
    world.probed = found(Clue.API_DOWN)
    assert world.says() == before
    assert world.tell().asks == (ask,)


OTHERS = [
    {"engine": "HPA", "metrics": [QUEUE]},
    {
        "engine": "KEDA",
        "prometheus": [{"name": "mine", "query": "sum(x)", "target": "5", "metricType": "AverageValue"}],
    },
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("missing", [True, False])
def test_an_edit_under_paused(other: Any, *, missing: bool) -> None:
    """A spec that is not carried out misses nothing: the autoscaler that stands measures what it did, and what was said holds."""
    world = Scaled()
    world.looks(NONE if missing else pods(GPU, "42"), condition=UNKNOWN if missing else FOUND)
    world.probed = found(Clue.NOTHING)
    before = world.says()
    assert before[0] == ("False" if missing else "True")
    world.probed = {}
    scaling = {"minReplicas": 1, "maxReplicas": 5, **other}
    world.edit(model(version(), scaling=scaling, accelerator={"count": 1, "provider": "nvidia"}, paused=True))
    assert world.says() == before
    assert world.tell().asks == ()
    assert world.autoscaler()["engine"] == "HPA"
    assert "missing" not in world.autoscaler()


def test_paused_with_a_measure_in_common() -> None:
    """Under `paused` what the autoscaler measures, and the spec still asks for, is looked at on and on."""
    world = Scaled(UTILIZATION, QUEUE)
    scaling = {
        "engine": "HPA",
        "minReplicas": 1,
        "maxReplicas": 5,
        "metrics": [{"type": "QueueTime", "target": 9}, QUEUE],
    }
    world.edit(model(version(), scaling=scaling, accelerator={"count": 1, "provider": "nvidia"}, paused=True))
    world.looks(NONE, pods("pantala_queue_length", "1"))
    assert world.says()[2] == "The autoscaler of version v1 has a value of each measure: QueueLength."
    world.looks(pods(GPU, "42"), NONE)
    world.probed = found(Clue.NOTHING, measure="QueueLength")
    assert world.says()[:2] == ("False", "NoSeries")
    assert world.autoscaler()["missing"] == ["QueueLength"]
