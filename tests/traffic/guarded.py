"""Two replicas of a server with real sidecars, and the policies of a model in force there."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from pantala import naming
from pantala.manifest.types import Manifest
from pantala.traffic import policies
from tests.cluster.addons import injection, istio
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.addons.service import http
from tests.cluster.images.pantala import reference
from tests.cluster.process import wait_for
from tests.traffic.policy_cases import route

SPACE = "guarded"
HTTP, GRPC, METRICS = 8000, 8001, 8002
_KINDS = (
    "authorizationpolicies.security.istio.io,requestauthentications.security.istio.io,envoyfilters.networking.istio.io"
)
_CALL = "/echo.Echo/Call"
_SERVER = """
import json, threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import grpc
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self):
        size = 0
        if self.headers.get("transfer-encoding"):
            while count := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(count))
                self.rfile.readline()
            self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers.get("content-length") or 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "size": size, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *_):
        pass
class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        def answer(body, context):
            headers = {name: str(value) for name, value in context.invocation_metadata()}
            return json.dumps({"path": call.method, "size": len(body), "headers": headers}).encode()
        return grpc.unary_unary_rpc_method_handler(answer)
server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers((Echo(),))
server.add_insecure_port("0.0.0.0:8001")
server.start()
metrics = ThreadingHTTPServer(("0.0.0.0", 8002), Handler)
threading.Thread(target=metrics.serve_forever, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int | str
    """Of HTTP, or the name of gRPC's code."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def seen(self) -> Mapping[str, str]:
        """Headers that the server saw."""
        found: dict[str, str] = json.loads(self.body)["headers"]
        return found


@dataclass
class Guarded:
    """The replicas and what guards them."""

    mesh: Mesh
    addresses: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start the replicas; returns when requests to them go through their sidecars."""
        cluster = self.mesh.cluster
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": injection.LABEL}}
        istio.apply(cluster, [space])
        wait_for(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", SPACE), "service account", 90)
        istio.apply(cluster, [_service(), *(_pod(index) for index in range(2))])
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=180s", "-n", SPACE, "pod", "--all")
        path = "jsonpath={.items[*].status.podIP}"
        self.addresses = cluster.kubectl("get", "-n", SPACE, "pod", "-o", path).split()
        for port in (HTTP, GRPC, METRICS):
            wait_for(lambda port=port: self._everywhere(f"inbound|{port}||", "clusters"), f"sidecars know {port}", 90)  # type: ignore[misc] # a default binds it

    def put(self, traffic: Mapping[str, Any]) -> list[Manifest]:
        """Put these wishes in force, and no others, and return their objects.

        Raises:
            ClusterError: An object was refused, or the sidecars did not take it.
        """
        self.clear()
        made = policies.objects(route(dict(traffic), namespace=SPACE, owner=()))
        istio.apply(self.mesh.cluster, made)
        for one in made:
            wait_for(lambda one=one: self._everywhere(_mark(one)), f"sidecars have {_mark(one)}", 90)  # type: ignore[misc] # as above
        return made

    def clear(self) -> None:
        """Take all policies away; returns when the sidecars have none."""
        self.mesh.cluster.kubectl("delete", "-n", SPACE, _KINDS, "--all")
        marks = ("pantala_", "policy[resnet", "jwt_authn")
        wait_for(lambda: not any(mark in text for mark in marks for text in self._listeners()), "no policies", 90)

    def _everywhere(self, text: str, what: str = "") -> bool:
        found = [self.admin(at, f"/{what}") for at in self.addresses] if what else self._listeners()
        return all(text in one for one in found)

    def _listeners(self) -> list[str]:
        """What the sidecars work with, without what they are still preparing."""
        found = []
        for at in self.addresses:
            configs = json.loads(self.admin(at, "/config_dump?resource=dynamic_listeners"))["configs"]
            found.append(json.dumps([one.get("active_state") for one in configs]))
        return found

    def admin(self, address: str, path: str) -> str:
        """Ask a sidecar's administration."""
        return http("GET", f"http://{address}:15000{path}")[2].decode()

    def rejections(self) -> list[str]:
        """What the sidecars refused of what they were sent."""
        lines = [
            line for at in self.addresses for line in self.admin(at, "/stats?filter=update_rejected$").splitlines()
        ]
        return [line for line in lines if not line.endswith(": 0")] + self.mesh.istiod.rejections()

    def ask(
        self,
        path: str = "/v2/models/resnet",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        port: int = HTTP,
        replica: int = 0,
    ) -> Answer:
        """Send a request to a replica, past every Service."""
        url = f"http://{self.addresses[replica]}:{port}{path}"
        status, answered, content = http(method, url, body, headers)
        return Answer(status, {name.lower(): value for name, value in answered.items()}, content)

    def call(self, headers: Mapping[str, str] | None = None, *, body: bytes = b"", replica: int = 0) -> Answer:
        """Make a call by gRPC to a replica."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"{self.addresses[replica]}:{GRPC}", options) as channel:
            method = channel.unary_unary(_CALL)
            try:
                content, done = method.with_call(body, timeout=30, metadata=tuple((headers or {}).items()))
            except grpc.RpcError as error:
                return Answer(error.code().name, _texts(error.trailing_metadata()), error.details().encode())
            return Answer(done.code().name, _texts(done.trailing_metadata()), content)

    def count(self, times: int, **request: Any) -> Counter[int | str]:
        """Ask so many times and count the statuses."""
        return Counter(self.ask(**request).status for _ in range(times))


def _texts(pairs: Iterable[tuple[str, str]] | None) -> dict[str, str]:
    return {name: str(value) for name, value in pairs or ()}


def _mark(made: Manifest) -> str:
    """What the listeners of a sidecar hold when an object is in force."""
    if made["kind"] == "AuthorizationPolicy":
        return f"policy[{made['metadata']['name']}]"
    if made["kind"] == "RequestAuthentication":
        return "jwt_authn"
    config = made["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    return str(config.get("stat_prefix", config["@type"]))


def _service() -> Manifest:
    ports = [
        {"name": name, "port": port, "targetPort": port, "appProtocol": protocol}
        for name, port, protocol in (("http", HTTP, "http"), ("grpc", GRPC, "grpc"), ("metrics", METRICS, "http"))
    ]
    spec = {"selector": naming.model_selector("resnet"), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "resnet-v1", "namespace": SPACE}, "spec": spec}


def _pod(index: int) -> Manifest:
    container = {
        "name": "server",
        "image": reference(),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", _SERVER],
        "readinessProbe": {"httpGet": {"path": "/", "port": HTTP}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    metadata = {"name": f"server-{index}", "namespace": SPACE, "labels": naming.model_selector("resnet")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
