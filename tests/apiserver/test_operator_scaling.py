"""A model passes from one real autoscaler to another: HPA, KEDA and back, and no replica is lost on the way.

The HPA controller is Kubernetes' own, KEDA and the Prometheus Adapter are real; the nodes are simulated, and make pods ready.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

from pantala.autoscaling import keda as builder
from pantala.manifest.contains import missing
from tests.apiserver.models import Api
from tests.apiserver.operator_process import Installation, Operator, Space
from tests.apiserver.recorder import Recorder
from tests.apiserver.scaled_models import Measured, change, operator_arguments, scaling
from tests.apiserver.test_operator_kills import Killer
from tests.autoscaling.build import CASES, FOR_HPA, made_hpa, made_scaled_object
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.keda import Keda
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.adapter, pytest.mark.keda, pytest.mark.apiserver]

COLLECTION = 90.0
"""Seconds for what KEDA leaves to garbage collection, which looks for new kinds every 30 s."""


@pytest.fixture(scope="module")
def measured(kwok_cluster: Cluster) -> Iterator[Measured]:
    """Prometheus and the adapter, with the chart's rules."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    with Measured(kwok_cluster) as started:
        yield started


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


@pytest.fixture(scope="module")
def operator(installation: Installation, measured: Measured, keda: Keda) -> Operator:
    return installation.start(*operator_arguments(measured), identity="first").wait("leader")


@pytest.fixture(scope="module")
def client(kwok_cluster: Cluster) -> Iterator[ApiClient]:
    """With all rights, for watches."""
    with new_client_from_config(str(kwok_cluster.kubeconfig)) as made:
        yield made


@pytest.fixture
def record(client: ApiClient, installation: Installation) -> Callable[[str], Recorder]:
    return lambda model: Recorder(client, installation.space.name, f"{model}-v1", keda=True)


def test_real_servers_take_every_autoscaler(kwok_api: Api, keda: Keda) -> None:
    """The API server takes each golden HPA, and with KEDA's CRD each ScaledObject, and changes nothing in what was written."""
    made = [("autoscaling/v2", "horizontalpodautoscalers", made_hpa(case)) for case in FOR_HPA]
    named = ("ClusterTriggerAuthentication", "monitoring")
    made += [("keda.sh/v1alpha1", "scaledobjects", made_scaled_object(case, named)) for case in CASES]
    for api, plural, obj in made:
        here = {**obj, "metadata": {**obj["metadata"], "namespace": "default"}}
        found = kwok_api.call(
            "POST", f"/apis/{api}/namespaces/default/{plural}", here, dryRun="All", fieldValidation="Strict"
        )
        assert found["kind"] != "Status", found
        assert missing(here, found) is None


def test_every_step(
    installation: Installation, operator: Operator, measured: Measured, record: Callable[[str], Recorder]
) -> None:
    """Adding, changing and removing autoscalers in place: `replicas` takes the values that somebody asked for, and no others."""
    space = installation.space
    measured.nothing()
    space.model("step", scaling={"minReplicas": 2})
    space.wait_ready("step")
    with record("step") as seen:
        change(installation, "step")
        space.wait(lambda: active(space, "step-v1") == "False", "an HPA without a metric")
        assert seen.replicas() == [2]
        measured.queue(space, "step", 16)
        seen.wait_for(4)
        wait_ready_pods(space, "step", 4)
        change(installation, "step", engine="KEDA")
        space.wait(lambda: active(space, "keda-hpa-step-v1") == "True", "KEDA at work")
        change(installation, "step")
        space.wait(lambda: active(space, "step-v1") == "True", "the HPA at work", COLLECTION)
        change(installation, "step", least=5, most=6)
        seen.wait_for(5)
        change(installation, "step", least=2, most=None)
        seen.wait_for(2)
        space.wait(lambda: not space.list("HorizontalPodAutoscaler", model="step"), "no HPA")
        space.wait_ready("step")
        assert seen.replicas() == [2, 4, 5, 2]
        assert seen.scalers() == [{"HPA"}, set(), {"KEDA"}, set(), {"HPA"}, set()]
    space.delete("InferenceModel", "step")


def test_killed_between_the_writes_of_a_switch(
    installation: Installation, operator: Operator, measured: Measured, record: Callable[[str], Recorder]
) -> None:
    """Killed in front of and behind each write of a switch, the operator goes on where it was; the number stays as it is."""
    space, proxy = installation.space, installation.proxy
    space.model("kill", scaling=scaling(engine="KEDA"))
    space.wait_ready("kill")
    measured.queue(space, "kill", 12)
    arguments = operator_arguments(measured)
    with record("kill") as seen:
        seen.wait_for(3)
        space.wait(lambda: active(space, "keda-hpa-kill-v1") == "True", "KEDA at work")
        hpa, scaled = "horizontalpodautoscalers/kill-v1", "scaledobjects/kill-v1"
        for engine, target in (
            ("HPA", f"DELETE {scaled}"),
            ("KEDA", f"DELETE {hpa}"),
            ("HPA", f"PATCH {hpa}"),
            ("KEDA", f"PATCH {scaled}"),
        ):
            killer = Killer(installation, "kill", target, 0)
            change(installation, "kill", engine=engine)
            for strikes in (1, 2):
                space.wait(lambda: killer.strikes >= strikes, f"{target} {strikes}", COLLECTION)  # noqa: B023
                installation.start(*arguments, identity="first")
            name = "kill-v1" if engine == "HPA" else "keda-hpa-kill-v1"
            space.wait(lambda: active(space, name) == "True", f"{engine} at work", COLLECTION)  # noqa: B023
            proxy.clear()
        assert seen.replicas() in ([1, 3], [3])
        assert all(len(one) <= 1 for one in seen.scalers())
    space.delete("InferenceModel", "kill")


def test_behavior_holds_a_real_autoscaler_back(
    installation: Installation, operator: Operator, measured: Measured, record: Callable[[str], Recorder]
) -> None:
    """With one pod in half an hour a queue for six replicas gives two, with either engine; without that it gives five at once."""
    space = installation.space
    slow = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1800}]}}
    for name, engine in (("slow-hpa", "HPA"), ("slow-keda", "KEDA")):
        space.model(
            name, scaling={key: it for key, it in scaling(1, 9, engine, behavior=slow).items() if it is not None}
        )
        space.wait_ready(name)
        measured.queue(space, name, 24)
        called = f"{name}-v1" if engine == "HPA" else f"keda-hpa-{name}-v1"
        with record(name) as seen:
            seen.wait_for(2)
            space.wait(lambda: condition(space, called, "ScalingLimited") == ("True", "ScaleUpLimit"), "held")  # noqa: B023
            assert seen.replicas() in ([1, 2], [2])
            change(installation, name, most=9, engine=engine)
            # Four in one start time, of which the step of before may be one; the sixth comes when that has passed.
            space.wait(lambda: seen.replicas()[-1] >= 5, "more at once")
            assert seen.replicas()[-2] == 2
        space.delete("InferenceModel", name)


def test_fields_that_keda_alone_knows(
    installation: Installation, operator: Operator, measured: Measured, record: Callable[[str], Recorder]
) -> None:
    """`engine`, and each field of a query: a total is shared out among the replicas, a value is compared as it is."""
    space = installation.space
    queries = [
        {"name": "tokens", "query": "sum(tokens)", "target": "10"},
        {"name": "latency", "query": "max(latency)", "target": "2.5", "metricType": "Value"},
    ]
    block = {"minReplicas": 1, "maxReplicas": 6, "engine": "KEDA", "prometheus": queries}
    space.model("query", scaling=block)
    space.wait_ready("query")
    with record("query") as seen:
        measured.exporter.text = 'tokens 18\ntokens{more="1"} 12\nlatency 2.5\n'
        seen.wait_for(3)
        wait_ready_pods(space, "query", 3)
        # Twice the latency that it shall be: twice the replicas.
        measured.exporter.text = "tokens 30\nlatency 5\n"
        seen.wait_for(6)
    triggers = space.get("ScaledObject", "query-v1")["spec"]["triggers"]
    assert [(it["name"], it["metricType"]) for it in triggers] == [("tokens", "AverageValue"), ("latency", "Value")]
    assert [(it["metadata"]["query"], it["metadata"]["threshold"]) for it in triggers] == [
        ("sum(tokens)", "10"),
        ("max(latency)", "2.5"),
    ]
    space.delete("InferenceModel", "query")


def test_quiet(installation: Installation, operator: Operator, measured: Measured) -> None:
    """Autoscalers that look every second, and KEDA that notes it, cost neither a write nor a pass."""
    space, proxy = installation.space, installation.proxy
    running = installation.operators[-1].wait("leader")
    for name, engine in (("quiet-hpa", "HPA"), ("quiet-keda", "KEDA")):
        space.model(name, scaling={key: it for key, it in scaling(2, 5, engine).items() if it is not None})
        space.wait_ready(name)
    text = ""
    for name in ("quiet-hpa", "quiet-keda"):
        measured.queue(space, name, 8)
        text += measured.exporter.text
        measured.exporter.text = text
    space.wait(
        lambda: active(space, "quiet-hpa-v1") == active(space, "keda-hpa-quiet-keda-v1") == "True", "both at work"
    )
    wait_for(lambda: calm(installation, running), "a calm operator", 60)
    begin, passes = len(proxy.requests), running.metric("pantala_reconciles_total")
    renewals(installation, 3)
    assert [it.target for it in proxy.writes(begin)] == []
    assert running.metric("pantala_reconciles_total") - passes <= 2
    for name in ("quiet-hpa", "quiet-keda"):
        space.delete("InferenceModel", name)


def test_keda_that_does_not_run(
    installation: Installation, operator: Operator, measured: Measured, keda: Keda, record: Callable[[str], Recorder]
) -> None:
    """While KEDA cannot let go of its ScaledObject nothing is made beside it, and it is told; then the HPA comes."""
    space = installation.space
    space.model("dead", scaling={key: it for key, it in scaling(1, 5, "KEDA").items() if it is not None})
    space.wait_ready("dead")
    measured.queue(space, "dead", 12)
    with record("dead") as seen:
        seen.wait_for(3)
        assert keda.operator
        keda.operator.kill()
        change(installation, "dead")
        space.wait(lambda: space.condition("dead", "MetricsAvailable").get("reason") == "AutoscalerConflict", "told")
        assert "finalizer.keda.sh" in space.condition("dead", "MetricsAvailable")["message"]
        assert not space.get("HorizontalPodAutoscaler", "dead-v1")
        keda.start()
        space.wait(lambda: active(space, "dead-v1") == "True", "the HPA at work", COLLECTION)
        space.wait(lambda: space.condition("dead", "MetricsAvailable").get("reason") == "MetricsFound", "healed")
        assert seen.replicas() in ([1, 3], [3])
        assert all(len(one) <= 1 for one in seen.scalers())
    space.delete("InferenceModel", "dead")


def test_keda_goes_and_comes(
    installation: Installation, operator: Operator, measured: Measured, keda: Keda, record: Callable[[str], Recorder]
) -> None:
    """While KEDA's CRD is not there the pods run on as they are; when it is back, so is the ScaledObject."""
    space = installation.space
    space.model("gone", scaling={key: it for key, it in scaling(1, 5, "KEDA").items() if it is not None})
    space.wait_ready("gone")
    measured.queue(space, "gone", 12)
    crd = "scaledobjects.keda.sh"
    saved = json.loads(keda.cluster.kubectl("get", "crd", crd, "-o", "json"))
    with Recorder(new_client_from_config(str(keda.cluster.kubeconfig)), space.name, "gone-v1") as seen:
        seen.wait_for(3)
        keda.cluster.kubectl("delete", "crd", crd, "--timeout=60s")
        running = installation.operators[-1]
        present = f'pantala_api_present{{group="keda.sh",kind="{builder.KIND}"}}'
        wait_for(lambda: running.metric(present) == 0, "an operator that knows of it", 60)
        wait_ready_pods(space, "gone", 3)
        kept = {key: it for key, it in saved.items() if key != "status"}
        kept["metadata"] = {"name": crd, "annotations": saved["metadata"].get("annotations", {})}
        keda.cluster.kubectl("create", "-f", "-", stdin=json.dumps(kept))
        space.wait(lambda: space.get("ScaledObject", "gone-v1"), "the ScaledObject again", 90)
        assert seen.replicas()[-1] == 3
        assert set(seen.replicas()) <= {1, 3}
    space.delete("InferenceModel", "gone")


def condition(space: Space, name: str, kind: str) -> tuple[str, str]:
    """Status and reason of a condition of an HPA; empty while there is none."""
    found = (space.get("HorizontalPodAutoscaler", name) or {}).get("status", {}).get("conditions", ())
    return next(((it["status"], it["reason"]) for it in found if it["type"] == kind), ("", ""))


def active(space: Space, name: str) -> str:
    """Whether an HPA has measures to decide by: True or False; empty while there is none."""
    return condition(space, name, "ScalingActive")[0]


def wait_ready_pods(space: Space, model: str, count: int) -> None:
    """Wait until so many pods of a model are ready."""

    def ready() -> bool:
        found = space.list("Deployment", model=model)[0].get("status", {})
        return bool(found.get("readyReplicas") == count)

    space.wait(ready, f"{count} pods of {model} ready")


def renewals(installation: Installation, count: int) -> None:
    """As long as the operator takes to renew its Lease so often: four seconds each."""
    begin = len(installation.proxy.requests)

    def seen() -> int:
        return sum("/leases/" in it.path and it.method != "GET" for it in installation.proxy.requests[begin:])

    wait_for(lambda: seen() >= count, f"{count} renewals", 60)


def calm(installation: Installation, running: Operator) -> bool:
    """Whether nothing was written, and no model looked at, between two renewals of the Lease."""
    begin, passes = len(installation.proxy.requests), running.metric("pantala_reconciles_total")
    renewals(installation, 2)
    return not installation.proxy.writes(begin) and running.metric("pantala_reconciles_total") == passes
