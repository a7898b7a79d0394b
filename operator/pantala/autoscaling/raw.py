"""What the recorded series of a measure are made of: the exporter's own series, and where they come from. Pure.

The names are those of the recording rules (charts/pantala/files/rules); a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pantala.autoscaling import mesh, signals
from pantala.autoscaling.promql import fresh
from pantala.manifest.settings import AutoscalingSettings

POD_LABELS = ("exported_pod", "pod", "pod_name", "podname", "kubernetes_pod_name", "exported_pod_name")
"""Labels in which exporters and scrape jobs name the pod that a series is about."""
NAMESPACE_LABELS = ("exported_namespace", "namespace", "pod_namespace", "podnamespace", "kubernetes_namespace")
"""The same for its namespace."""
COPY = "vgpu"
"""Label of dcgm-exporter's series of shared cards: one copy for each pod (NVIDIA/dcgm-exporter, pull request 432)."""


@dataclass(frozen=True)
class Raw:
    """The exporter's series of a measure."""

    series: tuple[str, ...]
    """Names, the usual one first; each alone would do."""
    exporter: str
    """Who exports them, for people."""
    pod_labels: tuple[str, ...] = ("exported_pod", "pod")
    """Labels in which the recording rules look for the pod."""
    namespace_labels: tuple[str, ...] = ("exported_namespace", "namespace")
    """The same for its namespace."""
    of_cards: bool = True
    """Whether an exporter of the node tells, not the replica itself."""
    copies: bool = False
    """Whether series of shared cards are figures of each pod."""


DCGM = "dcgm-exporter"
"""NVIDIA's exporter, as people are told of it."""
_HAMI = "HAMi's vGPUmonitor"
_VOLCANO = "Volcano's vgpu-device-plugin"
_CARDS = {
    "hami": {
        signals.GPU_UTILIZATION: Raw(
            ("hami_container_device_utilization_ratio", "Device_utilization_desc_of_container"),
            _HAMI,
            ("exported_pod", "pod", "podname"),
            ("exported_namespace", "namespace", "podnamespace"),
        ),
        signals.GPU_MEMORY: Raw(
            ("hami_vgpu_memory_used_bytes", "vGPU_device_memory_usage_in_bytes"),
            _HAMI,
            ("exported_pod", "pod", "podname"),
            ("exported_namespace", "namespace", "podnamespace"),
        ),
    },
    "volcano": {
        signals.GPU_UTILIZATION: Raw(
            ("Device_utilization_desc_of_container",), _VOLCANO, ("podname",), ("podnamespace",)
        ),
        signals.GPU_MEMORY: Raw(("vGPU_device_memory_usage_in_bytes",), _VOLCANO, ("podname",), ("podnamespace",)),
    },
    "tencent": {
        signals.GPU_UTILIZATION: Raw(("container_gpu_utilization",), "Tencent's gpu-manager", ("pod_name",)),
        signals.GPU_MEMORY: Raw(("container_gpu_memory_total",), "Tencent's gpu-manager", ("pod_name",)),
    },
}
_SERVERS: dict[str, dict[str, tuple[str, ...]]] = {
    "triton": {
        signals.REQUESTS: ("nv_inference_request_success",),
        signals.QUEUE_LENGTH: ("nv_inference_pending_request_count",),
        signals.QUEUE_TIME: ("nv_inference_queue_duration_us",),
    },
    "torchserve": {
        signals.REQUESTS: ("ts_inference_requests_total",),
        signals.QUEUE_LENGTH: ("ts_queue_latency_microseconds",),
        signals.QUEUE_TIME: ("ts_queue_latency_microseconds",),
    },
}
_VLLM = {
    signals.REQUESTS: "vllm:request_success_total",
    signals.QUEUE_LENGTH: "vllm:num_requests_waiting",
    signals.QUEUE_TIME: "vllm:request_queue_time_seconds_sum",
}
_SERVERS["custom"] = {  # it may be any server that exports what one of these does
    name: (usual, *dict.fromkeys(it for known in ("triton", "torchserve") for it in _SERVERS[known][name]))
    for name, usual in _VLLM.items()
}


def of(series: str, provider: str | None, card_series: str | None, runtime: str, settings: AutoscalingSettings) -> Raw:
    """What a recorded series is made of for one version.

    Args:
        series: Name of the recorded series (`signals`).
        provider: Who hands out the version's cards.
        card_series: The exporter's series of their utilization, as the provider names it; None: DCGM's.
        runtime: Name of the runtime.
        settings: How dcgm-exporter's series are labeled in this installation.
    """
    if series in {signals.GPU_UTILIZATION, signals.GPU_MEMORY}:
        found = _CARDS.get(provider or "", {}).get(series)
        if found is not None:
            return found
        usual = (
            (card_series or "DCGM_FI_DEV_GPU_UTIL",) if series == signals.GPU_UTILIZATION else ("DCGM_FI_DEV_FB_USED",)
        )
        pods, spaces = settings.pod_label, settings.namespace_label
        return Raw(
            usual,
            DCGM,
            (pods,) if pods else ("exported_pod", "pod"),
            (spaces,) if spaces else ("exported_namespace", "namespace"),
            copies=settings.shared_per_process,
        )
    if series == signals.SERVICE_REQUESTS:
        return Raw(mesh.SERIES, "the mesh's sidecars", (), of_cards=False)
    names = _SERVERS.get(runtime, {}).get(series, ())
    return Raw(names, f"the model server ({runtime})", ("pod",), of_cards=False)


def recorded_query(series: Iterable[str], namespaces: Iterable[str]) -> str:
    """PromQL for the recorded series that exist now, by name, namespace, pod and service."""
    spaces = "|".join(sorted(namespaces))  # names of namespaces need no escaping
    return f'count by (__name__, namespace, pod, service) ({{{_names(series)},namespace=~"{spaces}"}})'


def raw_query(series: Iterable[str], labels: Iterable[str]) -> str:
    """PromQL for the exporters' series that exist now, by name and by all labels that may name a pod.

    Args:
        series: Names; not those of a mesh, of which there are too many (`mesh.query`).
        labels: Further labels of pods: those that the installation names.
    """
    by = dict.fromkeys(("__name__", *POD_LABELS, *NAMESPACE_LABELS, COPY, *labels))
    some = f"{{{_names(series)}}}"
    return f"count by ({', '.join(by)}) {fresh(some)}"


def exporters_query(series: Iterable[str]) -> str:
    """PromQL for the targets that export these series, by namespace and pod."""
    return f"count by (namespace, pod) (up and on (job, instance) {{{_names(series)}}})"


def _names(series: Iterable[str]) -> str:
    return f'__name__=~"{"|".join(sorted(set(series)))}"'
