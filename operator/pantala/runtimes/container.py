"""What the containers of all model servers have in common: security, probes, environment, scratch space."""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pantala.api import durations
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.layout import GRACE_SECONDS, RESTRICTED, SCRATCH
from pantala.manifest.types import Manifest, PodParts, Port

CONTAINER = "server"
"""Name of the model server's container."""

PRE_STOP = 10
"""Seconds of the grace period that the preStop sleep takes: requests still arrive, because the endpoints are not yet gone everywhere."""

EXIT_MARGIN = 5
"""Seconds of the grace period that are left for the process to end."""

_STARTUP_PERIOD = 2


def drain_seconds(version: ResolvedVersion) -> int:
    """How long requests in flight may take once the server was told to stop: what the grace period leaves for it."""
    spec = version.template.spec if version.template else None
    grace = (spec.termination_grace_period_seconds if spec else None) or GRACE_SECONDS
    return max(1, grace - PRE_STOP - EXIT_MARGIN)


def container(
    version: ResolvedVersion,
    image: str,
    *,
    ports: Sequence[Port],
    probes: Manifest,
    args: Sequence[str] = (),
    command: Sequence[str] | None = None,
    env: Sequence[Manifest] = (),
) -> Manifest:
    """The server's container without resources, weights and cards, which are the planner's.

    Args:
        version: Whose `args` and `env` are appended.
        image: Image of the server.
        ports: Ports that the server listens on.
        probes: The three probes by their field.
        args: Arguments of the runtime, before the user's.
        command: In place of the image's entrypoint.
        env: Variables of the runtime; the user's are added and win.
    """
    made: Manifest = {"name": CONTAINER, "image": image}
    if command:
        made["command"] = list(command)
    if arguments := [*args, *(version.runtime.args or ())]:
        made["args"] = arguments
    if variables := merge_env(env, (item.as_dict() for item in version.runtime.env or ())):
        made["env"] = variables
    made["ports"] = [{"name": port.name, "containerPort": port.number, "protocol": "TCP"} for port in ports]
    made |= probes
    # The end of the log becomes the termination message: what a server says before it gives up is all that the operator
    # sees of the reason.
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"
    made["securityContext"] = dict(RESTRICTED)
    return made


def merge_env(ours: Iterable[Manifest], theirs: Iterable[Manifest]) -> list[Manifest]:
    """Both lists, each name once (server-side apply refuses doubles); where both have a name, the second list wins."""
    merged = {item["name"]: item for item in ours}
    for item in theirs:
        merged.pop(item["name"], None)  # so that it comes last, after all that it may refer to
        merged[item["name"]] = item
    return list(merged.values())


def probes(version: ResolvedVersion, *, model: Manifest, server: Manifest) -> Manifest:
    """The three probes of a server.

    The startup probe asks for the model until `startupTimeout`, so loading may take its time. Readiness asks for the
    model, so no request reaches a replica that cannot answer it. Liveness asks for the server alone, and patiently: a
    restart costs a load of the model, and a busy server is not a dead one.

    Args:
        version: Whose `startupTimeout` counts.
        model: Probe that succeeds only if the model can answer (`httpGet` and its fields).
        server: Probe that succeeds if the server is alive.
    """
    timeout = durations.parse(version.runtime.startup_timeout) / timedelta(seconds=1)
    return {
        "startupProbe": {
            **model,
            "periodSeconds": _STARTUP_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": max(1, math.ceil(timeout / _STARTUP_PERIOD)),
        },
        "readinessProbe": {**model, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**server, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
    }


def http_get(path: str, port: str = "http") -> Manifest:
    """The start of a probe: a GET that must answer with 200 to 399."""
    return {"httpGet": {"path": path, "port": port}}


def scratch() -> PodParts:
    """The volume behind `SCRATCH`."""
    return PodParts(volumes=({"name": "tmp", "emptyDir": {}},), mounts=({"name": "tmp", "mountPath": SCRATCH},))


def mounted_by_user(version: ResolvedVersion, path: str) -> bool:
    """Whether the template already mounts something at that path, which then stays the only mount there."""
    spec = version.template.spec if version.template else None
    return any(mount.mount_path == path for mount in (spec.volume_mounts or () if spec else ()))
