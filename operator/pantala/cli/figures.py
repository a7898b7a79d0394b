"""What `pantala top` tells of a model, as one value: its JSON form is documented in docs/cli.md and stable. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict

import pydantic

from pantala import naming
from pantala.accelerators.base import Utilization
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion, resolve
from pantala.autoscaling import signals
from pantala.cli import scaler
from pantala.cli.custom_metrics import Answer
from pantala.cli.scaler import Autoscaler
from pantala.cli.usage import Found
from pantala.manifest.types import Manifest
from pantala.planner import scaling

Pods = Mapping[tuple[str, str, str], list[Manifest]]
"""Pods by namespace, model and version."""


class Figures(TypedDict):
    """What is measured; None is unknown."""

    gpuUtilization: float | None
    gpuMemory: float | None
    requestsPerSecond: float | None
    queueLength: float | None
    queueMilliseconds: float | None


class Pod(Figures):
    """One replica."""

    name: str
    node: str | None
    ready: bool


class Version(Figures):
    """One version of a model."""

    name: str
    state: str | None
    readyReplicas: int
    desiredReplicas: int
    minReplicas: int | None
    maxReplicas: int | None
    autoscaler: Autoscaler | None
    """None for a fixed number of replicas."""
    pods: list[Pod] | None
    """None where many models are told of."""


class Usage(TypedDict):
    """One model."""

    namespace: str
    name: str
    versions: list[Version]
    message: str | None
    """What the condition MetricsAvailable says, unless it is True."""


def summarize(found: Found, *, whole: bool) -> list[Usage]:
    """The models in the order of their names.

    Args:
        found: What the cluster has.
        whole: Tell of each pod; they are there as a whole then.
    """
    pods: dict[tuple[str, str, str], list[Manifest]] = {}
    for pod in found.pods:
        labels = pod["metadata"].get("labels", {})
        key = (pod["metadata"]["namespace"], labels.get(naming.LABEL_MODEL, ""), labels.get(naming.LABEL_VERSION, ""))
        pods.setdefault(key, []).append(pod)
    autoscalers = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found.autoscalers}
    models = sorted(found.models, key=lambda model: (model["metadata"]["namespace"], model["metadata"]["name"]))
    return [_model(model, pods, autoscalers, found.answer, whole=whole) for model in models]


def _model(
    model: Manifest, pods: Pods, autoscalers: Mapping[tuple[str, str], Manifest], answer: Answer, *, whole: bool
) -> Usage:
    namespace, name = model["metadata"]["namespace"], model["metadata"]["name"]
    status = model.get("status") or {}
    bad = _trouble(status)
    told = {version["name"]: version for version in status.get("versions") or ()}
    # Where the status says of which version a measure is missing, the reason is theirs alone.
    named = any((version.get("autoscaler") or {}).get("missing") for version in told.values())
    typed = _resolved(model)
    versions: list[Version] = []
    for version in [*typed, *(other for other in told if other not in typed)]:
        own, child = told.get(version, {}), naming.child_name(name, version)
        missing = not named or bool((own.get("autoscaler") or {}).get("missing"))
        live = scaler.find(autoscalers, namespace, child)
        decides = scaler.autoscaler(typed.get(version), own, live, bad.get("reason") if missing else None)
        here = pods.get((namespace, name, version), [])
        versions.append(
            _version(version, typed.get(version), own, decides, here, (namespace, child), answer, whole=whole)
        )
    return {"namespace": namespace, "name": name, "versions": versions, "message": bad.get("message")}


def _trouble(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The condition MetricsAvailable, unless all is well or nothing is to be measured."""
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    found = next((item for item in conditions if item["type"] == "MetricsAvailable"), {})
    return found if found.get("status") in {"False", "Unknown"} else {}


def _resolved(model: Manifest) -> dict[str, ResolvedVersion | None]:
    """The versions of the spec; None where a newer operator stored what this program cannot read."""
    names = [version["name"] for version in model["spec"]["versions"]]
    try:
        # Without its status, which is the larger part and is not needed.
        read = InferenceModel.read({key: value for key, value in model.items() if key != "status"})
    except pydantic.ValidationError:
        return dict.fromkeys(names)
    return {name: resolve(read, name) for name in names}


def _version(
    name: str,
    spec: ResolvedVersion | None,
    told: Mapping[str, Any],
    decides: Autoscaler | None,
    pods: Sequence[Manifest],
    child: tuple[str, str],
    answer: Answer,
    *,
    whole: bool,
) -> Version:
    scales = {signals.GPU_UTILIZATION: _scale(spec, told)}
    measured = {pod["metadata"]["name"]: _figures(pod, scales, answer) for pod in pods}
    together = _together(list(measured.values()))
    if together["requestsPerSecond"] is None:
        # What the mesh counts for the version's Service, where its server does not count.
        together["requestsPerSecond"] = scaler.number(answer.of(signals.SERVICE_REQUESTS).get(child))
    if decides is not None:
        together = _filled(together, decides)
    bounds = spec.scaling if spec else None
    return {
        "name": name,
        "state": told.get("state"),
        "readyReplicas": told.get("readyReplicas", 0),
        "desiredReplicas": told.get("desiredReplicas", 0),
        "minReplicas": bounds.min_replicas if bounds else None,
        "maxReplicas": (bounds.max_replicas or bounds.min_replicas) if bounds else None,
        **together,
        "autoscaler": decides,
        "pods": [_pod(pod, measured[pod["metadata"]["name"]]) for pod in pods] if whole else None,
    }


def _scale(spec: ResolvedVersion | None, told: Mapping[str, Any]) -> Decimal:
    """Factor from percent of a card to percent of what the version is granted of it."""
    found = scaling.utilization(spec, (told.get("accelerator") or {}).get("provider")) if spec else None
    return Decimal(100) / found.granted if isinstance(found, Utilization) else Decimal(1)


def _figures(pod: Manifest, scales: Mapping[str, Decimal], answer: Answer) -> Figures:
    key = (pod["metadata"]["namespace"], pod["metadata"]["name"])

    def value(series: str) -> float | None:
        found = answer.of(series).get(key)
        return None if found is None else scaler.number(found * scales.get(series, Decimal(1)))

    return {
        "gpuUtilization": value(signals.GPU_UTILIZATION),
        "gpuMemory": value(signals.GPU_MEMORY),
        "requestsPerSecond": value(signals.REQUESTS),
        "queueLength": value(signals.QUEUE_LENGTH),
        "queueMilliseconds": value(signals.QUEUE_TIME),
    }


def _together(pods: Sequence[Figures]) -> Figures:
    """The figures of a version: of the pods of which there are any."""
    return {
        "gpuUtilization": _mean([pod["gpuUtilization"] for pod in pods]),
        "gpuMemory": _mean([pod["gpuMemory"] for pod in pods]),
        "requestsPerSecond": _total([pod["requestsPerSecond"] for pod in pods]),
        "queueLength": _total([pod["queueLength"] for pod in pods]),
        "queueMilliseconds": _mean([pod["queueMilliseconds"] for pod in pods]),
    }


def _filled(known: Figures, decides: Autoscaler) -> Figures:
    """The figures with what the autoscaler read, where that is all there is: KEDA needs no metrics adapter."""
    read = {measure["name"]: measure["value"] for measure in decides["measures"]}

    def total(name: str) -> float | None:
        """A total of the version, which an autoscaler divides by its replicas."""
        value, replicas = read.get(name), decides["currentReplicas"]
        return None if value is None or replicas is None else round(value * replicas, 3)

    return {
        "gpuUtilization": _either(known["gpuUtilization"], read.get("GPUUtilization")),
        "gpuMemory": _either(known["gpuMemory"], read.get("GPUMemory")),
        "requestsPerSecond": _either(known["requestsPerSecond"], total("RequestsPerSecond")),
        "queueLength": _either(known["queueLength"], total("QueueLength")),
        "queueMilliseconds": _either(known["queueMilliseconds"], read.get("QueueTime")),
    }


def _either(first: float | None, second: float | None) -> float | None:
    return second if first is None else first


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def _pod(pod: Manifest, figures: Figures) -> Pod:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    leaving = "deletionTimestamp" in pod["metadata"]
    return {
        "name": pod["metadata"]["name"],
        "node": (pod.get("spec") or {}).get("nodeName"),
        "ready": ready and not leaving,
        **figures,
    }
