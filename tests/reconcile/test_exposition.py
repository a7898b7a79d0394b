"""What the operator tells about all models when it is scraped."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from pantala.cluster.cache import Cache
from pantala.cluster.resources import MODEL, POD, SERVICE
from pantala.handlers import health
from pantala.reconcile import metrics  # noqa: F401 -- registers the operator's own counters
from pantala.reconcile.exposition import FAMILIES, Exposition

CONDITIONS = [
    {"type": "Ready", "status": "True", "reason": "Serving", "message": 'said "so"'},
    {"type": "MetricsAvailable", "status": "False", "reason": "NoSeries"},
]
SCALING = {
    "minReplicas": 1,
    "maxReplicas": 4,
    "engine": "KEDA",
    "metrics": [{"type": "GPUUtilization", "target": 70}],
    "prometheus": [{"name": "tokens", "query": "up", "target": "12.5"}],
}


def model(name: str = "resnet", **status: Any) -> dict[str, Any]:
    """A model with a version that scales, and one that left the spec."""
    versions = [
        {"name": "v1", "uri": "s3://a/b"},
        {"name": "v2", "uri": "s3://a/c", "runtime": {"name": "triton"}, "scaling": SCALING},
    ]
    return {
        "kind": "InferenceModel",
        "metadata": {"namespace": "vision", "name": name, "uid": f"uid of {name}", "resourceVersion": "5"},
        "spec": {"runtime": {"name": "torchserve"}, "scaling": {"minReplicas": 2}, "versions": versions},
        "status": status,
    }


def status() -> dict[str, Any]:
    """A status with everything that is told."""
    autoscaler = {"engine": "KEDA", "desiredReplicas": 4, "missing": ["tokens"]}
    return {
        "conditions": CONDITIONS,
        "version": "v2",
        "versions": [
            {"name": "v0", "state": "Frozen", "readyReplicas": 1},
            {"name": "v1", "state": "Parked", "desiredReplicas": 0, "readyReplicas": 0},
            {
                "name": "v2",
                "state": "Serving",
                "desiredReplicas": 3,
                "readyReplicas": 2,
                "autoscaler": autoscaler,
                "accelerator": {"provider": "mig"},
                "fetch": {"replicas": 2, "bytes": {"origin": 5, "peer": 70}},
                "replicas": [
                    {"pod": "a", "ready": "2026-01-02T03:00:19Z", "phases": {"fetch": "1s500ms", "load": "12s"}},
                    {"pod": "b", "ready": "2026-01-02T02:00:19Z", "phases": {"fetch": "9s"}},
                    {"pod": "c", "created": "2026-01-02T04:00:00Z", "phases": {"fetch": "7s"}},
                ],
            },
        ],
        "traffic": [
            {"version": "v2", "asked": 100, "configured": 90},
            {"version": "v1", "configured": 10, "mirror": 5},
        ],
    }


def pod(name: str, version: str = "v2", of: str = "resnet") -> dict[str, Any]:
    """A pod of a model."""
    labels = {"pantala.dev/model": of, "pantala.dev/version": version}
    meta = {"namespace": "vision", "name": name, "resourceVersion": "7", "labels": labels}
    return {"kind": "Pod", "metadata": meta, "spec": {"nodeName": "node-1"}, "status": {}}


def service(name: str, of: str = "resnet", label: str | None = None) -> dict[str, Any]:
    """A Service that a model made; `label`: the model that its label names, if that is another."""
    owner = {"kind": "InferenceModel", "name": of, "uid": f"uid of {of}", "controller": True}
    labels = {"pantala.dev/model": label or of}
    meta = {"namespace": "vision", "name": name, "resourceVersion": "8", "labels": labels, "ownerReferences": [owner]}
    return {"kind": "Service", "metadata": meta}


@pytest.fixture
def cache() -> Cache:
    """The real cache, empty."""
    return Cache(lambda _: None, lambda _: None)


def scrape(exposition: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus would read, by name and sorted labels."""
    families = text_string_to_metric_families(exposition.text())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for one in families for sample in one.samples
    }


def of(found: dict[tuple[str, tuple[tuple[str, str], ...]], float], name: str, *labels: str) -> dict[Any, float]:
    """The series of one name, by the values of these labels."""
    return {
        tuple(dict(pairs)[label] for label in labels): value for (one, pairs), value in found.items() if one == name
    }


def test_everything_about_a_model(cache: Cache) -> None:
    """Conditions, replicas, bounds, targets, what is missing, shares and pods are series of the model's own labels."""
    cache.upsert(MODEL, model(**status()))
    cache.upsert(POD, pod("resnet-v2-a"))
    for version in ("v1", "v2"):
        cache.upsert(SERVICE, service(f"resnet-{version}"))
    exposition = Exposition()
    exposition.tell(cache)
    found = scrape(exposition)
    assert {(dict(pairs)["namespace"], dict(pairs).get("model")) for _, pairs in found} == {("vision", "resnet")}
    assert of(found, "pantala_model_condition", "type", "status") == {
        ("Ready", "True"): 1,
        ("Ready", "False"): 0,
        ("Ready", "Unknown"): 0,
        ("MetricsAvailable", "True"): 0,
        ("MetricsAvailable", "False"): 1,
        ("MetricsAvailable", "Unknown"): 0,
    }
    assert of(found, "pantala_model_condition_reason", "type", "reason") == {
        ("Ready", "Serving"): 1,
        ("MetricsAvailable", "NoSeries"): 1,
    }
    assert of(found, "pantala_version_replicas", "version", "kind") == {
        ("v0", "ready"): 1,
        ("v1", "desired"): 0,
        ("v1", "ready"): 0,
        ("v1", "min"): 2,
        ("v1", "max"): 2,
        ("v2", "desired"): 3,
        ("v2", "ready"): 2,
        ("v2", "wanted"): 4,
        ("v2", "min"): 1,
        ("v2", "max"): 4,
    }
    assert of(found, "pantala_version_target", "version", "measure") == {
        ("v2", "GPUUtilization"): 70,
        ("v2", "tokens"): 12.5,
    }
    assert of(found, "pantala_version_metric_missing", "version", "measure") == {("v2", "tokens"): 1}
    assert of(found, "pantala_version_traffic_percent", "version", "kind") == {
        ("v2", "asked"): 100,
        ("v2", "configured"): 90,
        ("v1", "configured"): 10,
        ("v1", "mirror"): 5,
    }
    assert of(found, "pantala_model_info", "version", "runtime", "engine", "provider") == {
        ("v2", "triton", "KEDA", "mig"): 1
    }
    assert of(found, "pantala_version_info", "version", "service", "state") == {
        ("v0", "", "Frozen"): 1,
        ("v1", "resnet-v1", "Parked"): 1,
        ("v2", "resnet-v2", "Serving"): 1,
    }
    assert of(found, "pantala_version_start_seconds", "version", "phase") == {("v2", "fetch"): 1.5, ("v2", "load"): 12}
    assert of(found, "pantala_version_fetched_bytes", "version", "source") == {("v2", "origin"): 5, ("v2", "peer"): 70}
    assert of(found, "pantala_pod_info", "pod", "version", "node") == {("resnet-v2-a", "v2", "node-1"): 1}


@pytest.mark.parametrize(
    ("accelerator", "provider", "scale"),
    [
        ({"corePercent": 40}, "hami", 2.5),
        ({"memoryPerCard": "8Gi"}, "hami", 1),
        ({"corePercent": 50, "count": 2}, "volcano", 2),
        ({"corePercent": 25}, "tencent", 4),
        ({"count": 2}, "tencent", 0.5),
        ({"count": 2}, "nvidia", 1),
        ({"mode": "MIG", "corePercent": 50}, "aliyun", 1),
        ({}, "", 1),
        ({"corePercent": 50}, "of a later release", 1),
    ],
)
def test_the_share_of_a_card(cache: Cache, accelerator: dict[str, Any], provider: str, scale: float) -> None:
    """A factor makes the use of cards percent of what a version is granted of them, as its autoscaler's target is; else it is 1."""
    told = {"versions": [{"name": "v1", "accelerator": {"provider": provider}}, {"name": "v0"}]}
    obj = model(**told)
    obj["spec"]["accelerator"] = accelerator
    cache.upsert(MODEL, obj)
    exposition = Exposition()
    exposition.tell(cache)
    factors = of(scrape(exposition), "pantala_version_gpu_scale", "version")
    assert factors == {("v0",): 1, ("v1",): scale, ("v2",): 1}


def test_two_models_with_one_name_for_a_service(cache: Cache) -> None:
    """Only the version whose model has the Service names it, whatever a label of the Service says."""
    for name, version in (("a", "b-c"), ("a-b", "c")):
        found = model(name)
        found["spec"]["versions"] = [{"name": version, "uri": "s3://a/b"}]
        cache.upsert(MODEL, found)
    exposition = Exposition()
    exposition.tell(cache)
    labels = ("model", "version", "service")
    assert of(scrape(exposition), "pantala_version_info", *labels) == {("a", "b-c", ""): 1, ("a-b", "c", ""): 1}
    cache.upsert(SERVICE, service("a-b-c", "a-b"))
    told = {("a", "b-c", ""): 1, ("a-b", "c", "a-b-c"): 1}
    assert of(scrape(exposition), "pantala_version_info", *labels) == told
    cache.upsert(SERVICE, service("a-b-c", "a-b", label="a"))
    assert of(scrape(exposition), "pantala_version_info", "service") == {("",): 1}


def test_a_new_model(cache: Cache) -> None:
    """A model without a status is there from the first moment, with the bounds of its spec; its target is what shall answer."""
    cache.upsert(MODEL, model())
    exposition = Exposition()
    exposition.tell(cache)
    found = scrape(exposition)
    assert of(found, "pantala_model_info", "version", "runtime", "engine") == {("v1", "torchserve", "none"): 1}
    assert set(of(found, "pantala_version_replicas", "version", "kind")) == {
        (name, kind) for name in ("v1", "v2") for kind in ("min", "max")
    }
    cache.remove(MODEL, model())
    assert scrape(exposition) == {}


def test_labels_are_quoted(cache: Cache) -> None:
    """What anybody who may write a status puts into it does not break the format."""
    reason = 'a "b" \\ c\nd'
    cache.upsert(MODEL, model(conditions=[{"type": "Ready", "status": "False", "reason": reason}]))
    exposition = Exposition()
    exposition.tell(cache)
    assert of(scrape(exposition), "pantala_model_condition_reason", "reason") == {(reason,): 1}


def test_a_standby_tells_nothing(cache: Cache) -> None:
    """Before this process leads nothing is told, so that two operators never count a model twice."""
    cache.upsert(MODEL, model(**status()))
    assert scrape(Exposition()) == {}


async def test_it_is_part_of_the_operators_metrics(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape of the operator has its own counters and the series of models, in one text."""
    cache.upsert(MODEL, model(**status()))
    exposition = Exposition()
    exposition.tell(cache)
    monkeypatch.setattr(health, "EXPOSITION", exposition)
    async with TestClient(TestServer(health.application(list, lambda: True))) as client:
        text = await (await client.get("/metrics")).text()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"pantala_queue_depth", *FAMILIES} <= names


def test_a_thousand_models_cost_little(cache: Cache) -> None:
    """1000 models with three versions, three pods and five conditions each are told in well under a second."""
    more = [{"type": name, "status": "True", "reason": "Fine"} for name in ("Accepted", "Distributed", "TrafficReady")]
    seen = {**status(), "conditions": [*CONDITIONS, *more]}
    for number in range(1000):
        name = f"model-{number}"
        cache.upsert(
            MODEL,
            model(name, **seen),
        )
        for index in range(3):
            cache.upsert(POD, pod(f"{name}-v2-{index}", of=name))
            cache.upsert(SERVICE, service(f"{name}-v{index}", name))
    exposition = Exposition()
    exposition.tell(cache)
    begun = time.process_time()
    text = exposition.text()
    spent = time.process_time() - begun
    print(f"{len(text.splitlines())} lines, {len(text) / 1e6:.1f} MB, {spent:.3f} s of CPU")
    assert len(text.splitlines()) > 48_000
    assert spent < 0.5
