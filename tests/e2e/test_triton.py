"""Triton on a real node: every shape of a stored model, every kind of store, every port."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import models
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.support import BUCKET, Space, termination

pytestmark = pytest.mark.e2e


def test_every_shape_of_a_stored_model_answers(space: Space, tmp_path: Path) -> None:
    """A folder with a configuration, one without, a repository with an ensemble, each under the name for clients.

    The ensemble's empty version folder, which no object store can hold, is made. `squeezenet1_1`, which is no name for
    Kubernetes, is Triton's folder and the name in its configuration, whatever the stored one says.
    """
    stored = models.triton_add(tmp_path, "stored")
    space.s3.put_folder(BUCKET, "stored", stored)
    space.s3.put_folder(BUCKET, "auto", models.triton_add(tmp_path, "auto", config=False))
    space.s3.put_folder(BUCKET, "ensemble", models.triton_ensemble(tmp_path / "repository"))
    space.apply("stored", space.spec("triton", "stored/", modelName="squeezenet1_1"))
    space.apply("auto", space.spec("triton", "auto/"))
    space.apply("ensemble", space.spec("triton", "ensemble/"))
    for name in ("stored", "auto", "ensemble"):
        space.wait_ready(name)
    assert space.ask_triton("stored", [1, 2, 3, 4], "squeezenet1_1") == [2, 4, 6, 8]
    assert space.ask_triton("auto", [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert space.ask_triton("ensemble", [1, 2, 3, 4]) == [3, 6, 9, 12]
    assert (
        json.loads(http("GET", f"{space.url('stored')}/v2/models/squeezenet1_1/config")[2])["name"] == "squeezenet1_1"
    )
    assert http("GET", f"{space.url('stored')}/v2/models/stored")[0] == 404
    (pod,) = space.pods("ensemble")
    listed = space.kubectl("exec", pod["metadata"]["name"], "-c", "server", "--", "ls", "/models", "/models/ensemble")
    assert {"first", "second", "ensemble", "1", "config.pbtxt"} <= set(listed.split())


def test_all_ports_answer(space: Space, tmp_path: Path) -> None:
    """The gRPC node port speaks HTTP/2, and the pod's metrics are Triton's; the NodePort does not offer them.

    The repository API, which would let whoever reaches the port take the model away, is refused.
    """
    space.s3.put_folder(BUCKET, "ports", models.triton_add(tmp_path, "ports"))
    space.apply("ports", space.spec("triton", "ports/"))
    space.wait_ready("ports")
    assert space.ask_triton("ports", [5] * 4) == [10] * 4
    assert http("POST", f"{space.url('ports')}/v2/repository/models/ports/unload", b"{}")[0] == 403
    assert space.ask_triton("ports", [1] * 4) == [2] * 4
    assert set(space.status("ports")["nodePort"]) == {"http", "grpc"}
    address = (space.cluster.node_ip, space.status("ports")["nodePort"]["grpc"])
    with socket.create_connection(address, 10) as connection:
        connection.settimeout(10)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        kind = connection.recv(9)[3]
    assert kind == 4, "the first frame of an HTTP/2 server is SETTINGS (RFC 9113, 3.4)"
    (pod,) = space.pods("ports")
    status, _, metrics = http("GET", f"http://{pod['status']['podIP']}:8002/metrics")
    assert status == 200
    assert 'nv_inference_request_success{model="ports",version="1"} 2' in metrics.decode()


def test_weights_come_from_a_web_server(space: Space, tmp_path: Path) -> None:
    """A folder on a web server, listed by its index.json, needs neither keys nor S3."""
    folder = models.triton_add(tmp_path, "web")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    entries = [{"path": str(file.relative_to(folder)), "size": file.stat().st_size} for file in files]
    (folder / "index.json").write_text(json.dumps({"files": entries}))
    with _web_server(tmp_path, space.cluster.host_ip) as url:
        spec = space.spec("triton", "", versions=[{"name": "v1", "uri": f"{url}/web/"}])
        del spec["storage"]
        space.apply("web", spec)
        space.wait_ready("web")
    assert space.ask_triton("web", [7] * 4) == [14] * 4


def test_weights_come_from_a_claim(space: Space, tmp_path: Path) -> None:
    """pvc:// reads a folder of a volume; the fetcher needs no network for it."""
    folder = models.triton_add(tmp_path, "claimed")
    with _claim(space, "weights", folder.parent):
        spec = space.spec("triton", "", versions=[{"name": "v1", "uri": "pvc://weights/claimed/"}])
        del spec["storage"]
        space.apply("claimed", spec)
        space.wait_ready("claimed")
        assert space.ask_triton("claimed", [7] * 4) == [14] * 4
        space.delete("inferencemodel", "claimed")


def test_a_cache_outlives_the_pod(space: Space, tmp_path: Path) -> None:
    """With cache.pvc the second pod reads 0 bytes from the store."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    space.s3.put_folder(BUCKET, "cached", models.triton_add(tmp_path, "cached", padding=3_000_000))
    with _claim(space, "cache", folder):
        spec = space.spec("triton", "cached/", template={"spec": {"terminationGracePeriodSeconds": 2}})
        spec["storage"]["cache"] = {"pvc": {"claimName": "cache"}}
        space.apply("cached", spec)
        space.wait_ready("cached")
        (first,) = space.pods("cached")
        assert termination(first)["bytes"]["origin"] > 3_000_000
        space.delete("pod", first["metadata"]["name"])
        wait_for(lambda: len(space.pods("cached")) == 1, "one pod again", 20)
        space.wait_ready("cached")
        (second,) = space.pods("cached")
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert termination(second)["bytes"]["origin"] == 0
        assert termination(second)["fingerprint"] == termination(first)["fingerprint"]
        assert space.ask_triton("cached", [7] * 4) == [14] * 4
        space.delete("inferencemodel", "cached")


@contextmanager
def _web_server(folder: Path, address: str) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://{address}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def _claim(space: Space, name: str, folder: Path) -> Iterator[None]:
    """A claim of the space that is bound to a folder of this machine, whose file system the embedded nodes share."""
    if not isinstance(space.cluster, Cluster):
        pytest.skip("tier e2e: the nodes of this provider have a file system of their own")
    volume = f"{space.namespace}-{name}"
    common: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    space.apply_object(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(folder)},
            },
        }
    )
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": space.namespace},
    }
    space.apply_object({**claim, "spec": common})
    try:
        yield
    finally:
        space.kubectl("delete", "pvc", name, "--wait=false")
        space.kubectl("delete", "pv", volume, "--wait=false")
