"""`storage.cache.hostPath` on a real node: one copy for all replicas, which outlives pods and is removed when nobody uses it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.cluster.addons.faults import FaultProxy
from tests.cluster.process import wait_for
from tests.e2e.support import BUCKET, Space, termination

pytestmark = pytest.mark.e2e

MIB = 1 << 20
WEIGHTS = 24 * MIB
PATH = "/var/lib/pantala/shared"
FILES = f"/{BUCKET}/(one|two|sum)"
OLD = "touch -d '9 hours ago'"


@pytest.fixture(scope="module")
def origin(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """The store with three models, behind a proxy that counts the bytes it gave."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("one", "two"):
        space.s3.put_folder(BUCKET, name, models.triton_add(folder, name, padding=WEIGHTS))
    space.s3.put(BUCKET, "sum.mar", models.torchserve_sum(folder, padding=WEIGHTS))
    with FaultProxy(space.s3.endpoint) as proxy:
        yield proxy
    space.cluster.in_node("rm", "-rf", PATH)


def spec(space: Space, origin: FaultProxy, runtime: str, path: str, replicas: int, **cache: str) -> dict[str, Any]:
    """A model whose weights lie in the folder of the node."""
    found = space.spec(runtime, path, scaling={"minReplicas": replicas})
    found["storage"] |= {
        "endpoint": origin.endpoint_at(space.cluster.host_ip),
        "cache": {"hostPath": {"path": PATH, **cache}},
    }
    return found


def node(space: Space, script: str) -> str:
    """Run a line in the node."""
    return space.cluster.in_node("sh", "-c", script).strip()


def folders(space: Space) -> list[str]:
    """The versions' folders on the node, below the namespace's."""
    return sorted(node(space, f"cd {PATH}/{space.namespace} && find . -mindepth 2 -maxdepth 2 | cut -c3-").split())


def is_held(space: Space, folder: str) -> bool:
    """Whether somebody has a lock on a version's folder."""
    return "free" not in node(space, f"flock -n {PATH}/{space.namespace}/{folder} echo free || true")


def accounts(space: Space, model: str) -> list[dict[str, int]]:
    """The bytes by source of each replica."""
    return [termination(pod)["bytes"] for pod in space.pods(model)]


def gone(space: Space, model: str) -> None:
    """Delete a model and wait until its pods are gone as well."""
    space.delete("inferencemodel", model)
    listed = ("get", "pods", "-l", f"pantala.dev/model={model}", "-o", "name")
    wait_for(lambda: not space.kubectl(*listed).strip(), f"no pods of {model}", 90, every=0.3)


def test_two_replicas_have_one_copy(space: Space, origin: FaultProxy) -> None:
    """The origin is read once; the second replica counts the same bytes as `cache`; both answer from read-only weights."""
    space.apply("one", spec(space, origin, "triton", "one/", 2))
    space.wait_ready("one", 120)
    assert space.ask_triton("one", [1, 2, 3, 4]) == [2, 4, 6, 8]
    size = origin.given(f"/{BUCKET}/one/")
    assert WEIGHTS < size < WEIGHTS + MIB
    first, second = sorted(accounts(space, "one"), key=lambda each: each["cache"])
    assert (first["origin"], first["cache"]) == (size, 0)
    assert (second["origin"], second["cache"]) == (0, size)
    (folder,) = folders(space)
    assert folder.startswith("one/v1-")
    assert is_held(space, folder)
    user = node(space, f"stat -c '%u %a' {PATH}/{space.namespace}/{folder}/one/1/weights.bin")
    assert user == "0 644"
    pod = space.pods("one")[0]["metadata"]["name"]
    denied = space.kubectl("exec", pod, "-c", "server", "--", "sh", "-c", "id -u; touch /models/x 2>&1 || true")
    assert denied.splitlines()[0] == "1000"
    assert "Read-only file system" in denied


def test_hold_is_small_and_comes_back(space: Space, origin: FaultProxy) -> None:
    """The holder takes less than 2 MiB; killed, it starts again and holds again, and the server does not notice."""
    pod = space.pods("one")[0]
    (status,) = (each for each in pod["status"]["initContainerStatuses"] if each["name"] == "hold")
    container = status["containerID"].removeprefix("containerd://")
    procs = node(space, f"for c in $(grep -ls {container} /proc/[0-9]*/cgroup); do echo ${{c%/cgroup}}; done")
    shares = node(space, f"cat {' '.join(f'{each}/smaps_rollup' for each in procs.split())} | grep ^Pss:")
    total = sum(int(line.split()[1]) for line in shares.splitlines())
    print(f"\nhold: {total} KiB in {len(procs.split())} processes")
    assert total < 2048
    server = next(each for each in pod["status"]["containerStatuses"] if each["name"] == "server")["restartCount"]
    name = pod["metadata"]["name"]

    def restarts() -> int:
        states = space.get("pod", name)["status"]["initContainerStatuses"]
        found = next(each for each in states if each["name"] == "hold")
        return int(found["restartCount"]) if found["ready"] else -1

    before = restarts()
    for each in procs.split():
        node(space, f"case $(cat {each}/comm) in sh) kill -9 {each.removeprefix('/proc/')};; esac")
    wait_for(lambda: restarts() > before, "hold again", 60, every=0.3)
    after = space.get("pod", name)["status"]
    assert next(each for each in after["containerStatuses"] if each["name"] == "server")["restartCount"] == server
    assert is_held(space, folders(space)[0])


def test_pods_that_are_made_again_read_nothing(space: Space, origin: FaultProxy) -> None:
    """Deleted pods leave the weights: their successors take no byte of a file from the origin."""
    before = origin.given(FILES)
    old = {pod["metadata"]["name"] for pod in space.pods("one")}
    space.kubectl("delete", "pod", *old)
    wait_for(lambda: not old & {pod["metadata"]["name"] for pod in space.pods("one")}, "new pods", 90, every=0.3)
    space.wait_ready("one", 120)
    assert space.ask_triton("one", [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert origin.given(FILES) == before
    assert all(each["origin"] == 0 and each["cache"] > WEIGHTS for each in accounts(space, "one"))


def test_only_what_nobody_uses_is_removed(space: Space, origin: FaultProxy) -> None:
    """A third model's fetcher removes the weights of a deleted one that are too old, and those of a running one never."""
    space.apply("two", spec(space, origin, "triton", "two/", 1))
    space.wait_ready("two", 120)
    used, unused = folders(space)
    begun = time.time()
    gone(space, "two")
    wait_for(lambda: not is_held(space, unused), "no holder", 30, every=0.3)
    when = int(node(space, f"stat -c %Y {PATH}/{space.namespace}/{unused}/.pantala/used"))
    assert when >= int(begun)  # the end of the use, not its begin
    for each in (used, unused):
        node(space, f"{OLD} {PATH}/{space.namespace}/{each}/.pantala/used")
    node(space, f"mkdir -p {PATH}/foreign/a/b && echo kept > {PATH}/foreign/a/b/file")
    space.apply("sum", spec(space, origin, "torchserve", "sum.mar", 1, maxAge="1h"))
    space.wait_ready("sum", 120)
    assert space.ask_torchserve("sum", [1, 2]) == {"sum": 3}
    left = folders(space)
    assert used in left
    assert unused not in left
    assert node(space, f"cat {PATH}/foreign/a/b/file") == "kept"
    assert space.ask_triton("one", [1, 2, 3, 4]) == [2, 4, 6, 8]


def test_a_pod_that_comes_while_its_folder_goes(space: Space, origin: FaultProxy) -> None:
    """Holder and fetcher wait for who removes the folder, start again in a new one, and the model gets ready."""
    gone(space, "sum")
    (folder,) = (each for each in folders(space) if each.startswith("sum/"))
    place, go = f"{PATH}/{space.namespace}/{folder}", f"{PATH}/go"
    wait_for(lambda: not is_held(space, folder), "no holder", 30, every=0.3)
    remove = f"touch {PATH}/locked; while [ ! -e {go} ]; do sleep 0.1; done; rm -rf {place}"
    node(space, f"rm -f {go} {PATH}/locked; flock {place} sh -c '{remove}' > /dev/null 2>&1 &")
    wait_for(lambda: node(space, f"ls {PATH}/locked || true") != "", "the lock", 30, every=0.1)
    before = origin.given(FILES)
    space.apply("sum", spec(space, origin, "torchserve", "sum.mar", 1))

    def waiting() -> bool:
        states = [item for pod in space.pods("sum") for item in pod["status"].get("initContainerStatuses", ())]
        return len(states) == 2 and all("running" in item["state"] for item in states)

    wait_for(waiting, "holder and fetcher", 60, every=0.3)
    assert origin.given(FILES) == before
    node(space, f"touch {go}")
    space.wait_ready("sum", 120)
    assert space.ask_torchserve("sum", [1, 2]) == {"sum": 3}
    (account,) = accounts(space, "sum")
    assert account["origin"] > WEIGHTS
    assert is_held(space, folder)


def test_the_limit_makes_room(space: Space, origin: FaultProxy, tmp_path: Path) -> None:
    """With `maxSize` the least recently used weights go before a download, and what is in use stays."""
    gone(space, "sum")
    (unused,) = (each for each in folders(space) if each.startswith("sum/"))
    wait_for(lambda: not is_held(space, unused), "no holder", 30, every=0.3)
    node(space, f"{OLD} {PATH}/{space.namespace}/{unused}/.pantala/used")
    space.apply("two", spec(space, origin, "triton", "two/", 1, maxSize="60Mi"))
    space.wait_ready("two", 120)
    names = {each.partition("/")[0] for each in folders(space)}
    assert names == {"one", "two"}
