"""The ledger: when an entry is made and finished, what is counted and how often, and what makes room."""

from datetime import timedelta
from typing import Any

import pytest

from pantala.manifest.types import Manifest
from pantala.planner import ledger
from pantala.planner.ledger import Ledger, bounded, holders, update
from tests.planner.world import NOW, ready_pod

GIB = 2**30
PLENTY = 2**20
NODE_HAS = {"origin": GIB, "peer": 0, "local": 0, "cache": 0}


def waiting(pod: Manifest, step: str) -> Manifest:
    """The pod as it was on its way: `fetch`, `image` or `load` is not over yet."""
    status = dict(pod["status"])
    status["conditions"] = [it for it in status["conditions"] if it["type"] == "PodScheduled"]
    status["containerStatuses"] = [{"name": "server", "restartCount": 0, "state": {"waiting": {}}}]
    if step == "load":
        status["containerStatuses"] = pod["status"]["containerStatuses"]
    if step == "fetch":
        running = {"running": {"startedAt": "2026-01-02T03:00:04Z"}}
        status["initContainerStatuses"] = [{"name": "fetch", "restartCount": 0, "state": running}]
    return {**pod, "status": status}


def look(before: Manifest, *pods: Manifest) -> tuple[Manifest, Ledger]:
    """A pass: the version's status after it, and the ledger."""
    found = update(before, pods, NOW)
    return bounded({"v1": found}, PLENTY)["v1"].status(), found


def test_entry_of_a_cold_start() -> None:
    """An entry appears when the weights are there, stays as it is until ready, and is finished then: two changes in all."""
    pod = ready_pod("v1")
    assert look({}, waiting(pod, "fetch"))[0] == {}
    fetched, _ = look({}, waiting(pod, "image"))
    assert fetched == {
        "replicas": [
            {
                "pod": "resnet-v1-0",
                "node": "node-0",
                "created": "2026-01-02T03:00:00Z",
                "phases": {"scheduled": "1s", "prepare": "3s", "fetch": "1s500ms"},
                "files": 2,
                "bytes": {"origin": 10, "peer": 0, "cache": 0},
                "fingerprint": "sha256:ab",
            }
        ]
    }
    assert look(fetched, waiting(pod, "load"))[0] == fetched
    done, found = look(fetched, pod)
    assert done["fetch"] == {"replicas": 1, "files": 2, "bytes": {"origin": 10, "peer": 0, "cache": 0}}
    (entry,) = done["replicas"]
    assert entry["ready"] == "2026-01-02T03:00:19Z"
    assert entry["phases"] == {
        "scheduled": "1s",
        "prepare": "3s",
        "fetch": "1s500ms",
        "image": "1s",
        "load": "12s",
        "ready": "0s",
    }
    assert found.started == (entry,)


def test_what_peers_did() -> None:
    """All that the fetcher tells of peers is in the entry; of a proxy's bytes it is known only that they came through it."""
    told = {
        "bytes": {"origin": 5, "peer": 70, "local": 20, "cache": 3, "proxy": 2},
        "direct": 4,
        "parents": {"gpu-1": 40, "storage-1-seed": 20, "gpu-3": 9, "others": 1},
        "retries": 3,
        "fallback": "Stalled: nothing came for 60 s",
    }
    status, _ = look({}, ready_pod("v1", **told))
    (entry,) = status["replicas"]
    assert {key: entry[key] for key in told} == told
    assert status["fetch"] == {"replicas": 1, "files": 2, "bytes": told["bytes"], "fallbacks": 1}


def test_what_is_written_stays() -> None:
    """Neither the end of the pod nor a later start of its containers changes a finished entry; only the weights are news."""
    pod = ready_pod("v1")
    before, _ = look({}, pod)
    assert look(before)[0] == before
    again = ready_pod("v1", bytes={"cache": 10}, seconds=0.1)
    again["status"]["containerStatuses"][0]["restartCount"] = 4
    again["status"]["conditions"][2]["lastTransitionTime"] = "2026-01-02T09:00:00Z"
    after, found = look(before, again)
    assert (after, found.started) == (before, ())
    other = look(before, ready_pod("v1", fingerprint="sha256:cd", bytes={"origin": 99}))[0]
    assert other["fetch"] == before["fetch"]
    assert other["replicas"] == [{**before["replicas"][0], "fingerprint": "sha256:cd"}]


def test_the_first_fetch_counts() -> None:
    """A fetcher that ran twice, because the pod's sandbox was made again, brought its bytes the first time."""
    before, _ = look({}, waiting(ready_pod("v1"), "image"))
    after, _ = look(before, ready_pod("v1", bytes={"origin": 0, "peer": 0, "cache": 10}, seconds=0.1))
    assert after["fetch"]["bytes"] == {"origin": 10, "peer": 0, "cache": 0}
    assert after["replicas"][0]["phases"]["fetch"] == "1s500ms"


def test_restarted_before_it_was_ready() -> None:
    """Kubernetes knows the last start of a container only: the entry says so, and leaves out what lies before it."""
    pod = ready_pod("v1")
    pod["status"]["containerStatuses"][0]["restartCount"] = 2
    pod["status"]["initContainerStatuses"][0]["restartCount"] = 1
    (entry,) = look({}, pod)[0]["replicas"]
    assert entry["restarts"] == 3
    assert list(entry["phases"]) == ["scheduled", "fetch", "load", "ready"]


@pytest.mark.parametrize("ready", [False, True])
def test_pods_that_are_leaving(ready: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What a pod did is told even if it is first seen on its way out."""
    pod = ready_pod("v1")
    pod = pod if ready else waiting(pod, "load")
    pod["metadata"]["deletionTimestamp"] = "2026-01-02T03:30:00Z"
    status, found = look({}, pod)
    assert len(status["replicas"]) == 1
    assert len(found.started) == int(ready)


def test_pod_without_times() -> None:
    """A pod that does not say when it got ready got so now."""
    pod = ready_pod("v1")
    del pod["metadata"]["creationTimestamp"], pod["spec"]
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": None}]
    (entry,) = look({}, pod)[0]["replicas"]
    assert entry["ready"] == "2026-01-02T03:04:05Z"
    assert entry["phases"] == {"fetch": "1s500ms", "image": "1s"}
    assert {"node", "created"}.isdisjoint(entry)
    later = update({"replicas": [entry]}, [pod], NOW + timedelta(hours=1))
    assert later.entries == (entry,)


def test_each_replica_is_counted_once() -> None:
    """Over many passes, with pods that come and go and far more than are listed, each replica is counted exactly once."""
    status: Manifest = {}
    alive: list[Manifest] = []
    started: list[str] = []
    for number in range(50):
        alive.append(ready_pod("v1", number, bytes={"origin": 2**number}))
        if number % 3 == 0:
            del alive[number % len(alive)]
        for _ in range(2):
            status, found = look(status, *alive)
            started += [entry["pod"] for entry in found.started]
    assert len(started) == len(set(started)) == status["fetch"]["replicas"]
    assert status["fetch"]["bytes"]["origin"] == sum(2 ** int(name.rpartition("-")[2]) for name in started)
    assert [entry["pod"] for entry in status["replicas"]] == started[-20:]


def test_marks_go_with_their_pods() -> None:
    """A counted pod that lost its place in the list is remembered for as long as it exists, and not longer."""
    pods = [ready_pod("v1", number) for number in range(30)]
    status, _ = look({}, *pods)
    assert len(status["fetch"]["unlisted"]) == 10
    assert look(status, *pods)[0] == status
    fewer, _ = look(status, *pods[5:])
    assert len(fewer["fetch"]["unlisted"]) == 5
    assert "unlisted" not in look(fewer)[0]["fetch"]


def test_no_room_for_marks() -> None:
    """Where no further pod can be remembered new ones are left out, rather than counted in every pass."""
    pods = [ready_pod("v1", number) for number in range(30)]
    status, _ = look({}, *pods)
    found = update(status, [*pods, ready_pod("v1", 40)], NOW, room=10)
    assert found.started == ()
    assert found.totals["replicas"] == 30


def test_unready_replicas_make_room() -> None:
    """A replica that lost its place before it was ready is counted when it is."""
    pods = [ready_pod("v1", number) for number in range(30)]
    status, found = look({}, *(waiting(pod, "image") for pod in pods))
    assert "fetch" not in status
    assert found.started == ()
    status, found = look(status, *pods)
    assert len(found.started) == status["fetch"]["replicas"] == 30


def test_a_pod_of_the_same_name() -> None:
    """A pod that was made again under its name is another replica."""
    status, _ = look({}, ready_pod("v1"))
    again = ready_pod("v1")
    again["metadata"]["creationTimestamp"] = "2026-01-02T05:00:00Z"
    status, found = look(status, again)
    assert (len(found.started), status["fetch"]["replicas"], len(status["replicas"])) == (1, 2, 1)


def test_oldest_of_all_versions_make_room() -> None:
    """Where all ledgers together are too large the oldest entries go, of whichever version."""
    old = update({}, [ready_pod("v1", number) for number in range(5)], NOW)
    new = update({}, [ready_pod("v2", number) for number in range(10, 15)], NOW)
    one = len(ledger.canonical(new.entries[0])) + 1
    found = bounded({"v1": old, "v2": new}, 7 * one)
    assert [entry["pod"] for entry in found["v1"].entries] == ["resnet-v1-3", "resnet-v1-4"]
    assert len(found["v2"].entries) == 5
    assert len(found["v1"].unlisted) == 3


@pytest.mark.parametrize(
    "before",
    [
        {"replicas": 2, "fetch": {"files": 4, "bytes": 102760448, "duration": "3s"}},
        {"fetch": {"files": 1, "duration": "3s"}},
    ],
)
def test_status_of_an_older_operator(before: Manifest) -> None:
    """A status from before there was a ledger is no obstacle."""
    assert look(before, ready_pod("v1"))[0]["fetch"]["replicas"] == 1


HOLDERS: dict[str, tuple[dict[str, Any], bool]] = {
    "direct": ({"bytes": NODE_HAS}, False),
    "peers": ({"bytes": {"origin": 0, "peer": GIB, "local": 0, "cache": 0}, "direct": 0}, True),
    "first of all": ({"bytes": NODE_HAS, "direct": 4096}, True),
    "local": ({"bytes": {"origin": 0, "local": GIB}}, True),
    "proxy": ({"bytes": {"proxy": GIB}}, True),
    "fell back": ({"bytes": NODE_HAS, "direct": GIB, "fallback": "NoSocket: none"}, False),
    "cache": ({"bytes": {"origin": 0, "cache": GIB}, "direct": 0}, False),
    "told nothing": ({"bytes": None}, False),
}


@pytest.mark.parametrize("case", HOLDERS)
def test_holders(case: str) -> None:
    """A node's dfdaemon has what it carried, also what it read from the store; a folder of the node has it in any case."""
    told, expected = HOLDERS[case]
    version, _ = look({}, ready_pod("v1", **told))
    status = {"versions": [{"name": "v1", **version}, {"name": "v2"}]}
    assert holders(status, "v1") == (("node-0",) if expected else ())
    assert holders(status, "v1", host_path=True) == ("node-0",)
    assert holders(status, "v2") == holders(status, "v3") == holders({}, "v1") == ()


def test_newest_holders() -> None:
    """At most eight nodes, those of the newest replicas first, each once."""
    carried = {"bytes": {"peer": GIB}}
    pods = [ready_pod("v1", number, **carried) for number in range(12)]
    pods[11]["spec"]["nodeName"] = "node-3"
    version, _ = look({}, *pods)
    found = holders({"versions": [{"name": "v1", **version}]}, "v1")
    assert found == ("node-3", "node-10", "node-9", "node-8", "node-7", "node-6", "node-5", "node-4")
