"""Which figures are told, and how rarely they change."""

import random
from datetime import timedelta
from typing import Any

import pytest

from pantala.api.status import TrafficStatus
from pantala.planner.measured import QUIET, Measurement, fields, merged, remembered, settle, told

MS = timedelta(milliseconds=1)


def steady(seed: int, rate: float, errors: float, polls: int) -> list[dict[str, Measurement]]:
    """What is counted every half a minute of an even load of `rate` requests a second, by chance 80 to 20."""
    chance = random.Random(seed)
    pieces = []
    for _ in range(polls + 10):
        total = max(0, round(chance.gauss(rate * 30, (rate * 30) ** 0.5)))
        second = max(0, round(chance.gauss(total * 0.2, (total * 0.16) ** 0.5)))
        counts = {"v1": total - second, "v2": second}
        pieces.append({k: (n, sum(chance.random() < errors for _ in range(n))) for k, n in counts.items()})
    found = []
    for end in range(10, polls + 10):
        window = pieces[end - 10 : end]
        found.append({k: _measured(chance, *(sum(p[k][i] for p in window) for i in (0, 1))) for k in ("v1", "v2")})
    return found


def _measured(chance: random.Random, requests: int, errors: int) -> Measurement:
    def about(milliseconds: float, samples: float) -> timedelta:
        return chance.gauss(milliseconds, milliseconds * 0.5 / max(samples, 1) ** 0.5) * MS

    return Measurement(requests, errors, about(12, requests / 2), about(30, requests / 100))


def writes(polls: list[dict[str, Measurement]]) -> int:
    """How often the status would be written, asked every half a minute."""
    before: dict[str, Any] = {}
    count, since = 0, None
    for measured in polls:
        fresh = settle(before, measured, {"v1", "v2"}, since)
        since = None if since is None else since + timedelta(seconds=30)
        if fresh != before:
            count, since, before = count + 1, timedelta(seconds=30), fresh
    return count


@pytest.mark.parametrize(
    ("rate", "errors", "most"), [(300, 0.004, 3), (20, 0.004, 6), (2, 0.05, 6), (0.2, 0.1, 6), (0.02, 0.0, 8)]
)
def test_steady_load(rate: float, errors: float, most: int) -> None:
    """Half an hour of an even load, heavy or light, writes the status a few times and not sixty."""
    counts = [writes(steady(seed, rate, errors, 60)) for seed in range(1 if rate > 100 else 10)]
    assert 1 <= max(counts) <= most, counts


def test_changes_are_told() -> None:
    """A share that moves by ten points, errors that begin and latencies that double are told at the next poll."""
    base = {"v1": Measurement(8000, 8, 12 * MS, 30 * MS), "v2": Measurement(2000, 2, 12 * MS, 30 * MS)}
    before = settle({}, base, base)
    for news in (
        {"v1": Measurement(7000, 7, 12 * MS, 30 * MS), "v2": Measurement(3000, 3, 12 * MS, 30 * MS)},
        base | {"v2": Measurement(2000, 100, 12 * MS, 30 * MS)},
        base | {"v2": Measurement(2000, 2, 24 * MS, 30 * MS)},
        base | {"v2": Measurement(2000, 2, 12 * MS, 90 * MS)},
        base | {"v2": Measurement(2000, 2, 12 * MS, None)},
        {"v1": base["v1"]},
        {},
    ):
        assert settle(before, news, base) == fields(news, base) != before
        assert settle(before, news, base, QUIET) != before
        assert settle(before, news, base, QUIET - MS) == before


def test_small_moves_are_not_told() -> None:
    """A move of a point, or of less than a tenth, is none."""
    base = {"v1": Measurement(80_000, 800, 100 * MS, 300 * MS), "v2": Measurement(20_000, 200, 100 * MS, 300 * MS)}
    near = {"v1": Measurement(79_000, 850, 105 * MS, 320 * MS), "v2": Measurement(21_000, 210, 95 * MS, 290 * MS)}
    before = settle({}, base, base)
    assert settle(before, near, base) == before


def test_form() -> None:
    """The fields are as the resource documents them: two digits, one decimal of errors, durations."""
    found = fields({"v1": Measurement(1234.6, 4.94, 12.4 * MS, 1337 * MS), "v2": Measurement(0)}, {"v1", "v2"})
    assert found == {
        "v1": {"observed": 100, "measured": {"requests": 1200, "errorPercent": "0.4", "p50": "12ms", "p99": "1s300ms"}},
        "v2": {"observed": 0, "measured": {"requests": 0}},
    }
    for name, one in found.items():
        TrafficStatus.model_validate({"version": name, **one})


def test_extremes() -> None:
    """More errors than requests, latencies of microseconds and of days, and three requests have a form as well."""
    found = fields({"v1": Measurement(3.2, 99, 0.2 * MS, timedelta(days=3))}, ())
    assert found == {"v1": {"measured": {"requests": 3, "errorPercent": "100.0", "p50": "1ms", "p99": "72h13m20s"}}}


def test_observed_makes_a_hundred() -> None:
    """Observed percents of the versions with a share make 100; a shadow, a version by rule alone, and an idle model have none."""
    three = {name: Measurement(1) for name in ("v1", "v2", "v3")}
    found = fields(three | {"shadow": Measurement(50, 50)}, {"v1", "v2", "v3"})
    assert sorted(one["observed"] for name, one in found.items() if name != "shadow") == [33, 33, 34]
    assert "observed" not in found["shadow"]
    assert "observed" not in fields({"v1": Measurement(0)}, {"v1"})["v1"]


def test_remembered() -> None:
    """After a restart the figures of the status stand for what is not measured yet, and make the same status."""
    chance = random.Random(7)
    for _ in range(300):
        requests = chance.choice([0, 1, 9, 57, 1234, 987_654])
        one = Measurement(
            requests, chance.uniform(0, requests), chance.uniform(0, 9e4) * MS, chance.uniform(0, 9e6) * MS
        )
        status = [{"version": "v1", "asked": 100, **fields({"v1": one}, {"v1"})["v1"]}, {"version": "v2", "asked": 0}]
        before = told(status)
        assert before.keys() == {"v1"}
        assert fields(remembered(before), {"v1"}) == before


def test_merged() -> None:
    """The entries of the status get their figures, keep them while there is no news, and a version that went leaves none."""
    entries: list[dict[str, Any]] = [
        {"version": "v1", "asked": 80, "configured": 80},
        {"version": "v2", "asked": 20, "configured": 0},
        {"version": "v3", "mirror": 100},
    ]
    base = {"v1": Measurement(8000, 8, 12 * MS, 30 * MS), "v2": Measurement(2000), "v3": Measurement(10_000, 500)}
    first = merged(entries, base, ())
    assert [one.get("observed") for one in first] == [80, 20, None]
    for one in first:
        TrafficStatus.model_validate(one)
    assert merged(entries, base | {"v1": Measurement(8020, 8, 12 * MS, 30 * MS)}, first) == first
    assert [one.get("observed") for one in merged(entries[:1], base, first)] == [100]
    assert merged(entries, {}, first) == entries
