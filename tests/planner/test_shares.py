"""Which version gets which share, as versions come and go."""

import random
from datetime import timedelta

import pytest

from pantala.manifest.percents import percents
from pantala.planner.shares import RETURN, Shares, Standing, lasting, shares, standing
from tests.planner.world import NOW, ready_pod

LONG = Standing(ready=True, since=NOW - timedelta(hours=1), rolled_out=True)
JUST = Standing(ready=True, since=NOW - timedelta(seconds=5), rolled_out=True)
NEW = Standing(ready=True, since=NOW - timedelta(seconds=2), rolled_out=True)
PARTLY = Standing(ready=True, since=NOW - timedelta(hours=1), rolled_out=False)
DOWN = Standing(ready=False, since=None, rolled_out=False)
SPLIT = {"v1": 80, "v2": 20}


@pytest.mark.parametrize(
    ("asked", "live", "known", "found"),
    [
        pytest.param(SPLIT, SPLIT, {"v1": LONG, "v2": LONG}, Shares(SPLIT), id="all is well"),
        pytest.param(SPLIT, SPLIT, {"v1": LONG, "v2": DOWN}, Shares({"v1": 100}), id="leaves at once"),
        pytest.param(SPLIT, {"v1": 100}, {"v1": LONG, "v2": JUST}, Shares({"v1": 100}, 10.0), id="comes back later"),
        pytest.param(SPLIT, {"v1": 100}, {"v1": LONG, "v2": LONG}, Shares(SPLIT), id="is back"),
        pytest.param(SPLIT, SPLIT, {"v1": LONG, "v2": JUST}, Shares(SPLIT), id="stays where it was never away"),
        pytest.param(SPLIT, SPLIT, {"v1": DOWN, "v2": DOWN}, Shares(SPLIT), id="none is ready: as before"),
        pytest.param(SPLIT, {"v2": 100}, {"v1": DOWN, "v2": DOWN}, Shares({"v2": 100}), id="none: the last shares"),
        pytest.param(SPLIT, {}, {"v1": DOWN, "v2": DOWN}, Shares(SPLIT), id="none, no route yet"),
        pytest.param(SPLIT, None, {}, Shares(SPLIT), id="nothing is there"),
        pytest.param(
            SPLIT, {"v1": 100}, {"v1": DOWN, "v2": JUST}, Shares({"v2": 100}, 10.0), id="better new than none"
        ),
        pytest.param({"v2": 100}, {"v1": 100}, {"v1": LONG, "v2": PARTLY}, Shares({"v1": 100}), id="not rolled out"),
        pytest.param(
            {"v2": 100}, {"v1": 100}, {"v1": LONG, "v2": JUST}, Shares({"v2": 100}), id="rolled out and known"
        ),
        pytest.param({"v2": 100}, {"v1": 100}, {"v1": LONG, "v2": NEW}, Shares({"v1": 100}, 3.0), id="hardly known"),
        pytest.param({"v2": 100}, {"v1": 100}, {"v1": DOWN, "v2": NEW}, Shares({"v2": 100}), id="better hardly known"),
        pytest.param({"v2": 100}, None, {"v2": NEW}, Shares({"v2": 100}), id="the first one"),
        pytest.param({"v2": 100}, {"v1": 100}, {"v1": DOWN, "v2": PARTLY}, Shares({"v2": 100}), id="old one is dead"),
        pytest.param({"v2": 100}, SPLIT, {"v1": LONG, "v2": LONG}, Shares({"v2": 100}), id="from shares to one"),
        pytest.param({"v3": 100}, SPLIT, {"v1": LONG, "v2": LONG, "v3": DOWN}, Shares(SPLIT), id="shares until ready"),
        pytest.param(
            {"v3": 100}, SPLIT, {"v1": DOWN, "v2": LONG, "v3": DOWN}, Shares({"v2": 100}), id="old shares, as ready"
        ),
        pytest.param(SPLIT, {"v9": 100}, {"v1": LONG, "v2": LONG}, Shares(SPLIT), id="a version that is gone"),
        pytest.param(
            {"v1": 50, "v2": 30, "v3": 20},
            {"v1": 50, "v2": 30, "v3": 20},
            {"v1": LONG, "v2": DOWN, "v3": LONG},
            Shares({"v1": 71, "v3": 29}),
            id="the rest in proportion",
        ),
    ],
)
def test_table(asked: dict[str, int], live: dict[str, int] | None, known: dict[str, Standing], found: Shares) -> None:
    """Each state of the versions gives exactly these shares, and this time to look again."""
    assert shares(asked, live, known, NOW) == found


def test_where_nobody_has_to_learn() -> None:
    """Without a mesh a version that is rolled out takes over at once."""
    known = {"v1": LONG, "v2": NEW}
    assert shares({"v2": 100}, {"v1": 100}, known, NOW, timedelta()) == Shares({"v2": 100})
    known["v2"] = Standing(ready=True, since=NOW, rolled_out=False)
    assert shares({"v2": 100}, {"v1": 100}, known, NOW, timedelta()) == Shares({"v1": 100})


def test_never_to_one_that_is_not_ready() -> None:
    """Whatever was before: while any version that counts is ready, none that is not gets a request; shares make 100."""
    draw = random.Random(6)
    for _ in range(3000):
        names = [f"v{number}" for number in range(draw.randint(1, 4))]
        asked = percents({name: draw.randint(2, 100) for name in draw.sample(names, draw.randint(1, len(names)))})
        live = percents({name: draw.randint(2, 100) for name in draw.sample(names, draw.randint(1, len(names)))})
        known = {name: draw.choice([LONG, JUST, NEW, PARTLY, DOWN]) for name in names}
        made = shares(asked, draw.choice([live, {}, None]), known, NOW)
        assert sum(made.configured.values()) == 100
        if any(known[name].ready for name in asked):
            assert all(known[name].ready for name in made.configured), (asked, live, known, made)
        # What is configured is stable: the next pass, in the same world, decides the same.
        again = shares(asked, made.configured, known, NOW)
        assert again.configured == made.configured, (asked, live, known)


def test_extras_wait() -> None:
    """Rules and copies begin when their version has been ready for a while; the time to look again is told."""
    assert lasting(["v1", "v2", "v3", "v4"], {"v1": LONG, "v2": JUST, "v3": DOWN}, NOW) == (frozenset({"v1"}), 10.0)
    assert timedelta(seconds=15) == RETURN


def test_standing_outlives_single_pods() -> None:
    """A version whose pods are replaced one by one has been ready for as long as its Deployment was available."""
    pods = (ready_pod("v1", 4),)
    assert standing(None, pods).since is not None
    available = {"type": "Available", "status": "True", "lastTransitionTime": "2026-01-02T02:00:00Z"}
    live = {"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {"conditions": [available]}}
    found = standing(live, pods)
    assert (found.since, found.rolled_out) == (NOW.replace(hour=2, minute=0, second=0), False)
    assert standing(live, ()) == Standing(ready=False, since=None, rolled_out=False)


@pytest.mark.parametrize(("replicas", "away", "known"), [(1, 0, True), (1, 1, False), (2, 1, True), (2, "100%", False)])
def test_available_may_mean_none(replicas: int, away: int | str, known: bool) -> None:  # noqa: FBT001 -- a column
    """Where all replicas may be away at a time, the Deployment stays Available without any: then the oldest pod counts."""
    deployment = {
        "metadata": {},
        "spec": {"replicas": replicas, "strategy": {"rollingUpdate": {"maxUnavailable": away}}},
        "status": {
            "conditions": [{"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        },
    }
    since = standing(deployment, (ready_pod("v1"),)).since
    assert since is not None
    assert (since.day == 1) == known
