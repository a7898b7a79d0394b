"""What breaks between a store, daemons and nodes ends in the right file or in a clear word on the model.

Everything is broken for real: daemons and the scheduler's stand-in are killed, a disk is full, a proxy in front of the
real store answers as bad stores do. In the end each server's own file is held against the store's. The stories of one
object are told at once; those that take a whole daemon away one after the other, beside them.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.addons.faults import Rule
from tests.cluster.process import wait_for
from tests.e2e.p2p.space import PeerSpace, total
from tests.e2e.stories import Story, Watch, telling
from tests.e2e.support import BUCKET, SECRET

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

MIB = 1 << 20
SIZE = 24 * MIB
FILE = "weights.bin"
SHORT = {"mode": "Dragonfly", "fallbackAfter": "5s"}
"""Falls back as users want, only sooner."""

Scenario = Callable[["Broken"], None]
STORIES: dict[str, Scenario] = {}


def story(function: Scenario) -> Scenario:
    """Note a story under its name."""
    STORIES[function.__name__.replace("_", "-")] = function
    return function


@dataclass
class Broken(Story):
    """A story of one model of one file, by default on node 0."""

    space: PeerSpace
    content: bytes = b""
    """What the file must be in the end."""

    def store(self) -> bytes:
        """Store other weights than any other story's."""
        self.content = os.urandom(SIZE)
        self.put(FILE, self.content)
        return self.content

    def rule(self, **fields: Any) -> Rule:
        """Break reads of the weights."""
        return self.space.origin.add(Rule(path=f"^/{BUCKET}/{self.name}/{FILE}$", method="GET", **fields))

    def given(self) -> int:
        """Bytes of the weights that the store gave."""
        return self.space.origin.given(f"^/{BUCKET}/{self.name}/{FILE}$")

    def start(self, node: int = 0, **fields: Any) -> None:
        """Apply the model."""
        uri = f"s3://{BUCKET}/{self.name}/{FILE}"
        place = {"template": self.space.on(node), "versions": [{"name": "v1", "uri": uri}]}
        self.mending()
        self.apply(**{"distribution": SHORT, **place, **fields})

    def right(self) -> list[dict[str, Any]]:
        """Wait until the model answers; its file is the store's, all of it is accounted for. Return the ledger."""
        self.healed()
        wait_for(lambda: len(self.space.pods(self.name)) == 1, "the pod before is on its way out", 60, every=0.2)
        checksum = hashlib.sha256(self.content).hexdigest()
        assert set(self.space.sha256(self.name, FILE).values()) == {checksum}
        replicas = self.space.ledger(self.name)
        for one in replicas:
            assert sum(one["bytes"].values()) >= SIZE
        return replicas


# One object.


@story
def refused(at: Broken) -> None:
    """The store answers 403 to reads, through the daemon and past it, until somebody grants them."""
    at.store()
    rule = at.rule(status=403, code="AccessDenied")
    at.start()
    at.told("WeightsDenied", at.name, "AccessDenied|403", "storage.secretRef")
    at.mending()
    rule.times = 0
    at.right()


@story
def vanished(at: Broken) -> None:
    """The object is listed, and reads of it are answered with 404 until it is there again."""
    at.store()
    rule = at.rule(status=404, code="NoSuchKey")
    at.start()
    seen = at.watch.wait(
        at.space.namespace, at.name, at.applied, "a reason", lambda seen: _reason(seen) not in {"", "Starting"}, 120
    )
    assert _reason(seen) in {"WeightsNotFound", "WeightsChanged"}
    at.mending()
    rule.times = 0
    at.right()


@story
def throttled(at: Broken) -> None:
    """The store asks for patience a few times (429): that is waited out, and nobody has to do anything."""
    at.store()
    rule = at.rule(status=429, code="TooManyRequests", times=8)
    at.start()
    at.right()
    assert rule.hits == 8


@story
def throttled_for_long(at: Broken) -> None:
    """The store goes on asking for patience: the model says that it does not give its weights, and goes on by itself."""
    at.store()
    rule = at.rule(status=429, code="TooManyRequests")
    at.start()
    at.told("StoreUnavailable", at.name, stalled=False)
    at.mending()
    rule.times = 0
    at.right()


@story
def cut_short(at: Broken) -> None:
    """Answers of the store end too early: the pieces are asked for again."""
    at.store()
    rule = at.rule(truncate=MIB, times=3)
    at.start()
    at.right()
    assert rule.hits == 3


@story
def corrupted(at: Broken) -> None:
    """A byte changes on the way to the daemon: the digest tells, and the daemon's copy is not asked for again."""
    digest = hashlib.sha256(at.store()).hexdigest()
    rule = at.rule(corrupt=True, times=1)
    uri = f"s3://{BUCKET}/{at.name}/{FILE}"
    at.start(versions=[{"name": "v1", "uri": uri, "digest": f"sha256:{digest}"}])
    at.right()
    assert rule.hits == 1
    assert at.given() > SIZE


@story
def overwritten(at: Broken) -> None:
    """The object is replaced between two pieces: no mixture of both is served, but the new one whole."""
    at.store()
    new = os.urandom(SIZE)
    rule = at.rule(skip=2, times=1, call=lambda: at.put(FILE, new))
    at.start()
    at.content = new
    at.right()
    assert rule.hits == 1


@story
def two_tenants(at: Broken) -> None:
    """Two namespaces read one URL with different keys: each reads the store. A new key is a miss, and no error."""
    at.store()
    other = Broken(_neighbour(at, "next"), at.watch, at.folder, at.name, content=at.content)
    for one in (at, other):
        one.start()
    for one in (at, other):
        (replica,) = one.right()
        assert replica["bytes"]["origin"] == SIZE
    assert at.given() == 2 * SIZE
    other.space.apply_object(_secret(at, other.space.namespace, "two"))
    (pod,) = other.space.pods(at.name)
    other.mending()
    other.space.kubectl("delete", "pod", pod["metadata"]["name"])
    other.space.wait(at.name, "another pod", lambda found: _other_pod(found, pod["metadata"]["name"]), 60)
    (replica,) = other.right()
    assert replica["bytes"]["origin"] == SIZE
    assert at.given() == 3 * SIZE


@story
def nobody_has_it(at: Broken) -> None:
    """With `fallback: Fail` and no seed nobody may read the store: the model says so, until a seed comes."""
    at.store()
    at.start(distribution={"mode": "Dragonfly", "fallback": "Fail"})
    at.told("PeersUnavailable", at.name, "fallback: Fail|seed", stalled=False)
    assert at.given() == 0
    with at.space.peers.seed():
        at.mending()
        (replica,) = at.right()
        assert replica["bytes"]["peer"] == SIZE
    assert at.given() == SIZE


@story
def forbidden_socket(at: Broken) -> None:
    """A namespace forbids hostPath: the model says so with the remedies. The daemons' HTTP proxy is one; peers share."""
    at.store()
    other = Broken(_neighbour(at, "walled"), at.watch, at.folder, at.name, content=at.content)
    level = "pod-security.kubernetes.io/enforce=baseline"
    at.space.cluster.kubectl("label", "namespace", other.space.namespace, level)
    other.start()
    other.told("PodSecurity", "hostPath", "distribution.proxy", "distribution.mode: Direct")
    other.change(distribution={"mode": "Dragonfly", "proxy": {}})
    other.right()
    other.change(template=at.space.on(1))
    other.space.wait_ready(other.name)  # what the watch saw last may be older than the change
    other.right()
    assert at.given() <= SIZE + 2  # each daemon asks for one byte to learn the size


def _reason(seen: Any) -> str:
    return str(seen.condition("Ready").get("reason", "")) if seen.fresh else ""


def _other_pod(status: dict[str, Any], old: str) -> bool:
    replicas = next(iter(status.get("versions", [{}]))).get("replicas", ())
    return any(one["pod"] != old and "ready" in one for one in replicas)


def _neighbour(at: Broken, name: str) -> PeerSpace:
    """Another namespace, with keys of its own for the same store."""
    own = at.space
    namespace = f"{own.namespace}-{name}"
    own.cluster.kubectl("create", "namespace", namespace)
    found = PeerSpace(own.cluster, own.s3, namespace, own.origin, own.peers)
    found.apply_object(_secret(at, namespace, name))
    return found


def _secret(at: Broken, namespace: str, key: str) -> dict[str, Any]:
    keys = at.space.s3.add_key(f"AKIA{key.upper():0<16}", f"secret-of-{key}-{time.monotonic_ns()}")
    metadata = {"name": SECRET, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys}


@pytest.fixture(scope="module")
def watch(peer_space: PeerSpace) -> Iterator[Watch]:
    """One reader of all models."""
    started = Watch(peer_space.cluster.kubeconfig)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def begin(peer_space: PeerSpace, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Broken]:
    """Begin a story under a name."""
    folder = tmp_path_factory.mktemp("stories")
    return lambda name: Broken(peer_space, watch, folder, name)


@pytest.fixture(scope="module")
def told(begin: Callable[[str], Broken]) -> Iterator[dict[str, Future[None]]]:
    """The stories of one object, all begun."""
    with telling({name: lambda name=name, tale=tale: tale(begin(name)) for name, tale in STORIES.items()}) as results:
        yield results


# A whole daemon, beside the others.


@pytest.mark.usefixtures("told")
def test_a_node_without_a_daemon(begin: Callable[[str], Broken], peer_space: PeerSpace) -> None:
    """The fetcher finds no socket, reads the store itself, and both ledger and condition say so.

    With `fallback: Fail` a model waits there, says so, and goes on once it may read the store.
    """
    peer_space.peers.take_away(2)
    at, waiting = begin("bare"), begin("waiting")
    for one in (at, waiting):
        one.store()
    at.start(2)
    waiting.start(2, distribution={"mode": "Dragonfly", "fallback": "Fail"})
    (replica,) = at.right()
    assert replica["fallback"].startswith("NoSocket")
    assert replica["direct"] == replica["bytes"]["origin"] == at.given() == SIZE
    assert peer_space.condition("bare", "Distributed")["reason"] == "FellBack"
    waiting.told("PeersUnavailable", "NoSocket", "waiting", stalled=False)
    assert waiting.given() == 0
    waiting.change(distribution=SHORT)
    waiting.right()


@pytest.mark.usefixtures("told")
def test_a_full_disk_of_the_daemon(begin: Callable[[str], Broken], peer_space: PeerSpace) -> None:
    """The daemon has no room for the pieces: the rest comes from the store, and the ledger says so."""
    peers, cluster, folder = peer_space.peers, peer_space.cluster, "/var/lib/dragonfly"
    cluster.in_node("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder, index=2)
    peers.bring_back(2)
    at = begin("cramped")
    at.store()
    at.start(2)
    (replica,) = at.right()
    assert replica["direct"] > 0
    assert replica["fallback"]
    peers.take_away(2)
    cluster.in_node("umount", folder, index=2)
    peers.bring_back(2)


@pytest.mark.usefixtures("told")
def test_a_daemon_killed_in_the_middle(begin: Callable[[str], Broken], peer_space: PeerSpace) -> None:
    """SIGKILL while pieces arrive: the file becomes whole, by the daemon that comes again or past it."""
    at = begin("killed")
    at.store()
    at.rule(rate=MIB)
    at.start(1)
    wait_for(lambda: at.given() > 2 * MIB, "pieces on their way", 60)
    peer_space.peers.kill(1)
    assert at.given() < SIZE
    (replica,) = at.right()
    assert replica.get("fallback") or replica["retries"]


@pytest.mark.usefixtures("told")
def test_a_dead_scheduler(begin: Callable[[str], Broken], peer_space: PeerSpace) -> None:
    """Daemons then read the store without a word, each for itself; the ledger shows it."""
    peer_space.peers.wait()
    peer_space.peers.scheduler.kill()
    try:
        at = begin("alone")
        at.store()
        at.start(1)
        (replica,) = at.right()
        other = begin("alone-too")
        other.content = at.content
        uri = f"s3://{BUCKET}/{at.name}/{FILE}"
        other.start(2, versions=[{"name": "v1", "uri": uri}])
        (second,) = other.right()
    finally:
        peer_space.peers.scheduler.start()
    assert total([replica, second], "origin") == at.given() == 2 * SIZE
    peer_space.peers.wait()


@pytest.mark.parametrize("name", STORIES)
def test_one_object(told: dict[str, Future[None]], name: str) -> None:
    """The story of this name ended well; what it shows is in its docstring."""
    told[name].result()
