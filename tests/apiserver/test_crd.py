"""The CRD on a real API server: what it accepts, what it refuses and in which words, and what it stores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import new_client_from_config

from pantala.api.check import check
from tests.apiserver.models import BAD, DATA, GOOD, MODELS, Api, causes, load
from tests.cluster import Cluster
from tests.planner.world import FULL_PROBLEMS, full_world

pytestmark = pytest.mark.apiserver


@pytest.fixture
def model(api: Api) -> Iterator[dict[str, Any]]:
    """A stored model with two versions, one of them with a checksum."""
    obj = load(DATA / "good" / "two-versions.yaml")
    obj["spec"]["versions"][1]["digest"] = "sha256:" + "0" * 64
    stored = api.call("POST", MODELS, obj)
    assert stored["kind"] == "InferenceModel", stored
    yield stored
    api.call("DELETE", f"{MODELS}/{obj['metadata']['name']}")


def header(path: Path) -> tuple[str, str]:
    """The path and the message that a bad resource announces."""
    line = path.read_text().splitlines()[1].removeprefix("# ")
    place, _, message = line.partition(": ")
    return ("", line) if " " in place or place == "metadata.name" else (place, message)


def paths(left: Any, right: Any, path: str = "") -> list[str]:
    """Paths of the fields by which two resources differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        names = sorted({*left, *right})
        return [each for name in names for each in paths(left.get(name), right.get(name), f"{path}.{name}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            each
            for index, pair in enumerate(zip(left, right, strict=True))
            for each in paths(*pair, f"{path}[{index}]")
        ]
    return [] if left == right else [path]


def test_corpora_are_large_enough() -> None:
    """At least 12 good resources and 30 bad ones stand for what users write."""
    assert len(GOOD) >= 12
    assert len(BAD) >= 30


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good(api: Api, path: Path) -> None:
    """A good resource is accepted with all its fields, and `pantala validate` agrees."""
    obj = load(path)
    assert check(obj) == []
    stored = api.create(obj, fieldValidation="Strict")
    assert stored["kind"] == "InferenceModel", stored
    assert stored["spec"]["scaling"]["minReplicas"] >= 1
    assert stored["spec"]["runtime"]["startupTimeout"]
    assert stored["spec"]["distribution"] == {"mode": "Direct"} | obj["spec"].get("distribution", {})


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad(api: Api, path: Path) -> None:
    """A bad resource, one field away from a good one, is refused in the announced words, and `validate` says the same."""
    obj = load(path)
    twin = load(DATA / path.read_text().splitlines()[0].removeprefix("# One field away from ").removesuffix("."))
    assert len(paths(obj, twin)) == 1
    status = api.create(obj, fieldValidation="Strict")
    assert status["kind"] == "Status"
    assert status["reason"] == "Invalid", status
    found = causes(status)
    place, message = header(path)
    assert any(where == place and text.endswith(message) for where, text in found), found
    offline = check(obj)
    assert sorted(problem.path for problem in offline) == sorted(where for where, _ in found)
    for problem in offline:
        assert any(where == problem.path and text.endswith(problem.message) for where, text in found), (problem, found)


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (lambda spec: spec.update(tarffic={"target": "v1"}), "spec.tarffic"),
        (lambda spec: spec["runtime"].update(startupTimout="5m"), "spec.runtime.startupTimout"),
        (lambda spec: spec["versions"][0].update(url="s3://a/b"), "spec.versions[0].url"),
        (lambda spec: spec.update(scaling={"minreplicas": 2}), "spec.scaling.minreplicas"),
        (lambda spec: spec.update(accelerator={"provider": "nvidia", "memory": "8Gi"}), "spec.accelerator.memory"),
    ],
)
def test_typos(api: Api, edit: Any, path: str) -> None:
    """A field that does not exist is refused by a strict client, dropped for others, and found by `validate`."""
    obj = load(DATA / "good" / "minimal.yaml")
    edit(obj["spec"])
    assert f'unknown field "{path}"' in api.create(obj, fieldValidation="Strict")["message"]
    assert api.create(obj, fieldValidation="Ignore")["kind"] == "InferenceModel"
    assert [problem.path for problem in check(obj)] == [path]


def test_defaults_are_stored(api: Api) -> None:
    """What reaches pods is stored, so that another operator's defaults change nothing; the rest stays absent."""
    assert api.create(load(DATA / "good" / "minimal.yaml"))["spec"] == {
        "paused": False,
        "runtime": {"name": "triton", "startupTimeout": "30m"},
        "distribution": {"mode": "Direct"},
        "scaling": {"minReplicas": 1, "engine": "HPA"},
        "versions": [{"name": "v1", "uri": "s3://models/resnet/1/"}],
    }
    obj = load(DATA / "good" / "minimal.yaml")
    obj["spec"] |= {"update": {}, "accelerator": {"provider": "nvidia"}}
    stored = api.create(obj)["spec"]
    assert (stored["update"], stored["accelerator"]["count"]) == ({"maxSurge": 1, "maxUnavailable": 0}, 1)


@pytest.mark.parametrize(
    ("version", "change", "field"),
    [
        (0, {"uri": "s3://models/resnet/3/resnet.mar"}, "uri"),
        (0, {"digest": "sha256:" + "1" * 64}, "digest"),
        (1, {"digest": "sha256:" + "1" * 64}, "digest"),
        (1, {"digest": None}, "digest"),
    ],
    ids=["uri", "digest added", "digest changed", "digest removed"],
)
def test_weights_of_a_version_are_immutable(api: Api, model: Any, version: int, change: Any, field: str) -> None:
    """Uri and digest cannot change under a name, and the message tells how to ship new weights."""
    model["spec"]["versions"][version] |= change
    status = api.call("PUT", f"{MODELS}/{model['metadata']['name']}", model)
    message = (
        f"{field} cannot change under the name of a version: add a version with the new {field}"
        " and let traffic.target name it"
    )
    assert causes(status) == [(f"spec.versions[{version}].{field}", f"Invalid value: {message}")]


def test_versions_may_come_and_go(api: Api, model: Any) -> None:
    """A version may be added, moved in the list and removed, and its other blocks may change."""
    first, second = model["spec"]["versions"]
    third = {"name": "v3", "uri": "s3://models/resnet/3/resnet.mar", "scaling": {"minReplicas": 2}}
    model["spec"] |= {"versions": [third, second | {"resources": {"limits": {"memory": "1Gi"}}}, first]}
    model = api.call("PUT", f"{MODELS}/{model['metadata']['name']}", model)
    assert [version["name"] for version in model["spec"]["versions"]] == ["v3", "v2", "v1"], model
    model["spec"] |= {"versions": [third], "traffic": {"target": "v3"}}
    model = api.call("PUT", f"{MODELS}/{model['metadata']['name']}", model)
    assert [version["name"] for version in model["spec"]["versions"]] == ["v3"], model


def test_spec_and_status_are_apart(api: Api, model: Any) -> None:
    """The status is written through its own subresource and moves no generation."""
    path = f"{MODELS}/{model['metadata']['name']}"
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "v2 answers",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {
        "observedGeneration": 1,
        "conditions": [condition],
        "version": "v2",
        "replicas": "1/1",
        "url": "http://two-versions.default.svc",
        "nodePort": {"http": 30080},
        "versions": [
            {
                "name": "v2",
                "state": "Serving",
                "desiredReplicas": 1,
                "readyReplicas": 1,
                "image": "example.com/server:1",
                "fetch": {
                    "replicas": 1,
                    "files": 1,
                    "bytes": {"origin": 2**40, "peer": 0, "local": 0, "cache": 0, "proxy": 0},
                    "fallbacks": 1,
                    "unlisted": ["0123abcd"],
                },
                "replicas": [
                    {
                        "pod": "two-versions-v2-7c9f-abcde",
                        "node": "gpu-1",
                        "created": "2026-01-01T00:00:00Z",
                        "ready": "2026-01-01T00:00:29Z",
                        "restarts": 1,
                        "phases": dict.fromkeys(("scheduled", "prepare", "fetch", "image", "load", "ready"), "4s120ms"),
                        "files": 1,
                        "bytes": {"origin": 2**40, "peer": 0, "local": 0, "cache": 0, "proxy": 0},
                        "direct": 2**40,
                        "parents": {"gpu-2": 1, "storage-seed": 2, "gpu-3.example.com": 3, "others": 4},
                        "retries": 3,
                        "fallback": "NoSocket: there is no socket",
                        "fingerprint": "sha256:00",
                    }
                ],
            },
            {"name": "v1", "state": "Parked", "message": "nothing asks for it"},
        ],
    }
    assert "status" not in api.call("PUT", path, model | {"status": status})
    stored = api.apply(f"{path}/status", {key: model[key] for key in ("apiVersion", "kind")} | {"status": status})
    assert stored["status"] == status
    assert stored["metadata"]["generation"] == model["metadata"]["generation"]


@pytest.mark.parametrize("letter", FULL_PROBLEMS)
def test_fullest_status(api: Api, model: Any, letter: str) -> None:
    """The largest status that the operator can write, with the longest words and a full ledger, is stored as it is."""
    world = full_world(letter)
    for _ in range(2):
        world.crowd(25, letter)
        status = world.report(*FULL_PROBLEMS[letter]).status
    assert any(item.get("replicas") for item in status["versions"])
    assert any(item["fetch"].get("unlisted") for item in status["versions"])
    path = f"{MODELS}/{model['metadata']['name']}/status"
    stored = api.call("PUT", path, model | {"status": status}, fieldValidation="Strict")
    assert stored.get("status") == status, stored


def test_kubectl(api: Api, control_plane: Cluster, model: Any) -> None:
    """The short name, the columns and the explanations are what people see."""
    assert control_plane.kubectl("get", "imodel").splitlines()[0].split() == [
        "NAME",
        "READY",
        "VERSION",
        "REPLICAS",
        "URL",
        "AGE",
    ]
    assert "two-versions" in control_plane.kubectl("get", "pantala")
    assert "two-versions" in control_plane.kubectl("get", "ml")
    text = " ".join(control_plane.kubectl("explain", "imodel.spec.runtime.startupTimeout").split())
    assert "How long a replica may take from its start to ready, a duration" in text
    assert "Default: 30m." in text


def test_oldest_supported_server(api_server_1_31: Cluster) -> None:
    """The CRD installs on the oldest supported API server, with the same verdicts and the same words of the rules."""
    with new_client_from_config(str(api_server_1_31.kubeconfig)) as client:
        api = Api(client)
        api.install()
        for path in GOOD:
            stored = api.create(load(path))
            assert stored["kind"] == "InferenceModel", (path.stem, stored)
        for path in BAD:
            status = api.create(load(path))
            assert status["kind"] == "Status", path.stem
            message = header(path)[1]
            if not message.startswith(("Too ", "Unsupported", "Duplicate")) and " in body " not in message:
                assert message in status["message"], path.stem
