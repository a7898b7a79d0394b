"""A version replaced under load, through the NodePort, by clients that do not retry: nobody may notice.

An error, a reset, a time-out and every status but 200 is a lost request. Each test runs Triton and TorchServe side by
side, each asked by clients with a new connection per request, which lose nothing, and by clients that keep theirs.

A server that ends must close the connections that clients still keep, and neither of the two announces that by
`Connection: close`: a request that is on its way over such a connection at that moment is lost, so a client that never
lets go of its connection and does not retry loses at most one request for each replica that ends (docs/limits.md).
"""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.cluster.process import wait_for
from tests.e2e.load import Load
from tests.e2e.support import BUCKET, Space

pytestmark = pytest.mark.e2e

RUNTIMES = ("triton", "torchserve")
GRACE = 16
"""Seconds: shorter than the default, so that those that leave are gone before the tests are."""
CAUSE = "no weights in this model"
"""What the model of the version `broken` raises when it is loaded."""
STEP = 1000
"""What a version adds to the answer for each version before it: so the answer names the version."""
SLOW, SLOW_GRACE = 13, 25
"""Seconds that a request takes which outlives the preStop sleep of 10 s, and not the grace period."""
KEPT = 2
"""Clients that keep their connections, for each model."""
SPREAD = 1.0
"""Seconds that kube-proxy may take to move new connections, everywhere, from one version to the next."""


@dataclass(frozen=True)
class Served:
    """A model of one server in several versions, and the clients that ask it."""

    space: Space
    runtime: str
    name: str
    fresh: Load
    kept: Load

    def apply(self, *versions: str, target: str | None = None, **fields: Any) -> None:
        """Write the spec with these versions."""
        self.space.apply(self.name, _spec(self.space, self.runtime, versions, target, **fields))

    def wait_serving(self, version: str) -> None:
        """Wait until a version has the traffic, nothing is under way, and clients see its answers."""
        self.space.wait_ready(self.name)
        assert self.space.status(self.name)["version"] == version
        self.fresh.wait_for_value(version)

    def wait_gone(self, version: str) -> None:
        """Wait until no pod of a version is left, not even one that is on its way out."""
        wait_for(
            lambda: not self._all_pods(version), f"the pods of {self.name}-{version} are gone", GRACE + 30, every=0.5
        )

    def ready_since(self, version: str) -> float:
        """When the oldest pod of a version became ready, in seconds since the epoch, rounded down."""
        conditions = [c for pod in self._all_pods(version) for c in pod["status"]["conditions"] if c["type"] == "Ready"]
        return min(datetime.fromisoformat(c["lastTransitionTime"]).timestamp() for c in conditions)

    def check(self, *versions: str) -> None:
        """Nothing was lost, and the versions answered one after the other, without a mix."""
        accounts = self.check_lost(ended=len(versions) - 1)
        seen = self.fresh.by_value()
        assert tuple(seen) == versions, accounts
        for before, after in itertools.pairwise(versions):
            switched = seen[after][0].started
            assert seen[before][-1].started <= switched + SPREAD, accounts

    def check_lost(self, *, ended: int) -> str:
        """No request was lost but for one on each kept connection when a replica ended; return the account."""
        accounts = f"{self.runtime}: {self.fresh.account()}; {self.kept.account()}"
        print(accounts)
        assert not self.fresh.lost, accounts
        assert len(self.kept.lost) <= KEPT * ended, accounts
        return accounts

    def _all_pods(self, version: str) -> list[dict[str, Any]]:
        selector = f"pantala.dev/model={self.name},pantala.dev/version={version}"
        found: list[dict[str, Any]] = json.loads(self.space.kubectl("get", "pods", "-l", selector, "-o", "json"))[
            "items"
        ]
        return found


@pytest.fixture(scope="module")
def stored(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Space:
    """A space whose store has two versions of a model for each server, and one that cannot be loaded."""
    for number in (1, 2):
        more, folder = (number - 1) * STEP, tmp_path_factory.mktemp(f"v{number}")
        triton = models.triton_add(folder)
        _edit(triton / "1/model.py", "(a + b)", f"(a + b + {more})")
        space.s3.put_folder(BUCKET, f"triton/v{number}", triton)
        archive = models.torchserve_unpacked(folder)
        _edit(archive / "handler.py", "sum(numbers)", f"sum(numbers) + {more}")
        space.s3.put_folder(BUCKET, f"torchserve/v{number}", archive)
    folder = tmp_path_factory.mktemp("broken")
    space.s3.put_folder(BUCKET, "triton/broken", models.broken_triton_code(folder))
    space.s3.put(BUCKET, "torchserve/broken/broken.mar", models.broken_torchserve_code(folder))
    return space


def test_a_request_longer_than_the_sleep_is_answered(stored: Space, tmp_path: Path) -> None:
    """A request that was on its way when its replica was told to leave, and takes longer than the preStop sleep, is answered.

    The server is told to stop while it works on it, and finishes it within the grace period.
    """
    triton, archive = models.triton_add(tmp_path), models.torchserve_unpacked(tmp_path)
    pause = f"        __import__('time').sleep({SLOW})\n"
    _edit(triton / "1/model.py", "        found = ", f"{pause}        found = ")
    _edit(archive / "handler.py", "    bodies = ", f"{pause[4:]}    bodies = ")
    stored.s3.put_folder(BUCKET, "triton/slow", triton)
    stored.s3.put_folder(BUCKET, "torchserve/slow", archive)
    names = {runtime: f"slow-{runtime}" for runtime in RUNTIMES}
    for runtime, name in names.items():
        stored.apply(name, _spec(stored, runtime, ("slow",), None, grace=SLOW_GRACE))
    for name in names.values():
        stored.wait_ready(name)
    with ThreadPoolExecutor() as pool:
        asked = {"triton": pool.submit(stored.ask_triton, names["triton"], [1] * 4)}
        asked["torchserve"] = pool.submit(stored.ask_torchserve, names["torchserve"], [1])
        for runtime, name in names.items():
            (pod,) = stored.pods(name)
            port = 8000 if runtime == "triton" else 8080
            wait_for(lambda pod=pod, port=port: _connected(stored, pod, port), f"{name} is asked", 10)
            stored.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        assert asked["triton"].result(60) == [2] * 4
        assert asked["torchserve"].result(60) == {"sum": 1}


@contextmanager
def _asked(space: Space, purpose: str) -> Iterator[list[Served]]:
    """A model of each server, at version v1, under load until the block ends."""
    names = {runtime: f"{purpose}-{runtime}" for runtime in RUNTIMES}
    for runtime, name in names.items():
        space.apply(name, _spec(space, runtime, ("v1",), None))
    with ExitStack() as ending:
        ending.callback(space.kubectl, "delete", "inferencemodel", *names.values(), "--wait=false")
        served = []
        for runtime, name in names.items():
            space.wait_ready(name)
            fresh, kept = (ending.enter_context(_load(space, runtime, name, keep_alive=kept)) for kept in (False, True))
            served.append(Served(space, runtime, name, fresh, kept))
        for one in served:
            one.fresh.wait_for_value("v1")
            one.kept.wait_for_value("v1")
        yield served


def test_a_version_that_takes_the_place_of_another(stored: Space) -> None:
    """[v1] -> [v2]: v1, no longer in the spec, answers frozen until v2 is ready; then v2 alone does, and v1 is removed.

    Before that a version `broken`, which cannot be loaded, gets no traffic: v1 answers on, and the status says why.
    """
    with _asked(stored, "place") as served:
        for one in served:
            one.apply("v1", "broken", target="broken")
        for one in served:
            told = stored.wait(one.name, "the cause is told", lambda status: CAUSE in json.dumps(status), 120)
            assert told["version"] == "v1"
            assert _condition(told, "Ready")["status"] == "True"
            assert "broken" in _condition(told, "Ready")["message"]
            one.fresh.wait_for_value("v1")
        for one in served:
            one.apply("v2")
            frozen = stored.wait(one.name, "v1 is frozen", lambda status: _states(status).get("v1") == "Frozen")
            assert _condition(frozen, "Ready")["status"] == "True"
            assert "broken" not in _states(frozen)
        for one in served:
            one.wait_serving("v2")
            assert one.fresh.by_value()["v2"][0].ended >= one.ready_since("v2")
        for one in served:
            one.wait_gone("v1")
            assert f"{one.name}-v1" not in stored.kubectl("get", "deployments,services,configmaps", "-o", "name")
            one.kept.wait_for_value("v2")
    for one in served:
        one.check("v1", "v2")


def test_a_target_that_moves_there_and_back(stored: Space) -> None:
    """traffic.target moves to v2, which parks v1 at zero replicas, and back to v1, which is started for it.

    Then v1 is rolled over in place, because its resources change.
    """
    with _asked(stored, "target") as served:
        for target, other in (("v2", "v1"), ("v1", "v2")):
            for one in served:
                one.apply("v1", "v2", target=target)
            for one in served:
                one.wait_serving(target)
            for one in served:
                one.wait_gone(other)
                assert stored.get("deployment", f"{one.name}-{other}")["spec"]["replicas"] == 0
                assert _states(stored.status(one.name)) == {target: "Serving", other: "Parked"}
        before = {one.name: stored.pods(one.name, "v1")[0]["metadata"]["name"] for one in served}
        for one in served:
            one.apply("v1", "v2", target="v1", resources={"requests": {"cpu": "11m"}})
        for one in served:
            stored.wait_ready(one.name)
            wait_for(lambda old=before[one.name]: old not in stored.kubectl("get", "pods", "-o", "name"), "rolled", 60)
            (pod,) = stored.pods(one.name, "v1")
            assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "11m"
            one.kept.wait_for_value("v1")
    for one in served:
        seen = _turns(one.fresh)
        assert seen == ["v1", "v2", "v1"], one.fresh.account()
        one.check_lost(ended=3)


def _spec(
    space: Space, runtime: str, versions: tuple[str, ...], target: str | None, grace: int = GRACE, **fields: Any
) -> dict[str, Any]:
    listed = [{"name": name, "uri": f"s3://{BUCKET}/{runtime}/{name}/"} for name in versions]
    traffic = {"traffic": {"target": target}} if target else {}
    template = {"spec": {"terminationGracePeriodSeconds": grace}}
    return space.spec(runtime, "", versions=listed, template=template, **traffic, **fields)


def _load(space: Space, runtime: str, name: str, *, keep_alive: bool) -> Load:
    if runtime == "triton":
        body = {"inputs": [{"name": letter, "datatype": "INT32", "shape": [4], "data": [0] * 4} for letter in "AB"]}
        url, read = f"{space.url(name)}/v2/models/{name}/infer", lambda found: _version(found["outputs"][0]["data"][0])
    else:
        body, url, read = [0], f"{space.url(name)}/predictions/{name}", lambda found: _version(found["sum"])
    return Load(url, body, read, clients=KEPT, keep_alive=keep_alive)


def _connected(space: Space, pod: dict[str, Any], port: int) -> bool:
    """Whether a client has a connection to a port of a pod (proc_net_tcp(5): state 1 is ESTABLISHED)."""
    table = space.kubectl(
        "exec", pod["metadata"]["name"], "-c", "server", "--", "cat", "/proc/net/tcp", "/proc/net/tcp6"
    )
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in table.splitlines())


def _version(answer: int) -> str:
    return f"v{answer // STEP + 1}"


def _turns(load: Load) -> list[str]:
    """The versions in the order in which they answered, a mix of less than `SPREAD` seconds smoothed."""
    found: list[tuple[str, float]] = []
    for answer in sorted(load.answers, key=lambda answer: answer.started):
        if not found or found[-1][0] != answer.value:
            if len(found) > 1 and found[-2][0] == answer.value and answer.started - found[-1][1] < SPREAD:
                continue
            found.append((answer.value, answer.started))
    return [value for value, _ in found]


def _states(status: dict[str, Any]) -> dict[str, str]:
    return {version["name"]: version["state"] for version in status.get("versions", ())}


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in status["conditions"] if item["type"] == kind)
    return found


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
