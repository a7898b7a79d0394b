"""What is killed comes back: servers, pods, the fetcher in the middle, kubelet and containerd."""

import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import models, service
from tests.cluster.addons.faults import FaultProxy, Rule
from tests.cluster.process import wait_for
from tests.e2e.stories import SERVER, Story, Watch, telling
from tests.e2e.support import BUCKET, Space

pytestmark = pytest.mark.e2e

ANSWERS_AGAIN = 60.0
"""Stated time in docs/conditions.md: seconds from the kill of a server to its next answer, on a busy machine."""
PYTHON = "/opt/pantala/bin/python"
HUNGRY = "import http.server; held = b'x' * (150 << 20); http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind='0.0.0.0')"
CHUNK = 8 << 20


@pytest.fixture(scope="module")
def served(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Space:
    """Two replicas of a Triton model `add` and of a TorchServe model `sum`, answering."""
    folder = tmp_path_factory.mktemp("models")
    space.s3.put_folder(BUCKET, "add", models.triton_add(folder, "add"))
    space.s3.put(BUCKET, "sum.mar", models.torchserve_sum(folder))
    grace = {"template": {"spec": {"terminationGracePeriodSeconds": 40}}}
    for name, runtime, path in (("add", "triton", "add/"), ("sum", "torchserve", "sum.mar")):
        space.apply(name, space.spec(runtime, path, scaling={"minReplicas": 2}, **grace))
    for name in ("add", "sum"):
        space.wait_ready(name, 120)
    return space


def ask(space: Space, name: str) -> None:
    """One prediction, which must be right."""
    if name == "add":
        assert space.ask_triton("add", [1, 2, 3, 4]) == [2, 4, 6, 8]
    else:
        assert space.ask_torchserve("sum", [1, 2]) == {"sum": 3}


def answers(space: Space, name: str) -> bool:
    """Whether it answers."""
    try:
        ask(space, name)
    except (OSError, AssertionError, http.client.HTTPException):
        return False
    return True


@contextmanager
def asking(space: Space, name: str, clients: int = 3) -> Iterator[list[str]]:
    """Ask all the time, each request on a connection of its own and never twice; yields the failures."""
    failures: list[str] = []
    end = threading.Event()
    asked = [0] * clients

    def one(index: int) -> None:
        while not end.wait(0.02):
            asked[index] += 1
            try:
                ask(space, name)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(f"{time.strftime('%T')} {error!r}")

    threads = [threading.Thread(target=one, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        end.set()
        for thread in threads:
            thread.join()
        print(f"\n{name}: {sum(asked)} requests, {len(failures)} lost")
    assert sum(asked) > 20


def container_id(space: Space, pod: str, container: str = "server") -> str:
    """Id of a container that runs in a pod; empty while there is none."""
    status = space.get("pod", pod)["status"]
    for item in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if item["name"] == container and "running" in item["state"]:
            return str(item["containerID"]).removeprefix("containerd://")
    return ""


def kill(space: Space, identity: str, program: str) -> None:
    """SIGKILL the processes of a container whose program has that name, from the node."""
    script = f"""
        for cgroup in $(grep -ls {identity} /proc/[0-9]*/cgroup); do
            process=${{cgroup%/cgroup}}
            case $(cat $process/comm) in {program}) kill -9 ${{process#/proc/}} && echo killed;; esac
        done; true"""
    assert "killed" in space.cluster.in_node("sh", "-c", script)


def single(space: Space, name: str) -> str:
    """Bring a model down to one replica, so that a kill leaves none; return its pod."""
    spec = space.get("inferencemodel", name)["spec"]
    space.apply(name, {**spec, "scaling": {"minReplicas": 1}})
    # One that is on its way out still answers while no other does (kube-proxy falls back to it).
    listed = ("get", "pods", "-l", f"pantala.dev/model={name}", "-o", "name")
    wait_for(lambda: len(space.kubectl(*listed).split()) == 1, "one replica", 90, every=0.5)
    space.wait_ready(name)
    return str(space.pods(name)[0]["metadata"]["name"])


@pytest.mark.parametrize("name", ["add", "sum"])
def test_no_request_is_lost_when_a_pod_is_deleted(served: Space, name: str) -> None:
    """A pod of two is deleted under requests: it leaves the endpoints first, so that clients see nothing of it."""
    victim = served.pods(name)[0]["metadata"]["name"]
    with asking(served, name) as failures:
        served.kubectl("delete", "pod", victim, "--wait=false")
        wait_for(lambda: victim not in served.kubectl("get", "pods", "-o", "name"), "the pod is gone", 60, every=0.5)
    assert failures == []
    served.wait_ready(name)


def test_models_answer_while_kubelet_and_containerd_are_dead(served: Space) -> None:
    """SIGKILL to both: requests go on; started again, they take the pods over as they are, and can make new ones."""
    before = {name: [pod["metadata"]["uid"] for pod in served.pods(name)] for name in ("add", "sum")}
    with asking(served, "add", 1) as failures:
        restart(served.cluster, "containerd", "ctr version")
        restart(served.cluster, "kubelet", "pgrep -x kubelet")
        victim = served.pods("sum")[0]
        served.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
        gone = victim["metadata"]["name"]
        wait_for(lambda: gone not in served.kubectl("get", "pods", "-o", "name"), "the pod is gone", 60, every=0.5)
        served.wait("sum", "two replicas again", lambda found: found.get("replicas") == "2/2", 90)
    assert failures == []
    ask(served, "sum")
    assert [pod["metadata"]["uid"] for pod in served.pods("add")] == before["add"]
    kept = {pod["metadata"]["uid"] for pod in served.pods("sum")} & set(before["sum"])
    assert kept == set(before["sum"]) - {victim["metadata"]["uid"]}


def restart(cluster: Cluster, program: str, runs: str) -> None:
    """SIGKILL a program of the node, and start it again with its own command line until a command says that it runs."""
    pid = cluster.in_node("pgrep", "-o", "-x", program).strip()
    command = cluster.in_node("cat", f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    again = f'kill -9 {pid}; setsid "$@" </dev/null >>/run/{program}.log 2>&1 &'
    cluster.in_node("sh", "-c", again, program, *command)

    def alive() -> bool:
        return "yes" in cluster.in_node("sh", "-c", f"{runs} >/dev/null 2>&1 && echo yes; true")

    wait_for(alive, program, 30, every=0.2)


@pytest.mark.parametrize(("name", "program"), [("add", "tritonserver"), ("sum", "java"), ("sum", "python3")])
def test_a_killed_server_answers_again(served: Space, name: str, program: str) -> None:
    """SIGKILL to the only server of a model: the kubelet starts it again, and it answers within the stated time.

    `java` is TorchServe itself, `python3` are the process that watches over it and its workers.
    """
    pod = single(served, name)
    wait_for(lambda: answers(served, name), f"{name} answers", 30)
    identity = container_id(served, pod)
    start = time.monotonic()
    kill(served, identity, program)
    wait_for(lambda: not answers(served, name), f"{name} is dead", 20, every=0)
    wait_for(lambda: answers(served, name), f"{name} answers again", ANSWERS_AGAIN, every=0.1)
    print(f"\n{name}: answers {time.monotonic() - start:.1f} s after SIGKILL to {program}")
    found = served.wait_ready(name)
    assert found["replicas"] == "1/1"
    assert served.pods(name)[0]["metadata"]["name"] == pod


def test_a_deleted_pod_is_replaced(served: Space) -> None:
    """The only pod of a model is deleted at once: the Deployment makes another one, which fetches, loads and answers."""
    pod = single(served, "add")
    start = time.monotonic()
    served.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    served.wait("add", "told as not ready", lambda found: found.get("replicas") == "0/1", 20)
    served.wait("add", "a new pod is ready", lambda found: found.get("replicas") == "1/1", ANSWERS_AGAIN)
    wait_for(lambda: answers(served, "add"), "answers again", 10, every=0.1)
    print(f"\nadd: answers {time.monotonic() - start:.1f} s after its pod was deleted")
    served.wait_ready("add")
    assert served.pods("add")[0]["metadata"]["name"] != pod


def custom(*command: str) -> dict[str, Any]:
    """The small server with another command."""
    return {**SERVER, "custom": {**SERVER["custom"], "command": list(command)}}


def restart_loop(at: Story) -> None:
    """The kubelet starts a server that ends with code 3 again and again."""
    at.put()
    at.apply(runtime=custom("sh", "-c", "echo the licence has expired; exit 3"))
    at.told("RestartLoop", "restart-loop-v1-", "exit code 3", "the licence has expired", "kubectl logs --previous")
    at.change(runtime=dict(SERVER))
    at.healed()


def silent_end(at: Story) -> None:
    """The kubelet starts a server that ends without an error and without a word again and again."""
    at.put()
    at.apply(runtime=custom("sh", "-c", "exit 0"))
    at.told("RestartLoop", "silent-end-v1-", "exit code 0", "left no message", "kubectl logs --previous")
    at.change(runtime=dict(SERVER))
    at.healed()


def out_of_memory(at: Story) -> None:
    """The kernel kills a server that needs more than its memory limit."""
    at.put()
    at.apply(runtime=custom(PYTHON, "-c", HUNGRY), resources={"limits": {"memory": "64Mi"}})
    at.told("OutOfMemory", "out-of-memory-v1-", "container server", "resources.limits.memory")
    at.change(resources={"limits": {"memory": "512Mi"}})
    at.healed()


def missing_command(at: Story) -> None:
    """The container runtime finds no such program in the image."""
    at.put()
    at.apply(runtime=custom("/no/such/program"))
    at.told("ContainerFailed", "missing-command-v1-", "container server", "/no/such/program", "runtime")
    at.change(runtime=dict(SERVER))
    at.healed()


def killed_fetch(at: Story) -> None:
    """The fetcher is killed in the middle: its next run reads only what is missing."""
    size = 24 * CHUNK
    at.put("weights.bin", bytes(size))
    with FaultProxy(at.space.s3.endpoint) as proxy:
        proxy.add(Rule(path=rf"^/{BUCKET}/{at.name}/weights", method="GET", rate=2e6))
        at.apply(storage=at.storage(endpoint=proxy.endpoint_at(at.space.cluster.host_ip)))
        wait_for(lambda: bool(at.space.pods(at.name)), "the pod", 60)
        wait_for(lambda: fetched(at) >= 6 * CHUNK, "a quarter of the file is there", 120, every=0.1)
        before = fetched(at)
        identity = container_id(at.space, at.space.pods(at.name)[0]["metadata"]["name"], "fetch")
        kill(at.space, identity, "pantala|python*")
        proxy.clear()
        at.mending()
        found = at.healed()
    pod = at.space.pods(at.name)[0]
    ended = next(item for item in pod["status"]["initContainerStatuses"] if item["name"] == "fetch")
    account = json.loads(ended["state"]["terminated"]["message"])["bytes"]
    print(f"\nfetch: {before} of {size} bytes were there when it was killed; {account}")
    assert ended["restartCount"] == 1
    assert account["origin"] + account["cache"] == size
    assert account["cache"] >= before  # what was there is not read again
    assert found.status["versions"][0]["fetch"]["bytes"] == account


def fetched(at: Story) -> float:
    """Bytes from the origin that the fetcher of the model's pod counts as done, by its own metrics; 0 before it runs."""
    address = at.space.pods(at.name)[0]["status"].get("podIP")
    try:
        _, _, text = service.http("GET", f"http://{address}:9465/metrics", seconds=2)
    except OSError:
        return 0
    line = re.search(rb'^pantala_fetch_bytes_total\{source="origin"\} (\S+)', text, re.MULTILINE)
    return float(line.group(1)) if line else 0


STORIES: dict[str, Callable[[Story], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (restart_loop, silent_end, out_of_memory, missing_command, killed_fetch)
}


@pytest.fixture(scope="module")
def told(
    space: Space, operator: "subprocess.Popen[bytes]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """All stories of models that die, at once."""
    watch = Watch(space.cluster.kubeconfig)
    stories = {name: Story(space, watch, tmp_path_factory.mktemp(name), name) for name in STORIES}
    tasks = {name: lambda name=name, at=at: STORIES[name](at) for name, at in stories.items()}
    with telling(tasks) as results:
        yield results
    watch.stop()
    for name, at in stories.items():
        print(f"\n{name}: told after {at.seconds.get('told', -1):.1f} s, healed {at.seconds.get('healed', -1):.1f} s")


@pytest.mark.parametrize("name", STORIES)
def test_a_death_is_told_and_passes_with_its_cause(told: dict[str, Future[None]], name: str) -> None:
    """The condition has the right reason, names the pod and the next step; afterwards the model gets Ready."""
    told[name].result()
