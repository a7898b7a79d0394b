"""gRPC through a real Envoy: shares, copies and rules between real servers of gRPC, beside HTTP on the same host."""

import contextlib
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from typing_extensions import override

from pantala.traffic.route import Backend, Split
from tests.cluster.addons import istio as addon
from tests.cluster.addons.echo import PORT, Echo
from tests.cluster.addons.loopback import Loopback
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.process import wait_for
from tests.traffic.istio_cases import header, rule
from tests.traffic.istio_world import SPACE, World, endpoints, statuses

pytestmark = pytest.mark.mesh

METHOD = "/inference.GRPCInferenceService/ModelInfer"
MANY = 1000


@dataclass
class Server(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types
    """Answers every unary call with its own name, and remembers the paths."""

    name: str
    seen: list[str] = field(default_factory=list)

    @override
    def service(self, handler_call_details: Any) -> Any:
        self.seen.append(handler_call_details.method)
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: self.name.encode())


@dataclass
class Versions:
    """Two versions that speak gRPC and HTTP."""

    world: World
    servers: dict[str, Server]
    ends: tuple[Backend, ...]


@pytest.fixture(scope="module")
def versions(mesh_plane: Mesh) -> Iterator[Versions]:
    """Versions g1 to g3 in a namespace that goes at the end."""
    addon.apply(mesh_plane.cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
    with contextlib.ExitStack() as stack:
        world = World(mesh_plane, stack)
        servers = {name: Server(name) for name in ("g1", "g2", "g3")}
        for name, handler in servers.items():
            place = stack.enter_context(Loopback())
            server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(handler,))
            server.add_insecure_port(f"{place.address}:9001")
            server.start()
            stack.callback(lambda server=server: server.stop(None).wait())
            world.echoes[name] = [stack.enter_context(Echo(name))]
            service = f"resnet-{name}"
            ports = [
                {"name": "http", "port": 8000, "targetPort": PORT},
                {"name": "grpc", "port": 8001, "targetPort": 9001},
            ]
            slices = [
                endpoints(service, "http", PORT, [world.echoes[name][0].address]),
                endpoints(service, "grpc", 9001, [place.address]),
            ]
            world.serve(service, ports, slices)
        yield Versions(world, servers, tuple(Backend(name, f"resnet-{name}", 8000, 8001) for name in servers))
    mesh_plane.cluster.kubectl("delete", f"namespace/{SPACE}")


def test_grpc_is_split_mirrored_and_ruled(versions: Versions) -> None:
    """A thousand calls are shared 80 to 20 and all copied; those with a header go by a rule; HTTP keeps its own ports."""
    world, (g1, g2, g3) = versions.world, versions.ends
    pin = rule("pin", g2, headers=[header("x-version", "g2")])
    made = world.put("grpc", Split(((g1, 80), (g2, 20)), ((g3, 100),), (pin,)))
    address = world.mesh.envoy.url.removeprefix("http://")
    with grpc.insecure_channel(address, options=[("grpc.default_authority", made.hosts[0])]) as channel:
        call = channel.unary_unary(METHOD)
        answers = [call(b"", timeout=10).decode() for _ in range(MANY)]
        counts = {name: len(server.seen) for name, server in versions.servers.items()}
        assert (counts["g1"], counts["g2"]) == (answers.count("g1"), answers.count("g2"))
        assert answers.count("g1") + answers.count("g2") == MANY
        assert abs(counts["g1"] - 800) <= 64  # five standard deviations
        wait_for(lambda: len(versions.servers["g3"].seen) == MANY, "all copies", 20)
        pinned = [call(b"", timeout=10, metadata=(("x-version", "g2"),)).decode() for _ in range(500)]
        assert pinned == ["g2"] * 500
    assert {path for server in versions.servers.values() for path in server.seen} == {METHOD}
    assert sum(server.count for server in world.servers()) == 0
    assert statuses(world.ask_often(made, 500)) == {200: 500}
    assert world.count("g1") + world.count("g2") == 500
