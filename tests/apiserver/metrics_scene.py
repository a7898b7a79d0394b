"""Everything between a card and a condition, with the real components.

These are Prometheus with the chart's rules, Prometheus Adapter with the chart's configuration, the aggregation layer, the HPA
controller, and the operator. Only the exporter is a text that the test writes.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import yaml

from tests.apiserver.operator_process import Installation, Operator
from tests.charts import rules
from tests.charts.helm import Helm, documents, of_kind
from tests.cluster import Cluster
from tests.cluster.addons.aggregation import amount
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.audit import WRITES, AuditLog
from tests.cluster.process import wait_for

SHORT = {"rules": {"interval": "1s", "window": "2s", "rateWindow": "4s"}}
TARGET = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p"}
CARD = {"count": 1, "provider": "nvidia"}
UTILIZATION = {"type": "GPUUtilization", "target": 70}
VALUES = (60, 52, 66, 58)
"""Figures at which one replica is wanted."""
_LOOKS = 20
QUICK = ("--metrics-grace", "1s", "--metrics-probe-interval", "1s")
"""Options of an operator that looks often."""


def adapter_config() -> dict[str, Any]:
    """What the chart renders for Prometheus Adapter."""
    text = Helm().template({}, "--show-only=templates/adapter-config.yaml")
    (config,) = of_kind(documents(text), "ConfigMap")
    return dict(yaml.safe_load(config["data"]["config.yaml"]))


def scaling(*metrics: dict[str, Any], most: int = 3, **more: Any) -> dict[str, Any]:
    """A `scaling` block; it goes down at once, so that what a test begins with is there soon again."""
    down = {
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}]}
    }
    base = {"minReplicas": 1, "maxReplicas": most, "metrics": list(metrics or (UTILIZATION,)), "behavior": down}
    return {**base, **more}


JOBS: dict[str, list[dict[str, Any]]] = {
    "plain": [],
    "relabeled": [
        {"source_labels": ["exported_pod"], "regex": "(.+)", "target_label": "kubernetes_pod_name"},
        {"action": "labeldrop", "regex": "exported_pod"},
    ],
    "nameless": [{"action": "labeldrop", "regex": "exported_.*"}],
}
"""What Prometheus does with the labels of exporters."""


class Scene:
    """The components, each of which a test can break and mend; a context manager."""

    def __init__(self, cluster: Cluster, installation: Installation, folder: Path) -> None:
        self.cluster, self.installation, self.space = cluster, installation, installation.space
        self.exporters = {job: Exporter() for job in JOBS}
        """One for each job; the cards are told by one of them."""
        file = folder / "rules.yaml"
        file.write_text(rules.file(SHORT))
        self._rules = str(file)
        self.prometheus = Prometheus(self.config())
        self.operator: Operator | None = None

    def config(self, *, recording: bool = True) -> dict[str, Any]:
        """A configuration of Prometheus, with the rules or without."""
        jobs = [
            exporter.scrape_job(job, labels=TARGET, metric_relabel_configs=JOBS[job])
            for job, exporter in self.exporters.items()
        ]
        return {"rule_files": [self._rules] if recording else [], "scrape_configs": jobs}

    def start(self, *arguments: str) -> Operator:
        """An operator that knows Prometheus and looks often."""
        self.operator = self.installation.start("--prometheus-url", self.prometheus.url, *QUICK, *arguments).wait(
            "leader"
        )
        return self.operator

    def cards(
        self,
        value: float = 50,
        labels: Mapping[str, str] | None = None,
        pods: list[str] | None = None,
        job: str = "plain",
    ) -> None:
        """Each pod has a card that is so busy, on a node with one more that nobody has.

        Args:
            value: Percent.
            labels: Further labels of the series of cards that somebody has.
            pods: Names of pods in place of those that there are.
            job: By which exporter it is told; the others tell nothing.
        """
        names = [pod["metadata"]["name"] for pod in self.space.list("Pod")] if pods is None else pods
        owners = [{"namespace": self.space.name, "pod": name, "container": "server"} for name in names]
        lines = []
        for index, owner in enumerate([*owners, {}]):
            card = {"gpu": str(index), "UUID": f"GPU-{index}", "device": f"nvidia{index}", "Hostname": "node-1"}
            used = {**card, **owner, **(labels or {} if owner else {})}
            lines.append(series("DCGM_FI_DEV_GPU_UTIL", value, used))
            lines += [series(f"DCGM_FI_DEV_FB_{kind}", 1000, used) for kind in ("USED", "FREE")]
        for name, exporter in self.exporters.items():
            exporter.text = "".join(lines) if name == job else ""

    def silence(self) -> None:
        """No exporter tells of cards any more."""
        for exporter in self.exporters.values():
            exporter.text = ""

    def says(self, model: str) -> tuple[str, str]:
        """Status and reason of a model's `MetricsAvailable`."""
        found = self.space.condition(model, "MetricsAvailable")
        return found.get("status", ""), found.get("reason", "")

    def wait(self, model: str, reason: str, *parts: str, seconds: float = 90) -> str:
        """Until that is the reason, and the message has these parts; the message."""
        status = {"MetricsFound": "True", "Starting": "Unknown", "Paused": "Unknown"}.get(reason, "False")

        def told() -> bool:
            message = self.space.condition(model, "MetricsAvailable").get("message", "")
            return self.says(model) == (status, reason) and all(part in message for part in parts)

        try:
            self.space.wait(told, f"{model}: {reason} {parts}", seconds)
        except Exception as error:
            hpas = [it.get("status") for it in self.space.list("HorizontalPodAutoscaler", model=model)]
            raise AssertionError(f"{error}; {self.space.condition(model, 'MetricsAvailable')}; {hpas}") from error
        return str(self.space.condition(model, "MetricsAvailable")["message"])

    def autoscaler(self, model: str) -> Any:
        """What the status tells of the autoscaler of a model's first version."""
        return ((self.space.status(model).get("versions") or [{}])[0]).get("autoscaler", {})

    def costs_nothing(self, hpa: str) -> None:
        """Other values make an HPA of this name note them, and the operator neither reconciles nor writes."""
        operator, audit = self.operator, self.cluster.audit
        assert operator is not None
        assert audit is not None
        log = AuditLog(audit)
        settled: list[float] = []

        def quiet() -> bool:
            settled.append(operator.metric("pantala_reconciles_total"))
            return len(settled) > _LOOKS and len(set(settled[-_LOOKS:])) == 1

        wait_for(quiet, "no pass for a while", 90, every=0.2)
        mark = log.mark()
        for value in VALUES:
            self.cards(value)
            self.space.wait(partial(self._reads, hpa, value), f"{hpa} reads {value}")
        assert operator.metric("pantala_reconciles_total") == settled[-1]
        calls = log.calls(mark, user=self.installation.user)
        assert [it for it in calls if it.verb in WRITES and it.resource != "leases"] == []

    def _reads(self, hpa: str, value: float) -> bool:
        found = self.space.get("HorizontalPodAutoscaler", hpa)["status"].get("currentMetrics") or [{}]
        block = found[0].get("pods") or found[0].get("external") or {}
        current = block.get("current", {})
        return amount(current.get("averageValue", current.get("value", "0"))) == value

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Prometheus hangs: it takes connections and answers nothing."""
        os.kill(self.prometheus.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.prometheus.pid, signal.SIGCONT)

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Prometheus crashed: nobody listens at its address."""
        self.prometheus.kill()
        try:
            yield
        finally:
            self.prometheus.start()

    @contextmanager
    def without_rules(self) -> Iterator[None]:
        """Prometheus does not load the recording rules."""
        self.prometheus.reload(self.config(recording=False))
        try:
            yield
        finally:
            self.prometheus.reload(self.config())

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what it started; the installation ends its operators."""
        with ExitStack() as stack:
            for exporter in self.exporters.values():
                stack.callback(exporter.stop)
            stack.callback(self.prometheus.stop)


def adapter(scene: Scene) -> PrometheusAdapter:
    """Prometheus Adapter with the chart's configuration and what its chart registers, which looks for series every second."""
    return PrometheusAdapter(
        scene.cluster, scene.prometheus.url, adapter_config(), relist="1s", max_age="5s", versions=("v1beta1",)
    )
