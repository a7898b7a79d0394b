"""Which models claim which hosts, and who hears of it."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import HTTP_ROUTE, MODEL, VIRTUAL_SERVICE
from pantala.planner.observed import Rival

A, B, C = Key("vision", "a"), Key("speech", "b"), Key("speech", "c")
HOST = "models.example.com"
ISTIO = frozenset({VIRTUAL_SERVICE})


class World:
    """A cache, and whom it woke."""

    def __init__(self, allowed: dict[str, tuple[str, ...]] | None = None) -> None:
        self.woken: list[Key] = []
        self.cache = Cache(lambda _: None, self.woken.append, domain="Auto.example.com", allowed_domains=allowed)
        self.cache.apis(ISTIO)
        self.version = 0

    def model(
        self, key: Key, *hosts: str, created: str = "2026-01-01T00:00:00Z", prefix: str | None = None
    ) -> set[Key]:
        """A model claims hosts; who is woken."""
        expose = {"hosts": list(hosts), **({"prefix": prefix} if prefix else {})}
        obj = {"kind": "InferenceModel", "metadata": self.meta(key, created), "spec": {"expose": expose}}
        return self.after(lambda: self.cache.upsert(MODEL, obj))

    def route(self, key: Key, *hosts: str, kind: Any = VIRTUAL_SERVICE) -> set[Key]:
        """The live route of a model has hosts; who else is woken."""
        spec = {"hosts" if kind is VIRTUAL_SERVICE else "hostnames": list(hosts)}
        obj = {"kind": kind.kind, "metadata": self.meta(key), "spec": spec}
        return self.after(lambda: self.cache.upsert(kind, obj)) - {key}

    def meta(self, key: Key, created: str = "") -> dict[str, Any]:
        """Metadata that are newer than all before."""
        self.version += 1
        labels = {"pantala.dev/model": key.name}
        return {
            "name": key.name,
            "namespace": key.namespace,
            "resourceVersion": str(self.version),
            "creationTimestamp": created,
            "labels": labels,
        }

    def after(self, act: Any) -> set[Key]:
        """Who is woken by an action."""
        self.woken.clear()
        act()
        return set(self.woken)

    def rivals(self, key: Key) -> dict[str, tuple[Rival, ...]]:
        """The rivals of a model by host."""
        seen = self.cache.observe(key)
        assert seen is not None
        return dict(seen.rivals)


@pytest.fixture
def world() -> World:
    return World()


def test_alone(world: World) -> None:
    """Who alone claims a host has no rivals, and wakes nobody."""
    assert world.model(A, HOST) == set()
    assert world.model(B, "other.example.com") == set()
    assert world.rivals(A) == world.rivals(B) == {}


def test_rivals_oldest_first(world: World) -> None:
    """Each sees the others, oldest first, with the path of each; hosts are the same whatever their case."""
    world.model(A, HOST, created="2026-01-03T00:00:00Z")
    assert world.model(B, HOST.upper(), created="2026-01-02T00:00:00Z", prefix="/b") == {A}
    assert world.model(C, "more.example.com", HOST, created="2026-01-01T00:00:00Z") == {A, B}
    first = Rival("speech", "c", "2026-01-01T00:00:00Z", "/", holds=False)
    second = Rival("speech", "b", "2026-01-02T00:00:00Z", "/b", holds=False)
    assert world.rivals(A) == {HOST: (first, second)}
    assert list(world.rivals(C)) == [HOST]


def test_who_is_woken(world: World) -> None:
    """The others hear of a claim that changes or goes, and of nothing else that happens to the model."""
    world.model(A, HOST)
    world.model(B, HOST)
    assert world.model(B, HOST) == set()
    assert world.model(B, HOST, prefix="/b") == {A}
    assert world.model(B, "elsewhere.example.com") == {A}
    assert world.rivals(A) == {}
    world.model(B, HOST)
    gone = {"kind": "InferenceModel", "metadata": world.meta(B)}
    assert world.after(lambda: world.cache.remove(MODEL, gone)) == {A}
    world.model(B, HOST)
    assert world.after(lambda: world.cache.drop(B)) == {A}
    assert world.rivals(A) == {}


@pytest.mark.parametrize("kind", [VIRTUAL_SERVICE, HTTP_ROUTE])
def test_holds(world: World, kind: Any) -> None:
    """Whether the live route of a rival has the host is known, and the others hear when that changes, however it comes."""
    world.cache.apis(frozenset({kind}))
    world.model(A, HOST)
    world.model(B, HOST)
    assert world.route(B, HOST, "more.example.com", kind=kind) == {A}
    assert world.rivals(A)[HOST][0].holds
    assert world.route(B, HOST.upper(), kind=kind) == set()
    assert world.route(B, "other.example.com", kind=kind) == {A}
    assert not world.rivals(A)[HOST][0].holds
    spec = {"hosts" if kind is VIRTUAL_SERVICE else "hostnames": [HOST]}
    mine = {"kind": kind.kind, "metadata": world.meta(B), "spec": spec}
    assert world.after(lambda: world.cache.written(kind, mine)) == {A}
    assert world.rivals(A)[HOST][0].holds
    assert world.after(lambda: world.cache.replace(kind, None, [])) == {A, B}
    assert not world.rivals(A)[HOST][0].holds


def test_automatic_host(world: World) -> None:
    """A model without hosts claims its automatic one, which clashes where another of its namespace claims that by hand."""
    near = Key(A.namespace, "near")
    world.model(A)
    assert world.rivals(A) == {}
    assert world.model(B, "a.vision.auto.example.com") == set(), (
        "nobody claims the automatic hosts of another namespace"
    )
    assert world.rivals(A) == {}
    assert world.model(near, "a.vision.auto.example.com") == {A}
    assert list(world.rivals(A)) == ["a.vision.auto.example.com"]
    assert world.model(A, HOST) == {near}
    assert world.rivals(near) == {}


def test_no_automatic_host_without_routes(world: World) -> None:
    """Where no route can be written there are no automatic hosts; they come with the API."""
    near = Key(A.namespace, "near")
    world.cache.apis(frozenset())
    world.model(A)
    world.model(near, "a.vision.auto.example.com")
    assert world.rivals(near) == {}
    world.cache.apis(ISTIO)
    assert list(world.rivals(near)) == ["a.vision.auto.example.com"]


def test_a_thousand_models_of_one_host(world: World) -> None:
    """A host that everybody claims is known for each, and nothing is left behind when all are gone."""
    keys = [Key("many", f"m{number}") for number in range(1000)]
    for key in keys:
        world.model(key, HOST)
    assert len(world.rivals(keys[0])[HOST]) == 999
    for key in keys:
        world.cache.drop(key)
    assert not world.cache._claims._claimants
    assert not world.cache._claims._claims


@pytest.mark.parametrize(
    ("allowed", "clash"),
    [
        ({}, True),
        ({"speech": ("example.com",)}, True),
        ({"speech": (HOST,)}, True),
        ({"*": ("elsewhere.com",), "speech": ("Example.com",), "vision": ("example.com",)}, True),
        ({"speech": ("ls.example.com",)}, False),
        ({"speech": ()}, False),
        ({"*": ("elsewhere.com",), "vision": ("example.com",)}, False),
    ],
)
def test_a_host_that_may_not_be_had(allowed: dict[str, tuple[str, ...]], clash: bool) -> None:  # noqa: FBT001 -- a column
    """Who may not have a host does not claim it, however old: nobody can keep a host from those that may have it."""
    world = World(allowed)
    world.model(B, HOST, created="2020-01-01T00:00:00Z")
    assert world.model(A, HOST) == ({B} if clash else set())
    assert bool(world.rivals(A)) == clash
