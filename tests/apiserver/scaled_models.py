"""Models that real autoscalers scale by a queue that a test fills, on simulated nodes."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from tests.apiserver.operator_process import Installation, Space
from tests.cluster import Cluster
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter

_RULES = Path(__file__).parents[2] / "charts" / "pantala" / "files" / "rules" / "adapter.yaml"
QUEUE = [{"type": "QueueLength", "target": 4}]


def scaling(least: int = 1, most: int | None = 5, engine: str = "HPA", **rest: Any) -> dict[str, Any]:
    """The block `scaling`; a merge patch with it removes what it does not name."""
    nothing = dict.fromkeys(("maxReplicas", "metrics", "prometheus", "behavior"))
    if most is None:
        return {**nothing, "minReplicas": least, "engine": "HPA"}
    return {**nothing, "minReplicas": least, "maxReplicas": most, "engine": engine, "metrics": QUEUE, **rest}


class Measured:
    """A Prometheus whose only series are what a test writes, and the adapter with the chart's own rules."""

    def __init__(self, cluster: Cluster, relist: str = "2s") -> None:
        with ExitStack() as stack:
            self.exporter = stack.enter_context(Exporter())
            job = self.exporter.scrape_job(honor_labels=True)
            self.prometheus = stack.enter_context(Prometheus({"scrape_configs": [job]}))
            rules = yaml.safe_load(_RULES.read_text())
            self.adapter = stack.enter_context(PrometheusAdapter(cluster, self.prometheus.url, rules, relist))
            self._stack = stack.pop_all()

    def queue(self, space: Space, model: str, waiting: int) -> None:
        """So many requests wait, spread over the pods that a model has now."""
        pods = [
            it["metadata"]["name"] for it in space.list("Pod", model=model) if "deletionTimestamp" not in it["metadata"]
        ]
        share = waiting / len(pods)
        labels = [{"namespace": space.name, "pod": pod} for pod in pods]
        self.exporter.text = "".join(series("pantala_queue_length", share, it) for it in labels)

    def nothing(self) -> None:
        """There are no series any more."""
        self.exporter.text = ""

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._stack.close()


def operator_arguments(measured: Measured) -> tuple[str, ...]:
    """Options of an operator whose KEDA asks this Prometheus."""
    return ("--keda-prometheus-url", measured.prometheus.url)


def change(installation: Installation, model: str, **block: Any) -> None:
    """Edit `scaling` of a model in place."""
    installation.space.patch("InferenceModel", model, {"spec": {"scaling": scaling(**block)}})
