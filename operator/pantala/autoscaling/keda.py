"""The ScaledObject of a version: KEDA reads the same measures as an HPA would, from Prometheus itself.

KEDA makes an HPA of it, which measures CPU and memory as ours does and asks KEDA for the rest. What the fields mean is from
kedacore/keda v2.21.0: apis/keda/v1alpha1 and pkg/scalers/{prometheus,cpu_memory}_scaler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pantala import naming
from pantala.api.scaling import Scaling
from pantala.autoscaling import behavior
from pantala.autoscaling.hpa import CONTAINER, KEDA_PREFIX
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.types import Manifest

KIND = "ScaledObject"
_HASH = "[b-df-hj-np-tv-xz24-9]"
"""The characters of a ReplicaSet's hash and of a pod's suffix (k8s.io/apimachinery, pkg/util/rand): without vowels, so that
hardly a pod of anything else is taken for one of the Deployment's."""
_UNCUT = 46
"""Longest name of a Deployment whose pods' names are never cut."""


@dataclass(frozen=True)
class Prometheus:
    """Where KEDA asks."""

    url: str
    authentication: tuple[str, str] | None = None
    """Kind and name of the object by which KEDA authenticates itself. None: it does not."""


def hpa_name(name: str) -> str:
    """Name of the HPA that KEDA makes of the ScaledObject of this name."""
    return f"{KEDA_PREFIX}{name}"


def asks_prometheus(signals: Sequence[Signal]) -> bool:
    """Whether KEDA needs Prometheus for one of the measures."""
    return any(signal.source is not Source.RESOURCE for signal in signals)


def metric_name(index: int, signal: Signal) -> tuple[str, str]:
    """Type and name of a measure in the metrics of KEDA's HPA, which it sorts by type.

    Args:
        index: Place of the measure among all of the version.
        signal: The measure.
    """
    if signal.source is Source.RESOURCE:
        return "ContainerResource", signal.series
    return "External", f"s{index}-prometheus"


def scaled_object(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    scaling: Scaling,
    signals: Sequence[Signal],
    start: int,
    prometheus: Prometheus | None,
) -> Manifest:
    """The ScaledObject of the Deployment of the same name.

    KEDA writes no `replicas` by itself: that is done by its HPA, since there is always at least one replica. When the object
    is deleted they stay as they are, which is KEDA's default; written out, KEDA's own updates would drop the field again.

    Args:
        name: Name of the ScaledObject, of the Deployment that it scales, and of the Service of its pods.
        namespace: Namespace of all three.
        labels: Labels; KEDA copies them to its HPA.
        owner: Its owner references.
        scaling: Bounds and behavior; an autoscaler is `wanted`.
        signals: What is measured.
        start: Seconds that a replica takes to start (`behavior.start_step`).
        prometheus: Where KEDA asks; None only if it need not (`asks_prometheus`).
    """
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": {naming.ANNOTATION_START_TIME: str(start)},
            "ownerReferences": list(owner),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            # Zero is KEDA's default.
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior.behavior(scaling.behavior, start)}},
            "triggers": [_trigger(signal, name, namespace, prometheus) for signal in signals],
        },
    }


def query(signal: Signal, name: str, namespace: str) -> str:
    """The PromQL of a measure that is not CPU or memory; its answer is one number, or none.

    What recorded it twice (two Prometheus behind one address that does not drop copies) changes neither means nor totals.

    Args:
        signal: The measure.
        name: Name of the Deployment and of the Service.
        namespace: Their namespace.
    """
    match signal.source:
        case Source.PODS:
            each = f'{signal.series}{{namespace="{namespace}",pod=~"{pods(name)}"}}'
            return f"avg({each})" if signal.per_replica else f"sum(avg by (pod) ({each}))"
        case Source.SERVICE:
            return f'avg({signal.series}{{namespace="{namespace}",service="{name}"}})'
        case Source.QUERY:
            return signal.series
        case Source.RESOURCE:
            raise ValueError(f"{signal.name}: KEDA's HPA reads this from metrics.k8s.io")


def pods(name: str) -> str:
    """A regular expression, anchored at both ends, for the names of the pods of a Deployment.

    A pod is called by its ReplicaSet, a dash and five characters, and is cut to 63 characters in front of these: the dash
    and a part of the hash can be missing (k8s.io/apiserver, pkg/storage/names).
    """
    dash = "-" if len(name) <= _UNCUT else "-?"
    return f"{name}-{_HASH}{{1,10}}{dash}{_HASH}{{5}}"


def _trigger(signal: Signal, name: str, namespace: str, prometheus: Prometheus | None) -> Manifest:
    if signal.source is Source.RESOURCE:
        return {
            "type": signal.series,
            "name": signal.name,
            "metricType": "Utilization",
            "metadata": {"value": _decimal(signal.target), "containerName": CONTAINER},
        }
    if prometheus is None:
        raise ValueError(f"{signal.name}: KEDA is not told where Prometheus is")
    trigger: Manifest = {
        "type": "prometheus",
        "name": signal.name,
        # A mean is the same for one replica and for ten; of a total each replica shall have its part.
        "metricType": "Value" if signal.per_replica else "AverageValue",
        "metadata": {
            "serverAddress": prometheus.url.rstrip("/"),
            "query": query(signal, name, namespace),
            "threshold": _decimal(signal.target),
            # Otherwise no data counts as zero, and a model loses its replicas when Prometheus loses its target.
            "ignoreNullValues": "false",
        },
    }
    if prometheus.authentication is not None:
        kind, called = prometheus.authentication
        trigger["authenticationRef"] = {"kind": kind, "name": called}
    return trigger


def _decimal(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
