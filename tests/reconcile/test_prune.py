"""What the cache keeps of a deleted child, whatever the watch has told while the API server answered."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from pantala.cluster.apply import Writer
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.resources import AUTOSCALER, MODEL, POLICIES
from tests.reconcile.test_cache import OTHER, RESNET, model, names, obj

KIND = "HorizontalPodAutoscaler"


def autoscaler(version: int, uid: str = "first", *, of: str | None = "resnet", going: bool = False) -> dict[str, Any]:
    """An HPA, or one that is deleted and waits for its finalizers."""
    made = obj(KIND, "resnet-v1", version, of, spec={})
    made["metadata"] |= {"uid": uid, "finalizers": ["example.com/slow"]}
    if going:
        made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


class StandinClient:
    """Answers a deletion after the watch has told its news."""

    def __init__(self, answer: dict[str, Any] | None, news: Callable[[], None]) -> None:
        self.answer, self.news = answer, news

    async def delete(self, *_: object) -> dict[str, Any] | None:
        """Let the watch be first."""
        self.news()
        return self.answer


def known() -> Cache:
    """A cache that knows the autoscaler."""
    cache = Cache(lambda _: None, lambda _: None)
    cache.upsert(MODEL, model(1))
    cache.upsert(AUTOSCALER, autoscaler(2))
    return cache


async def prune(cache: Cache, answer: dict[str, Any] | None, *news: Callable[[], None]) -> list[tuple[str, bool]]:
    """Delete it; the autoscalers that are known then, by uid, and whether they are deleted."""

    def tell() -> None:
        for each in news:
            each()

    writer = Writer(cast("Client", StandinClient(answer, tell)), cache)
    await writer.prune([autoscaler(2)])
    seen = cache.observe(RESNET)
    assert seen is not None
    metas = [it["metadata"] for it in seen.children.values()]
    return [(meta["uid"], "deletionTimestamp" in meta) for meta in metas]


async def test_finalizers() -> None:
    """What waits for its finalizers is known as deleted at once, and until the watch says that it is gone."""
    cache = known()
    assert await prune(cache, autoscaler(3, going=True)) == [("first", True)]
    cache.remove(AUTOSCALER, autoscaler(4, going=True))
    assert names(cache) == []


async def test_gone() -> None:
    """What has no finalizers is forgotten with the answer."""
    assert await prune(known(), None) == []


async def test_the_watch_is_faster_than_the_answer() -> None:
    """An answer that comes when the object is gone does not bring it back: no watch would ever remove it again."""
    cache = known()
    gone = partial(cache.remove, AUTOSCALER, autoscaler(4, going=True))
    assert await prune(cache, autoscaler(3, going=True), gone) == []


async def test_the_successor_is_there_before_the_answer() -> None:
    """The answer about the old object changes nothing about the new one of the same name, in either form."""
    for answer in (autoscaler(3, going=True), None):
        cache = known()
        gone = partial(cache.remove, AUTOSCALER, autoscaler(4, going=True))
        there = partial(cache.upsert, AUTOSCALER, autoscaler(5, "second"))
        assert await prune(cache, answer, gone, there) == [("second", False)]


async def test_the_watch_knows_more() -> None:
    """An answer that is older than what the watch brought changes nothing."""
    cache = known()
    cache.upsert(AUTOSCALER, autoscaler(6, going=True))
    assert await prune(cache, autoscaler(3)) == [("first", True)]


async def test_another_model_has_it_meanwhile() -> None:
    """Where somebody labels it for another model while it is deleted, it is that one's alone in the end."""
    cache = known()
    cache.upsert(MODEL, {**model(1), "metadata": {**model(1)["metadata"], "name": "other"}})
    moved = autoscaler(3, of="other", going=True)
    await prune(cache, moved)
    cache.upsert(AUTOSCALER, autoscaler(4, of="other", going=True))
    assert (names(cache), names(cache, OTHER)) == ([], ["resnet-v1"])
    cache.remove(AUTOSCALER, autoscaler(5, of="other", going=True))
    assert names(cache, OTHER) == []


async def test_the_api_is_gone_before_the_answer() -> None:
    """Objects of an optional kind that left meanwhile are not known any more."""
    kind = POLICIES[0]
    cache = Cache(lambda _: None, lambda _: None)
    cache.apis(frozenset({kind}))
    cache.upsert(MODEL, model(1))
    child = {**autoscaler(2), "kind": kind.kind}
    cache.upsert(kind, child)
    client = StandinClient({**autoscaler(3, going=True), "kind": kind.kind}, lambda: cache.apis(frozenset()))
    await Writer(cast("Client", client), cache).prune([child])
    cache.apis(frozenset({kind}))
    assert names(cache) == []
