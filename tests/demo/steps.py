"""The steps of the demo. All that they start belongs to one cluster and goes with it."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster, ClusterSpec, build, cleanup
from tests.cluster.addons import models
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.cluster.errors import ClusterError
from tests.cluster.images import ensure
from tests.cluster.process import wait_for
from tests.demo import show

NAME = "pantala-demo"
SYSTEM = "pantala-system"
SPACE = "models"
BUCKET = "models"
_IMAGES = ("pantala", "triton", "torchserve")
_ROOT = Path(__file__).parents[2]


def up() -> None:
    """Everything, from nothing to two predictions."""
    _clear()
    with show.step("Build the images of Pantala, Triton and TorchServe (minutes on the first run)"):
        for image in _IMAGES:
            ensure(image)
    with show.step("Start a real Kubernetes: control plane, containerd, kubelet, kube-proxy"):
        cluster = Cluster.start(ClusterSpec(NAME, nodes=1, images=_IMAGES), keep=True)
        os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
        show.output(cluster.kubectl("get", "nodes"))
    with show.step("Start an S3 store and upload two models"):
        endpoint = _start_store(cluster)
        show.output(f"{endpoint}: s3://{BUCKET}/add/ (Triton), s3://{BUCKET}/net/net.mar (TorchServe)")
    with show.step("Install Pantala with Helm"):
        _install(cluster)
    with show.step("Apply two InferenceModels"):
        for resource in _resources(endpoint):
            text = yaml.safe_dump(resource, sort_keys=False)
            show.manifest(text)
            cluster.kubectl("apply", "-n", SPACE, "-f", "-", stdin=text)
    with show.step("Wait until both answer"):
        wait = ("wait", "-n", SPACE, "--for=condition=Ready", "imodel", "--all", "--timeout=300s")
        show.command("kubectl " + " ".join(wait))
        show.output(cluster.kubectl(*wait))
    with show.step("Ask them, through NodePorts"):
        asks = [_ask(cluster, name, path, body) for name, path, body in _QUESTIONS]
    with show.step("Look at them"):
        show.command("pantala status --all-namespaces")
        _status()
    programs = f"{Path(sys.executable).parent}:{build.ensure(['kubectl'])['kubectl'].parent}"
    setting = [f"export KUBECONFIG={cluster.kubeconfig}", f"export PATH={programs}:$PATH"]
    looking = [f"kubectl -n {SPACE} get imodel", f"pantala -h; pantala status -n {SPACE} add"]
    keys = f"export AWS_ACCESS_KEY_ID={S3Server.access_key} AWS_SECRET_ACCESS_KEY={S3Server.secret_key}"
    tutorial = [f"export STORE={endpoint} NODE={cluster.node_ip}    # for docs/tutorial.md", keys]
    show.finished([*setting, *looking, *asks, *tutorial, "make demo-down"])


def down() -> None:
    """Remove the demo's cluster, and with it all that belongs to it."""
    _clear()
    show.console.print("the demo's cluster is gone")


def store() -> None:
    """Serve S3 with the demo's models for as long as its cluster lives."""
    cluster = Cluster.attach(NAME)
    with S3Server() as server, tempfile.TemporaryDirectory() as folder:
        server.create_bucket(BUCKET)
        server.put_folder(BUCKET, "add", models.triton_add(Path(folder)))
        server.put(BUCKET, "net/net.mar", models.torchserve_net(Path(folder)))
        print(json.dumps({"endpoint": server.endpoint_at(cluster.host_ip), **server.credentials}), flush=True)
        wait_for(lambda: not cleanup.is_alive(cluster.paths), "the end of the cluster", math.inf, every=1.0)


_QUESTIONS: tuple[tuple[str, str, Any], ...] = (
    (
        "add",
        "/v2/models/add/infer",
        {
            "inputs": [
                {"name": "A", "datatype": "INT32", "shape": [4], "data": [1, 2, 3, 4]},
                {"name": "B", "datatype": "INT32", "shape": [4], "data": [10, 20, 30, 40]},
            ]
        },
    ),
    ("net", "/predictions/net", [1, 2, 3]),
)


def _clear() -> None:
    """Remove a demo that is still there; harmless when there is none."""
    subprocess.run(
        [sys.executable, "-m", "tests.cluster", "down", "--name", NAME], cwd=_ROOT, check=False, capture_output=True
    )


def _start_store(cluster: Cluster) -> str:
    """Start `store` as a process of its own; its keys go into the Secret `model-store`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.demo", "store"],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # else whoever reads the demo's output would wait for the store's end
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ClusterError("the S3 server did not start")
    facts = json.loads(line)
    endpoint = str(facts.pop("endpoint"))
    cluster.kubectl("create", "namespace", SPACE)
    keys = [f"--from-literal={name}={value}" for name, value in facts.items()]
    cluster.kubectl("create", "-n", SPACE, "secret", "generic", "model-store", *keys)
    return endpoint


def _install(cluster: Cluster) -> None:
    helm = build.ensure(["helm"])["helm"]
    words = [
        "install",
        "pantala",
        "charts/pantala",
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--wait",
        "--timeout",
        "3m",
    ]
    show.command("helm " + " ".join(words))
    done = subprocess.run(
        [helm, *words, "--kubeconfig", cluster.kubeconfig], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"helm: {done.stderr.strip()}")


def _resources(endpoint: str) -> list[dict[str, Any]]:
    def resource(name: str, runtime: str, uri: str) -> dict[str, Any]:
        return {
            "apiVersion": "pantala.dev/v1alpha1",
            "kind": "InferenceModel",
            "metadata": {"name": name},
            "spec": {
                "runtime": {"name": runtime},
                "storage": {"endpoint": endpoint, "secretRef": {"name": "model-store"}},
                "versions": [{"name": "v1", "uri": uri}],
                "expose": {"nodePort": {}},
            },
        }

    return [
        resource("add", "triton", f"s3://{BUCKET}/add/"),
        resource("net", "torchserve", f"s3://{BUCKET}/net/net.mar"),
    ]


def _ask(cluster: Cluster, name: str, path: str, body: Any) -> str:
    status = json.loads(cluster.kubectl("get", "-n", SPACE, "imodel", name, "-o", "json"))["status"]
    url = f"http://{cluster.node_ip}:{status['nodePort']['http']}{path}"
    text = json.dumps(body)
    curl = f"curl -H 'Content-Type: application/json' {url} -d '{text}'"
    show.command(curl)
    code, _, answer = http("POST", url, text.encode(), {"Content-Type": "application/json"})
    show.output(answer.decode())
    if code != 200:
        raise ClusterError(f"{name} answered {code}")
    return curl


def _status() -> None:
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "pantala", "status", "--all-namespaces"], check=False)
