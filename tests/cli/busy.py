"""Models that are busy, as a cluster has them: with an HPA, with KEDA, of a fixed number, without figures."""

from decimal import Decimal
from typing import Any

from pantala.autoscaling import signals
from pantala.cli.custom_metrics import Answer
from pantala.cli.usage import Found

Object = dict[str, Any]


def model(namespace: str, name: str, spec: Object, *versions: Object, conditions: tuple[Object, ...] = ()) -> Object:
    """An InferenceModel whose versions of the spec are those of the status, and its status."""
    named = [{"name": version["name"], "uri": f"s3://models/{name}/"} for version in versions]
    return {
        "apiVersion": "pantala.dev/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"namespace": namespace, "name": name, "uid": name},
        "spec": {"runtime": {"name": "triton"}, "versions": named, **spec},
        "status": {"versions": list(versions), "conditions": list(conditions)},
    }


def version(name: str, ready: int, wanted: int, **more: Any) -> Object:
    """A version in a status."""
    state = "Serving" if wanted else "Parked"
    return {"name": name, "state": state, "readyReplicas": ready, "desiredReplicas": wanted, **more}


def pod(namespace: str, of: str, of_version: str, suffix: str, *, ready: bool = True) -> Object:
    """A replica."""
    labels = {"pantala.dev/model": of, "pantala.dev/version": of_version, "app.kubernetes.io/managed-by": "pantala"}
    return {
        "metadata": {"namespace": namespace, "name": f"{of}-{of_version}-5d4f-{suffix}", "labels": labels},
        "spec": {"nodeName": "gpu-1"},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def metric(kind: str, name: str, target: tuple[str, Any], current: Any) -> tuple[Object, Object]:
    """A metric in the spec of an HPA and in its status; None as its value is one that could not be read."""
    block = {"pods": "Pods", "external": "External", "object": "Object", "containerResource": "ContainerResource"}
    naming = {"name": name, "container": "server"} if kind == "containerResource" else {"metric": {"name": name}}
    field = {"AverageValue": "averageValue", "Value": "value", "Utilization": "averageUtilization"}[target[0]]
    wanted = {"type": block[kind], kind: {**naming, "target": {"type": target[0], field: target[1]}}}
    if current is None:
        return wanted, {"type": ""}
    return wanted, {"type": block[kind], kind: {**naming, "current": {field: current}}}


def autoscaler(namespace: str, name: str, *metrics: tuple[Object, Object], **status: Any) -> Object:
    """A HorizontalPodAutoscaler."""
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"metrics": [wanted for wanted, _ in metrics]},
        "status": {"currentMetrics": [read for _, read in metrics], **status},
    }


_GPU = {"type": "GPUUtilization", "target": 70}
_QUEUE = {"type": "QueueLength", "target": 4}
_SCALED = {"time": "2026-01-05T10:25:00Z", "fromReplicas": 2, "toReplicas": 3, "why": "GPUUtilization 93/70"}

RESNET = model(
    "vision",
    "resnet",
    {
        "accelerator": {"provider": "nvidia"},
        "scaling": {"minReplicas": 1, "maxReplicas": 8, "metrics": [_GPU, _QUEUE]},
        "traffic": {"target": "v2"},
    },
    version("v1", 0, 0, accelerator={"provider": "nvidia"}),
    version(
        "v2",
        3,
        4,
        accelerator={"provider": "nvidia"},
        autoscaler={
            "engine": "HPA",
            "desiredReplicas": 3,
            "limited": "it wants 5: at most 4 more",
            "lastScale": _SCALED,
        },
    ),
    conditions=({"type": "MetricsAvailable", "status": "True", "reason": "MetricsFound"},),
)
"""Two versions, the first parked; three pods measure, the fourth is on its way."""
BERT = model(
    "language",
    "bert",
    {
        "runtime": {"name": "custom"},
        "accelerator": {"provider": "hami", "corePercent": 40},
        "scaling": {
            "minReplicas": 1,
            "maxReplicas": 4,
            "engine": "KEDA",
            "metrics": [{"type": "CPUUtilization", "target": 80}, {"type": "GPUUtilization", "target": 50}],
            "prometheus": [{"name": "tokens", "query": "sum(tokens)", "target": "1000"}],
        },
    },
    version("v1", 1, 1, accelerator={"provider": "hami"}),
)
"""By KEDA, with 40 percent of a card; the mesh counts its requests."""
WHISPER = model("speech", "whisper", {"runtime": {"name": "torchserve"}}, version("main", 2, 2))
"""A fixed number of replicas, without cards."""
_NO_SERIES = {
    "type": "MetricsAvailable",
    "status": "False",
    "reason": "NoSeries",
    "message": "Prometheus has no DCGM_FI_DEV_GPU_UTIL: scrape dcgm-exporter (docs/autoscaling.md).",
}
LOST = model(
    "vision",
    "lost",
    {
        "accelerator": {"provider": "nvidia"},
        "scaling": {"maxReplicas": 3, "metrics": [_GPU, {"type": "CPUUtilization", "target": 60}]},
    },
    version("v1", 1, 1, autoscaler={"engine": "HPA", "desiredReplicas": 1, "missing": ["GPUUtilization"]}),
    conditions=(_NO_SERIES,),
)
"""One of its two measures is missing."""
NEWER = model("vision", "newer", {"scaling": {"minReplicas": "many"}}, version("v1", 1, 1))
"""Stored by a newer operator, in a form that this one cannot read."""
UNSEEN: Object = {
    **model("vision", "unseen", {"scaling": {"maxReplicas": 3, "metrics": [_GPU]}}, version("v1", 0, 0)),
    "status": None,
}
"""No operator has looked at it."""

PODS = [
    pod("vision", "resnet", "v2", "aaaaa"),
    pod("vision", "resnet", "v2", "bbbbb"),
    pod("vision", "resnet", "v2", "ccccc"),
    pod("vision", "resnet", "v2", "ddddd", ready=False),
    pod("language", "bert", "v1", "aaaaa"),
    pod("speech", "whisper", "main", "aaaaa"),
    pod("speech", "whisper", "main", "bbbbb"),
    pod("vision", "lost", "v1", "aaaaa"),
    pod("vision", "newer", "v1", "aaaaa"),
]
AUTOSCALERS = [
    autoscaler(
        "vision",
        "resnet-v2",
        metric("pods", signals.GPU_UTILIZATION, ("AverageValue", "70"), "91333m"),
        metric("pods", signals.QUEUE_LENGTH, ("AverageValue", "4"), "500m"),
        desiredReplicas=4,
        lastScaleTime="2026-01-05T10:25:00Z",
    ),
    # KEDA sorts by type and gives names by the index of the trigger.
    autoscaler(
        "language",
        "keda-hpa-bert-v1",
        metric("containerResource", "cpu", ("Utilization", 80), 20),
        metric("external", "s1-prometheus", ("Value", "20"), "16"),
        metric("external", "s2-prometheus", ("AverageValue", "1k"), "1200"),
        desiredReplicas=2,
        lastScaleTime="2026-01-05T10:29:30Z",
    ),
    autoscaler(
        "vision",
        "lost-v1",
        metric("pods", signals.GPU_UTILIZATION, ("AverageValue", "70"), None),
        metric("containerResource", "cpu", ("Utilization", 60), 30),
        desiredReplicas=1,
    ),
    # Somebody else's, of another name and on nothing of ours.
    autoscaler("vision", "newer", metric("containerResource", "cpu", ("Utilization", 60), 30), desiredReplicas=7),
]
ANSWER = Answer(
    {
        signals.GPU_UTILIZATION: {
            ("vision", "resnet-v2-5d4f-aaaaa"): Decimal(98),
            ("vision", "resnet-v2-5d4f-bbbbb"): Decimal("90.5"),
            ("vision", "resnet-v2-5d4f-ccccc"): Decimal("85.5"),
            ("language", "bert-v1-5d4f-aaaaa"): Decimal(16),
        },
        signals.GPU_MEMORY: {
            ("vision", "resnet-v2-5d4f-aaaaa"): Decimal(40),
            ("vision", "resnet-v2-5d4f-bbbbb"): Decimal(42),
        },
        signals.REQUESTS: {
            ("vision", "resnet-v2-5d4f-aaaaa"): Decimal("60.25"),
            ("vision", "resnet-v2-5d4f-bbbbb"): Decimal(62),
            ("vision", "resnet-v2-5d4f-ccccc"): Decimal(0),
            ("speech", "whisper-main-5d4f-aaaaa"): Decimal("0.033"),
            ("speech", "whisper-main-5d4f-bbbbb"): Decimal(0),
        },
        signals.QUEUE_LENGTH: {
            ("vision", "resnet-v2-5d4f-aaaaa"): Decimal(1),
            ("vision", "resnet-v2-5d4f-bbbbb"): Decimal("0.5"),
            ("vision", "resnet-v2-5d4f-ccccc"): Decimal(0),
        },
        signals.QUEUE_TIME: {
            ("vision", "resnet-v2-5d4f-aaaaa"): Decimal(30),
            ("vision", "resnet-v2-5d4f-bbbbb"): Decimal(15),
            ("speech", "whisper-main-5d4f-aaaaa"): Decimal(12500),
        },
        signals.SERVICE_REQUESTS: {("language", "bert-v1"): Decimal("7.5"), ("vision", "resnet-v2"): Decimal(1000)},
    }
)
FOUND = Found([RESNET, BERT, WHISPER, LOST, NEWER, UNSEEN], PODS, AUTOSCALERS, ANSWER)
