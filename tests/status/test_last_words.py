"""What the last words of a model server do and do not prove; the words are those of real servers (tests/e2e)."""

from typing import Any

import pytest

from pantala.status.diagnosis import diagnose, present
from pantala.status.reasons import Reason

TRITON = (
    "E1121 model_lifecycle.cc:642] \"failed to load 'add' version 1: Internal: RuntimeError: no weights in this model\"\n"
    "error: creating server: Invalid argument - load failed for model 'add': version 1 is at UNAVAILABLE state"
)


def server(code: int, message: str, restarts: int = 3) -> dict[str, Any]:
    """A pod whose server ended like this and waits for its next start."""
    ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
    status = {
        "name": "server",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    meta = {"name": "add-v1-x", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "status": {"phase": "Running", "containerStatuses": [status]}}


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (1, TRITON, Reason.MODEL_LOAD_FAILED),
        (1, "TorchServe cannot load model sum: RuntimeError: no weights", Reason.MODEL_LOAD_FAILED),
        (1, "error: creating server: Internal - failed to load all models", Reason.MODEL_LOAD_FAILED),
        # A word about a model is none about why a server ends.
        (3, "serving model add from /models\nthe licence has expired", Reason.RESTART_LOOP),
        # Somebody else ended it, whatever it was about to say.
        (137, TRITON, Reason.RESTART_LOOP),
        (143, TRITON, Reason.RESTART_LOOP),
        # A server must not end, not even well.
        (0, "", Reason.RESTART_LOOP),
    ],
)
def test_last_words_decide_only_what_they_prove(code: int, message: str, reason: Reason) -> None:
    """A model that cannot be loaded is told by the words for that, and not for a server that was killed."""
    problem = diagnose(None, [server(code, message)])
    assert problem is not None
    assert problem.reason is reason
    assert "add-v1-x" in problem.message


def test_a_model_that_cannot_be_loaded_has_a_next_step() -> None:
    """A restart brings the same weights, so the message says that a version is to be added."""
    problem = diagnose(None, [server(1, TRITON)])
    assert problem is not None
    assert "Add a version" in problem.message
    assert "no weights in this model" in problem.message


@pytest.mark.parametrize(
    ("text", "reason", "step"),
    [
        (
            'pods "x" is forbidden: no PriorityClass with name high was found',
            Reason.PODS_REJECTED,
            "Create the PriorityClass",
        ),
        (
            'admission webhook "policy.example.com" denied the request: no',
            Reason.PODS_REJECTED,
            "what the webhook names",
        ),
    ],
)
def test_refused_pods_have_a_next_step(text: str, reason: Reason, step: str) -> None:
    """What the API server says about pods that it refuses is followed by what to do."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": text}
    problem = diagnose({"metadata": {"name": "add-v1"}, "status": {"conditions": [failure]}}, [])
    assert problem is not None
    assert problem.reason is reason
    assert text in problem.message
    assert step in problem.message


def test_a_missing_claim_is_not_a_lack_of_room() -> None:
    """The scheduler's words about a claim lead to the claim, not to more nodes."""
    text = '0/1 nodes are available: persistentvolumeclaim "cache" not found.'
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    pod = {"metadata": {"name": "add-v1-x"}, "status": {"phase": "Pending", "conditions": [condition]}}
    problem = diagnose(None, [pod])
    assert problem is not None
    assert problem.reason is Reason.UNSCHEDULABLE
    assert "Create the PersistentVolumeClaim" in problem.message


def labelled(name: str, template: str, created: str) -> dict[str, Any]:
    """A pod of a template."""
    return {"metadata": {"name": name, "labels": {"pod-template-hash": template}, "creationTimestamp": created}}


OLD, NEW = labelled("old", "a", "2026-01-01T00:00:00Z"), labelled("new", "b", "2026-01-01T00:01:00Z")


@pytest.mark.parametrize(
    ("status", "pods", "names"),
    [
        ({}, [OLD], ["old"]),
        ({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}, [OLD], None),
        ({"observedGeneration": 2, "replicas": 1}, [OLD], []),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}, [OLD, NEW], ["new"]),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, [NEW], ["new"]),
        # All pods failed and count no more; they are of the present template.
        ({"observedGeneration": 2}, [NEW], ["new"]),
    ],
)
def test_pods_of_a_former_template_do_not_speak(
    status: dict[str, Any], pods: list[Any], names: list[str] | None
) -> None:
    """After a change the model is not called stalled by the pods that the change is to replace."""
    deployment = {"metadata": {"name": "add-v1", "generation": 2}, "status": status}
    found = present(deployment, pods)
    assert names == (None if found is None else [pod["metadata"]["name"] for pod in found])
