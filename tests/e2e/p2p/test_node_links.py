"""Weights that the node's dfdaemon has on the same disk are on the node once: linked, counted like others, served read-only.

Daemons and model servers are real, the scheduler between the daemons is a stand-in.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.cluster.addons.dragonfly_nodes import STORAGE
from tests.e2e.p2p.space import Counted, PeerSpace
from tests.e2e.support import BUCKET, termination

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

SIZE = (24 << 20) + 5
PATH = f"{STORAGE}/pantala"
"""In a folder that the daemon sees by the same name, on the disk of its pieces."""


@pytest.fixture
def content(peer_space: PeerSpace, tmp_path: Path) -> Iterator[bytes]:
    """The weights of a Triton model `linked`; the folder of the node is removed at the end."""
    folder, weights = models.triton_add(tmp_path, "linked"), os.urandom(SIZE)
    (folder / "1/weights.bin").write_bytes(weights)
    peer_space.s3.put_folder(BUCKET, "linked", folder)
    yield weights
    peer_space.cluster.in_node("rm", "-rf", PATH)


def apply(space: PeerSpace, name: str, replicas: int) -> list[dict[str, Any]]:
    """A model on the first node, with the weights of `linked` in the node's folder; what its fetchers told."""
    spec = space.spec("triton", "linked/", scaling={"minReplicas": replicas}, template=space.on(0))
    spec["storage"]["cache"] = {"hostPath": {"path": PATH}}
    space.apply(name, spec)
    space.wait_ready(name, 180)
    assert space.ask_triton(name, [1, 2, 3, 4]) == [2, 4, 6, 8]
    return sorted((termination(pod) for pod in space.pods(name)), key=lambda told: told["bytes"]["cache"])


def files(space: PeerSpace) -> dict[str, tuple[str, int]]:
    """Inode and number of names of the large file in each model's folder."""
    script = f"cd {PATH}/{space.namespace} && find . -name weights.bin -printf '%P %i %n\\n'"
    lines = (line.split() for line in space.cluster.in_node("sh", "-c", script).splitlines())
    return {path.partition("/")[0]: (inode, int(names)) for path, inode, names in lines}


def test_one_file_on_the_node(peer_space: PeerSpace, content: bytes) -> None:
    """Two replicas and a second model: the store gives the file once, and all names of it are one file with the daemon's."""
    counted = Counted(peer_space, "linked/1/weights.bin")
    first, second = apply(peer_space, "linked", 2)
    assert first["bytes"]["origin"] >= SIZE
    assert first["direct"] == first["bytes"]["origin"] - SIZE  # the small files
    assert (second["bytes"]["origin"], second["bytes"]["cache"]) == (0, first["bytes"]["origin"])
    (other,) = apply(peer_space, "linked-too", 1)
    assert other["bytes"]["local"] == SIZE
    assert counted.given() == SIZE
    traffic = counted.traffic(peer_space.cluster.node_names[0])
    assert traffic == {"origin": SIZE, "peer": 0, "local": SIZE}
    found = files(peer_space)
    assert found["linked"] == found["linked-too"]
    assert found["linked"][1] == 3
    wanted = hashlib.sha256(content).hexdigest()
    assert set(peer_space.sha256("linked", "weights.bin").values()) == {wanted}
    peer_space.delete("inferencemodel", "linked-too")
    assert peer_space.ask_triton("linked", [1, 2, 3, 4]) == [2, 4, 6, 8]
