"""The ScaledObject of a version."""

import random
import re
from decimal import Decimal

import pytest

from pantala.autoscaling import hpa, keda, signals
from pantala.autoscaling.signals import Signal, Source
from tests.autoscaling.build import CASES, LABELS, NAME, NAMESPACE, SIGNALS, START, made_scaled_object, scaling
from tests.charts.rules import expect
from tests.golden import assert_golden
from tests.runtimes.build import OWNER

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of which Kubernetes makes hashes and suffixes (k8s.io/apimachinery, pkg/util/rand)."""


@pytest.mark.parametrize("case", CASES)
def test_scaled_object(case: str) -> None:
    """Means are compared as they are, totals by replica; no data is an error, and CPU and memory are of the server alone."""
    assert_golden(f"keda-{case}/scaledobject.yaml", made_scaled_object(case))


def test_authentication() -> None:
    """What the installation names for KEDA stands in every trigger that asks Prometheus, and in no other."""
    made = made_scaled_object("all", ("ClusterTriggerAuthentication", "monitoring"))
    found = {it["type"]: it.get("authenticationRef") for it in made["spec"]["triggers"]}
    named = {"kind": "ClusterTriggerAuthentication", "name": "monitoring"}
    assert found == {"prometheus": named, "cpu": None, "memory": None}


def test_names_of_metrics() -> None:
    """What KEDA's HPA calls the metrics: by the place of the trigger, or by the resource."""
    named = [keda.metric_name(index, SIGNALS[name]) for index, name in enumerate(("gpu", "cpu", "total"))]
    assert named == [("External", "s0-prometheus"), ("ContainerResource", "cpu"), ("External", "s2-prometheus")]


@pytest.mark.parametrize(("case", "answer"), [("gpu", 50), ("requests", 30), ("service", 40)])
def test_copies_do_not_count(case: str, answer: float) -> None:
    """What two Prometheus recorded of the same pods and Service, and one address tells of both, is one load."""
    series = {}
    for name in ("prometheus-0", "prometheus-1"):
        copy = f'namespace="{NAMESPACE}",prometheus_replica="{name}"'
        for pod, requests, percent in (("bbbbb", 10, 40), ("ccccc", 20, 60)):
            where = f'{copy},pod="{NAME}-7d4b9c6f5d-{pod}"'
            series[f"{signals.REQUESTS}{{{where}}}"] = f"{requests}+0x20"
            series[f"{signals.GPU_UTILIZATION}{{{where}}}"] = f"{percent}+0x20"
        series[f'{signals.SERVICE_REQUESTS}{{{copy},service="{NAME}"}}'] = "40+0x20"
    asked = keda.query(SIGNALS[case], NAME, NAMESPACE)
    named = f'label_replace(label_replace({asked}, "namespace", "{NAMESPACE}", "", ""), "pod", "all", "", "")'
    expect(series, (named, "5m", {(NAMESPACE, "all"): answer}))


def test_without_prometheus() -> None:
    """CPU and memory need no Prometheus; anything else without one is a mistake of the caller."""
    bounds = scaling(minReplicas=1, maxReplicas=2)
    alone = [SIGNALS["cpu"], SIGNALS["memory"]]
    made = keda.scaled_object(NAME, NAMESPACE, LABELS, OWNER, bounds, alone, START, None)
    assert [it["type"] for it in made["spec"]["triggers"]] == ["cpu", "memory"]
    assert not keda.asks_prometheus(alone)
    assert keda.asks_prometheus([*alone, SIGNALS["service"]])
    with pytest.raises(ValueError, match="not told where Prometheus is"):
        keda.scaled_object(NAME, NAMESPACE, LABELS, OWNER, bounds, [SIGNALS["gpu"]], START, None)


def pod_name(deployment: str, rng: random.Random) -> str:
    """A pod's name as Kubernetes makes it: cut to 58 characters in front of the last five."""
    replica_set = f"{deployment}-{''.join(rng.choices(LETTERS, k=rng.randint(7, 10)))}"
    return f"{replica_set}-"[:58] + "".join(rng.choices(LETTERS, k=5))


@pytest.mark.parametrize("length", [3, 30, 45, 46, 47, 48, 50, 52])
def test_pods_of_a_deployment(length: int) -> None:
    """Every name that a pod of the Deployment can have fits, also one that had to be cut."""
    rng, name = random.Random(length), "m" * (length - 3) + "-v1"
    pattern = re.compile(keda.pods(name))
    assert all(pattern.fullmatch(pod_name(name, rng)) for _ in range(500))


@pytest.mark.parametrize(
    "other",
    [
        "resnet-v1",
        "resnet-v1-7d4b9c6f5d",
        "resnet-v1-7d4b9c6f5d-x",
        "resnet-v10-7d4b9c6f5d-bbbbb",
        "big-resnet-v1-7d4b9c6f5d-bbbbb",
        "resnet-v1-7d4b9c6f5d-7d4b9c6f5d-bbbbb",
        "resnet-v1-download-bbbbb",
        "resnet-v1-7d4b9c6f5d-bbbbb-debug",
    ],
)
def test_pods_of_others(other: str) -> None:
    """No pod of another Deployment fits, whose name may begin or end like this one's."""
    assert not re.fullmatch(keda.pods(NAME), other)


def test_no_object_has_the_name_of_keda_s_hpa() -> None:
    """KEDA takes over an HPA that has the name of its own: ours never has, whatever a model is called."""
    assert hpa.name_of("resnet-v1") == "resnet-v1"
    assert hpa.name_of(keda.hpa_name("resnet-v1")) not in {keda.hpa_name("resnet-v1"), "resnet-v1"}


@pytest.mark.parametrize(("target", "text"), [("70", "70"), ("0.50", "0.5"), ("1E+3", "1000"), ("17.5", "17.5")])
def test_threshold(target: str, text: str) -> None:
    """A threshold is a plain decimal number."""
    signal = Signal("tokens", Source.QUERY, "x", Decimal(target))
    where = keda.Prometheus("http://p:9090")
    bounds = scaling(minReplicas=1, maxReplicas=2)
    made = keda.scaled_object(NAME, NAMESPACE, LABELS, OWNER, bounds, [signal], START, where)
    assert made["spec"]["triggers"][0]["metadata"]["threshold"] == text
