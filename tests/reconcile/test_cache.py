"""What the operator knows of the cluster, in whatever order the news of it come."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import CONFIG_MAP, DEPLOYMENT, MODEL, POD

RESNET, OTHER = Key("vision", "resnet"), Key("vision", "other")


def obj(kind: str, name: str, version: int, model: str | None = "resnet", **fields: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "pantala"} | ({"pantala.dev/model": model} if model else {})
    meta = {"name": name, "namespace": "vision", "resourceVersion": str(version), "labels": labels, "uid": name}
    return {"kind": kind, "metadata": meta, **fields}


def model(version: int, uid: str = "1") -> dict[str, Any]:
    meta = {"name": "resnet", "namespace": "vision", "resourceVersion": str(version), "uid": uid}
    return {"kind": "InferenceModel", "metadata": meta}


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def cache(woken: list[Key]) -> Cache:
    cache = Cache(woken.append, woken.append)
    cache.upsert(MODEL, model(1))
    woken.clear()
    return cache


def names(cache: Cache, key: Key = RESNET) -> list[str]:
    seen = cache.observe(key)
    return (
        []
        if seen is None
        else sorted([ref.name for ref in seen.children] + [it["metadata"]["name"] for it in seen.pods])
    )


def test_news_wake(cache: Cache, woken: list[Key]) -> None:
    """A child that appears, changes or goes wakes its model."""
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 2))
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 3, data={"x": "new"}))
    cache.remove(CONFIG_MAP, obj("ConfigMap", "a", 4))
    assert woken == [RESNET] * 3
    assert names(cache) == []


def test_own_writes_are_no_news(cache: Cache, woken: list[Key]) -> None:
    """The answer to a write is known at once; its echo, and what is older, wakes nobody and changes nothing."""
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 5, data={"x": "new"}))
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 5))
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 4, data={"x": "old"}))
    assert woken == []
    seen = cache.observe(RESNET)
    assert seen is not None
    assert next(iter(seen.children.values()))["data"] == {"x": "new"}


def test_the_watch_may_be_ahead_of_the_answer(cache: Cache) -> None:
    """The answer to a write does not replace what a watch has brought since."""
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 6, data={"x": "newer"}))
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 5, data={"x": "new"}))
    seen = cache.observe(RESNET)
    assert seen is not None
    assert next(iter(seen.children.values()))["data"] == {"x": "newer"}


@pytest.mark.parametrize("known", [True, False])
def test_the_watch_may_know_of_the_end_before_the_answer(cache: Cache, *, known: bool) -> None:
    """The answer to a write does not bring back what a watch has seen go since; its successor is known as soon as it comes."""
    if known:
        cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 4))
    cache.remove(CONFIG_MAP, obj("ConfigMap", "a", 6))
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 5))
    assert names(cache) == []
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 7))
    assert names(cache) == ["a"]


def test_a_late_status_does_not_bring_a_model_back(cache: Cache) -> None:
    """The answer to the patch of a status that comes after the end of its model is about nobody."""
    cache.remove(MODEL, model(6))
    cache.written(MODEL, model(5))
    assert cache.observe(RESNET) is None


def test_news_of_others_say_nothing_of_an_answer(cache: Cache) -> None:
    """What a watch told of another kind, or of another namespace, may be newer than what it has yet to tell of this object."""
    elsewhere = obj("ConfigMap", "b", 9)
    elsewhere["metadata"]["namespace"] = "elsewhere"
    cache.upsert(CONFIG_MAP, elsewhere)
    cache.upsert(DEPLOYMENT, obj("Deployment", "c", 9))
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 5))
    assert names(cache) == ["a", "c"]


def test_an_end_does_not_take_the_successor(cache: Cache, woken: list[Key]) -> None:
    """News of the end of an object that come late do not concern the object that has its name since."""
    cache.written(CONFIG_MAP, obj("ConfigMap", "a", 9))
    cache.remove(CONFIG_MAP, obj("ConfigMap", "a", 8))
    assert names(cache) == ["a"]
    cache.upsert(MODEL, model(20, uid="2"))
    cache.remove(MODEL, model(19))
    assert cache.observe(RESNET) is not None
    assert woken == [RESNET]


@pytest.mark.parametrize("now", [None, "other"])
@pytest.mark.parametrize(("resource", "kind"), [(CONFIG_MAP, "ConfigMap"), (POD, "Pod")])
def test_relabelled(cache: Cache, woken: list[Key], resource: Any, kind: str, now: str | None) -> None:
    """An object that loses the label of its model, or gets that of another, is no longer known under the first."""
    cache.upsert(resource, obj(kind, "a", 2))
    woken.clear()
    cache.upsert(resource, obj(kind, "a", 3, now))
    assert names(cache) == []
    assert woken == ([RESNET] if now is None else [RESNET, OTHER])
    cache.remove(resource, obj(kind, "a", 4, now))
    cache.upsert(resource, obj(kind, "a", 5))
    assert names(cache) == ["a"]


def test_a_list_is_the_truth(cache: Cache, woken: list[Key]) -> None:
    """What a list does not hold has gone unseen, in the namespaces of that list, and of that kind."""
    for kind, resource in (("ConfigMap", CONFIG_MAP), ("Deployment", DEPLOYMENT)):
        cache.upsert(resource, obj(kind, "a", 2))
        cache.upsert(resource, obj(kind, "b", 2))
    woken.clear()
    cache.replace(CONFIG_MAP, "elsewhere", [])
    assert woken == []
    cache.replace(CONFIG_MAP, "vision", [obj("ConfigMap", "b", 2)])
    assert names(cache) == ["a", "b", "b"]
    assert woken == [RESNET]
    cache.replace(CONFIG_MAP, None, [])
    assert names(cache) == ["a", "b"]


def test_little_is_kept(cache: Cache) -> None:
    """Of a pod the node and the scheduler are kept of its spec; of a Deployment who owns the number of replicas."""
    cache.upsert(
        POD,
        obj(
            "Pod", "p", 2, spec={"nodeName": "n", "schedulerName": "s", "containers": [1]}, status={"phase": "Running"}
        ),
    )
    fields = [
        {"manager": "pantala", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "kcm", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kcm", "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}},
    ]
    deployment = obj("Deployment", "d", 2, spec={"replicas": 2})
    deployment["metadata"]["managedFields"] = fields
    cache.upsert(DEPLOYMENT, deployment)
    seen = cache.observe(RESNET)
    assert seen is not None
    assert seen.pods[0]["spec"] == {"nodeName": "n", "schedulerName": "s"}
    (kept,) = seen.children.values()
    assert kept["metadata"]["replicasOwners"] == ["kcm"]
    assert "managedFields" not in kept["metadata"]


def test_forgotten_models_leave_nothing(cache: Cache, woken: list[Key]) -> None:
    """A model that is gone, by the watch or by the audit, and its children leave no trace."""
    cache.upsert(CONFIG_MAP, obj("ConfigMap", "a", 2))
    cache.drop(RESNET)
    assert cache.observe(RESNET) is None
    cache.remove(CONFIG_MAP, obj("ConfigMap", "a", 3))
    assert len(cache._objects) == 0
    assert list(cache.keys()) == []
