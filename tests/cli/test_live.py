"""The commands on a real API server, with a real operator."""

import json
import signal
import subprocess
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.autoscaling import behavior
from tests.cli.conftest import NAMESPACE, PROGRAM, Installation, operator
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml"))


def model(name: str, namespace: str = NAMESPACE, **spec: Any) -> str:
    """A resource as text."""
    return json.dumps(
        {
            "apiVersion": "pantala.dev/v1alpha1",
            "kind": "InferenceModel",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "runtime": {"name": "triton"},
                "versions": [{"name": "v1", "uri": f"s3://models/{name}/"}],
                **spec,
            },
        }
    )


def serve(at: Installation, name: str, **spec: Any) -> str:
    """Apply a model and wait until it is ready and settled; its text."""
    text = model(name, **spec)
    at.kubectl("apply", "-f", "-", stdin=text)
    settle(at, name)
    return text


def settle(at: Installation, name: str) -> None:
    """Wait until a model is ready and nothing about it is changing."""
    at.kubectl("wait", "--for=condition=Ready", f"imodel/{name}", "--timeout=60s")
    at.until(lambda: "Reconciling" not in at.kubectl("get", f"imodel/{name}", "-o", "jsonpath={.status}"), "settled")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_rendered_samples_are_accepted(bare: Installation, sample: Path) -> None:
    """Everything that a sample becomes is accepted by the real API server as it is printed, with no unknown field."""
    done = subprocess.run(
        [PROGRAM, "render", "-n", NAMESPACE, str(sample)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = bare.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "yaml", "-f", "-", stdin=done.stdout)
    printed = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(done.stdout)}
    stored = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(answer)}
    assert stored.keys() == printed.keys()
    for key, item in printed.items():
        assert stored[key]["metadata"]["annotations"] == item["metadata"]["annotations"]


def test_ambiguous_text_arrives(bare: Installation) -> None:
    """Text that the YAML of Kubernetes would read as a number or a boolean arrives as text."""
    data = {f"k{index}": text for index, text in enumerate(("12e3456789", "1_000", "y", "0x1F", "1:30", "yes", "1e3"))}
    from pantala.cli.output import as_yaml

    text = as_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "text"}, "data": data})
    answer = json.loads(bare.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text))
    assert answer["data"] == data


def test_diff_of_a_reconciled_model(installation: Installation) -> None:
    """Nothing differs for a model that the operator has settled, autoscaler and node port included."""
    scaling = {"maxReplicas": 3, "metrics": [{"type": "CPUUtilization", "target": 70}]}
    resources = {"requests": {"cpu": "1000m", "memory": "1024Mi"}}
    text = serve(installation, "settled", scaling=scaling, resources=resources, expose={"nodePort": {}})
    # The autoscaler's pace follows how long the first replica took to start, which is known once it is ready.
    told = ("get", "hpa/settled-v1", "-o", r"jsonpath={.metadata.annotations.pantala\.dev/start-time}")
    installation.until(lambda: installation.kubectl(*told) != str(behavior.UNKNOWN), "the time of a start is known")
    done = installation.pantala("render", "--diff", "-", stdin=text)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_diff_of_a_new_model(installation: Installation) -> None:
    """A model that is not there yet is shown whole, and the API server holds none of it afterwards."""
    done = installation.pantala("render", "--diff", "--brief", "-", stdin=model("fresh"))
    assert done.code == 1, done.err
    assert f"+++ plan: Deployment {NAMESPACE}/fresh-v1" in done.out
    assert "fresh" not in installation.kubectl("get", "imodel,deploy,svc,cm", "-o", "name")


def test_diff_shows_hand_edits(bare: Installation, installation: Installation) -> None:
    """A paused model that somebody edits shows nothing; set free in the file, it shows exactly the edit."""
    serve(installation, "edited")
    paused, free = model("edited", paused=True), model("edited")
    installation.kubectl("apply", "-f", "-", stdin=paused)
    installation.until(
        lambda: "Paused" in installation.kubectl("get", "imodel/edited", "-o", "jsonpath={.status}"), "paused"
    )
    installation.kubectl("set", "image", "deployment/edited-v1", "server=example.com/bad:1")
    installation.kubectl("annotate", "service/edited", "example.com/mine=yes")
    asleep = installation.pantala("render", "--diff", "-", stdin=paused)
    assert (asleep.code, asleep.out) == (0, "")
    assert asleep.err == f"{NAMESPACE}/edited: spec.paused is set, so the operator writes nothing.\n"
    done = installation.pantala("render", "--diff", "-", stdin=free)
    assert done.code == 1, done.err
    changed = [line for line in done.out.splitlines() if line[:1] in {"+", "-"}]
    assert changed[:2] == [
        f"--- live: Deployment {NAMESPACE}/edited-v1",
        f"+++ plan: Deployment {NAMESPACE}/edited-v1",
    ]
    assert [line.split() for line in changed[2:]] == [
        ["-", "image:", "example.com/bad:1"],
        ["+", "image:", "nvcr.io/nvidia/tritonserver:24.10-py3"],
    ]
    (found,) = json.loads(installation.pantala("render", "--diff", "-o", "json", "-", stdin=free).out)
    assert (found["action"], found["object"]) == ("update", f"Deployment {NAMESPACE}/edited-v1")
    installation.kubectl("apply", "-f", "-", stdin=free)
    installation.until(lambda: installation.pantala("render", "--diff", "-", stdin=free).code == 0, "repaired")


def test_diff_shows_what_goes(installation: Installation) -> None:
    """A version that left the file, and a node port, are shown as deletions."""
    both = {"versions": [{"name": "v1", "uri": "s3://models/a/"}, {"name": "v2", "uri": "s3://models/b/"}]}
    serve(installation, "less", **both, traffic={"target": "v1"}, expose={"nodePort": {}})
    one = model("less", versions=both["versions"][:1])
    done = installation.pantala("render", "--diff", "-o", "json", "-", stdin=one)
    assert done.code == 1
    gone = {item["object"].split()[0] + " " + item["object"].rpartition("/")[2] for item in json.loads(done.out)}
    assert {"Deployment less-v2", "Service less-v2", "ConfigMap less-v2", "Service less-nodeport"} == gone


def test_diff_names_strangers(installation: Installation) -> None:
    """An object of the same name that is not the model's is an error that names it."""
    installation.kubectl("create", "service", "clusterip", "taken", "--tcp=80")
    done = installation.pantala("render", "--diff", "--brief", "-", stdin=model("taken"))
    assert done.code == 2
    assert f"Service {NAMESPACE}/taken exists already and is not this model's" in done.err


def test_status_of_a_good_model(installation: Installation) -> None:
    """A model that answers ends with 0, and its replicas tell their phases."""
    serve(installation, "good", scaling={"minReplicas": 2}, expose={"nodePort": {"http": 31981}})
    done = installation.pantala("status", "good", "-n", NAMESPACE)
    assert done.code == 0, done.err
    assert f"✔ Ready {NAMESPACE}/good, version v1 answers" in done.out
    assert "version v1: Serving, 2 of 2 replicas ready" in done.out
    assert done.out.count("phases   scheduled ") == 2
    (found,) = json.loads(installation.pantala("status", "good", "-n", NAMESPACE, "-o", "json").out)["models"]
    assert found["addresses"]["http"].endswith(":31981")
    (version,) = found["versions"]
    for pod in version["pods"]:
        assert pod["step"] == "ready"
        assert list(pod["phases"]) == ["scheduled", "prepare", "fetch", "image", "load", "ready"]
    assert yaml.safe_load(installation.pantala("status", "good", "-n", NAMESPACE, "-o", "yaml").out)["models"]


def test_cold_starts(installation: Installation) -> None:
    """The starts of replicas are drawn, and told as JSON and YAML, also when their pods are gone."""
    serve(installation, "cold")
    command = ("status", "cold", "-n", NAMESPACE, "--cold-start")
    done = installation.pantala(*command)
    assert done.code == 0, done.err
    (first,) = [line for line in done.out.splitlines() if ": ready after " in line]
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("        ")] == [
        "scheduled",
        "prepare",
        "fetch",
        "image",
        "load",
    ]
    installation.kubectl("delete", "pod", "-l", "pantala.dev/model=cold")

    def replicas() -> list[dict[str, Any]]:
        (found,) = json.loads(installation.pantala(*command, "-o", "json").out)["models"]
        told: list[dict[str, Any]] = found["versions"][0]["replicas"]
        return told

    # In which order is left open: Kubernetes' times have whole seconds, and simulated pods live for less.
    installation.until(lambda: sorted(it["exists"] for it in replicas()) == [False, True], "the next replica")
    old, new = sorted(replicas(), key=lambda it: it["exists"])
    assert old["pod"] in first
    assert old["totalSeconds"] is not None
    told = yaml.safe_load(installation.pantala(*command, "-o", "yaml").out)["models"][0]["versions"][0]["replicas"]
    assert old in told
    out = installation.pantala(*command).out
    assert f"{old['pod']} on {old['node']}: gone, it was ready after " in out
    assert f"{new['pod']} on {new['node']}: ready after " in out


def test_status_of_failed_models(installation: Installation) -> None:
    """A model that fits on no node, or whose name is taken, is told with its cause, and ends with 1."""
    installation.kubectl("apply", "-f", "-", stdin=model("huge", resources={"requests": {"cpu": "900"}}))
    installation.kubectl("create", "deployment", "owned-v1", "--image=example.com/theirs:1", "--replicas=0")
    installation.kubectl("apply", "-f", "-", stdin=model("owned"))
    for name, words in (("huge", "fits on no node"), ("owned", "exists already")):
        installation.until(
            lambda name=name: "Stalled" in installation.kubectl("get", f"imodel/{name}", "-o", "jsonpath={.status}"),
            f"{name} is stalled",
        )
        done = installation.pantala("status", name, "-n", NAMESPACE)
        assert done.code == 1, done.err
        assert f"✘ Failed {NAMESPACE}/{name}" in done.out
        assert words in " ".join(done.out.replace("│", " ").split())
    assert "waits for a node, for " in installation.pantala("status", "huge", "-n", NAMESPACE).out
    everything = installation.pantala("status", "-A")
    assert everything.code == 1
    assert f"{NAMESPACE}/huge" in everything.out
    assert "MODEL" in everything.out


def test_status_of_a_starting_model(installation: Installation) -> None:
    """A model whose pods are on their way is Starting: these ask for a scheduler that nobody runs."""
    waiting = {"spec": {"schedulerName": "nobody"}}
    installation.kubectl("apply", "-f", "-", stdin=model("slow", template=waiting))
    installation.until(
        lambda: '"slow-v1-' in installation.pantala("status", "slow", "-n", NAMESPACE, "-o", "json").out, "a pod"
    )
    done = installation.pantala("status", "slow", "-n", NAMESPACE)
    assert done.code == 1
    assert f"… Starting {NAMESPACE}/slow" in done.out
    assert "Version v1 is starting; no replica is ready yet." in done.out


def test_status_of_nothing(bare: Installation) -> None:
    """A name that does not exist ends with 2 and the next step; an empty namespace is no error."""
    done = bare.pantala("status", "nobody", "-n", NAMESPACE)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'Error: inferencemodels.pantala.dev "nobody" not found. `pantala status -A` lists what there is.\n'
    )
    done = bare.pantala("status", "-n", "kube-system")
    assert (done.code, done.out) == (0, "")
    assert done.err == "There is no InferenceModel in this namespace (-A looks in all).\n"


def test_status_watch(installation: Installation, tmp_path: Path) -> None:
    """`--watch` prints every change until Ctrl-C, and the exit code is that of the last state."""
    out = tmp_path / "out"
    installation.kubectl("apply", "-f", "-", stdin=model("watched", paused=True))
    command = [PROGRAM, "status", "watched", "-n", NAMESPACE, "--watch", "--kubeconfig"]
    with out.open("wb") as stream:
        process = subprocess.Popen(
            [*command, str(installation.cluster.kubeconfig)],
            stdout=stream,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - ignored under some runners
        )
    try:
        wait_for(lambda: f"{NAMESPACE}/watched" in out.read_text(), "the first state", 30)
        installation.kubectl("patch", "imodel/watched", "--type=merge", '-p={"spec":{"paused":false}}')
        wait_for(lambda: "✔ Ready" in out.read_text(), "the last state", 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_refresh(installation: Installation) -> None:
    """A refresh says which images change, asks, writes one annotation, and the operator renders anew."""
    name, deployment = "old", "deployment/old-v1"
    serve(installation, name)
    dry = installation.pantala("refresh", name, "-n", NAMESPACE, "--dry-run", "--triton-image", "example.com/triton:2")
    assert dry.code == 0, dry.err
    assert (
        dry.out == "version v1: server nvcr.io/nvidia/tritonserver:24.10-py3 -> example.com/triton:2; 1 pod replaced\n"
    )
    assert "annotations" not in installation.get(f"imodel/{name}")["metadata"] or "pantala.dev/refresh" not in str(
        installation.get(f"imodel/{name}")["metadata"]["annotations"]
    )
    declined = installation.pantala("refresh", name, "-n", NAMESPACE, stdin="n\n")
    assert declined.code == 1
    assert declined.err.endswith("Nothing was changed.\n")
    done = installation.pantala("refresh", name, "-n", NAMESPACE, "--yes", "-o", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    written = installation.get(f"imodel/{name}")["metadata"]["annotations"]["pantala.dev/refresh"]
    assert written == said["refresh"]
    assert datetime.fromisoformat(written).microsecond is not None
    assert said["versions"] == [{"version": "v1", "images": [], "other": False, "pods": 0}]

    def rendered() -> bool:
        record = installation.get(deployment)["metadata"]["annotations"]["pantala.dev/rendered-with"]
        return bool(json.loads(record)["refresh"] == written)

    installation.until(rendered, "a new rendering")
    pods = json.loads(installation.kubectl("get", "pods", "-l", "pantala.dev/model=old", "-o", "json"))["items"]
    assert len(pods) == 1, "the same images and the same template replace no pod"


def test_refresh_after_an_upgrade(alone: Installation, tmp_path: Path) -> None:
    """An operator with other default images changes nothing by itself, and `render --diff` says so; a refresh takes them."""
    image = "example.com/triton:2"
    text = model("kept", namespace=alone.namespace)
    with operator(alone, tmp_path, namespace=alone.namespace):
        alone.kubectl("apply", "-f", "-", stdin=text)
        settle(alone, "kept")
    with operator(alone, tmp_path, "--triton-image", image, namespace=alone.namespace):
        done = alone.pantala("render", "--diff", "--triton-image", image, "-", stdin=text)
        assert (done.code, done.out) == (0, ""), done.err
        assert image not in alone.kubectl("get", "deployment/kept-v1", "-o", "yaml")
        done = alone.pantala("refresh", "kept", "-n", alone.namespace, "--yes", "--triton-image", image)
        assert done.out == f"version v1: server nvcr.io/nvidia/tritonserver:24.10-py3 -> {image}; 1 pod replaced\n"
        path = "jsonpath={.items[*].spec.containers[*].image}"
        alone.until(lambda: alone.kubectl("get", "pods", "-o", path) == image, "the new pod alone")


def test_refresh_of_nothing(bare: Installation) -> None:
    """A model that does not exist is an error with the next step."""
    done = bare.pantala("refresh", "nobody", "-n", NAMESPACE, "--yes")
    assert done.code == 2
    assert done.err == (
        f"Error: There is no InferenceModel nobody in namespace {NAMESPACE}. `pantala status -A` lists what there is.\n"
    )


def test_read_rights_suffice(installation: Installation) -> None:
    """A person with the cluster role `view` and read rights on models can ask for status and differences, without nodes."""
    text = serve(installation, "viewed", expose={"nodePort": {}})
    rules = ["--verb=get,list", "--resource=inferencemodels.pantala.dev"]
    installation.kubectl("create", "role", "models", *rules)
    installation.kubectl("create", "rolebinding", "models", "--role=models", "--user=viewer")
    installation.kubectl("create", "rolebinding", "view", "--clusterrole=view", "--user=viewer")
    kubeconfig = str(installation.cluster.user("viewer"))
    command = [PROGRAM, "status", "viewed", "-n", NAMESPACE, "--kubeconfig", kubeconfig]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "http://NODE:" in done.stdout
    command = [PROGRAM, "render", "--diff", "-", "--kubeconfig", kubeconfig]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    command = [PROGRAM, "refresh", "viewed", "-n", NAMESPACE, "--yes", "--kubeconfig", kubeconfig]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Ask for that right" in done.stderr
