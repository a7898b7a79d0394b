"""From what a kubelet, a scheduler and a controller really write to one problem with its next step."""

import json
from typing import Any

import pytest

from pantala.errors import FetchFailure
from pantala.status.diagnosis import diagnose, present
from pantala.status.problem import Problem
from pantala.status.reasons import Reason

POD = "resnet-v1-7c9f-abcde"


def pod(created: str = "2026-01-01T00:00:00Z", name: str = POD, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": "Pending", **status}}


def container(name: str = "server", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "nvcr.io/nvidia/tritonserver:24.12-py3",
        "ready": False,
        "restartCount": 0,
        "lastState": {},
        **fields,
    }


def waiting(reason: str, message: str = "", **fields: Any) -> dict[str, Any]:
    return container(state={"waiting": {"reason": reason, "message": message}}, **fields)


def ended(code: int, message: str = "", reason: str = "Error", **fields: Any) -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason, "containerID": "containerd://1"} | (
        {"message": message} if message else {}
    )
    return container(state={"terminated": state}, **fields)


def crashed(code: int, message: str = "", reason: str = "Error", **fields: Any) -> dict[str, Any]:
    last = ended(code, message, reason)["state"]
    name = fields.get("name", "server")
    words = f"back-off 40s restarting failed container={name} pod={POD}_vision(6f1c)"
    return waiting("CrashLoopBackOff", words, **{"restartCount": 3, "lastState": last, **fields})


def unscheduled(message: str) -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def initial(status: dict[str, Any]) -> dict[str, Any]:
    waits = waiting("PodInitializing")
    return pod(initContainerStatuses=[{**status, "name": "fetch"}], containerStatuses=[waits])


def server(status: dict[str, Any]) -> dict[str, Any]:
    done = ended(0, '{"files":1}', "Completed", name="fetch") | {"ready": True}
    return pod(phase="Running", initContainerStatuses=[done], containerStatuses=[status])


def failed(failure: FetchFailure, words: str = "bucket models: no such key") -> dict[str, Any]:
    return initial(crashed(failure.exit_code, json.dumps({"reason": failure.value, "message": words})))


NODES = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
PULL = (
    'failed to pull and unpack image "docker.io/no/such:1": failed to resolve reference: docker.io/no/such:1: not found'
)

# What happened: the pod, the reason, words of the object, words of the next step.
PODS: dict[str, tuple[dict[str, Any], Reason, str, str]] = {
    "image, first try": (
        server(waiting("ErrImagePull", PULL)),
        Reason.IMAGE_PULL_FAILED,
        "tritonserver:24.12",
        "imagePullSecrets",
    ),
    "image, backing off": (
        server(waiting("ImagePullBackOff", f"Back-off pulling image: ErrImagePull: {PULL}")),
        Reason.IMAGE_PULL_FAILED,
        "not found",
        "Check the image's name",
    ),
    "image name": (
        server(waiting("InvalidImageName", 'Failed to apply default image tag "A:B": invalid reference format')),
        Reason.IMAGE_PULL_FAILED,
        "invalid reference format",
        "Check the image's name",
    ),
    "fetcher's image": (
        initial(waiting("ErrImagePull", PULL)),
        Reason.IMAGE_PULL_FAILED,
        POD,
        "Check the image's name",
    ),
    "holder's image": (
        pod(initContainerStatuses=[{**waiting("ErrImagePull", PULL), "name": "hold"}]),
        Reason.IMAGE_PULL_FAILED,
        "pulled",
        "the installation's fetcher image",
    ),
    "holder without its programs": (
        pod(initContainerStatuses=[{**crashed(127, "flock: failed to execute sh"), "name": "hold"}]),
        Reason.CONTAINER_FAILED,
        "container hold: exit code 127",
        "docs/node-cache.md",
    ),
    "secret": (
        initial(waiting("CreateContainerConfigError", 'secret "model-store" not found')),
        Reason.SECRET_MISSING,
        'container fetch: secret "model-store" not found',
        "Create it",
    ),
    "key of a secret": (
        initial(
            waiting("CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret vision/model-store")
        ),
        Reason.SECRET_MISSING,
        "AWS_ACCESS_KEY_ID in Secret vision/model-store",
        "Create it",
    ),
    "config map of the user": (
        server(waiting("CreateContainerConfigError", 'configmap "tuning" not found')),
        Reason.SECRET_MISSING,
        'container server: configmap "tuning" not found',
        "Create it",
    ),
    "command does not exist": (
        server(
            crashed(
                128,
                'failed to create containerd task: exec: "pythn": executable file not found in $PATH',
                "StartError",
            )
        ),
        Reason.RESTART_LOOP,
        "executable file not found",
        "kubectl logs",
    ),
    "container cannot be made": (
        server(waiting("CreateContainerError", "failed to reserve container name")),
        Reason.CONTAINER_FAILED,
        "container server: failed to reserve",
        "",
    ),
    "no cpu": (
        unscheduled(f"0/3 nodes are available: 3 Insufficient cpu. {NODES}"),
        Reason.UNSCHEDULABLE,
        POD,
        "add a node",
    ),
    "no node at all": (unscheduled("no nodes available to schedule pods"), Reason.UNSCHEDULABLE, POD, "add a node"),
    "claim missing": (
        unscheduled('0/3 nodes are available: persistentvolumeclaim "cache" not found. ' + NODES),
        Reason.UNSCHEDULABLE,
        'persistentvolumeclaim "cache" not found',
        "",
    ),
    "no card": (
        unscheduled(f"0/3 nodes are available: 3 Insufficient nvidia.com/gpu. {NODES}"),
        Reason.NO_GPU,
        "waits for a GPU",
        "`accelerator`",
    ),
    "weights not found": (
        failed(FetchFailure.NOT_FOUND),
        Reason.WEIGHTS_NOT_FOUND,
        "no such key",
        "upload the weights",
    ),
    "denied": (failed(FetchFailure.DENIED), Reason.WEIGHTS_DENIED, POD, "storage.secretRef"),
    "disk full": (failed(FetchFailure.DISK_FULL), Reason.DISK_FULL, POD, "sizeLimit"),
    "digest": (failed(FetchFailure.DIGEST_MISMATCH), Reason.DIGEST_MISMATCH, POD, "Upload the right weights"),
    "changed": (failed(FetchFailure.CHANGED_WHILE_READING), Reason.WEIGHTS_CHANGED, POD, "new URI"),
    "not a model": (failed(FetchFailure.INVALID), Reason.WEIGHTS_INVALID, POD, "what the runtime expects"),
    "store away": (failed(FetchFailure.UNAVAILABLE), Reason.STORE_UNAVAILABLE, POD, "storage.endpoint"),
    "peers away": (
        failed(FetchFailure.PEERS_UNAVAILABLE, "dfdaemon does not answer"),
        Reason.PEERS_UNAVAILABLE,
        "dfdaemon does not answer",
        "`pantala doctor`",
    ),
    "peers cannot": (
        failed(FetchFailure.PEERS_UNSUPPORTED, "a volume is read by its pod alone"),
        Reason.PEERS_UNSUPPORTED,
        "a volume is read by its pod alone",
        "distribution.fallback: Origin",
    ),
    "fetcher, between two tries": (
        initial(
            container(
                state={"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                restartCount=1,
                lastState=ended(11, '{"reason":"Denied","message":"403 of s3"}')["state"],
            )
        ),
        Reason.WEIGHTS_DENIED,
        "403 of s3",
        "storage.secretRef",
    ),
    "fetcher without words": (initial(crashed(1)), Reason.FETCH_FAILED, "exit code 1", ""),
    "fetcher killed for memory": (
        initial(crashed(137, reason="OOMKilled")),
        Reason.OUT_OF_MEMORY,
        "container fetch",
        "resources.limits.memory",
    ),
    "server killed for memory": (
        server(crashed(137, reason="OOMKilled")),
        Reason.OUT_OF_MEMORY,
        "container server",
        "resources.limits.memory",
    ),
    "model cannot be loaded": (
        server(ended(1, "error: creating server: Internal - failed to load all models")),
        Reason.MODEL_LOAD_FAILED,
        "failed to load all models",
        "",
    ),
    "restart loop": (
        server(crashed(1, "Segmentation fault")),
        Reason.RESTART_LOOP,
        "Segmentation fault",
        "kubectl logs --previous",
    ),
    "restart loop without words": (
        server(crashed(139)),
        Reason.RESTART_LOOP,
        "exit code 139",
        "kubectl logs --previous",
    ),
    "emptyDir too small": (
        pod(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "models" exceeds the limit "1Gi". '),
        Reason.DISK_FULL,
        'EmptyDir volume "models"',
        "sizeLimit",
    ),
    "evicted": (
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        Reason.EVICTED,
        "low on resource: memory",
        "",
    ),
}


@pytest.mark.parametrize("case", PODS)
def test_pods(case: str) -> None:
    """Each way in which a pod fails is told from the others, with the object and the next step in the message."""
    obj, reason, names, step = PODS[case]
    problem = diagnose(None, [obj])
    assert problem is not None
    assert problem.reason is reason
    assert POD in problem.message
    assert names in problem.message
    assert step in problem.message
    assert "  " not in problem.message


HEALTHY = {
    "just made": pod(),
    "not yet looked at by the scheduler": pod(conditions=[{"type": "PodScheduled", "status": "False"}]),
    "fetching": initial(container(state={"running": {"startedAt": "2026-01-01T00:00:00Z"}})),
    "creating": initial(waiting("PodInitializing")),
    "loading": server(container(state={"running": {"startedAt": "2026-01-01T00:00:00Z"}}, started=False)),
    "fetched at the second try": pod(
        initContainerStatuses=[
            ended(0, '{"files":1}', "Completed", name="fetch", restartCount=1, lastState=ended(16)["state"])
            | {"ready": True}
        ],
        containerStatuses=[container(state={"running": {}})],
    ),
    "held, and fetching": pod(
        initContainerStatuses=[
            container("hold", state={"running": {}}, ready=True, restartCount=1, lastState=ended(1)["state"]),
            container("fetch", state={"running": {}}),
        ]
    ),
    "restarted once, ready again": server(
        container(state={"running": {}}, ready=True, restartCount=1, lastState=ended(137)["state"])
    ),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_on_the_way(case: str) -> None:
    """A pod that is on its way has no problem."""
    assert diagnose(None, [HEALTHY[case]]) is None


def deployment(*conditions: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "resnet-v1"}, "spec": {"replicas": 1}, "status": {"conditions": list(conditions)}}


def test_deadline() -> None:
    """A rollout that ran out of time without any visible cause is a problem of its own, weaker than any pod's."""
    late = deployment({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"})
    problem = diagnose(late, [server(container(state={"running": {}}))])
    assert problem is not None
    assert problem.reason is Reason.STARTUP_TIMEOUT
    other = diagnose(late, [server(crashed(1, "boom"))])
    assert other is not None
    assert other.reason is Reason.RESTART_LOOP


def test_no_room_to_surge() -> None:
    """While other pods of the version answer, a pod without a node is one of the update, with two remedies."""
    waits = unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    problem = diagnose(None, [waits], updating=True)
    assert problem is not None
    assert problem.reason is Reason.NO_ROOM_TO_SURGE
    assert "maxSurge: 0" in problem.message
    assert "add a node" in problem.message


def test_the_newest_failure_counts() -> None:
    """Of several pods the newest failed one is reported, and a failed pod before one that waits for a node."""
    old = {**failed(FetchFailure.DENIED), "metadata": {"name": POD, "creationTimestamp": "2026-01-01T00:00:00Z"}}
    new = {**failed(FetchFailure.NOT_FOUND), "metadata": {"name": "newer", "creationTimestamp": "2026-01-01T00:00:09Z"}}
    problem = diagnose(None, [old, new])
    assert problem is not None
    assert problem.reason is Reason.WEIGHTS_NOT_FOUND
    newest = unscheduled("no nodes available to schedule pods")
    newest["metadata"]["creationTimestamp"] = "2026-01-01T00:01:00Z"
    problem = diagnose(None, [newest, old])
    assert problem is not None
    assert problem.reason is Reason.WEIGHTS_DENIED


def test_long_words_are_cut_at_the_front() -> None:
    """A program says why it gave up in its last line: that one is kept."""
    problem = diagnose(None, [server(crashed(1, "warning\n" * 500 + "fatal: no space left"))])
    assert problem is not None
    assert len(problem.message) < 1024
    assert "fatal: no space left" in problem.message


ALLOCATE = "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = {}, which is unexpected"
UNAVAILABLE = "requested number of devices unavailable for nvidia.com/gpu"
TWO_SHARES = 'invalid allocation request for "nvidia.com/gpu": invalid request: maximum request size for shared resources is 1; found 2'

# What a kubelet says of a pod that it turned away, and words of the message; None: that is no matter of cards.
REFUSALS: dict[str, tuple[str, str | None]] = {
    "shares": (ALLOCATE.format(TWO_SHARES), "accelerator.count: 1"),
    "shares, of an older plugin": (
        ALLOCATE.format("request for 'nvidia.com/gpu: 2' too large: maximum request size for shared resources is 1"),
        "one share only",
    ),
    "Tencent, cores": (ALLOCATE.format("cores are greater than 100, must be multiple of 100"), "gpu-manager"),
    "Tencent, no memory": (
        ALLOCATE.format("that cores or memory is zero is not permitted in share mode"),
        "memoryPerCard",
    ),
    "Tencent, not its scheduler": (
        ALLOCATE.format("candidate pod not found for request &AllocateRequest{}"),
        "another one placed the pod",
    ),
    "Volcano, not its scheduler": (ALLOCATE.format("cannot get valid pod"), "another one placed the pod"),
    "kubelet": (
        f"Pod was rejected: Allocate failed due to {UNAVAILABLE}. Requested: 1, Available: 0, which is unexpected",
        "fewer cards than the scheduler believed",
    ),
    "any plugin": (ALLOCATE.format("no such device"), "device plugin"),
    "CPU manager": ("Pod was rejected: Allocate failed due to not enough cpus available to satisfy request", None),
}


def refused(text: str, created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    found = pod(created, phase="Failed", reason="UnexpectedAdmissionError", message=text)
    return {**found, "spec": {"nodeName": "gpu-0"}}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_node_refuses(case: str) -> None:
    """A pod that a device plugin did not serve names the node, says why, what to do, and what the plugin said."""
    text, words = REFUSALS[case]
    problem = diagnose(None, [refused(text)])
    assert problem is not None
    assert problem.reason is (Reason.CARDS_REFUSED if words else Reason.EVICTED)
    assert text in problem.message
    if words:
        assert words in problem.message
        assert "gpu-0" in problem.message
        assert refused(text)["metadata"]["name"] not in problem.message, "the next pod would be news"


def test_what_a_node_refused_stays_until_another_lets_the_pod_in() -> None:
    """Pods that were turned away stay; a newer one whose containers begin is their successor, and one that is only bound is not."""
    text = REFUSALS["shares"][0]
    newer = pod("2026-01-01T00:01:00Z")
    for waits in (newer, {**newer, "spec": {"nodeName": "gpu-1"}}):
        problem = diagnose(None, [refused(text), waits])
        assert problem is not None
        assert problem.reason is Reason.CARDS_REFUSED
    starts = pod("2026-01-01T00:01:00Z", initContainerStatuses=[container("fetch", state={"running": {}})])
    assert diagnose(None, [refused(text), starts]) is None
    late = refused(text, "2026-01-01T00:02:00Z")
    assert diagnose(None, [late, starts]) is not None


def test_who_knows_more_is_asked() -> None:
    """Whoever knows the nodes is asked about pods without one; in an update only what room would not mend is theirs."""
    waits = unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")

    def say(reason: Reason | None, *, updating: bool = False) -> Reason | None:
        told = Problem(reason, "words") if reason else None
        problem = diagnose(None, [waits], updating=updating, explain=lambda _: told)
        return problem.reason if problem else None

    assert say(Reason.CARDS_TAINTED) is Reason.CARDS_TAINTED
    assert say(None) is Reason.NO_GPU
    assert say(Reason.ASKED_TOO_MUCH, updating=True) is Reason.ASKED_TOO_MUCH
    assert say(Reason.NO_GPU, updating=True) is Reason.NO_ROOM_TO_SURGE
    taken = {**pod(), "spec": {"nodeName": "gpu-0"}}
    assert diagnose(None, [taken], explain=lambda _: Problem(Reason.NO_GPU, "words")) is None


def test_pods_of_one_second() -> None:
    """Times are whole seconds: of two pods that were made in one, the one that waits is of the present template."""
    live = {
        "metadata": {"name": "d", "generation": 2},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1},
    }
    old, new = pod(name="old", conditions=[{"type": "Ready", "status": "True"}]), pod(name="new")
    old["metadata"]["labels"], new["metadata"]["labels"] = {"pod-template-hash": "1"}, {"pod-template-hash": "2"}
    assert present(live, [old, new]) == [new]
    assert present(live, [new, old]) == [new]
