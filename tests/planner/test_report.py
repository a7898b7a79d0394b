"""What the status says after a pass, when it is written at once, and what becomes an Event."""

from datetime import timedelta

import orjson
import pytest
from pydantic import ValidationError

from pantala.api.check import check
from pantala.api.model import InferenceModel
from pantala.api.status import Status
from pantala.manifest.types import Manifest, Ref
from pantala.planner.report import unreadable
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from tests.planner.nodes import node
from tests.planner.world import FULL_PROBLEMS, NOW, World, full_world, model, ready_pod, version

CONFLICT = Problem(Reason.NAME_CONFLICT, "Service vision/resnet exists already.")


def told(status: Manifest) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def waiting(reason: str, words: str, name: str = "v1", container: str = "server") -> Manifest:
    pod = ready_pod(name)
    state = {
        "name": container,
        "image": "x",
        "ready": False,
        "state": {"waiting": {"reason": reason, "message": words}},
    }
    return {**pod, "status": {"phase": "Pending", "containerStatuses": [state]}}


@pytest.fixture
def world() -> World:
    world = World(model())
    world.settle()
    return world


def test_new_model(world: World) -> None:
    """A new model is accepted and on its way; nothing of that is an Event."""
    found = world.report()
    assert told(found.status) == {
        "Accepted": ("True", "Accepted"),
        "Ready": ("False", "Starting"),
        "Reconciling": ("True", "Starting"),
    }
    assert found.events == ()
    assert found.urgent
    assert found.status["replicas"] == "0/1"
    assert found.status["url"] == "http://resnet.vision.svc:8000"


def test_ready(world: World) -> None:
    """A ready model says so once, and is neither Reconciling nor Stalled."""
    world.report()
    world.roll_out("v1")
    found = world.report()
    assert told(found.status) == {
        "Accepted": ("True", "Accepted"),
        "Distributed": ("True", "Fetched"),
        "Ready": ("True", "Serving"),
    }
    assert [(it.type, it.reason) for it in found.events] == [("Normal", "Serving")]
    assert world.report().events == ()
    assert found.status["versions"] == [
        {
            "name": "v1",
            "state": "Serving",
            "desiredReplicas": 1,
            "readyReplicas": 1,
            "image": found.status["versions"][0]["image"],
            "fetch": {"replicas": 1, "files": 2, "bytes": {"origin": 10, "peer": 0, "cache": 0}},
            "replicas": found.status["versions"][0]["replicas"],
        }
    ]


def test_status_is_what_the_schema_allows(world: World) -> None:
    """The status can be read back by the types that the CRD is made of."""
    world.roll_out("v1")
    assert Status.model_validate(world.report().status, extra="forbid")


def test_settings_that_the_store_overrules() -> None:
    """A model that brings its own config.pbtxt makes batching and workers useless, and the version says so."""
    world = World(model(runtime={"name": "triton", "startupTimeout": "30m", "workers": 2, "batching": {"maxSize": 4}}))
    world.settle()
    world.roll_out("v1")
    ended = world.pods[0]["status"]["initContainerStatuses"][0]["state"]["terminated"]
    ended["message"] = '{"files":1,"bytes":{"origin":5},"seconds":1,"config":"overlay"}'
    assert "message" not in world.report().status["versions"][0]
    ended["message"] = '{"files":1,"bytes":{"origin":5},"seconds":1,"config":"store"}'
    note = world.report().status["versions"][0]["message"]
    assert note.startswith("runtime.batching and runtime.workers: without effect, because the store has a config.pbtxt")


def test_nothing_answers_without_the_service(world: World) -> None:
    """Where a stranger has the name of the model's Service no request reaches the pods, however ready they are."""
    world.roll_out("v1")
    del world.children[Ref("Service", "vision", "resnet")]
    status = world.report(CONFLICT).status
    assert told(status)["Ready"] == ("False", "NameConflict")
    assert "url" not in status


def test_terminal_is_stalled(world: World) -> None:
    """A problem that needs a person makes the model Stalled, and one that passes leaves it Reconciling."""
    world.pods = [waiting("ErrImagePull", "not found")]
    found = world.report()
    assert told(found.status)["Ready"] == ("False", "ImagePullFailed")
    assert told(found.status)["Stalled"] == ("True", "ImagePullFailed")
    assert "Reconciling" not in told(found.status)
    assert [(it.type, it.reason) for it in found.events] == [("Warning", "ImagePullFailed")]
    world.pods[0]["status"] = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    found = world.report()
    assert told(found.status)["Reconciling"] == ("True", "Evicted")
    assert "Stalled" not in told(found.status)
    assert found.status["versions"][0]["message"].endswith("low on memory")


def test_refused_child(world: World) -> None:
    """A child that cannot be written is told as Accepted=False, once, with the words of the problem."""
    found = world.report(CONFLICT)
    assert told(found.status)["Accepted"] == ("False", "NameConflict")
    assert told(found.status)["Stalled"] == ("True", "NameConflict")
    assert [(it.type, it.reason, it.message) for it in found.events] == [("Warning", "NameConflict", CONFLICT.message)]
    assert world.report(CONFLICT).events == ()
    healed = world.report()
    assert told(healed.status)["Accepted"] == ("True", "Accepted")
    assert [(it.type, it.reason) for it in healed.events] == [("Normal", "Accepted")]


def test_scaling_up_without_room_is_no_update(world: World) -> None:
    """A pod that finds no node because the model was scaled up is not the additional pod of an update."""
    world.roll_out("v1")
    waits = ready_pod("v1", 1)
    words = "0/1 nodes are available: 1 Insufficient cpu."
    waits["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "message": words}]}
    world.pods.append(waits)
    live = world.deployment()
    live["spec"]["replicas"] = 2
    live["status"] |= {"replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 1}
    assert told(world.report().status)["Stalled"] == ("True", "Unschedulable")
    live["status"] |= {"replicas": 2, "updatedReplicas": 1}
    assert told(world.report().status)["Stalled"] == ("True", "NoRoomToSurge")


def test_transition_time(world: World) -> None:
    """The time of a condition moves only when it flips."""
    first = world.report().status
    world.pods = [waiting("ErrImagePull", "not found")]
    second = world.report(now=NOW + timedelta(seconds=9)).status
    world.roll_out("v1")
    third = world.report(now=NOW + timedelta(seconds=19)).status
    times = [
        next(it["lastTransitionTime"] for it in status["conditions"] if it["type"] == "Ready")
        for status in (first, second, third)
    ]
    assert times == ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:24Z"]


def test_figures_are_not_urgent(world: World) -> None:
    """A condition that flips is written at once; figures and words may wait for company."""
    world.edit(model(scaling={"minReplicas": 3}))
    world.settle()
    assert world.report().urgent
    world.pods = [ready_pod("v1")]
    world.report()
    world.pods = [ready_pod("v1"), ready_pod("v1", 1)]
    found = world.report()
    assert found.status["replicas"] == "2/3"
    assert not found.urgent


def test_moved_traffic_is_told() -> None:
    """The moment in which another version gets the traffic is an Event."""
    both = (version("v1"), version("v2"))
    world = World(model(*both, traffic={"target": "v1"}))
    world.settle()
    world.roll_out("v1")
    world.report()
    world.edit(model(*both, traffic={"target": "v2"}))
    world.settle()
    assert world.report().events == ()
    world.roll_out("v2")
    world.settle()
    found = world.report()
    assert [it.reason for it in found.events] == ["TrafficMoved"]
    assert "v2" in found.events[0].message
    assert "v1" in found.events[0].message


def test_unreadable() -> None:
    """A resource of a newer operator keeps what its status says of versions, and names the field."""
    world = World(model())
    world.settle()
    before = world.report().status
    obj = {**world.model, "spec": {**world.model["spec"], "runtime": {"name": "vllm"}}}
    with pytest.raises(ValidationError) as error:
        InferenceModel.read(obj)
    found = unreadable(world.seen(), error.value, NOW)
    assert found.status["versions"] == before["versions"]
    assert told(found.status) == {
        "Accepted": ("False", "InvalidSpec"),
        "Ready": ("Unknown", "InvalidSpec"),
        "Stalled": ("True", "InvalidSpec"),
    }
    assert "spec.runtime.name" in found.status["conditions"][0]["message"]
    assert found.urgent


def test_weights_that_differ(world: World) -> None:
    """Replicas of one version with different weights are told with both pods and the way out, once, while the model answers."""
    world.roll_out("v1")
    world.report()
    world.pods.append(ready_pod("v1", 1, fingerprint="sha256:cd"))
    found = world.report()
    assert told(found.status)["Distributed"] == ("False", "WeightsDiffer")
    assert told(found.status)["Ready"] == ("True", "Serving")
    message = found.status["conditions"][1]["message"]
    assert "pod resnet-v1-0 has sha256:ab, pod resnet-v1-1 has sha256:cd" in message
    assert "kubectl delete pod resnet-v1-0" in message
    assert [(it.type, it.reason, it.message) for it in found.events] == [("Warning", "WeightsDiffer", message)]
    assert not found.urgent
    assert world.report().events == ()
    world.pods[0]["metadata"]["deletionTimestamp"] = "2026-01-02T04:00:00Z"
    assert told(world.report().status)["Distributed"] == ("True", "Fetched")


def test_weights_that_differ_elsewhere() -> None:
    """The version that answers is looked at as well, while its successor starts."""
    world = World(model(version("v1"), version("v2"), traffic={"target": "v1"}))
    world.settle()
    world.roll_out("v1")
    world.settle()
    world.pods += [ready_pod("v1", 1, fingerprint="sha256:cd"), ready_pod("v2", 2, fingerprint="sha256:ef")]
    world.edit(model(version("v1"), version("v2"), traffic={"target": "v2"}))
    world.settle()
    assert "version v1 have different weights" in world.report().status["conditions"][1]["message"]


def test_fell_back(world: World) -> None:
    """Weights that came from the store in place of peers are told with how many replicas, and the fetcher's own words."""
    words = "NoSocket: there is no /var/run/dragonfly/dfdaemon.sock."
    world.roll_out("v1")
    world.pods = [ready_pod("v1"), ready_pod("v1", 1, fallback=words), ready_pod("v1", 2)]
    found = world.report().status
    assert told(found)["Distributed"] == ("True", "FellBack")
    message = found["conditions"][1]["message"]
    assert "1 of 3 replicas" in message
    assert f"Pod resnet-v1-1: {words}" in message
    assert "`pantala doctor`" in message
    world.pods[1]["status"]["phase"] = "Failed"
    assert told(world.report().status)["Distributed"] == ("True", "Fetched")


def test_peers_that_do_not_deliver(world: World) -> None:
    """Without the store to fall back to the model waits, and says for what."""
    world.pods = [ready_pod("v1")]
    ended = {"exitCode": 17, "message": '{"reason":"PeersUnavailable","message":"dfdaemon does not answer"}'}
    world.pods[0]["status"] = {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "fetch", "restartCount": 1, "state": {"terminated": ended}}],
    }
    found = world.report().status
    assert told(found) == {
        "Accepted": ("True", "Accepted"),
        "Distributed": ("False", "PeersUnavailable"),
        "Ready": ("False", "PeersUnavailable"),
        "Reconciling": ("True", "PeersUnavailable"),
    }
    assert "dfdaemon does not answer" in found["conditions"][1]["message"]


def test_namespace_forbids_the_pods(world: World) -> None:
    """Pods that the namespace's Pod Security level refuses are a matter of the resource: it is not accepted, told once."""
    words = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "dragonfly")'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    world.deployment()["status"] = {"observedGeneration": 1, "conditions": [failure]}
    found = world.report()
    for kind in ("Accepted", "Ready", "Stalled"):
        assert told(found.status)[kind] == ("True" if kind == "Stalled" else "False", "PodSecurity")
    assert "`distribution.proxy` or `distribution.mode: Direct`" in found.status["conditions"][0]["message"]
    assert [(it.type, it.reason) for it in found.events] == [("Warning", "PodSecurity")]


def test_ledger_is_not_urgent(world: World) -> None:
    """A replica whose weights arrived may wait for company; it is told as started once, with the pass that calls it ready."""
    world.report()
    pod = ready_pod("v1")
    ready, pod["status"]["conditions"] = pod["status"]["conditions"], pod["status"]["conditions"][:1]
    world.pods = [pod]
    fetched = world.report()
    assert fetched.status["versions"][0]["replicas"]
    assert (fetched.urgent, fetched.started) == (False, ())
    pod["status"]["conditions"] = ready
    found = world.report()
    assert [(it.version, it.entry["pod"]) for it in found.started] == [("v1", "resnet-v1-0")]
    assert world.report().started == ()


@pytest.mark.parametrize("letter", FULL_PROBLEMS)
def test_status_is_bounded(letter: str) -> None:
    """Sixteen versions with the longest names, images, messages and ledgers stay under the 64 KiB of a status, pass after pass."""
    world, counted = full_world(letter), list[str]()
    for _ in range(3):
        world.crowd(25, letter)
        found = world.report(*FULL_PROBLEMS[letter])
        counted += [it.entry["pod"] for it in found.started]
        assert all(item["message"] for item in found.status["versions"])
        assert 16 * 512 < len(orjson.dumps(found.status)) < 64 * 1024
        assert Status.model_validate(found.status, extra="forbid")
        assert check({**world.model, "status": found.status}) == check({**world.model, "status": {}})
        assert world.report(*FULL_PROBLEMS[letter]).status == found.status
    assert len(counted) == len(set(counted)) > 700
    assert sum(len(item["fetch"].get("unlisted", ())) for item in found.status["versions"]) <= 1400


def test_ledger_has_room() -> None:
    """Two versions with ordinary words have the whole ledger."""
    world = World(model(version("v1"), version("v2"), traffic={"target": "v1"}))
    world.settle()
    world.pods = [ready_pod(name, number) for name in ("v1", "v2") for number in range(20)]
    status = world.report().status
    assert [len(item["replicas"]) for item in status["versions"]] == [20, 20]
    assert len(orjson.dumps(status)) < 24 * 1024


def test_waiting_for_cards() -> None:
    """A model that waits for cards says what the nodes lack; that is no standstill, and one Warning for each reason tells of it."""
    world = World(model(accelerator={"provider": "nvidia", "count": 4}))
    world.settle()
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    found = ready_pod("v1")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    world.pods = [{**found, "spec": {"nodeName": None}, "status": {"phase": "Pending", "conditions": [condition]}}]

    def told_of(*nodes: Manifest) -> tuple[str, list[str]]:
        world.nodes = nodes
        outcome = world.report()
        conditions = told(outcome.status)
        assert conditions["Ready"][0] == "False"
        assert "Stalled" not in conditions
        assert conditions["Ready"][1] == conditions["Reconciling"][1]
        return conditions["Ready"][1], [notice.reason for notice in outcome.events if notice.type == "Warning"]

    assert told_of(node("a")) == ("CardsMissing", ["CardsMissing"])
    assert told_of(node("a")) == ("CardsMissing", [])
    assert told_of(node("a", allocatable={"nvidia.com/gpu": "2"})) == ("AskedTooMuch", ["AskedTooMuch"])
    assert told_of(node("a", allocatable={"nvidia.com/gpu": "8"})) == ("NoGPU", ["NoGPU"])
    assert "on a, which has 8 cards in all" in world.model["status"]["versions"][0]["message"]


def test_a_pod_that_no_scheduler_sees() -> None:
    """Nothing happens to such a pod, so the plan says when to look again; then the model says which scheduler is missing."""
    world = World(model(template={"spec": {"schedulerName": "mine"}}))
    world.settle()
    found = ready_pod("v1")
    created = {**found["metadata"], "creationTimestamp": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.pods = [
        {"metadata": created, "spec": {"nodeName": None, "schedulerName": "mine"}, "status": {"phase": "Pending"}}
    ]
    assert world.plan().wait == 15
    assert told(world.report().status)["Ready"][1] == "Starting"
    after = world.report(now=NOW + timedelta(seconds=15))
    assert told(after.status)["Ready"] == ("False", "SchedulerMissing")
    assert "the scheduler mine has said nothing" in after.status["versions"][0]["message"]
