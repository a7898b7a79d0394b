"""The offline check against the real API server, on resources that nobody thought of."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from kubernetes.config import new_client_from_config

from pantala.api.check import check
from tests.apiserver.models import BAD, DATA, Api, causes, load
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver

COUNT = 1600
SEED = 20260101
ODD = ["", 0, -1, "x", True, None, [], {}, "9" * 300, 1 << 40, "100%", "0", "\n", "1.5", "5m", "99999h99999h"]
ODD += ["s3://b", "s3://bucket/é", "http://a/b?c", "pvc://c", "a b", "a/../b"]
ODD += ["::ffff:1.2.3.4/64", "1.2.3.4/255.0.0.0", "fe80::1%eth0", "1.2.3.4/08", "/a/..", "Host", "1e3", "0s"]
Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """The place of every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def at(value: Any, path: Place) -> Any:
    """The value at a place."""
    for key in path:
        value = value[key]
    return value


def general(path: Place) -> Place:
    """A place, whatever the item of the list."""
    return tuple("[]" if isinstance(key, int) else key for key in path)


class Mutator:
    """Changes good resources by what others hold, and by what nobody should write."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.good = [load(path) for path in sorted((DATA / "good").glob("*.yaml"))]
        self.pool: dict[Place, list[Any]] = {}
        for obj in [*self.good, *map(load, BAD)]:
            for path in places(obj["spec"]):
                self.pool.setdefault(general(path), []).append(at(obj["spec"], path))
        self.blocks = [path for path in self.pool if "[]" not in path]

    def make(self) -> Any:
        """A good resource with one to three changes."""
        obj = deepcopy(self.random.choice(self.good))
        for _ in range(self.random.choice([1, 1, 2, 3])):
            if found := list(places(obj["spec"])):
                self.change(obj["spec"], self.random.choice(found))
        return obj

    def change(self, spec: Any, path: Place) -> None:
        """Remove a value, replace it by that of another resource or by an odd one, or add a block."""
        holder, kind = at(spec, path[:-1]), self.random.random()
        if kind < 0.25:
            del holder[path[-1]]
        elif kind < 0.6:
            holder[path[-1]] = deepcopy(self.random.choice(self.pool.get(general(path), ODD)))
        elif kind < 0.8:
            holder[path[-1]] = deepcopy(self.random.choice(ODD))
        else:
            block = self.random.choice(self.blocks)
            try:
                at(spec, block[:-1])[block[-1]] = deepcopy(self.random.choice(self.pool[block]))
            except (KeyError, TypeError, IndexError):
                spec["paused"] = True  # there is nothing to add it to


def test_same_verdicts(api: Api) -> None:
    """On hundreds of mutated resources, the server and the offline check blame the same fields in the same words."""
    mutator, refused = Mutator(SEED), 0
    for number in range(COUNT):
        obj = mutator.make()
        answer = api.create(obj)
        found = causes(answer) if answer["kind"] == "Status" else []
        refused += bool(found)
        mine = check(obj)
        assert sorted(problem.path for problem in mine) == sorted(path for path, _ in found), (number, obj)
        for problem in mine:
            assert any(path == problem.path and text.endswith(problem.message) for path, text in found), (number, obj)
    assert COUNT / 4 < refused < COUNT


def test_same_verdicts_on_the_oldest_server(api_server_1_31: Cluster) -> None:
    """The oldest supported API server accepts and refuses the same resources; its words for bounds differ."""
    with new_client_from_config(str(api_server_1_31.kubeconfig)) as client:
        api = Api(client)
        api.install()
        mutator = Mutator(SEED)
        for number in range(COUNT):
            obj = mutator.make()
            refused = api.create(obj)["kind"] == "Status"
            assert refused == bool(check(obj)), (number, obj)
