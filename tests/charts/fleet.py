"""A small fleet, minute by minute: what the operator's own code tells of it, and what exporters would.

The models are in the operator's real cache, and what it tells of them is its real text. DCGM, Triton and Istio are played in the
words that they have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from prometheus_client import generate_latest

from pantala.cluster import metrics as api
from pantala.cluster.cache import Cache
from pantala.cluster.resources import MODEL, POD, SERVICE
from pantala.reconcile import metrics
from pantala.reconcile.exposition import Exposition

MINUTES = 240
TWICE = 5
"""Minutes at the end in which two jobs scrape the operator, as may be by mistake."""
TARGET = 'job="pantala-metrics",instance="10.0.0.1:8080"'
NAMES = ("resnet", "bert", "broken", "clip", "whisper", "ocr")
TARGETS = {"GPUUtilization": 70, "GPUMemory": 90, "RequestsPerSecond": 20, "QueueLength": 9, "QueueTime": 900}
SCALING = {
    "minReplicas": 1,
    "maxReplicas": 4,
    "metrics": [{"type": name, "target": target} for name, target in TARGETS.items()],
}
SHARED = "clip"
"""The model on half of a card by HAMi."""
SHARE = {"minReplicas": 1, "maxReplicas": 2, "metrics": [{"type": "GPUUtilization", "target": 70}]}
QUEUES = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "engine": "KEDA",
    "metrics": [{"type": "QueueLength", "target": 5}, {"type": "QueueTime", "target": 200}],
    "prometheus": [{"name": "tokens", "query": "up", "target": "1000"}],
}
ENTRY = {
    "pod": "p",
    "created": "2026-01-02T03:00:00Z",
    "ready": "2026-01-02T03:00:41Z",
    "phases": {"scheduled": "1s", "prepare": "3s", "fetch": "20s500ms", "image": "4s", "load": "12s", "ready": "0s"},
    "bytes": {"origin": 300_000_000, "peer": 2_900_000_000, "local": 400_000_000},
}


class Fleet:
    """The models at a minute."""

    def __init__(self) -> None:
        self.cache = Cache(lambda _: None, lambda _: None)
        self.exposition = Exposition()
        self.exposition.tell(self.cache)
        self.counters: dict[str, float] = {}
        """Counters of exporters, by series."""
        self._number = 0
        self._pods: dict[tuple[str, str], dict[str, Any]] = {}

    def at(self, minute: int) -> Iterator[str]:
        """The samples of a minute, as lines of the text format without a time; minutes come in their order."""
        self._operator(minute)
        for index, name in enumerate(NAMES):
            self._model(minute, name, index)
            yield from self._exporters(minute, name, index)
        for line in (generate_latest().decode() + self.exposition.text()).splitlines():
            if not line.startswith("#"):
                yield _with(line, TARGET)
                if minute > MINUTES - TWICE:
                    yield _with(line, TARGET.replace("pantala-metrics", "pods"))

    def load(self, minute: int, index: int) -> float:
        """Requests per second to a model: a wave, each an hour after the other."""
        return 0.0 if NAMES[index] == "broken" else 20 + 18 * math.sin((minute + 37 * index) / 35)

    def replicas(self, minute: int, index: int) -> int:
        """How many there are; the autoscaler of resnet and bert follows the load."""
        if NAMES[index] == "broken":
            return 0 if minute > 90 else 1
        return max(1, round(self.load(max(0, minute - 5), index) / 12)) if index < 2 else 1

    def _operator(self, minute: int) -> None:
        """What an operator counts in a minute."""
        metrics.RECONCILES.labels("done").inc(6)
        metrics.RECONCILES.labels("retry").inc(minute % 30 == 0)
        metrics.RECONCILES.labels("error").inc(minute == 200)
        for _ in range(6):
            metrics.RECONCILE_SECONDS.observe(0.02 + 0.03 * (minute % 7))
        metrics.QUEUE_DEPTH.set_function(lambda: float(minute % 4))
        for method, code, count in (("GET", "200", 8), ("PATCH", "200", 2), ("GET", "429", minute % 50 == 0)):
            api.API_CALLS.labels(method, code).inc(count)
        api.WRITES.labels("applied", "Deployment").inc(minute % 20 == 0)
        api.WATCH_EVENTS.labels("pods").inc(3 + minute % 5)
        if minute % 17 == 0:
            fallback = {"fallback": "Stalled: nothing came"} if minute % 34 == 0 else {}
            metrics.started({**ENTRY, **fallback, "phases": {**ENTRY["phases"], "load": f"{12 + minute % 30}s"}})

    def _model(self, minute: int, name: str, index: int) -> None:
        """Model, status and pods, as the watches would bring them."""
        self._number += 1
        count, broken = self.replicas(minute, index), name == "broken" and minute > 90
        missing = name == "bert" and 120 <= minute < 180
        scaling = (SCALING, QUEUES)[index] if index < 2 else {"minReplicas": 1}
        shared = name == SHARED
        wanted = {
            "autoscaler": {"engine": "HPA", "desiredReplicas": count, **({"missing": ["tokens"]} if missing else {})}
        }
        conditions = [("Accepted", "True", "Accepted"), ("Distributed", "True", "Fetched")]
        conditions += (
            [("Ready", "False", "ImagePullFailed"), ("Stalled", "True", "ImagePullFailed")]
            if broken
            else [("Ready", "True", "Serving")]
        )
        if index < 2:
            conditions.append(
                ("MetricsAvailable", "False", "NoSeries") if missing else ("MetricsAvailable", "True", "MetricsFound")
            )
        if name == "resnet":
            conditions.append(("TrafficReady", "True", "Routed"))
        state = "Failed" if broken else "Serving"
        v1 = {"name": "v1", "state": state, "desiredReplicas": max(1, count), "readyReplicas": count}
        v1 |= {"fetch": {"bytes": {"origin": 300_000_000, "peer": 2_000_000 * minute}}, "replicas": [ENTRY]}
        versions = [
            {**v1, **(wanted if index < 2 else {}), "accelerator": {"provider": "hami" if shared else "nvidia"}}
        ]
        share = min(50, minute // 4)
        traffic = [{"version": "v1", "asked": 100, "configured": 100}]
        if name == "resnet":
            versions.append({"name": "v2", "state": "Serving", "desiredReplicas": 1, "readyReplicas": 1})
            traffic = [
                {"version": "v1", "asked": 100 - share, "configured": 100 - share},
                {"version": "v2", "asked": share, "configured": share},
            ]
        status = {
            "conditions": [{"type": kind, "status": value, "reason": reason} for kind, value, reason in conditions],
            "version": "v1",
            "versions": versions,
            "traffic": traffic,
        }
        spec = {"runtime": {"name": "triton"}, "versions": [{"name": it["name"], "uri": "s3://a/b"} for it in versions]}
        spec["versions"][0]["scaling"] = SHARE if shared else scaling
        if shared:
            spec["accelerator"] = {"corePercent": 50}
        meta = {"namespace": _namespace(index), "name": name, "uid": name, "resourceVersion": str(self._number)}
        self.cache.upsert(MODEL, {"kind": "InferenceModel", "metadata": meta, "spec": spec, "status": status})
        for version in versions:
            self.cache.upsert(SERVICE, self._service(name, version["name"], index))
        self._set_pods(name, index, {"v1": count, "v2": 1 if name == "resnet" else 0})

    def _service(self, name: str, version: str, index: int) -> dict[str, Any]:
        return {
            "kind": "Service",
            "metadata": {
                "namespace": _namespace(index),
                "name": f"{name}-{version}",
                "resourceVersion": str(self._number),
                "labels": {"pantala.dev/model": name, "pantala.dev/version": version},
                "ownerReferences": [{"kind": "InferenceModel", "name": name, "uid": name, "controller": True}],
            },
        }

    def _set_pods(self, name: str, index: int, counts: dict[str, int]) -> None:
        present = {_pod(name, version, number): version for version, count in counts.items() for number in range(count)}
        for (model, pod), known in list(self._pods.items()):
            if model == name and pod not in present:
                self._number += 1
                gone = {**known, "metadata": {**known["metadata"], "resourceVersion": str(self._number)}}
                self.cache.remove(POD, gone)
                del self._pods[model, pod]
        for pod, version in present.items():
            if (name, pod) not in self._pods:
                self._number += 1
                labels = {"pantala.dev/model": name, "pantala.dev/version": version}
                meta = {
                    "namespace": _namespace(index),
                    "name": pod,
                    "resourceVersion": str(self._number),
                    "labels": labels,
                }
                self._pods[name, pod] = {
                    "kind": "Pod",
                    "metadata": meta,
                    "spec": {"nodeName": f"node-{len(self._pods) % 3}"},
                }
                self.cache.upsert(POD, self._pods[name, pod])

    def _exporters(self, minute: int, name: str, index: int) -> Iterator[str]:
        """What dcgm-exporter, Triton and a gateway of Istio tell of a model."""
        load, pods = self.load(minute, index), [pod for model, pod in self._pods if model == name]
        space = _namespace(index)
        for number, pod in enumerate(pods):
            busy = min(100.0, 7 * load / max(1, len(pods)) + 3 * number)
            where = f'namespace="{space}",pod="{pod}"'
            if name == SHARED:
                hami = f'{where},container="server",device_uuid="GPU-{pod}",job="hami",instance="10.0.1.1:9394"'
                yield f"hami_container_device_utilization_ratio{{{hami}}} {busy / 2:.0f}"
            else:
                card = f'gpu="{number}",UUID="GPU-{pod}",device="nvidia{number}",modelName="NVIDIA A100",{where}'
                exporter = f'{card},job="dcgm-exporter",instance="10.0.1.{number}:9400"'
                yield f"DCGM_FI_DEV_GPU_UTIL{{{exporter}}} {busy:.0f}"
                yield f"DCGM_FI_DEV_FB_USED{{{exporter}}} {20000 + 100 * busy:.0f}"
                yield f"DCGM_FI_DEV_FB_FREE{{{exporter}}} {60000 - 100 * busy:.0f}"
            server = f'model="net",version="1",namespace="{space}",pod="{pod}",job="models",instance="{pod}:8002"'
            each, waiting = load / len(pods), max(0.0, (busy - 60) / 3)
            yield self._count(f"nv_inference_request_success{{{server}}}", 60 * each)
            yield self._count(f"nv_inference_request_failure{{{server}}}", 60 * each / 100)
            yield self._count(f"nv_inference_queue_duration_us{{{server}}}", 60e6 * waiting)
            yield f"nv_inference_pending_request_count{{{server}}} {waiting:.0f}"
        for version, part in (("v1", 0.8), ("v2", 0.2)) if name == "resnet" else (("v1", 1.0),):
            yield from self._mesh(f"{name}-{version}", space, 60 * load * part, minute)

    def _mesh(self, service: str, space: str, requests: float, minute: int) -> Iterator[str]:
        host = f"{service}.{space}.svc.cluster.local"
        labels = f'reporter="source",destination_service="{host}",job="istio",instance="gateway:15020"'
        failing = (service == "resnet-v2" and minute > 150) or (service == "whisper-v1" and 60 < minute < 90)
        failed = 0.08 if failing else 0.002
        for code, share in (("200", 1 - failed), ("503", failed)):
            yield self._count(f'istio_requests_total{{{labels},response_code="{code}"}}', requests * share)
        for bound, share in (("50", 0.6), ("100", 0.9), ("500", 0.995), ("+Inf", 1)):
            series = f'istio_request_duration_milliseconds_bucket{{{labels},le="{bound}"}}'
            yield self._count(series, requests * share)

    def _count(self, series: str, by: float) -> str:
        self.counters[series] = self.counters.get(series, 0.0) + by
        return f"{series} {self.counters[series]:.3f}"


def _namespace(index: int) -> str:
    return "vision" if index % 2 == 0 else "text"


def _pod(name: str, version: str, number: int) -> str:
    return f"{name}-{version}-5c{number}f-abcd{number}"


def _with(line: str, labels: str) -> str:
    """A sample with more labels."""
    name, brace, rest = line.partition("{")
    if brace:
        return f"{name}{{{labels},{rest}"
    name, _, value = line.partition(" ")
    return f"{name}{{{labels}}} {value}"
