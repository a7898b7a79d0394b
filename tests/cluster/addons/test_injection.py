"""Sidecars of the real injector: policies of Istio change what a client sees of a pod, on a real node."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pantala.runtimes.images import TRITON
from tests.cluster.addons import injection, istio
from tests.cluster.addons.issuer import Issuer
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

SPACE = "injected"
LABELS = {"app": "server"}
_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("x-peer", self.client_address[0])
        self.end_headers()
        self.wfile.write(b"ok")
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Pod:
    """A pod with a sidecar."""

    mesh: Mesh
    address: str

    def status(self, path: str = "/", headers: dict[str, str] | None = None) -> int:
        """Ask the pod, past every Service, and return the status."""
        return http("GET", f"http://{self.address}:8080{path}", headers=headers)[0]

    def admin(self, path: str) -> str:
        """Ask the sidecar's administration."""
        return http("GET", f"http://{self.address}:15000{path}")[2].decode()


@pytest.fixture(scope="module")
def pod(injected: Mesh) -> Iterator[Pod]:
    """A server that runs as pods of the operator do, in a namespace that is injected; `status` works through Envoy."""
    cluster = injected.cluster
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": injection.LABEL}}
    istio.apply(cluster, [space])
    wait_for(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", SPACE), "service account", 30)
    start = time.monotonic()
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": SPACE}}
    istio.apply(cluster, [{**service, "spec": {"selector": LABELS, "ports": ports}}, _pod()])
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "-n", SPACE, "pod/server")
    print(f"pod with a sidecar ready after {time.monotonic() - start:.1f} s")
    address = cluster.kubectl("get", "-n", SPACE, "pod/server", "-o", "jsonpath={.status.podIP}")
    made = Pod(injected, address)
    wait_for(lambda: "inbound|8080||" in made.admin("/clusters"), "the sidecar knows its Service", 30)
    yield made
    cluster.kubectl("delete", f"namespace/{SPACE}")


def _pod() -> dict[str, Any]:
    container = {
        "name": "server",
        "image": TRITON,
        "command": ["python3", "-c", _SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    metadata = {"name": "server", "namespace": SPACE, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _security(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": SPACE}
    spec = {"selector": {"matchLabels": LABELS}, **spec}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _rejections(pod: Pod) -> list[str]:
    lines = pod.admin("/stats?filter=update_rejected$").splitlines()
    return [line for line in lines if not line.endswith(": 0")] + pod.mesh.istiod.rejections()


def test_a_pod_gets_a_native_sidecar(pod: Pod) -> None:
    """The injector adds its containers in front of all others; requests arrive from Envoy, with nothing refused."""
    found = json.loads(pod.mesh.cluster.kubectl("get", "-n", SPACE, "pod/server", "-o", "json"))
    assert [one["name"] for one in found["spec"]["initContainers"]] == ["istio-init", "istio-proxy"]
    assert found["spec"]["initContainers"][1]["restartPolicy"] == "Always"
    _, headers, body = http("GET", f"http://{pod.address}:8080/")
    assert body == b"ok"
    assert headers["server"] == "istio-envoy"
    assert headers["x-peer"] == "127.0.0.6"  # from which istiod has sidecars connect
    assert _rejections(pod) == []


def test_a_policy_denies_a_path(pod: Pod) -> None:
    """An AuthorizationPolicy closes one path, and opens it again when it goes."""
    rules = [{"to": [{"operation": {"paths": ["/admin*"]}}]}]
    policy = _security("AuthorizationPolicy", "closed", {"action": "DENY", "rules": rules})
    assert pod.status("/admin/x") == 200
    istio.apply(pod.mesh.cluster, [policy])
    wait_for(lambda: pod.status("/admin/x") == 403, "the path is closed", 20)
    assert pod.status("/other") == 200
    assert _rejections(pod) == []
    pod.mesh.cluster.kubectl("delete", "-n", SPACE, "authorizationpolicy/closed")
    wait_for(lambda: pod.status("/admin/x") == 200, "the path is open", 20)


def test_a_policy_sees_the_address_of_the_client(pod: Pod) -> None:
    """A request from this machine is denied by its own address, not by that of a bridge or of Envoy."""
    rules = [{"from": [{"source": {"ipBlocks": [f"{pod.mesh.cluster.host_ip}/32"]}}]}]
    istio.apply(pod.mesh.cluster, [_security("AuthorizationPolicy", "us", {"action": "DENY", "rules": rules})])
    wait_for(lambda: pod.status() == 403, "this machine is denied", 20)
    pod.mesh.cluster.kubectl("delete", "-n", SPACE, "authorizationpolicy/us")
    wait_for(lambda: pod.status() == 200, "this machine is allowed", 20)


def test_a_token_is_asked_for(pod: Pod) -> None:
    """With a RequestAuthentication and a policy against requests without principal only a good token passes."""
    with Issuer() as issuer, Issuer() as forger:
        rule = {"issuer": issuer.name, "jwks": issuer.jwks, "audiences": ["models"]}
        nobody = [{"from": [{"source": {"notRequestPrincipals": ["*"]}}]}]
        objects = [
            _security("RequestAuthentication", "tokens", {"jwtRules": [rule]}),
            _security("AuthorizationPolicy", "tokens", {"action": "DENY", "rules": nobody}),
        ]
        istio.apply(pod.mesh.cluster, objects)

        def asked(token: str) -> int:
            return pod.status(headers={"Authorization": f"Bearer {token}"})

        wait_for(lambda: pod.status() == 403 and asked("nonsense") == 401, "tokens are asked for", 20)
        assert asked(issuer.token(aud="models")) == 200
        assert asked(issuer.token(aud="others")) == 403
        assert asked(issuer.token(aud="models", seconds=-300)) == 401  # Envoy grants a minute
        assert asked(forger.token(aud="models")) == 401
    assert _rejections(pod) == []
    kinds = "requestauthentication/tokens", "authorizationpolicy/tokens"
    pod.mesh.cluster.kubectl("delete", "-n", SPACE, *kinds)
    wait_for(lambda: pod.status() == 200, "no token is asked for", 20)


def test_a_filter_limits_requests(pod: Pod) -> None:
    """An EnvoyFilter for one port of the pod lets as many requests through as its bucket holds."""
    everything = {"numerator": 100, "denominator": "HUNDRED"}
    limit = {
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 5, "tokens_per_fill": 5, "fill_interval": "600s"},
        "filter_enabled": {"runtime_key": "limit_enabled", "default_value": everything},
        "filter_enforced": {"runtime_key": "limit_enforced", "default_value": everything},
    }
    value = {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "value": limit,
        },
    }
    chain = {"destinationPort": 8080, "filter": {"name": "envoy.filters.network.http_connection_manager"}}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": chain}},
        "patch": {"operation": "INSERT_BEFORE", "value": value},
    }
    envoy_filter = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "limit", "namespace": SPACE},
        "spec": {"workloadSelector": {"labels": LABELS}, "configPatches": [patch]},
    }
    istio.apply(pod.mesh.cluster, [envoy_filter])
    wait_for(lambda: "limit.http_local_rate_limit.enabled" in pod.admin("/stats"), "the filter", 20)
    given = [pod.status() for _ in range(12)]
    assert given == [200] * 5 + [429] * 7
    assert _rejections(pod) == []
    pod.mesh.cluster.kubectl("delete", "-n", SPACE, "envoyfilter/limit")
    wait_for(lambda: pod.status() == 200, "no limit", 20)


def test_probes_are_rewritten_and_answered(pod: Pod) -> None:
    """The injector sends the kubelet to the sidecar, which asks the server itself; so a policy cannot fail a probe."""
    path = "jsonpath={.spec.containers[0].readinessProbe.httpGet}"
    probe = json.loads(pod.mesh.cluster.kubectl("get", "-n", SPACE, "pod/server", "-o", path))
    assert (probe["path"], probe["port"]) == ("/app-health/server/readyz", 15020)
    assert http("GET", f"http://{pod.address}:15020/app-health/server/readyz")[0] == 200
    assert http("GET", f"http://{pod.address}:15020/app-health/other/readyz")[0] == 500


def test_a_service_is_no_way_around_the_sidecar(pod: Pod) -> None:
    """What comes by the Service's address, which kube-proxy masquerades, goes through Envoy too."""
    path = "jsonpath={.spec.clusterIP}"
    address = pod.mesh.cluster.kubectl("get", "-n", SPACE, "service/server", "-o", path)
    assert http("GET", f"http://{address}/")[1]["x-peer"] == "127.0.0.6"


def test_the_gateway_reaches_a_pod_with_a_sidecar(pod: Pod) -> None:
    """A request goes through both Envoys, that of the gateway and that of the pod."""
    route = [{"destination": {"host": f"server.{SPACE}.svc.cluster.local", "port": {"number": 80}}}]
    virtual = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "server", "namespace": SPACE},
        "spec": {"hosts": ["server.example.com"], "gateways": ["istio-system/ingress"], "http": [{"route": route}]},
    }
    istio.apply(pod.mesh.cluster, [virtual])
    pod.mesh.envoy.wait_for_route("server.example.com")
    status, headers, _ = http("GET", pod.mesh.envoy.url, headers={"Host": "server.example.com"})
    assert status == 200
    assert headers["x-peer"] == "127.0.0.6"
    assert pod.mesh.envoy.rejections() == {}
