"""PyTorch's TorchServe, 0.12: its last release (the project is archived).

Sources: the Java sources of pytorch/serve (ConfigManager, ModelManager, SnapshotManager, WorkerThread), its
`docs/configuration.md`, and the real server in the tests.
"""

import json
import math
from datetime import timedelta

from pantala.api import durations, owned
from pantala.api.resolve import ResolvedVersion
from pantala.manifest import layout
from pantala.manifest.types import Port, ServerParts
from pantala.runtimes import container as common
from pantala.runtimes.images import TORCHSERVE
from pantala.runtimes.render import render

HTTP, GRPC, METRICS, MANAGEMENT, HEALTH = 8080, 7070, 8082, 8081, 8083

PORTS = (
    Port("http", HTTP),
    Port("grpc", GRPC, "grpc"),
    Port("metrics", METRICS),
    Port("health", HEALTH, in_service=False),
)
"""TorchServe's own defaults, and that of `start.py`. The management API, which can replace the model, stays inside."""

PROTECTED = frozenset(owned.TORCHSERVE_CONFIG)
"""Keys of config.properties that `runtime.config` may not set: admission refuses them."""

STORE = f"{layout.SCRATCH}/model-store"
"""Where `start.py` links the archive, packed or not, as NAME.mar."""

_TERMINATION_MESSAGE_BYTES = 1024  # the pod's containers share 12 KiB


class TorchServe:
    """The server of PyTorch: one archive, workers as processes."""

    name = "torchserve"
    default_image: str | None = TORCHSERVE

    def server(self, version: ResolvedVersion, image: str, cards: int = 0) -> ServerParts:  # noqa: ARG002 - the server counts them itself
        """The server's part of a pod that serves exactly this version."""
        drain = common.drain_seconds(version)
        return ServerParts(
            container=common.container(
                version,
                image,
                ports=PORTS,
                probes=common.probes(
                    version,
                    model=common.http_get("/ready", "health"),
                    server=common.http_get("/ping"),
                ),
                command=("python3", f"{layout.CONFIG}/start.py"),
                args=(
                    "--start",
                    "--foreground",
                    "--ncs",  # no snapshots: the configuration is what is mounted
                    f"--model-store={STORE}",
                    f"--ts-config={layout.CONFIG}/config.properties",
                    f"--log-config={layout.CONFIG}/log4j2.xml",
                ),
                env=(
                    # The root file system is read-only: everything that TorchServe writes goes to the scratch volume.
                    {"name": "HOME", "value": layout.SCRATCH},
                    {"name": "LOG_LOCATION", "value": layout.SCRATCH},
                    {"name": "METRICS_LOCATION", "value": layout.SCRATCH},
                    {"name": "TEMP", "value": layout.SCRATCH},
                    {"name": "TS_CONFIG_FILE", "value": f"{layout.CONFIG}/config.properties"},
                ),
            ),
            ports=PORTS,
            layout="torchserve",
            metrics_port=METRICS,
            files={
                "config.properties": config(version),
                "log4j2.xml": render("log4j2.xml.j2"),
                "start.py": start(version, drain),
            },
            parts=common.scratch(),
            # Describes the model's API; what a prediction wants, its handler alone knows.
            example_path=f"/predictions/{version.model_name}",
            example_options=("-X", "OPTIONS"),
            drain_seconds=drain,
        )


def config(version: ResolvedVersion) -> str:
    """The `config.properties` of a version."""
    return render("config.properties.j2", settings=dict(sorted((version.runtime.config or {}).items())) | _own(version))


def start(version: ResolvedVersion, drain: int) -> str:
    """The program that starts TorchServe and watches over it."""
    return render(
        "start.py.j2",
        name=version.model_name,
        drain_seconds=drain,
        store=STORE,
        models=layout.MODELS,
        health_port=HEALTH,
        management_port=MANAGEMENT,
        client_ports=[HTTP, GRPC],
        termination_log="/dev/termination-log",
        message_bytes=_TERMINATION_MESSAGE_BYTES,
    )


def _own(version: ResolvedVersion) -> dict[str, str]:
    startup = durations.parse(version.runtime.startup_timeout)
    return {
        # Reachable from outside of the pod; TorchServe binds localhost otherwise.
        "inference_address": f"http://0.0.0.0:{HTTP}",
        "grpc_inference_address": "0.0.0.0",  # noqa: S104 - a Service is to reach it
        "grpc_inference_port": str(GRPC),
        "metrics_address": f"http://0.0.0.0:{METRICS}",
        # From inside only: it can scale the workers of the model to zero.
        "management_address": f"http://127.0.0.1:{MANAGEMENT}",
        "enable_model_api": "false",
        # Otherwise a random token, written to a file in the container, is asked of every client.
        "disable_token_authorization": "true",
        # TorchServe gives a worker two minutes to load; large models need more.
        "default_startup_timeout": str(math.ceil(startup / timedelta(seconds=1))),
        "metrics_mode": "prometheus",
        "model_store": STORE,
    } | _model(version, math.ceil(startup / timedelta(seconds=1)))


def _model(version: ResolvedVersion, startup_seconds: int) -> dict[str, str]:
    """Which model is loaded, and how.

    `load_models` takes no batch size, and the property `models`, which does, is looked up under the version inside of
    the archive, which nobody knows here. A snapshot is read as it is, under any version, and wins over the archive's
    own model-config.yaml; so it is used as soon as the resource says anything about batches or workers.
    """
    batching, workers = version.runtime.batching, version.runtime.workers
    archive = f"{version.model_name}.mar"
    if batching is None and workers is None:
        return {"default_workers_per_model": "1", "load_models": f"{version.model_name}={archive}"}
    delay = durations.parse(batching.max_delay) if batching and batching.max_delay else timedelta(milliseconds=100)
    model = {
        "defaultVersion": True,
        "marName": archive,
        "minWorkers": workers or 1,
        "maxWorkers": workers or 1,
        "batchSize": (batching.max_size if batching else None) or 1,
        "maxBatchDelay": delay // timedelta(milliseconds=1),
        # The defaults of config.properties do not reach a model out of a snapshot, which would have two minutes.
        "startupTimeout": startup_seconds,
    }
    response = (version.runtime.config or {}).get("default_response_timeout", "")
    if response.isdecimal():
        model["responseTimeout"] = int(response)
    snapshot = {"name": "pantala", "modelCount": 1, "models": {version.model_name: {"1.0": model}}}
    return {"model_snapshot": json.dumps(snapshot, separators=(",", ":"))}
