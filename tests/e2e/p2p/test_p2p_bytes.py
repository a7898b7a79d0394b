"""The origin is read once, however many nodes ask; the ledger says what store and daemons counted, to the byte.

Daemons and model servers are real, the scheduler between the daemons is a stand-in. Bytes are shown, no speeds: the
nodes are namespaces of one machine.
"""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.e2e.p2p.space import HOST, SOURCES, Counted, PeerSpace, total
from tests.e2e.support import BUCKET
from tests.soak import soak

pytestmark = [pytest.mark.e2e, pytest.mark.p2p, pytest.mark.soak]

MIB = 1 << 20
SIZE = soak(96, 1024) * MIB
"""Bytes of the weights: two dozen pieces of dfdaemon and a dozen chunks of ours, or more than fits any buffer."""
WEIGHTS = "weights.bin"
SLACK = 1.02
"""What the store may give in all, as a multiple of the model."""
PATIENCE = 300.0


@pytest.fixture(scope="module")
def weights(peer_space: PeerSpace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Large weights in the store, every MiB another; their sha256."""
    path, digest, block = tmp_path_factory.mktemp("weights") / WEIGHTS, hashlib.sha256(), os.urandom(MIB - 8)
    with path.open("wb") as file:
        for number in range(SIZE // MIB):
            content = number.to_bytes(8, "big") + block
            digest.update(content)
            file.write(content)
    peer_space.s3.put(BUCKET, WEIGHTS, path)
    path.unlink()
    return digest.hexdigest()


def store_triton(space: PeerSpace, name: str, folder: Path) -> None:
    """Store a model of Triton with the large weights under a prefix of its own: no daemon knows it."""
    space.s3.put_folder(BUCKET, name, models.triton_add(folder, name))
    space.s3.link(BUCKET, WEIGHTS, f"{name}/1/{WEIGHTS}")


def apart(space: PeerSpace, name: str, replicas: int) -> dict[str, Any]:
    """Fields of a model with each replica on another node."""
    rule = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"pantala.dev/model": name}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    return {"scaling": {"minReplicas": replicas}, "template": {"spec": {"affinity": affinity}}}


def check(space: PeerSpace, name: str, counted: Counted, *, seed: str = "") -> list[dict[str, Any]]:
    """Hold the ledger of a model against the counters of the store and of every daemon; return it."""
    replicas = space.ledger(name)
    assert all(one["fingerprint"] == replicas[0]["fingerprint"] for one in replicas)
    by_seed = counted.traffic(seed)["origin"] if seed else 0
    assert total(replicas, "origin") + by_seed == counted.given()
    for node in space.cluster.node_names:
        found = {word: total(replicas, word, node) for word in SOURCES.values()}
        found["origin"] -= total(replicas, "direct", node)
        assert found == counted.traffic(node), node
    assert all(sum(one.get("parents", {}).values()) == one["bytes"].get("peer", 0) for one in replicas)
    return replicas


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_one_copy_for_any_number_of_nodes(peer_space: PeerSpace, weights: str, nodes: int, tmp_path: Path) -> None:
    """Replicas on so many nodes start at once: the store gives one copy, Triton answers, and every file is whole."""
    name = f"add-{nodes}"
    store_triton(peer_space, name, tmp_path)
    counted = Counted(peer_space, f"{name}/")
    peer_space.apply(name, peer_space.spec("triton", f"{name}/", **apart(peer_space, name, nodes)))
    peer_space.wait_ready(name, PATIENCE)
    replicas = check(peer_space, name, counted)
    assert len({one["node"] for one in replicas}) == nodes
    assert total(replicas, "peer") == (nodes - 1) * SIZE
    assert SIZE < counted.given() <= SLACK * SIZE
    assert peer_space.ask_triton(name, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert set(peer_space.sha256(name, WEIGHTS).values()) == {weights}
    assert not any("fallback" in one for one in replicas)
    peer_space.delete("inferencemodel", name)


def test_replicas_of_one_node(peer_space: PeerSpace, weights: str, tmp_path: Path) -> None:
    """Two replicas start on one node at once: one of them has all from the store, the other from the node. So has a third.

    They take turns at a file (`fetcher.turns`): dfdaemon would tell both that a piece came from the store.
    """
    name, node = "pair", peer_space.cluster.node_names[1]
    store_triton(peer_space, name, tmp_path)
    counted = Counted(peer_space, f"{name}/")
    spec = peer_space.spec("triton", f"{name}/", template=peer_space.on(1), scaling={"minReplicas": 2})
    peer_space.apply(name, spec)
    peer_space.wait_ready(name, PATIENCE)
    pair = check(peer_space, name, counted)
    assert {one["node"] for one in pair} == {node}
    assert sorted(one["bytes"]["local"] for one in pair) == [0, SIZE]
    assert SIZE < counted.given() <= SLACK * SIZE
    peer_space.apply(name, {**spec, "scaling": {"minReplicas": 3}})
    peer_space.wait_ready(name, PATIENCE)
    assert total(check(peer_space, name, counted), "local") == 2 * SIZE
    assert SIZE < counted.given() <= SLACK * SIZE
    assert peer_space.ask_triton(name, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert set(peer_space.sha256(name, WEIGHTS).values()) == {weights}
    peer_space.delete("inferencemodel", name)


def test_with_a_seed_no_node_reads_the_store(peer_space: PeerSpace, tmp_path: Path) -> None:
    """Three nodes and a seed: the seed alone reads the store, once, though `fallback: Fail` forbids the others to.

    The model is an archive of TorchServe, which then answers.
    """
    archive = models.torchserve_sum(tmp_path, "sum")
    with zipfile.ZipFile(archive, "a") as content, content.open(WEIGHTS, "w") as file:
        for _ in range(SIZE // 4 // MIB):
            file.write(os.urandom(MIB))
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = archive.stat().st_size
    peer_space.s3.put(BUCKET, "sum.mar", archive)
    with peer_space.peers.seed() as seed:
        counted = Counted(peer_space, "sum.mar")
        block = {"mode": "Dragonfly", "fallback": "Fail"}
        spec = peer_space.spec("torchserve", "sum.mar", distribution=block, **apart(peer_space, "sum", 3))
        peer_space.apply("sum", {**spec, "versions": [{**spec["versions"][0], "digest": f"sha256:{digest}"}]})
        peer_space.wait_ready("sum", PATIENCE)
        replicas = check(peer_space, "sum", counted, seed=seed)
        assert counted.traffic(seed)["origin"] == counted.given() == size
        assert (total(replicas, "origin"), total(replicas, "peer")) == (0, 3 * size)
        assert peer_space.ask_torchserve("sum", [1, 2, 3]) == {"sum": 6}
        assert set(peer_space.sha256("sum", "sum.mar").values()) == {digest}
        peer_space.delete("inferencemodel", "sum")
