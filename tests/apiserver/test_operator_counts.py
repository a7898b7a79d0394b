"""What the operator asks of the API server, counted in its audit log on simulated nodes that make pods ready."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.apiserver.operator_process import Installation, Operator, manifest
from tests.apiserver.standin_kubelet import StandinKubelet
from tests.cluster import Cluster
from tests.cluster.audit import WRITES, AuditLog, Call
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

MODELS = 100
QUIET_SECONDS = 20
HEARTBEATS = 20


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    """An installation with the rights of a whole cluster."""
    return install(everywhere=True)


@pytest.fixture(scope="module")
def operator(installation: Installation) -> Operator:
    return installation.start().wait("leader")


@pytest.fixture(scope="module")
def log(kwok_cluster: Cluster) -> AuditLog:
    assert kwok_cluster.audit is not None
    return AuditLog(kwok_cluster.audit)


def writes(log: AuditLog, installation: Installation, since: int) -> Counter[tuple[str, str]]:
    """Writes of the operator after a mark, without the Lease."""
    found = calls(log, installation, since)
    return Counter((it.verb, it.resource) for it in found if it.verb in WRITES and it.resource != "leases")


def calls(log: AuditLog, installation: Installation, since: int = 0) -> list[Call]:
    """What the operator asked of the whole cluster or of its namespace: others may hold models of other tests."""
    found = log.calls(since, user=installation.user)
    return [call for call in found if call.namespace in {"", *installation.names}]


def test_one_new_model(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """A new model costs its four children, one Event and at most two status patches."""
    space, mark = installation.space, log.mark()
    space.model("count")
    space.wait_ready("count")
    # The Event comes last, a moment after the status that was waited for.
    wait_for(lambda: writes(log, installation, mark)[("create", "events")] > 0, "the Event", 10)
    counted = writes(log, installation, mark)
    assert counted[("patch", "inferencemodels/status")] <= 2
    assert counted - Counter({("patch", "inferencemodels/status"): 2}) == {
        ("patch", "configmaps"): 1,
        ("patch", "services"): 2,
        ("patch", "deployments"): 1,
        ("create", "events"): 1,
    }


def test_a_cold_start(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """A replica that takes its time for each phase costs three status writes: made, weights there, ready with all its phases."""
    space, mark = installation.space, log.mark()
    with StandinKubelet(space) as kubelet, ExitStack() as at_end:
        space.model("slow", template={"spec": {"schedulerName": "nobody"}})
        at_end.callback(space.delete, "InferenceModel", "slow")
        pod = kubelet.bind("slow")
        settled(installation, log)
        kubelet.fetches(pod)
        settled(installation, log)
        kubelet.fetched(pod)
        space.wait(lambda: bool(entries(installation, "slow")), "an entry in the ledger")
        assert "ready" not in entries(installation, "slow")[0]
        kubelet.loads(pod)
        settled(installation, log)
        kubelet.ready(pod)
        space.wait(lambda: "ready" in entries(installation, "slow")[0], "a finished entry")
        settled(installation, log)
        assert writes(log, installation, mark)[("patch", "inferencemodels/status")] <= 3
        (entry,) = entries(installation, "slow")
        assert entry["node"] == kubelet.node
        assert set(entry["phases"]) == {"scheduled", "prepare", "fetch", "image", "load", "ready"}
        assert entry["phases"]["fetch"] == "1s500ms"
        assert (entry["bytes"], entry["parents"]) == (kubelet.ACCOUNT["bytes"], kubelet.ACCOUNT["parents"])


def entries(installation: Installation, model: str) -> list[Any]:
    """The ledger of a model's first version."""
    versions = installation.space.status(model).get("versions") or [{}]
    found: list[Any] = versions[0].get("replicas", [])
    return found


def settled(installation: Installation, log: AuditLog) -> None:
    """Long enough for whatever the operator postpones: there are four seconds between two renewals of its Lease."""
    mark = log.mark()
    wait_for(lambda: sum(it.resource == "leases" for it in calls(log, installation, mark)) >= 2, "renewals", 60)


def test_a_hundred_models(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """Many models at once cost each no more than one alone."""
    space, mark = installation.space, log.mark()
    for number in range(MODELS):
        space.create("InferenceModel", manifest(f"many-{number}"))
    wait_for(lambda: ready(installation) == MODELS + 1, "all ready", 120)
    counted = writes(log, installation, mark)
    assert counted[("patch", "inferencemodels/status")] <= 2 * MODELS
    assert counted[("create", "events")] == MODELS
    assert sum(counted.values()) <= 7 * MODELS


def ready(installation: Installation) -> int:
    """How many models are ready and at rest."""
    found: list[Any] = installation.space.list("InferenceModel")
    conditions = [{it["type"]: it["status"] for it in obj.get("status", {}).get("conditions", ())} for obj in found]
    return sum(it.get("Ready") == "True" and "Reconciling" not in it for it in conditions)


def test_quiet(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """While nothing changes nothing is written but the Lease, with a hundred models."""
    mark = log.mark()
    leases = QUIET_SECONDS // 4

    def renewals() -> int:
        return sum(call.resource == "leases" for call in calls(log, installation, mark))

    # The Lease is the clock: one renewal each four seconds.
    wait_for(lambda: renewals() >= leases, "renewals", 4 * QUIET_SECONDS)
    others = [call.raw["requestURI"] for call in calls(log, installation, mark) if call.resource != "leases"]
    # Whether the APIs of a mesh have come; and, for models of other tests, whether CPU is measured.
    assert {uri for uri in others if "watch=true" not in uri} <= {"/apis", "/apis/metrics.k8s.io"}


def test_heartbeats_of_nodes(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """A heartbeat wakes no model and writes nothing; what matters for cards wakes only the model that waits for some."""
    space = installation.space
    done, events = 'pantala_reconciles_total{result="done"}', 'pantala_watch_events_total{resource="nodes"}'
    space.model("waits", accelerator={"provider": "nvidia", "count": 16})
    try:
        space.wait(lambda: space.condition("waits", "Ready").get("reason") == "AskedTooMuch", "nodes are known")
        settled(installation, log)
        mark, passes, heard = log.mark(), operator.metric(done), operator.metric(events)
        for beat in range(HEARTBEATS):
            node(installation, {"status": {"conditions": [heartbeat(beat)]}}, "status")
            node(installation, {"metadata": {"annotations": {"hami.io/node-handshake": f"Requesting_{beat}"}}})
        wait_for(lambda: operator.metric(events) >= heard + 2 * HEARTBEATS, "news of the node", 30)
        settled(installation, log)
        # Models of other tests, for which the cluster measures nothing, are looked at when their patience ends.
        assert operator.metric(done) <= passes + 2
        passes = operator.metric(done)
        assert writes(log, installation, mark) == Counter()
        node(installation, {"metadata": {"labels": {"matters": "yes"}}})
        wait_for(lambda: operator.metric(done) > passes, "a pass over the model that waits", 30)
        settled(installation, log)
        # The scheduler tries the pod again as well when a label changes, and may say so on the pod.
        assert operator.metric(done) <= passes + 2
        assert writes(log, installation, mark) == Counter()
    finally:
        space.delete("InferenceModel", "waits")
        space.wait(lambda: not space.list("Pod", model="waits"), "its pod gone")
        node(installation, {"metadata": {"labels": {"matters": None}, "annotations": {"hami.io/node-handshake": None}}})


def node(installation: Installation, body: Any, sub: str = "") -> None:
    """Change a simulated node."""
    path = "/".join(part for part in ("/api/v1/nodes/kwok-0", sub) if part)
    done = installation.api.call("PATCH", path, body, content="application/strategic-merge-patch+json")
    assert done["kind"] == "Node", done


def heartbeat(beat: int) -> Any:
    """What a kubelet writes into the status of its node from time to time."""
    return {"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-01-01T00:00:{beat:02}Z"}


def test_restart(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """A restart with a hundred models writes nothing but the Lease, and reads lists and watches only."""
    mark = log.mark()
    operator.terminate()
    again = installation.start().wait("leader")
    before = again.metric("pantala_reconciles_total")
    wait_for(lambda: again.metric('pantala_reconciles_total{result="done"}') > MODELS, "every model looked at", 60)
    wait_for(lambda: again.metric("pantala_queue_depth") == 0, "queue empty", 60)
    assert before >= 0
    assert writes(log, installation, mark) == Counter()


def test_reads_are_lists_and_watches(installation: Installation, operator: Operator, log: AuditLog) -> None:
    """In all of this no single object was read but the Lease, nothing was forbidden, and no Secret was touched."""
    found = calls(log, installation)
    # kopf asks which kinds there are: /apis and its like are no objects.
    objects = [call for call in found if call.resource != "leases" and not call.resource.startswith("/")]
    single = [call.raw["requestURI"] for call in objects if call.verb not in {"list", "watch", *WRITES}]
    assert not single, single
    assert not [call.raw["requestURI"] for call in found if call.forbidden]
    assert not [call for call in found if call.resource.startswith("secrets")]
