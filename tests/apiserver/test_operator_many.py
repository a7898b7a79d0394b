"""Several operators, several namespaces, a broken watch, a broken API server, a broken model."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.apiserver.api_proxy import Rule
from tests.apiserver.operator_process import Installation, Space, manifest
from tests.cluster import Cluster
from tests.cluster.audit import AuditLog
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    made = install()
    made.start().wait("leader")
    return made


@pytest.fixture
def space(installation: Installation) -> Space:
    installation.proxy.clear()
    return installation.space


def test_roles_only(install: Callable[..., Installation], kwok_cluster: Cluster, kwok_api: Any) -> None:
    """With Roles in two namespaces both are served, a third is left alone, and nothing cluster-wide is asked for."""
    assert kwok_cluster.audit is not None
    log = AuditLog(kwok_cluster.audit)
    made = install(namespaces=2)
    other = install().space
    other.model("left-alone")
    made.start().wait("leader")
    for place in made.spaces:
        place.model("served")
    for place in made.spaces:
        place.wait_ready("served")
    assert other.children("left-alone") == set()
    assert other.status("left-alone") == {}
    calls = list(log.calls(user=made.user))
    assert not [call.raw["requestURI"] for call in calls if call.forbidden]
    namespaced = {call.namespace for call in calls if not call.resource.startswith("/")}
    assert namespaced == set(made.names)


def test_failover(install: Callable[..., Installation], record_property: Callable[[str, object], None]) -> None:
    """Of two operators one is active; killed, it is replaced within 20 s; stopped, within a few seconds."""
    made = install()
    first = made.start().wait("leader")
    second = made.start().wait()
    assert not second.leads
    made.space.model("before")
    made.space.wait_ready("before")
    first.kill()
    begin = time.monotonic()
    made.space.model("between")
    made.space.wait(lambda: made.space.children("between"), "children by the second", 30)
    failover = time.monotonic() - begin
    assert second.leads
    third = made.start().wait()
    assert not third.leads
    begin = time.monotonic()
    assert second.terminate() == 0
    made.space.model("after")
    made.space.wait(lambda: made.space.children("after"), "children by the third", 30)
    handover = time.monotonic() - begin
    record_property("failover_seconds", round(failover, 1))
    record_property("handover_seconds", round(handover, 1))
    print(f"failover {failover:.1f} s, handover {handover:.1f} s")
    assert failover < 20
    assert handover < 8
    made.space.wait_ready("between")
    made.space.wait_ready("after")


def test_lease_whose_renewal_hangs(install: Callable[..., Installation]) -> None:
    """An operator whose renewal gets no answer stops before its Lease runs out, says why, and another one takes over."""
    made = install()
    first = made.start().wait("leader")
    second = made.start().wait()
    never = threading.Event()
    made.proxy.add(Rule(method="PUT", path="/leases/", hold=never, times=1, drop_before=True))
    begin = time.monotonic()
    assert first.process.wait(30) != 0
    assert time.monotonic() - begin < 16
    never.set()
    assert "lease is lost" in first.log.read_text()
    second.wait("leader")


def test_dropped_watches(installation: Installation, space: Space) -> None:
    """Watches that break are taken up again; what happened meanwhile is seen."""
    space.model("watched")
    space.wait_ready("watched")
    for _ in range(2):
        assert installation.proxy.drop_watches() > 0
    space.delete("ConfigMap", "watched-v1")
    space.wait(lambda: space.get("ConfigMap", "watched-v1"), "seen after the break")
    assert installation.proxy.drop_watches() > 0
    space.patch("InferenceModel", "watched", {"spec": {"scaling": {"minReplicas": 2}}})
    space.wait(lambda: space.get("Deployment", "watched-v1")["spec"]["replicas"] == 2, "change of the model seen")


def test_watch_that_is_too_old(installation: Installation, space: Space) -> None:
    """A watch that the API server answers with 410 begins anew with a list."""
    space.model("too-old")
    space.wait_ready("too-old")
    rule = installation.proxy.add(Rule(path=r"configmaps\?.*watch=true", status=410, times=1))
    installation.proxy.drop_watches()
    space.delete("ConfigMap", "too-old-v1")
    space.wait(lambda: space.get("ConfigMap", "too-old-v1"), "seen after the list")
    assert rule.hits == 1


def test_restart_of_the_api_server(installation: Installation, space: Space, kwok_cluster: Cluster) -> None:
    """While the API server is away nothing is lost; afterwards everything converges without a restart of the operator."""
    space.model("survivor")
    space.wait_ready("survivor")
    import os
    import signal

    old = kwok_cluster.pid("kube-apiserver")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: kwok_cluster.pid("kube-apiserver") != old, "another API server", 30)
    wait_for(lambda: answers(space), "API server", 60)
    space.delete("Service", "survivor")
    space.patch("InferenceModel", "survivor", {"spec": {"scaling": {"minReplicas": 2}}})
    space.wait(lambda: space.get("Service", "survivor"), "Service again")
    space.wait(lambda: space.get("Deployment", "survivor-v1")["spec"]["replicas"] == 2, "change seen")
    installation.operators[-1].check()
    assert installation.operators[-1].get("/healthz")[0] == 200


def answers(space: Space) -> bool:
    """Whether the API server serves our kind."""
    from urllib3.exceptions import HTTPError

    try:
        return space.api.call("GET", space.path("InferenceModel")).get("kind") == "InferenceModelList"
    except HTTPError:
        return False


FAULTS = [500, 503, 429, 409]


def test_a_broken_model_delays_no_other(installation: Installation, space: Space) -> None:
    """Writes of one model that fail for ever are retried with growing waits; other models are served meanwhile."""
    rules = [
        installation.proxy.add(Rule(method="PATCH", path=f"/services/broken-{status}", status=status))
        for status in FAULTS
    ]
    for status in FAULTS:
        space.model(f"broken-{status}")
    for rule in rules:
        space.wait(lambda rule=rule: rule.hits >= 2, "retry")
    begin = time.monotonic()
    for number in range(5):
        space.model(f"healthy-{number}")
    for number in range(5):
        space.wait_ready(f"healthy-{number}")
    seconds = time.monotonic() - begin
    assert all(rule.hits < 6 + 2 * seconds for rule in rules)
    installation.proxy.clear()
    for status in FAULTS:
        space.patch("InferenceModel", f"broken-{status}", {"metadata": {"annotations": {"try": "now"}}})
        space.wait_ready(f"broken-{status}")


@pytest.mark.parametrize("status", [403, 422])
def test_a_refusal_is_told(installation: Installation, space: Space, status: int) -> None:
    """A write that the API server refuses for good becomes a condition with its words, and heals by itself."""
    name = f"refused-{status}"
    installation.proxy.add(Rule(method="PATCH", path=f"/services/{name}-v1", status=status, message="no such luck"))
    space.model(name)
    reason = {403: "Forbidden", 422: "Rejected"}[status]
    space.wait(lambda: space.condition(name, "Accepted").get("reason") == reason, reason)
    assert "no such luck" in space.condition(name, "Accepted")["message"]
    installation.proxy.clear()
    space.patch("InferenceModel", name, {"metadata": {"annotations": {"try": "now"}}})
    space.wait_ready(name)


def test_lost_answers(installation: Installation, space: Space) -> None:
    """Every third answer to a write is lost: the objects are there once and the model gets ready."""
    seen = {"count": 0}

    def third(_: object) -> bool:
        seen["count"] += 1
        return seen["count"] % 3 == 0

    installation.proxy.add(Rule(path="/lossy", when=lambda it: it.is_write and third(it), drop_after=True, times=8))
    space.model("lossy", expose={"nodePort": {}})
    space.wait_ready("lossy")
    assert len(space.children("lossy")) == 5


def test_unreadable(space: Space) -> None:
    """A resource of a newer operator is told as such and left alone until this operator can read it."""
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferencemodels.pantala.dev"
    space.model("newer")
    space.wait_ready("newer")
    obj = space.api.call("GET", crd)
    runtime = obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["runtime"]
    runtime["properties"]["name"]["enum"].append("vllm")
    assert space.api.call("PUT", crd, obj)["kind"] != "Status"
    try:
        body = {"spec": {"runtime": {"name": "vllm"}}}
        path = space.path("InferenceModel", "newer")
        content = "application/merge-patch+json"
        space.wait(lambda: space.api.call("PATCH", path, body, content=content)["kind"] != "Status", "newer resource")
        space.wait(lambda: space.condition("newer", "Accepted").get("reason") == "InvalidSpec", "unreadable")
        assert "spec.runtime.name" in space.condition("newer", "Accepted")["message"]
        assert space.condition("newer", "Ready")["status"] == "Unknown"
        assert len(space.children("newer")) == 4
        space.patch("InferenceModel", "newer", {"spec": {"runtime": {"name": "triton"}}})
        space.wait_ready("newer")
    finally:
        space.delete("InferenceModel", "newer")
        space.api.install()


def test_autoscaler_takes_over_and_gives_back(space: Space) -> None:
    """With an autoscaler the number of replicas passes to it when it scales, and comes back when it is removed."""
    space.model("scaled", scaling={"minReplicas": 3}, resources={"requests": {"cpu": "1"}})
    space.wait_ready("scaled")
    metrics = [{"type": "CPUUtilization", "target": 70}]
    space.patch(
        "InferenceModel", "scaled", {"spec": {"scaling": {"minReplicas": 2, "maxReplicas": 5, "metrics": metrics}}}
    )
    space.wait(lambda: space.get("HorizontalPodAutoscaler", "scaled-v1"), "autoscaler")
    space.wait_ready("scaled")
    assert space.get("Deployment", "scaled-v1")["spec"]["replicas"] == 3
    # As the controller does it: it has no metrics here.
    for wanted in (5, 4):
        space.patch(
            "Deployment", "scaled-v1", {"spec": {"replicas": wanted}}, "scale", fieldManager="kube-controller-manager"
        )
        space.wait(lambda: owners(space, "scaled-v1") == {"kube-controller-manager"}, "handed over")
        assert space.get("Deployment", "scaled-v1")["spec"]["replicas"] == wanted
    space.patch(
        "InferenceModel", "scaled", {"spec": {"scaling": {"minReplicas": 2, "maxReplicas": None, "metrics": None}}}
    )
    space.wait(lambda: space.get("Deployment", "scaled-v1")["spec"]["replicas"] == 2, "given back")
    space.wait(lambda: space.get("HorizontalPodAutoscaler", "scaled-v1") is None, "no autoscaler")
    space.wait_ready("scaled")


def test_the_real_autoscaler_corrects_its_bounds(space: Space) -> None:
    """The real HPA controller brings the number within its bounds, and the operator lets it."""
    metrics = [{"type": "CPUUtilization", "target": 70}]
    scaling = {"minReplicas": 2, "maxReplicas": 4, "metrics": metrics}
    space.create("InferenceModel", manifest("bounds", scaling=scaling, resources={"requests": {"cpu": "1"}}))
    space.wait_ready("bounds")
    space.patch("Deployment", "bounds-v1", {"spec": {"replicas": 9}}, "scale", fieldManager="kubectl")
    space.wait(lambda: space.get("Deployment", "bounds-v1")["spec"]["replicas"] == 4, "within the bounds")
    space.wait_ready("bounds")
    assert "pantala" not in owners(space, "bounds-v1")


def owners(space: Space, name: str) -> set[str]:
    """Field managers of the number of replicas."""
    entries = space.get("Deployment", name)["metadata"]["managedFields"]
    return {it["manager"] for it in entries if "f:replicas" in it["fieldsV1"].get("f:spec", {})}


def test_replacement(space: Space) -> None:
    """A replaced version answers until the new one is ready, then goes; in between the status says what happens."""
    stuck = {"spec": {"nodeSelector": {"no": "such"}}}
    space.model("ship")
    space.wait_ready("ship")
    new = [{"name": "v2", "uri": "s3://models/m/2/"}]
    space.patch("InferenceModel", "ship", {"spec": {"versions": new, "template": stuck}})
    space.wait(lambda: space.condition("ship", "Stalled").get("reason") == "Unschedulable", "no node for v2")
    assert space.condition("ship", "Ready")["status"] == "True"
    assert space.get("Service", "ship")["spec"]["selector"]["pantala.dev/version"] == "v1"
    assert {it["name"]: it["state"] for it in space.status("ship")["versions"]}["v1"] == "Frozen"
    assert "nodeSelector" not in space.get("Deployment", "ship-v1")["spec"]["template"]["spec"]
    space.patch("InferenceModel", "ship", {"spec": {"template": None}})
    space.wait_ready("ship", "v2")
    space.wait(lambda: space.get("Deployment", "ship-v1") is None, "v1 gone")
    assert space.get("Service", "ship")["spec"]["selector"]["pantala.dev/version"] == "v2"
    moved = [it["reason"] for it in space.list("Event") if it["regarding"]["name"] == "ship"]
    assert moved.count("TrafficMoved") == 1


def test_a_stranger_that_comes_in_that_moment(installation: Installation, space: Space) -> None:
    """A child replaced by a stranger's object in the moment in which it is written is not adopted."""
    space.model("swap")
    space.wait_ready("swap")

    def swap(_: object) -> None:
        space.delete("ConfigMap", "swap-v1")
        space.create("ConfigMap", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "swap-v1"}})

    installation.proxy.add(Rule(method="PATCH", path="/configmaps/swap-v1", before=swap, times=1))
    space.patch("ConfigMap", "swap-v1", {"data": {"config.pbtxt": "broken"}})
    space.wait(lambda: space.condition("swap", "Accepted").get("reason") == "NameConflict", "conflict")
    theirs = space.get("ConfigMap", "swap-v1")
    assert "ownerReferences" not in theirs["metadata"]
    assert "data" not in theirs
    space.delete("InferenceModel", "swap")
    space.wait(lambda: not space.list("Deployment", model="swap"), "collected")
    assert space.get("ConfigMap", "swap-v1")
