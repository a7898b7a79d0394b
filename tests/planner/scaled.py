"""A model with an autoscaler for pure tests: what an HPA controller and KEDA write into their objects."""

from datetime import datetime
from typing import Any

from pantala.api.model import InferenceModel
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner.observed import SCALED, Observed
from pantala.planner.plan import plan
from pantala.planner.probed import Ask, Finding
from pantala.planner.report import Report, report
from tests.planner.world import NOW, World, model, version

GPU = {"count": 1, "provider": "nvidia"}
UTILIZATION, QUEUE = {"type": "GPUUtilization", "target": 70}, {"type": "QueueLength", "target": 4}
HPA = Ref("HorizontalPodAutoscaler", "vision", "resnet-v1")
KEDAS = Ref("HorizontalPodAutoscaler", "vision", "keda-hpa-resnet-v1")
SCALED_OBJECT = Ref("ScaledObject", "vision", "resnet-v1")
FOUND = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "from pods metric x"}
ABLE = {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "fine"}


def failing(words: str, reason: str = "FailedGetPodsMetric") -> Manifest:
    """What an HPA says that cannot read a measure."""
    message = f"the HPA was unable to compute the replica count: {words}"
    return {"type": "ScalingActive", "status": "False", "reason": reason, "message": message}


def pods(series: str, value: str) -> Manifest:
    """A measure of pods with a value."""
    return {"type": "Pods", "pods": {"metric": {"name": series}, "current": {"averageValue": value}}}


NONE = {"type": ""}
"""What an HPA writes in the place of a measure that it could not read (Kubernetes v1.36.1)."""


class Scaled(World):
    """A model of one version that scales, and is ready."""

    def __init__(self, *metrics: Manifest, settings: Settings | None = None, **spec: Any) -> None:
        scaling: Manifest = {"minReplicas": 1, "maxReplicas": 5, "metrics": list(metrics or (UTILIZATION,))}
        scaling |= spec.pop("scaling", {})
        engine = {"engine": "HPA"} | scaling
        spec = {"accelerator": GPU} | spec
        super().__init__(
            model(version(), scaling=engine, **spec), settings or Settings(prometheus_url="http://prometheus:9090")
        )
        self.probed: dict[tuple[str, str], Finding] = {}
        """What was found out about what is missing, by version and measure."""
        self.asked: tuple[Ask, ...] | None = None
        """The questions to which that are the answers. None: those of now."""
        self.settle()
        self.roll_out("v1")

    def _store(self, ref: Ref, desired: Manifest) -> None:
        """The cache keeps the moment in which an autoscaler scaled, whatever is written."""
        moment = self.children.get(ref, {}).get("metadata", {}).get(SCALED)
        super()._store(ref, desired)
        if moment is not None:
            self.children[ref]["metadata"][SCALED] = moment

    def looks(self, *metrics: Manifest, condition: Manifest = FOUND, ref: Ref = HPA, **status: Any) -> None:
        """The HPA controller looks."""
        live = self.children[ref]
        before = live.get("status", {})
        conditions = [status.pop("able", ABLE), condition, *status.pop("more", ())]
        live["status"] = {"currentReplicas": 1, "desiredReplicas": 1, **before, "currentMetrics": list(metrics)}
        live["status"] |= {"conditions": conditions, **status}
        if "lastScaleTime" in status:
            live["metadata"][SCALED] = live["status"]

    def seen(self) -> Observed:
        """What the operator would observe."""
        found = super().seen()
        probed = {
            it.key: self.probed[name]
            for it in self._asks(found)
            if (name := (it.version, it.signal.name)) in self.probed
        }
        return Observed(**{**vars(found), "probed": probed})

    def _asks(self, seen: Observed) -> tuple[Ask, ...]:
        if self.asked is not None or not self.probed:
            return self.asked or ()
        parsed = InferenceModel.read(self.model)
        return report(parsed, seen, plan(parsed, seen, self.settings, NOW), (), NOW).asks

    def tell(self, now: datetime = NOW) -> Report:
        """The report after a pass, kept as the model's status."""
        found = report(InferenceModel.read(self.model), self.seen(), self.plan(), (), now)
        self.model = {**self.model, "status": found.status}
        return found

    def says(self, now: datetime = NOW) -> tuple[str, str, str]:
        """`MetricsAvailable` after a pass: status, reason and message."""
        self.tell(now)
        found = [it for it in self.model["status"]["conditions"] if it["type"] == "MetricsAvailable"]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")

    def autoscaler(self) -> Manifest:
        """What the status tells of the version's autoscaler."""
        self.tell()
        found: Manifest = self.model["status"]["versions"][0].get("autoscaler", {})
        return found

    def keda(self) -> None:
        """KEDA makes its HPA, as a copy of nothing of ours but labels."""
        made = self.children[SCALED_OBJECT]
        triggers = made["spec"]["triggers"]
        metrics = [
            {
                "type": "External",
                "external": {
                    "metric": {"name": f"s{index}-prometheus"},
                    "target": {
                        "type": trigger["metricType"],
                        trigger["metricType"][:1].lower() + trigger["metricType"][1:]: "1",
                    },
                },
            }
            for index, trigger in enumerate(triggers)
        ]
        owner = {"kind": "ScaledObject", "name": "resnet-v1", "controller": True, "uid": "keda"}
        meta = {**made["metadata"], "name": KEDAS.name, "ownerReferences": [owner]}
        self.children[KEDAS] = {
            "metadata": meta,
            "spec": {"minReplicas": 1, "maxReplicas": 5, "metrics": metrics},
            "status": {},
        }
