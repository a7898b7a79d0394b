"""What the cache keeps of autoscalers, and which of their news wake a model."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import AUTOSCALER, MODEL, SCALED_OBJECT
from pantala.manifest.types import Ref
from pantala.planner.observed import SCALED
from tests.reconcile.test_cache import RESNET, model, obj

ACTIVE = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "from pods metric a"}
WITHIN = {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange", "message": "within range"}


def pods(value: str, name: str = "pantala_gpu_utilization") -> dict[str, Any]:
    """What an HPA read of a measure."""
    return {"type": "Pods", "pods": {"metric": {"name": name}, "current": {"averageValue": value}}}


def status(*metrics: dict[str, Any], conditions: tuple[Any, ...] = (ACTIVE, WITHIN), **fields: Any) -> dict[str, Any]:
    """The status of an HPA."""
    base = {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": list(metrics), "conditions": list(conditions)}
    return {**base, **fields}


class News:
    """A cache with one autoscaler, and what it said about each change."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.later: list[Key] = []
        self.version = 2
        self.cache = Cache(self.woken.append, self.woken.append, limits_changed=self.later.append)
        self.cache.upsert(MODEL, model(1))
        self.comes(status(pods("70")))
        self.woken.clear()

    def comes(self, told: dict[str, Any]) -> None:
        """The next status of the autoscaler."""
        self.version += 1
        self.cache.upsert(AUTOSCALER, obj("HorizontalPodAutoscaler", "resnet-v1", self.version, spec={}, status=told))

    @property
    def known(self) -> Any:
        """The autoscaler as it is kept."""
        seen = self.cache.observe(RESNET)
        assert seen is not None
        return seen.children[Ref("HorizontalPodAutoscaler", "vision", "resnet-v1")]


@pytest.fixture
def news() -> News:
    return News()


def test_values_are_kept_and_wake_nobody(news: News) -> None:
    """An autoscaler that looked again and decided the same is no news, but what it read is known."""
    other = {**ACTIVE, "message": "from pods metric b"}
    news.comes(status(pods("72"), conditions=(other, WITHIN)))
    assert (news.woken, news.later) == ([], [])
    assert news.known["status"]["currentMetrics"] == [pods("72")]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(status({"type": ""}), id="a measure is missing"),
        pytest.param(status(pods("70"), pods("3", "pantala_queue_length")), id="a measure came"),
        pytest.param(status(), id="nothing is measured"),
        pytest.param(status(pods("70"), desiredReplicas=2), id="it wants more"),
        pytest.param(status(pods("70"), lastScaleTime="2026-01-02T03:04:05Z"), id="it scaled"),
        pytest.param(status(pods("70"), conditions=({**ACTIVE, "status": "False"}, WITHIN)), id="it fails"),
        pytest.param(status(pods("70"), conditions=({**ACTIVE, "reason": "Other"}, WITHIN)), id="another reason"),
    ],
)
def test_what_matters_wakes(news: News, told: dict[str, Any]) -> None:
    """A measure that comes or goes, a decision and a condition that flips wake the model, once."""
    news.comes(told)
    assert (news.woken, news.later) == ([RESNET], [])


def test_other_words_of_a_refusal_wake(news: News) -> None:
    """Why it fails is told to the user, so other words are news; those of what holds are not."""
    failing = {**ACTIVE, "status": "False", "reason": "FailedGetPodsMetric"}
    news.comes(status({"type": ""}, conditions=({**failing, "message": "no API"}, WITHIN)))
    news.comes(status({"type": ""}, conditions=({**failing, "message": "no metric"}, WITHIN)))
    assert news.woken == [RESNET] * 2


def test_bounds_may_wait(news: News) -> None:
    """A bound that is met or left, which goes back and forth with the load, is told later."""
    limited = {**WITHIN, "status": "True", "reason": "TooManyReplicas"}
    news.comes(status(pods("90"), conditions=(ACTIVE, limited)))
    assert (news.woken, news.later) == ([], [RESNET])


def test_the_moment_of_scaling_is_kept(news: News) -> None:
    """The values by which it decided stay known when it has looked again: those of a moment later say nothing of why."""
    assert SCALED not in news.known["metadata"]
    scaled = status(pods("140"), desiredReplicas=2, lastScaleTime="2026-01-02T03:04:05Z")
    news.comes(scaled)
    news.comes(status(pods("65"), currentReplicas=2, desiredReplicas=2, lastScaleTime="2026-01-02T03:04:05Z"))
    assert news.known["metadata"][SCALED] == scaled
    assert news.known["status"]["currentMetrics"] == [pods("65")]


def test_keda_looks_and_wakes_nobody() -> None:
    """KEDA notes when it last looked and whether a trigger is active: no news; whether it can work is."""
    woken: list[Key] = []
    cache = Cache(woken.append, woken.append)
    cache.apis(frozenset({SCALED_OBJECT}))
    cache.upsert(MODEL, model(1))
    ready = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "fine"}

    def comes(version: int, *conditions: dict[str, str], **fields: Any) -> None:
        cache.upsert(
            SCALED_OBJECT,
            obj("ScaledObject", "resnet-v1", version, spec={}, status={"conditions": list(conditions), **fields}),
        )

    comes(2, ready)
    woken.clear()
    comes(
        3, ready, {"type": "Active", "status": "True"}, {"type": "HPAActive", "status": "False"}, lastActiveTime="now"
    )
    assert woken == []
    comes(4, {**ready, "status": "False", "message": "no such address"})
    assert woken == [RESNET]
