"""NVIDIA Triton Inference Server.

Sources: `tritonserver --help` of 2.51, the protocol extensions in its documentation, and the real server in the tests.
"""

import math
from dataclasses import replace
from datetime import timedelta

from pantala.api import durations, owned
from pantala.api.resolve import ResolvedVersion
from pantala.manifest import layout
from pantala.manifest.types import Manifest, PodParts, Port, ServerParts
from pantala.runtimes import container as common
from pantala.runtimes.images import TRITON
from pantala.runtimes.render import render

PORTS = (Port("http", 8000), Port("grpc", 8001, "grpc"), Port("metrics", 8002))
"""Triton's own defaults."""

PROTECTED = frozenset(owned.TRITON_FLAGS)
"""Flags of tritonserver that `runtime.config` may not set: admission refuses them."""

SHARED_MEMORY = "1Gi"
"""Bound of /dev/shm, through which the python backend passes every tensor; the 64 MiB of a container are soon full. It
is counted in the memory limit only as far as it is used."""


GUARD = "pantala-pod-uid"
"""Header that requests for loading and unloading need; its value is the uid of the pod."""


class Triton:
    """The server for many frameworks: a folder per model, loaded at the start, gone if it cannot be."""

    name = "triton"
    default_image: str | None = TRITON

    def server(self, version: ResolvedVersion, image: str, cards: int = 0) -> ServerParts:
        """The server's part of a pod that serves exactly this version."""
        drain = common.drain_seconds(version)
        probes = common.probes(
            version,
            model=common.http_get(f"/v2/models/{version.model_name}/ready"),
            server=common.http_get("/v2/health/live"),
        )
        return ServerParts(
            container=common.container(
                version,
                image,
                ports=PORTS,
                probes=probes,
                args=(*_arguments(version.model_name, drain), *_settings(version)),
                # Backends cache below the home folder, which is read-only in the image.
                env=(
                    {"name": "HOME", "value": layout.SCRATCH},
                    {"name": "PANTALA_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                ),
            ),
            ports=PORTS,
            layout="triton",
            metrics_port=8002,
            files={"config.pbtxt": config(version, cards)},
            parts=_parts(version),
            example_path=f"/v2/models/{version.model_name}",
            drain_seconds=drain,
        )


def _arguments(name: str, drain: int) -> tuple[str, ...]:
    return (
        # Beside the image's entrypoint, not in place of it: NVIDIA's sets up CUDA's forward compatibility.
        "tritonserver",
        f"--model-repository={layout.MODELS}",
        # Exactly this model, and those that it is an ensemble of. If it cannot be loaded the process ends with the cause
        # in its last line, which the mode `none` leaves out.
        "--model-control-mode=explicit",
        f"--load-model={name}",
        "--exit-on-error=true",
        # This mode would let whoever reaches the ports unload the model. The API asks for a header that only those know
        # who may read the pod.
        f"--http-restricted-api=model-repository:{GUARD}=$(PANTALA_POD_UID)",
        f"--grpc-restricted-protocol=model-repository:{GUARD}=$(PANTALA_POD_UID)",
        "--strict-readiness=true",
        f"--exit-timeout-secs={drain}",
        "--http-port=8000",
        "--grpc-port=8001",
        "--metrics-port=8002",
    )


def _settings(version: ResolvedVersion) -> list[str]:
    """Flags that the native settings may change, in the order of their names so that equal settings give equal pods."""
    # The informative lines hold tables that are longer than a termination message: without them the errors are in it.
    settings = {"log-info": "false"}
    if version.accelerator is None:
        settings["allow-gpu-metrics"] = "false"
    return [f"--{name}={value}" for name, value in sorted((settings | (version.runtime.config or {})).items())]


def _parts(version: ResolvedVersion) -> PodParts:
    parts = common.scratch()
    if common.mounted_by_user(version, "/dev/shm"):  # noqa: S108 - a path in the container
        return parts
    volume: Manifest = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}}
    mount: Manifest = {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - a path in the container
    return replace(parts, volumes=(*parts.volumes, volume), mounts=(*parts.mounts, mount))


def _seen(version: ResolvedVersion, cards: int) -> int:
    """Devices that one process can use: of several slices CUDA takes the first (NVIDIA, MIG user guide, "CUDA Visible Devices")."""
    asked = version.accelerator
    sliced = asked is not None and (asked.profile is not None or asked.mode == "MIG")
    return min(cards, 1) if sliced else cards


def config(version: ResolvedVersion, cards: int = 0) -> str:
    """The `config.pbtxt` of a model whose store has none; Triton completes it from the model itself.

    The count of an instance group is that of each card that Triton sees, and a group without a kind falls back to the CPU
    in silence where it sees none (triton-inference-server/core, src/model_config_utils.cc, NormalizeInstanceGroup); so with
    cards the workers are spread over them, and the kind is named.

    Args:
        version: The version.
        cards: How many cards the server sees.
    """
    workers = version.runtime.workers
    batching = version.runtime.batching
    delay = durations.parse(batching.max_delay) if batching and batching.max_delay else None
    return render(
        "config.pbtxt.j2",
        name=version.model_name,
        max_batch_size=batching.max_size if batching else None,
        max_delay_microseconds=None if delay is None else delay // timedelta(microseconds=1),
        instances=None if workers is None else math.ceil(workers / max(1, _seen(version, cards))),
        kind="KIND_GPU" if cards else None,
    )
