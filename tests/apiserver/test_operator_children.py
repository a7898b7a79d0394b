"""The operator on a real API server: children follow the spec, and what others do to them is repaired or respected."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pantala import naming
from pantala.autoscaling import behavior
from tests.apiserver.operator_process import Installation, Space, manifest

pytestmark = pytest.mark.apiserver

SCALED = {"minReplicas": 2, "maxReplicas": 4, "metrics": [{"type": "CPUUtilization", "target": 70}]}
EXACT = ("Deployment/{0}-v1", "Service/{0}-v1", "Service/{0}", "ConfigMap/{0}-v1")


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    made = install()
    made.start().wait("leader")
    return made


@pytest.fixture(scope="module")
def space(installation: Installation) -> Space:
    return installation.space


@pytest.fixture
def quiet(installation: Installation) -> Iterator[Callable[[], list[str]]]:
    """The operator's writes since the test began."""
    begin = len(installation.proxy.requests)
    return lambda: [request.target for request in installation.proxy.writes(begin)]


@pytest.fixture(scope="module")
def model(space: Space) -> str:
    """A model that is ready; tests leave it so."""
    space.model("repair", resources={"requests": {"cpu": "1"}}, scaling=SCALED, expose={"nodePort": {}})
    space.wait_ready("repair")
    return "repair"


def test_create(space: Space) -> None:
    """A new model gets exactly its children, all owned by it, and gets ready."""
    made = space.model("create")
    space.wait_ready("create")
    assert space.children("create") == {name.format("create") for name in EXACT}
    for kind, name in (child.split("/") for child in space.children("create")):
        (owner,) = space.get(kind, name)["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], True)
        managers = {it["manager"]: it["operation"] for it in space.get(kind, name)["metadata"]["managedFields"]}
        assert managers["pantala"] == "Apply"
    status = space.status("create")
    assert status["replicas"] == "1/1"
    assert status["url"] == f"http://create.{space.name}.svc:8000"


def container(space: Space, name: str, which: str = "containers") -> Any:
    return space.get("Deployment", f"{name}-v1")["spec"]["template"]["spec"][which][0]


def pod_spec(space: Space, name: str) -> Any:
    return space.get("Deployment", f"{name}-v1")["spec"]["template"]["spec"]


CHANGES: dict[str, tuple[dict[str, Any], Callable[[Space, str], Any]]] = {
    "modelName": ({"modelName": "net_50"}, lambda s, n: "--load-model=net_50" in container(s, n)["args"]),
    "runtime.image": (
        {"runtime": {"name": "triton", "image": "mine:1"}},
        lambda s, n: container(s, n)["image"] == "mine:1",
    ),
    "runtime.args": (
        {"runtime": {"name": "triton", "args": ["--log-verbose=1"]}},
        lambda s, n: container(s, n)["args"][-1] == "--log-verbose=1",
    ),
    "runtime.env": (
        {"runtime": {"name": "triton", "env": [{"name": "A", "value": "1"}]}},
        lambda s, n: {"name": "A", "value": "1"} in container(s, n)["env"],
    ),
    "runtime.batching": (
        {"runtime": {"name": "triton", "batching": {"maxSize": 8}}},
        lambda s, n: "max_batch_size: 8" in s.get("ConfigMap", f"{n}-v1")["data"]["config.pbtxt"],
    ),
    "runtime.workers": (
        {"runtime": {"name": "triton", "workers": 3}},
        lambda s, n: "count: 3" in s.get("ConfigMap", f"{n}-v1")["data"]["config.pbtxt"],
    ),
    "runtime.config": (
        {"runtime": {"name": "triton", "config": {"log-verbose": "1"}}},
        lambda s, n: "--log-verbose=1" in container(s, n)["args"],
    ),
    "runtime.startupTimeout": (
        {"runtime": {"name": "triton", "startupTimeout": "90s"}},
        lambda s, n: s.get("Deployment", f"{n}-v1")["spec"]["progressDeadlineSeconds"] == 90,
    ),
    "runtime.name": (
        {"runtime": {"name": "torchserve"}},
        lambda s, n: "config.properties" in s.get("ConfigMap", f"{n}-v1")["data"],
    ),
    "resources": (
        {"resources": {"limits": {"memory": "8Gi"}}},
        lambda s, n: container(s, n)["resources"]["limits"] == {"memory": "8Gi"},
    ),
    "accelerator": (
        {"accelerator": {"provider": "nvidia", "count": 2}},
        lambda s, n: container(s, n)["resources"]["limits"] == {"nvidia.com/gpu": "2"},
    ),
    "template.metadata": (
        {"template": {"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}}},
        lambda s, n: s.get("Deployment", f"{n}-v1")["spec"]["template"]["metadata"]["labels"]["team"] == "a",
    ),
    "template.spec": (
        {
            "template": {
                "spec": {
                    "nodeSelector": {"type": "kwok"},
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "serviceAccountName": "default",
                    "securityContext": {"runAsUser": 7},
                    "volumes": [{"name": "x", "emptyDir": {}}],
                    "volumeMounts": [{"name": "x", "mountPath": "/x", "readOnly": False}],
                    "terminationGracePeriodSeconds": 90,
                }
            }
        },
        lambda s, n: (
            pod_spec(s, n)["nodeSelector"] == {"type": "kwok"}
            and pod_spec(s, n)["securityContext"]["runAsUser"] == 7
            and pod_spec(s, n)["terminationGracePeriodSeconds"] == 90
            and {"name": "x", "mountPath": "/x"} in container(s, n)["volumeMounts"]
        ),
    ),
    "update": (
        {"update": {"maxSurge": "50%", "maxUnavailable": 0}},
        lambda s, n: s.get("Deployment", f"{n}-v1")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == "50%",
    ),
    "storage": (
        {"storage": {"endpoint": "https://s3.example.com", "region": "eu-1", "secretRef": {"name": "keys"}}},
        lambda s, n: (
            "https://s3.example.com" in container(s, n, "initContainers")["args"]
            and container(s, n, "initContainers")["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "keys"
        ),
    ),
    "storage.cache": (
        {"storage": {"cache": {"emptyDir": {"sizeLimit": "1024Mi"}}}},
        lambda s, n: pod_spec(s, n)["volumes"][0]["emptyDir"] == {"sizeLimit": "1Gi"},
    ),
    "expose": ({"expose": {"nodePort": {}}}, lambda s, n: s.get("Service", f"{n}-nodeport")),
    "scaling.minReplicas": (
        {"scaling": {"minReplicas": 2}},
        lambda s, n: (
            s.get("Deployment", f"{n}-v1")["spec"]["replicas"] == 2 and s.get("PodDisruptionBudget", f"{n}-v1")
        ),
    ),
    "scaling": (
        {"scaling": SCALED, "resources": {"requests": {"cpu": "1"}}},
        lambda s, n: s.get("HorizontalPodAutoscaler", f"{n}-v1")["spec"]["maxReplicas"] == 4,
    ),
}


def test_changes(space: Space, quiet: Callable[[], list[str]]) -> None:
    """Each field of the spec reaches its child when it is set, and leaves it when it is dropped again."""
    names = {case: f"change-{number}" for number, case in enumerate(CHANGES)}
    before = {}
    for case in CHANGES:
        space.model(names[case])
    for case, name in names.items():
        space.wait_ready(name)
        before[case] = children(space, name)
    for case, (spec, _) in CHANGES.items():
        space.patch("InferenceModel", names[case], {"spec": spec})
    for case, (_, effect) in CHANGES.items():
        space.wait(lambda case=case, effect=effect: holds(effect, space, names[case]), case)
    for case in CHANGES:
        space.wait_ready(names[case])
    calm = len(quiet())
    for case in CHANGES:
        gone = {key: None for key in CHANGES[case][0] if key != "runtime"}
        space.patch("InferenceModel", names[case], {"spec": gone})
    # The runtime is required: everything in it but its name goes, and the name is what it was.
    for case in (case for case in CHANGES if case.startswith("runtime")):
        gone = dict.fromkeys(CHANGES[case][0]["runtime"]) | {"name": "triton"}
        space.patch("InferenceModel", names[case], {"spec": {"runtime": gone}})
    for case, name in names.items():
        space.wait(lambda name=name: is_seen(space, name), f"{case} dropped")
        assert children(space, name) == before[case]
    assert len(quiet()) > calm


def is_seen(space: Space, name: str) -> bool:
    """Whether the operator has carried out the last change and said so."""
    model = space.get("InferenceModel", name)
    return bool(model["status"].get("observedGeneration") == model["metadata"]["generation"])


def holds(effect: Callable[[Space, str], Any], space: Space, name: str) -> bool:
    try:
        return bool(effect(space, name))
    except (KeyError, TypeError, IndexError):
        return False


def children(space: Space, name: str) -> dict[str, Any]:
    """What counts of the children of a model."""
    found = {}
    for child in space.children(name):
        obj = space.get(*child.split("/"))
        spec = obj.get("spec", obj.get("data"))
        if child.startswith("Deployment"):
            spec = {key: value for key, value in spec.items() if key != "replicas"}
        found[child] = json.dumps(spec, sort_keys=True)
    return found


HAND_EDITS: dict[str, tuple[str, str, Any, Callable[[Any], Any]]] = {
    "replicas of a fixed version": (
        "Deployment",
        "repair-fixed-v1",
        {"spec": {"replicas": 0}},
        lambda it: it["spec"]["replicas"] == 1,
    ),
    "image": (
        "Deployment",
        "repair-v1",
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 90}}}},
        lambda it: it["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 60,
    ),
    "security": (
        "Deployment",
        "repair-v1",
        {"spec": {"template": {"spec": {"securityContext": {"runAsNonRoot": None}}}}},
        lambda it: it["spec"]["template"]["spec"]["securityContext"].get("runAsNonRoot"),
    ),
    "selector": (
        "Service",
        "repair",
        {"spec": {"selector": {"pantala.dev/version": "v9"}}},
        lambda it: it["spec"]["selector"]["pantala.dev/version"] == "v1",
    ),
    "type": (
        "Service",
        "repair-nodeport",
        {"spec": {"type": "ClusterIP"}},
        lambda it: it["spec"]["type"] == "NodePort",
    ),
    "config": (
        "ConfigMap",
        "repair-v1",
        {"data": {"config.pbtxt": "broken"}},
        lambda it: it["data"]["config.pbtxt"] != "broken",
    ),
    "budget": (
        "PodDisruptionBudget",
        "repair-v1",
        {"spec": {"maxUnavailable": 2}},
        lambda it: it["spec"]["maxUnavailable"] == 1,
    ),
    "autoscaler": (
        "HorizontalPodAutoscaler",
        "repair-v1",
        {"spec": {"maxReplicas": 9}},
        lambda it: it["spec"]["maxReplicas"] == 4,
    ),
    "label of the version": (
        "Service",
        "repair-v1",
        {"metadata": {"labels": {"pantala.dev/version": None}}},
        lambda it: it["metadata"]["labels"].get("pantala.dev/version") == "v1",
    ),
    "label of the model": (
        "Service",
        "repair-v1",
        {"metadata": {"labels": {"pantala.dev/model": None}}},
        lambda it: it["metadata"]["labels"].get("pantala.dev/model") == "repair",
    ),
    "label of the model, changed": (
        "ConfigMap",
        "repair-v1",
        {"metadata": {"labels": {"pantala.dev/model": "other"}}},
        lambda it: it["metadata"]["labels"].get("pantala.dev/model") == "repair",
    ),
    "label of the operator": (
        "Deployment",
        "repair-v1",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
        lambda it: it["metadata"]["labels"].get("app.kubernetes.io/managed-by") == "pantala",
    ),
    "all labels": (
        "Service",
        "repair",
        {"metadata": {"labels": None}},
        lambda it: it["metadata"].get("labels", {}).get("pantala.dev/model") == "repair",
    ),
    "digest": (
        "Service",
        "repair",
        {"metadata": {"annotations": {"pantala.dev/applied": "0"}}},
        lambda it: it["metadata"]["annotations"]["pantala.dev/applied"] != "0",
    ),
    "owner": (
        "Service",
        "repair-v1",
        {"metadata": {"ownerReferences": None}},
        lambda it: it["metadata"].get("ownerReferences"),
    ),
}


@pytest.fixture(scope="module")
def fixed(space: Space) -> None:
    space.model("repair-fixed")
    space.wait_ready("repair-fixed")


@pytest.mark.parametrize("case", [case for case in HAND_EDITS if case != "owner"])
def test_hand_edits_are_repaired(space: Space, model: str, fixed: None, case: str) -> None:
    """An owned field that somebody changes is set back."""
    kind, name, edit, repaired = HAND_EDITS[case]
    space.patch(kind, name, edit, fieldManager="somebody")
    space.wait(lambda: repaired(space.get(kind, name)), case)


def test_what_others_add_stays(space: Space, model: str, quiet: Callable[[], list[str]]) -> None:
    """Labels, annotations, fields and list items that the operator does not own are left alone, and cost no write."""
    edits = [
        ("Deployment", {"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}}),
        ("Deployment", {"spec": {"minReadySeconds": 1, "template": {"spec": {"dnsPolicy": "Default"}}}}),
        ("Service", {"metadata": {"annotations": {"theirs": "1"}}, "spec": {"sessionAffinity": "ClientIP"}}),
        ("ConfigMap", {"data": {"theirs.txt": "1"}}),
    ]
    for kind, edit in edits:
        space.patch(kind, "repair-v1", edit, fieldManager="somebody")
    space.wait_ready("repair")
    # A change of the spec has all objects looked at again.
    space.patch("InferenceModel", "repair", {"spec": {"update": {"maxSurge": 2, "maxUnavailable": 0}}})
    space.wait(
        lambda: space.get("Deployment", "repair-v1")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 2, "update"
    )
    deployment, service = space.get("Deployment", "repair-v1"), space.get("Service", "repair-v1")
    assert deployment["metadata"]["labels"]["theirs"] == deployment["metadata"]["annotations"]["theirs"] == "1"
    assert deployment["spec"]["minReadySeconds"] == 1
    assert deployment["spec"]["template"]["spec"]["dnsPolicy"] == "Default"
    assert service["spec"]["sessionAffinity"] == "ClientIP"
    assert space.get("ConfigMap", "repair-v1")["data"]["theirs.txt"] == "1"
    writes = [target for target in quiet() if "inferencemodels" not in target and "events" not in target]
    assert writes == ["PATCH deployments/repair-v1"]


def test_deleted_children_come_back(space: Space, model: str) -> None:
    """Every child that somebody deletes is made again."""
    uids = {}
    for child in space.children(model):
        kind, name = child.split("/")
        uids[child] = space.get(kind, name)["metadata"]["uid"]
        space.delete(kind, name)
    for child, uid in uids.items():
        kind, name = child.split("/")
        space.wait(lambda kind=kind, name=name, uid=uid: is_new(space.get(kind, name), uid), child)
    space.wait_ready(model)


def is_new(obj: Any, uid: str) -> bool:
    return obj is not None and obj["metadata"]["uid"] != uid


def stranger(space: Space, kind: str, name: str) -> Any:
    specs: dict[str, Any] = {
        "Service": {"apiVersion": "v1", "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}}},
        "ConfigMap": {"apiVersion": "v1", "data": {"theirs": "1"}},
        "Deployment": {
            "apiVersion": "apps/v1",
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "theirs"}},
                "template": {
                    "metadata": {"labels": {"app": "theirs"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        },
    }
    return space.create(kind, {**specs[kind], "kind": kind, "metadata": {"name": name}})


def test_strangers_are_left_alone(space: Space) -> None:
    """An object of the same name that is not ours is not touched, is named in the status, and its end heals the model."""
    kinds = ("Service", "ConfigMap", "Deployment")
    theirs = {}
    for kind in kinds:
        name = f"taken-{kind.lower()}"
        theirs[kind] = stranger(space, kind, f"{name}-v1")
        space.model(name)
    for kind in kinds:
        name = f"taken-{kind.lower()}"
        space.wait(lambda name=name: space.condition(name, "Accepted").get("reason") == "NameConflict", name)
        told = space.condition(name, "Accepted")
        assert told["status"] == "False"
        assert f"{kind} {space.name}/{name}-v1 exists already" in told["message"]
        now = space.get(kind, f"{name}-v1")
        assert now["metadata"]["uid"] == theirs[kind]["metadata"]["uid"]
        assert "pantala" not in {entry["manager"] for entry in now["metadata"]["managedFields"]}
        assert space.condition(name, "Stalled")["reason"] == "NameConflict"
        # The other children are there.
        assert len(space.children(name)) == 3
    for kind in kinds:
        space.delete(kind, f"taken-{kind.lower()}-v1")
    for kind in kinds:
        space.wait_ready(f"taken-{kind.lower()}")


def test_labels_do_not_make_an_object_ours(space: Space, quiet: Callable[[], list[str]]) -> None:
    """An object of the same name with all of our labels, but another owner, is a stranger's."""
    labels = {"app.kubernetes.io/managed-by": "pantala", "pantala.dev/model": "mimic", "pantala.dev/version": "v1"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mimic-v1", "labels": labels}}
    space.create("ConfigMap", body)
    space.model("mimic")
    space.wait(lambda: space.condition("mimic", "Accepted").get("reason") == "NameConflict", "conflict")
    assert "ownerReferences" not in space.get("ConfigMap", "mimic-v1")["metadata"]
    space.delete("ConfigMap", "mimic-v1")
    space.wait_ready("mimic")


def test_a_child_that_lost_its_owner(space: Space) -> None:
    """A child whose owner reference was taken away is a stranger's: it is named, not adopted."""
    space.model("orphan")
    space.wait_ready("orphan")
    space.patch("ConfigMap", "orphan-v1", {"metadata": {"ownerReferences": None}})
    space.wait(lambda: space.condition("orphan", "Accepted").get("reason") == "NameConflict", "conflict")
    space.delete("ConfigMap", "orphan-v1")
    space.wait_ready("orphan")


def test_deletion(space: Space, quiet: Callable[[], list[str]]) -> None:
    """Deleting a model deletes its children by garbage collection; the operator writes nothing for it."""
    space.model("gone", scaling=SCALED, resources={"requests": {"cpu": "1"}}, expose={"nodePort": {}})
    space.wait_ready("gone")
    # Its autoscaler is written once more when it is known how long a replica took to start.
    unknown = str(behavior.UNKNOWN)
    space.wait(lambda: start_time(space, "gone-v1") != unknown, "the start is known")
    before = len(quiet())
    space.delete("InferenceModel", "gone")
    space.wait(lambda: not space.children("gone") and not space.list("Pod", model="gone"), "children gone")
    assert quiet()[before:] == []


def start_time(space: Space, autoscaler: str) -> str:
    """The seconds of a start for which the behavior of an autoscaler was made."""
    found: str = space.get("HorizontalPodAutoscaler", autoscaler)["metadata"]["annotations"][
        naming.ANNOTATION_START_TIME
    ]
    return found


def test_deleted_and_made_again(space: Space) -> None:
    """A model that is deleted and made again at once gets children of its own, and no warning about its old ones."""
    space.model("again")
    space.wait_ready("again")
    for _ in range(3):
        space.delete("InferenceModel", "again")
        made = space.model("again")
    space.wait_ready("again")
    owners = {
        space.get(*child.split("/"))["metadata"]["ownerReferences"][0]["uid"] for child in space.children("again")
    }
    assert owners == {made["metadata"]["uid"]}
    told = [it["reason"] for it in space.list("Event") if it["regarding"].get("uid") == made["metadata"]["uid"]]
    assert "NameConflict" not in told


def test_paused(space: Space) -> None:
    """A paused model is left as it is, whatever happens to its children, until it is no longer paused."""
    space.model("paused")
    space.wait_ready("paused")
    space.patch("InferenceModel", "paused", {"spec": {"paused": True, "scaling": {"minReplicas": 3}}})
    space.wait(lambda: space.condition("paused", "Accepted").get("reason") == "Paused", "paused")
    space.delete("ConfigMap", "paused-v1")
    space.patch("Deployment", "paused-v1", {"spec": {"replicas": 2}})
    space.wait(lambda: space.status("paused").get("replicas") == "2/2", "the status still follows")
    assert space.get("ConfigMap", "paused-v1") is None
    assert space.get("Deployment", "paused-v1")["spec"]["replicas"] == 2
    space.patch("InferenceModel", "paused", {"spec": {"paused": False}})
    space.wait_ready("paused")
    assert space.get("ConfigMap", "paused-v1")
    assert space.get("Deployment", "paused-v1")["spec"]["replicas"] == 3


def test_a_short_grace_period(space: Space) -> None:
    """The shortest grace period that the schema allows is one that the API server takes."""
    space.model("hasty", template={"spec": {"terminationGracePeriodSeconds": 1}})
    space.wait_ready("hasty")


def test_quotas_and_refusals_are_told(space: Space) -> None:
    """A child that the API server refuses is named with the server's words; the others are there."""
    port = space.get("Service", "repair-nodeport")["spec"]["ports"][0]["nodePort"]
    space.create("InferenceModel", manifest("refused", expose={"nodePort": {"http": port}}))
    space.wait(lambda: space.condition("refused", "Accepted").get("reason") == "Rejected", "refusal")
    message = space.condition("refused", "Accepted")["message"]
    assert "refused-nodeport" in message
    assert "port is already allocated" in message
    assert "Deployment/refused-v1" in space.children("refused")
