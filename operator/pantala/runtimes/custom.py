"""Any image that serves HTTP and reads its weights from a folder."""

from pantala.api.resolve import ResolvedVersion
from pantala.api.runtime import Custom as CustomSpec
from pantala.manifest import layout
from pantala.manifest.types import Port, ServerParts
from pantala.runtimes import container as common


class Custom:
    """A server that the operator does not know: the user says how to talk to it."""

    name = "custom"
    default_image: str | None = None

    def server(self, version: ResolvedVersion, image: str, cards: int = 0) -> ServerParts:  # noqa: ARG002 - its own matter
        """The server's part of a pod that serves exactly this version.

        Raises:
            ValueError: The resource has no `runtime.custom` (refused at admission).
        """
        spec = version.runtime.custom
        if spec is None:
            raise ValueError("runtime.custom says on which port a custom server answers; it is missing")
        ports = _ports(spec)
        answer = common.http_get(spec.health_path)
        return ServerParts(
            container=common.container(
                version,
                image,
                ports=ports,
                probes=common.probes(version, model=answer, server=answer),
                command=spec.command,
                env=(
                    {"name": "PANTALA_MODEL_NAME", "value": version.model_name},
                    {"name": "PANTALA_MODEL_DIR", "value": layout.MODELS},
                ),
            ),
            ports=ports,
            layout="plain",
            metrics_port=spec.metrics_port,
            metrics_path=spec.metrics_path or "/metrics",
            parts=common.scratch(),
            example_path=spec.health_path,
            drain_seconds=common.drain_seconds(version),
        )


def _ports(spec: CustomSpec) -> tuple[Port, ...]:
    """The ports, each number once: a container may answer metrics on its main port, but Kubernetes lists it once."""
    asked = [Port("http", spec.port)]
    if spec.grpc_port:
        asked.append(Port("grpc", spec.grpc_port, "grpc"))
    if spec.metrics_port:
        asked.append(Port("metrics", spec.metrics_port))
    by_number: dict[int, Port] = {}
    for port in asked:
        by_number.setdefault(port.number, port)
    return tuple(by_number.values())
