"""Routes of Istio and of the Gateway API, counted at real Triton pods behind a real Envoy, and in their clients' answers."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.process import wait_for
from tests.e2e.mesh.counting import MOODY, Counted, near, operating, store_moody
from tests.e2e.mesh.crowd import Crowd
from tests.e2e.mesh.support import LEARNS, exposed
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

MANY = 1000
"""Requests whose shares are counted."""
SOME = 500
"""Requests of which all have to go one way."""
KEEP = 8
"""Seconds for which the version before keeps its replicas."""
TESTER = {"name": "x-tester", "value": "yes"}


@pytest.fixture(scope="module", params=["istio", "gateway-api"])
def who(request: pytest.FixtureRequest) -> str:
    """Who routes."""
    return str(request.param)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, mesh: Mesh, who: str) -> Iterator[Operator]:
    """The operator, told who routes."""
    with operating(cluster, "--mesh", who) as process:
        yield process


@pytest.fixture(scope="module")
def counted(stored: Space, mesh: Mesh, who: str) -> Iterator[Counted]:
    """A model of Triton with versions v1 to v3, and one that is slow or fails as a request wants it."""
    store_moody(stored)
    with exposed(stored, mesh, "triton", "counted") as model:
        yield Counted(model, api=who == "gateway-api")


def told(status: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What a status says of the shares and copies of versions."""
    kinds = ("asked", "configured", "mirror")
    return {it["version"]: {kind: it[kind] for kind in kinds if kind in it} for it in status["traffic"]}


@pytest.mark.parametrize("split", [{"v1": 50, "v2": 30, "v3": 20}, {"v1": 80, "v2": 20}], ids=["50-30-20", "80-20"])
def test_split(counted: Counted, split: dict[str, int]) -> None:
    """Each version gets its share of a thousand requests, and what clients got is what the servers counted."""
    status = counted.route("v1", "v2", "v3", split=split)
    shown = {name: {"asked": weight, "configured": weight} for name, weight in split.items()}
    assert {name: found for name, found in told(status).items() if name in split} == shown
    before = counted.served()
    answers = counted.ask(MANY)
    arrived = counted.settled(before, MANY)
    print(f"{split}: answers {dict(answers)}, at the servers {dict(arrived)}")
    assert answers == arrived
    assert set(answers) == set(split)
    assert all(near(answers[name], MANY, weight) for name, weight in split.items()), answers


@pytest.mark.parametrize("percent", [100, 25])
def test_mirror(counted: Counted, percent: int) -> None:
    """All answers are of the version with the traffic; the mirror gets copies of all requests, or of a quarter."""
    mirrors = [{"version": "v2", "percent": percent}]
    status = counted.route("v1", "v2", target="v1", mirrors=mirrors, shows=["request_mirror_policies"])
    assert told(status)["v2"]["mirror"] == percent
    assert told(status)["v1"] == {"asked": 100, "configured": 100}
    counted.settled(Counter())  # copies of the requests before
    before = counted.served()
    answers = counted.ask(MANY)
    arrived = counted.settled(before, MANY + (MANY if percent == 100 else 0))
    print(f"mirror of {percent} %: answers {dict(answers)}, at the servers {dict(arrived)}")
    assert answers == {"v1": MANY}
    assert arrived["v1"] == MANY
    assert arrived["v2"] == MANY if percent == 100 else near(arrived["v2"], MANY, percent)


def test_rules(counted: Counted) -> None:
    """A header and a prefix each lead all of their requests to their versions; all others get the first."""
    prefix = f"/v2/models/{counted.model.name}/versions"
    rules = [
        {"name": "testers", "headers": [TESTER], "version": "v2"},
        {"name": "numbered", "prefix": prefix, "version": "v3"},
    ]
    counted.route("v1", "v2", "v3", target="v1", rules=rules, shows=[TESTER["name"], prefix])
    kind = "httproute" if counted.api else "virtualservice"
    live = json.dumps(counted.model.space.get(kind, counted.model.name))
    assert '"rule.testers"' in live
    assert '"rule.numbered"' in live
    before = counted.served()
    answers = (
        counted.ask(SOME, headers={"x-tester": "yes"}),
        counted.ask(SOME, path="/versions/1/infer"),
        counted.ask(SOME, path="/versions/1/infer", headers={"x-tester": "yes"}),
        counted.ask(SOME, headers={"x-tester": "no"}),
    )
    arrived = counted.settled(before, 4 * SOME)
    print(f"header {dict(answers[0])}, prefix {dict(answers[1])}, both {dict(answers[2])}, none {dict(answers[3])}; "
          f"at the servers {dict(arrived)}")  # fmt: skip
    assert answers == ({"v2": SOME}, {"v3": SOME}, {"v2": SOME}, {"v1": SOME})
    assert arrived == {"v1": SOME, "v2": 2 * SOME, "v3": SOME}


def test_timeout(counted: Counted) -> None:
    """Quick requests are answered, and one of two seconds with a timeout of half a second ends in 504, on time."""
    counted.route("v1", MOODY, target=MOODY)
    assert counted.ask(1, 1500) == {"v0": 1}, "without a timeout it takes as long as it takes"
    counted.route("v1", MOODY, target=MOODY, timeout="500ms", shows=["0.500s"])
    assert counted.ask(SOME, 1) == {"v0": SOME}
    began = time.monotonic()
    assert counted.ask(1, 2000) == {"504": 1}
    assert 0.45 <= time.monotonic() - began < 1.9  # Envoy counts from the time of its event loop, 1 ms early was seen


def test_retries(counted: Counted, who: str) -> None:
    """What a server answers with 503 is asked again as often as the user wants, by default never; the servers count it."""
    model = counted.model
    counted.route("v1", MOODY, target=MOODY)
    assert _failures(counted) == SOME
    traffic = {"target": MOODY, "retries": {"attempts": 2, "retryOn": "503"}}
    if who == "gateway-api":
        model.apply("v1", MOODY, **traffic)
        refused = model.space.wait_condition(model.name, "TrafficReady", "False", "NotSupported")
        assert "traffic.retries" in refused["message"]
        assert counted.ask(SOME) == {"v0": SOME}, "the route stays as it is"
        return
    counted.route("v1", MOODY, **traffic, shows=["retriable_status_codes"])
    assert _failures(counted) == 3 * SOME


def _failures(counted: Counted) -> int:
    """How often the server has answered until all of so many clients have got its 503."""
    before = counted.served()
    assert counted.ask(SOME, -1) == {"503": SOME}
    return counted.settled(before, SOME)[MOODY]


def test_pages_of_other_origins(counted: Counted) -> None:
    """Scripts of the origin may ask with cookies and read the header that was named; those of others may not."""
    origin = "https://app.example.com"
    cors = {"allowOrigins": [origin], "allowCredentials": True, "exposeHeaders": ["x-request-id"]}
    counted.route("v1", target="v1", cors=cors, shows=["app.example.com"])
    found = counted.headers(origin)
    assert found["access-control-allow-origin"] == origin
    assert found["access-control-allow-credentials"] == "true"
    assert found["access-control-expose-headers"].lower() == "x-request-id"
    assert not [name for name in counted.headers("https://evil.example.com") if name.startswith("access-control-")]


def test_a_target_moves_when_it_is_ready(counted: Counted) -> None:
    """The new one answers nobody before it is ready, then everybody; the old one is Idle, and parked after keepStable.

    The same where the only version is replaced by one that is new. No request is lost meanwhile.
    """
    model, keep = counted.model, {"keepStable": f"{KEEP}s"}
    counted.route("v1", "v4", target="v1", rollout=keep)
    assert model.space.pods(model.name, "v4") == []
    with Crowd(counted.load(keep_alive=True), counted.load(keep_alive=False)) as crowd:
        crowd.step("v4 as the target")
        model.apply("v1", "v4", target="v4", rollout=keep)
        moved, ready = _wait_moved(counted, "v4"), _ready_since(counted, "v4")
        wait_for(lambda: _state(counted, "v1") == "Idle", "v1 is Idle", 20)
        assert len(model.space.pods(model.name, "v1")) == 1
        wait_for(lambda: _state(counted, "v1") == "Parked", "v1 is Parked", 60)
        parked = time.time()
        wait_for(lambda: model.space.pods(model.name, "v1") == [], "v1 has no pod", 20)
        crowd.step("v3 in place of all")
        model.apply("v3", target="v3", rollout=keep)
        again, ready_again = _wait_moved(counted, "v3"), _ready_since(counted, "v3")
        wait_for(lambda: model.space.pods(model.name, "v4") == [], "v4 has no pod", 60)
        gone = time.time()
    print(f"{crowd.account()}\nin the route {moved - ready:.1f} and {again - ready_again:.1f} s after ready; "
          f"parked {parked - moved:.1f} s after, gone {gone - again:.1f} s after")  # fmt: skip
    assert crowd.lost == 0
    assert set(crowd.values(moved + LEARNS)) == {"v4", "v3"}
    assert set(crowd.values(again + LEARNS)) == {"v3"}
    for version, since in (("v4", ready), ("v3", ready_again)):
        assert min(it.started for load in crowd.loads for it in load.by_value()[version]) >= since
    # idleSince is a whole second
    assert min(parked - moved, gone - again) >= KEEP - 1


def _wait_moved(counted: Counted, version: str) -> float:
    """Wait until Envoy leads all requests to a version; when that was."""
    model = counted.model
    wait_for(lambda: model.weights(api=counted.api) == {version: 100}, f"{version} has all in Envoy", 120, every=0.02)
    return time.time()


def _ready_since(counted: Counted, version: str) -> float:
    """When the only pod of a version became ready, rounded down to whole seconds."""
    (pod,) = counted.model.space.pods(counted.model.name, version)
    (since,) = [it["lastTransitionTime"] for it in pod["status"]["conditions"] if it["type"] == "Ready"]
    return datetime.fromisoformat(since).timestamp()


def _state(counted: Counted, version: str) -> str:
    """What the status says of a version."""
    found = counted.model.space.status(counted.model.name)["versions"]
    return next((str(it["state"]) for it in found if it["name"] == version), "")
