"""Whole plans as files: what a user's resource becomes, reviewed in the diff."""

import copy
import json
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

from pantala import naming
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from tests.golden import assert_golden
from tests.planner.world import World, model, version

AUTOSCALED = {"minReplicas": 2, "maxReplicas": 4, "metrics": [{"type": "CPUUtilization", "target": 70}]}

FULL_TEMPLATE = {
    "metadata": {
        "labels": {"team": "vision"},
        "annotations": {"example.com/owner": "vision", "prometheus.io/path": "/m"},
    },
    "spec": {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "high",
        "serviceAccountName": "models",
        "imagePullSecrets": [{"name": "registry"}],
        "runtimeClassName": "nvidia",
        "schedulerName": "other-scheduler",
        "securityContext": {"runAsUser": 2000, "supplementalGroups": [44]},
        "volumes": [{"name": "labels", "configMap": {"name": "labels"}}],
        "volumeMounts": [{"name": "labels", "mountPath": "/srv/labels", "readOnly": True}],
        "terminationGracePeriodSeconds": 320,
    },
}

SETTINGS = Settings(prometheus_url="http://prometheus.monitoring:9090")
CASES: dict[str, Manifest] = {
    "minimal": model(),
    "torchserve": model(
        version(digest="sha256:" + "0" * 64),
        modelName="resnet_50",
        runtime={
            "name": "torchserve",
            "image": "example.com/torchserve:1",
            "args": ["--extra"],
            "env": [{"name": "OMP_NUM_THREADS", "value": "4"}],
            "batching": {"maxSize": 8, "maxDelay": "30ms"},
            "workers": 2,
            "config": {"default_response_timeout": "300"},
            "startupTimeout": "10m",
        },
        resources={"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "8Gi"}},
        template=FULL_TEMPLATE,
        update={"maxSurge": 0, "maxUnavailable": "25%"},
        storage={
            "secretRef": {"name": "model-store"},
            "endpoint": "https://s3.example.com",
            "region": "eu-1",
            "cache": {"emptyDir": {"sizeLimit": "20Gi", "medium": "Memory"}},
        },
        expose={"nodePort": {"http": 30080}},
    ),
    "autoscaled": model(scaling=AUTOSCALED, resources={"requests": {"cpu": "500m"}}),
    "scaling-gpu": model(
        accelerator={"provider": "hami", "count": 1, "corePercent": 50},
        scaling={
            "minReplicas": 1,
            "maxReplicas": 8,
            "metrics": [{"type": "GPUUtilization", "target": 70}, {"type": "QueueTime", "target": 200}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 900}},
        },
    ),
    "scaling-keda": model(
        scaling={
            "minReplicas": 1,
            "maxReplicas": 8,
            "engine": "KEDA",
            "metrics": [{"type": "QueueLength", "target": 4}],
            "prometheus": [{"name": "tokens", "query": "sum(rate(tokens_total[1m]))", "target": "1000"}],
        },
    ),
    "accelerator": model(accelerator={"provider": "nvidia", "count": 2}, scaling={"minReplicas": 2}),
    "dra": model(accelerator={"provider": "dra", "count": 2, "cardType": {"allow": ["A100"]}}),
    "cache-pvc": model(storage={"cache": {"pvc": {"claimName": "resnet-cache"}}}),
    "cache-host-path": model(
        storage={"cache": {"hostPath": {"path": "/var/lib/pantala", "maxSize": "200Gi", "maxAge": "72h"}}},
        resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
        distribution={"mode": "Dragonfly"},
    ),
    "source-pvc": model({"name": "v1", "uri": "pvc://weights/resnet/1/"}),
    "dragonfly": model(
        distribution={"mode": "Dragonfly", "fallback": "Fail", "fallbackAfter": "2m"},
        storage={"secretRef": {"name": "model-store"}},
    ),
    "dragonfly-proxy": model(distribution={"mode": "Dragonfly", "proxy": {"headers": {"X-A": "1"}}}),
    "custom": model(
        {"name": "v1", "uri": "https://models.example.com/resnet.onnx"},
        runtime={
            "name": "custom",
            "image": "example.com/server:1",
            "custom": {"port": 9000, "healthPath": "/healthz", "grpcPort": 9001, "metricsPort": 9002},
            "startupTimeout": "5m",
        },
        resources={"limits": {"memory": "128Mi"}},
    ),
    "two-versions": model(
        version("v1"),
        version("v2", scaling={"minReplicas": 3}, resources={"requests": {"cpu": "1"}}),
        traffic={"target": "v2"},
        expose={"nodePort": {}},
    ),
}


def readable(manifest: Manifest) -> Manifest:
    """The manifest without the copy of its template, and without the texts that the goldens of the runtimes hold."""
    shown = copy.deepcopy(manifest)
    if manifest["kind"] == "ConfigMap":
        shown["data"] = dict.fromkeys(sorted(manifest["data"]), "...")
    if manifest["kind"] == "Deployment":
        template = shown["spec"]["template"]["metadata"]["annotations"]
        template |= {name: "..." for name in template if name == f"{naming.GROUP}/config"}
    annotations = shown["metadata"].get("annotations", {})
    if naming.ANNOTATION_RENDERED_WITH in annotations:
        record = json.loads(annotations[naming.ANNOTATION_RENDERED_WITH])
        record["body"] = "..."
        annotations[naming.ANNOTATION_RENDERED_WITH] = record
    return shown


@pytest.mark.parametrize("case", CASES)
def test_plan_of_a_new_model(case: str) -> None:
    """A new model becomes exactly the objects that were reviewed, and the first pass tells exactly this about it."""
    world = World(CASES[case], SETTINGS)
    for manifest in (planned := world.plan()).apply:
        name = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}.yaml"
        assert_golden(f"plan-{case}/{name}", readable(manifest))
    rest: dict[str, Any] = {
        **asdict(planned),
        "apply": [f"{it['kind']} {it['metadata']['name']}" for it in planned.apply],
    }
    assert_golden(f"plan-{case}/plan.yaml", plain(rest))
    world.settle()
    world.roll_out(*(name for name in ("v1", "v2") if f"resnet-{name}" in world.names()))
    assert_golden(f"plan-{case}/status.yaml", plain(world.report().status))


@pytest.mark.parametrize("case", CASES)
def test_second_pass_writes_nothing(case: str) -> None:
    """Once everything is written and running, a further pass has nothing to do."""
    world = World(CASES[case], SETTINGS)
    world.settle()
    world.roll_out(*(name for name in ("v1", "v2") if f"resnet-{name}" in world.names()))
    world.settle()
    assert world.step() == []
    assert world.report().status == world.report().status


def plain(value: Any) -> Any:
    """Tuples, sets, words and mappings as YAML has them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return (
        [plain(item) for item in value]
        if isinstance(value, list | tuple)
        else str(value)
        if isinstance(value, StrEnum | Decimal)
        else value
    )
