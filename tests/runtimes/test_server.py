"""What holds for the containers of all runtimes, and what differs on purpose."""

import json
from typing import Any

import pytest
import yaml

from pantala.runtimes import registry, torchserve, triton
from pantala.runtimes.images import TORCHSERVE, TRITON
from tests.runtimes.build import server, version
from tests.runtimes.test_render import load_properties

CUSTOM = {"name": "custom", "custom": {"port": 9000}}
EVERY = [{"name": "triton"}, {"name": "torchserve"}, CUSTOM]
every = pytest.mark.parametrize("runtime", EVERY, ids=lambda runtime: runtime["name"])


@every
def test_restricted(runtime: dict[str, Any]) -> None:
    """Every container passes the Pod Security level `restricted` and keeps the tail of its log as its last words."""
    container = server(runtime).container
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@every
@pytest.mark.parametrize(
    ("timeout", "seconds"), [("30m", 1800), ("1s", 1), ("90s", 90), ("250ms", 0.25), ("24h", 86400)]
)
def test_startup_probe_covers_the_timeout(runtime: dict[str, Any], timeout: str, seconds: float) -> None:
    """A replica has at least `startupTimeout` to load, and at most one probe more."""
    probe = server(runtime | {"startupTimeout": timeout}).container["startupProbe"]
    covered = probe["failureThreshold"] * probe["periodSeconds"]
    assert seconds <= covered <= max(seconds, 0) + probe["periodSeconds"]


@every
def test_probes_name_ports_of_the_container(runtime: dict[str, Any]) -> None:
    """The ports of the probes exist, and liveness is more patient than readiness."""
    container = server(runtime).container
    names = {port["name"] for port in container["ports"]}
    probes = [container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["httpGet"]["port"] for probe in probes} <= names
    patience = [probe["failureThreshold"] * probe["periodSeconds"] for probe in probes[1:]]
    assert patience[0] < patience[1]


@every
def test_what_is_the_planners(runtime: dict[str, Any]) -> None:
    """Resources, mounts and lifecycle are left to the planner."""
    assert not {"resources", "volumeMounts", "lifecycle", "imagePullPolicy"} & set(server(runtime).container)


@every
def test_users_environment_comes_last_and_once(runtime: dict[str, Any]) -> None:
    """A user's variable replaces the runtime's of the same name; no name is listed twice."""
    env = [{"name": "HOME", "value": "/srv"}, {"name": "Z", "value": "$(HOME)"}]
    found = server(runtime | {"env": env}).container["env"]
    assert found[-2:] == env
    assert len({item["name"] for item in found}) == len(found)


@every
def test_equal_versions_give_equal_parts(runtime: dict[str, Any]) -> None:
    """The order in which settings are written changes no pod."""
    settings = {"config": {"a": "1", "b": "2"}} if runtime is not CUSTOM else {}
    turned = {"config": {"b": "2", "a": "1"}} if settings else {}
    assert server(runtime | settings) == server(runtime | turned)


@every
@pytest.mark.parametrize(("grace", "drain"), [(None, 45), (320, 305), (60, 45), (5, 1)])
def test_drain_fits_the_grace_period(runtime: dict[str, Any], grace: int | None, drain: int) -> None:
    """Requests in flight may take what the grace period leaves beside the preStop sleep and the exit itself."""
    template = {"spec": {"terminationGracePeriodSeconds": grace}} if grace else {}
    assert server(runtime, template=template).drain_seconds == drain


def test_default_images() -> None:
    """Known servers have an image; a custom one must be named."""
    images = {name: runtime.default_image for name, runtime in registry.RUNTIMES.items()}
    assert images == {"triton": TRITON, "torchserve": TORCHSERVE, "custom": None}


def test_triton_probes_the_model() -> None:
    """Readiness of Triton is that of the model under the name that clients use; liveness that of the server."""
    container = server({"name": "triton"}, model_name="squeezenet1_1").container
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/squeezenet1_1/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert "--load-model=squeezenet1_1" in container["args"]


def test_triton_keeps_the_image_entrypoint() -> None:
    """`tritonserver` is an argument: NVIDIA's entrypoint prepares the drivers' compatibility."""
    container = server({"name": "triton"}).container
    assert "command" not in container
    assert container["args"][0] == "tritonserver"


def test_triton_with_cards_reports_them() -> None:
    """Metrics of cards are off only where there are none."""
    assert "--allow-gpu-metrics=false" in server({"name": "triton"}).container["args"]
    cards = server({"name": "triton"}, accelerator={"provider": "nvidia"}).container["args"]
    assert not [arg for arg in cards if "gpu-metrics" in arg]


def test_triton_leaves_the_users_shared_memory() -> None:
    """A template that mounts /dev/shm itself gets no second mount there."""
    spec = {
        "volumes": [{"name": "big", "emptyDir": {"medium": "Memory"}}],
        "volumeMounts": [{"name": "big", "mountPath": "/dev/shm"}],
    }
    assert [mount["mountPath"] for mount in server({"name": "triton"}).parts.mounts] == ["/tmp", "/dev/shm"]
    mounts = server({"name": "triton"}, template={"spec": spec}).parts.mounts
    assert [mount["mountPath"] for mount in mounts] == ["/tmp"]


@pytest.mark.parametrize(
    ("runtime", "lines"),
    [
        ({}, ['name: "resnet_50"']),
        ({"workers": 3}, ['name: "resnet_50"', "instance_group [ { count: 3 } ]"]),
        (
            {"batching": {"maxSize": 16, "maxDelay": "5ms"}},
            [
                'name: "resnet_50"',
                "max_batch_size: 16",
                "dynamic_batching {",
                "  max_queue_delay_microseconds: 5000",
                "}",
            ],
        ),
        ({"batching": {"maxSize": 4}}, ['name: "resnet_50"', "max_batch_size: 4", "dynamic_batching {", "}"]),
    ],
)
def test_config_pbtxt_says_what_is_asked(runtime: dict[str, Any], lines: list[str]) -> None:
    """The generated config.pbtxt holds what the resource says, and leaves the rest to Triton."""
    text = triton.config(version({"name": "triton", **runtime}))
    assert [line for line in text.splitlines() if not line.startswith("#")] == lines


@pytest.mark.parametrize(
    ("workers", "cards", "asked", "group"),
    [
        (3, 1, {}, "count: 3, kind: KIND_GPU"),
        (4, 2, {}, "count: 2, kind: KIND_GPU"),
        (3, 2, {}, "count: 2, kind: KIND_GPU"),
        (1, 8, {}, "count: 1, kind: KIND_GPU"),
        (4, 2, {"provider": "mig", "profile": "1g.10gb"}, "count: 4, kind: KIND_GPU"),
        (4, 2, {"provider": "hami", "mode": "MIG"}, "count: 4, kind: KIND_GPU"),
        (4, 2, {"provider": "hami", "mode": "HAMiCore"}, "count: 2, kind: KIND_GPU"),
    ],
)
def test_instances_are_spread_over_cards(workers: int, cards: int, asked: dict[str, Any], group: str) -> None:
    """Triton counts for each card, so that `workers` are at least as many in all; of slices a process sees one."""
    resolved = version({"name": "triton", "workers": workers}, accelerator={"count": cards, **asked})
    assert f"instance_group [ {{ {group} }} ]" in triton.config(resolved, cards)


def test_instances_are_left_to_triton() -> None:
    """Without `workers` Triton makes an instance for each card that it sees, of the kind that the backend prefers."""
    assert "instance_group" not in triton.config(version({"name": "triton"}, accelerator={}), 2)


def test_torchserve_leaves_the_archive_its_settings() -> None:
    """Without a word on batches or workers the archive's own model-config.yaml counts, with one worker as default."""
    loaded = load_properties(torchserve.config(version({"name": "torchserve"})))
    assert loaded["default_workers_per_model"] == "1"
    assert "model_snapshot" not in loaded


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ({"workers": 3}, (3, 1, 100)),
        ({"batching": {"maxSize": 8}}, (1, 8, 100)),
        ({"batching": {"maxSize": 8, "maxDelay": "1s"}, "workers": 2}, (2, 8, 1000)),
    ],
)
def test_torchserve_snapshot(runtime: dict[str, Any], expected: tuple[int, int, int]) -> None:
    """Batches and workers reach TorchServe whatever the version inside of the archive is."""
    loaded = load_properties(torchserve.config(version({"name": "torchserve", **runtime})))
    model = json.loads(loaded["model_snapshot"])["models"]["resnet_50"]["1.0"]
    assert (model["minWorkers"], model["batchSize"], model["maxBatchDelay"]) == expected
    assert model["maxWorkers"] == model["minWorkers"]
    assert model["marName"] == "resnet_50.mar"
    assert "load_models" not in loaded


def test_torchserve_keeps_management_inside() -> None:
    """The API that can scale a model's workers to zero is no port of the pod."""
    parts = server({"name": "torchserve"})
    assert 8081 not in {port.number for port in parts.ports}
    assert [port.name for port in parts.ports if port.in_service] == ["http", "grpc", "metrics"]


def test_torchserve_start_program_compiles() -> None:
    """The program in the ConfigMap is Python, for any name."""
    for name in ("resnet_50", "a.b-c_D"):
        source = server({"name": "torchserve"}, model_name=name).files["start.py"]
        compile(source, "start.py", "exec", dont_inherit=True)
        assert f"MODEL = '{name}'" in source


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ({"port": 80}, {"http": 80}),
        ({"port": 80, "grpcPort": 81, "metricsPort": 82}, {"http": 80, "grpc": 81, "metrics": 82}),
        ({"port": 80, "metricsPort": 80}, {"http": 80}),
        ({"port": 80, "grpcPort": 80, "metricsPort": 81}, {"http": 80, "metrics": 81}),
    ],
)
def test_custom_ports(spec: dict[str, Any], ports: dict[str, int]) -> None:
    """A custom server has the ports that it names, each number once."""
    parts = server({"name": "custom", "custom": spec})
    assert {port.name: port.number for port in parts.ports} == ports
    assert parts.metrics_port == spec.get("metricsPort")
    assert not parts.files


def test_custom_without_its_block() -> None:
    """A custom runtime without `custom`, which admission refuses, is an error and not a guess."""
    with pytest.raises(ValueError, match=r"runtime\.custom"):
        server({"name": "custom"})


@every
def test_parts_are_plain(runtime: dict[str, Any]) -> None:
    """A container is plain JSON: it survives a round through YAML."""
    container = server(runtime).container
    assert yaml.safe_load(yaml.safe_dump(container)) == container
