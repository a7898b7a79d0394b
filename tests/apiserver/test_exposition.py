"""What the real operator tells of models when it is scraped."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.apiserver.operator_process import Installation, Operator

pytestmark = pytest.mark.apiserver


def series(operator: Operator, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The series of a name, by the values of these labels."""
    families = text_string_to_metric_families(operator.get("/metrics")[1])
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in samples}


def test_the_one_that_leads_tells_of_models(install: Callable[..., Installation]) -> None:
    """Conditions, replicas and pods are told as they are in the cluster, by the operator that leads alone; a model that is gone is not."""
    made = install()
    leader = made.start().wait("leader")
    standby = made.start().wait()
    space = made.space
    space.model("net", scaling={"minReplicas": 2})
    space.wait_ready("net")
    ready = {(space.name, "net", status): float(status == "True") for status in ("True", "False", "Unknown")}

    def told() -> dict[tuple[str, ...], float]:
        found = series(leader, "pantala_model_condition", "namespace", "model", "type", "status")
        return {
            (space, model, status): value for (space, model, kind, status), value in found.items() if kind == "Ready"
        }

    space.wait(lambda: told() == ready, "the condition is told")
    pods = {(it["metadata"]["name"], it["spec"]["nodeName"]): 1.0 for it in space.list("Pod", model="net")}
    assert len(pods) == 2
    assert series(leader, "pantala_pod_info", "pod", "node") == pods
    replicas = series(leader, "pantala_version_replicas", "version", "kind")
    assert replicas == {("v1", kind): 2.0 for kind in ("desired", "ready", "min", "max")}
    assert series(leader, "pantala_version_info", "service", "state") == {("net-v1", "Serving"): 1.0}
    assert "pantala_cached_objects" in standby.get("/metrics")[1]
    assert "pantala_model_info" not in standby.get("/metrics")[1]
    space.delete("InferenceModel", "net")
    space.wait(lambda: not told(), "it is told no more")
