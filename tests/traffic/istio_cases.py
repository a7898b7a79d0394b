"""Routes for the tests of Istio: pure ones, those at istiod, and those through an Envoy."""

from typing import Any

from pantala import naming
from pantala.api.traffic import Traffic, TrafficRule
from pantala.traffic.route import Backend, Route, Split
from tests.runtimes.build import OWNER

NAMESPACE, MODEL = "vision", "resnet"
V1, V2, V3 = (Backend(name, f"resnet-{name}", 8000, 8001, replicas=2) for name in ("v1", "v2", "v3"))
PLAIN = Backend("v4", "resnet-v4", 8080)
"""A version whose server speaks no gRPC, with one replica."""
SERVICES = {backend.service: backend.version for backend in (V1, V2, V3, PLAIN)}
GATEWAY = ("istio-system", "ingress")
HOSTS = ("resnet.vision.models.example.com",)
EXPOSED: dict[str, Any] = {"gateway": GATEWAY, "hosts": HOSTS}


def rule(name: str, backend: Backend, **fields: Any) -> tuple[TrafficRule, Backend]:
    """A rule that leads to a version; `headers` and `prefix` as users write them."""
    return TrafficRule.model_validate({"name": name, "version": backend.version, **fields}), backend


def header(name: str, value: str, kind: str = "Exact") -> dict[str, str]:
    """A condition on a header."""
    return {"name": name, "type": kind, "value": value}


def route(split: Split | None = None, traffic: dict[str, Any] | None = None, **fields: Any) -> Route:
    """A route of the model `resnet`; by default everything goes to its only version."""
    split = split or Split(((V1, 100),))
    ends = [*(it for it, _ in split.shares), *(it for it, _ in split.mirrors), *(it for _, it in split.rules)]
    given: dict[str, Any] = {
        "name": MODEL,
        "namespace": NAMESPACE,
        "labels": naming.labels(MODEL),
        "owner": OWNER,
        "split": split,
        "backends": tuple(dict.fromkeys(ends)),
        "selector": naming.model_selector(MODEL),
    }
    return Route(**{**given, **fields}, traffic=Traffic.model_validate(traffic or {}))


PIN = rule("pin", V2, headers=[header("X-Model-Version", "v2")])
RULES = (
    PIN,
    rule("early", V2, headers=[header("x-client", "beta-", "Prefix")], prefix="/v2/models/resnet"),
    rule("path", V3, prefix="/v2/repository"),
    rule("regex", V1, headers=[header("user-agent", "curl/[0-9.]+", "RegularExpression"), header("x-a", "b")]),
)
EVERYTHING: dict[str, Any] = {
    "timeout": "1m30s",
    "retries": {"attempts": 3, "retryOn": "503,connect-failure,reset", "perTryTimeout": "250ms"},
    "cors": {
        "allowOrigins": ["https://app.example.com", "http://localhost:3000"],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["Content-Type"],
        "exposeHeaders": ["X-Request-Id"],
        "maxAge": "1h30m",
        "allowCredentials": True,
    },
    "headers": {
        "request": {"set": {"X-Team": "100% vision"}, "add": {"x-via": "pantala"}, "remove": ["X-Internal"]},
        "response": {"set": {"x-served-by": "%HOSTNAME%", "x-nothing": ""}, "remove": ["server"]},
    },
    "limits": {"maxConnections": 100, "maxPendingRequests": 10, "maxRequests": 200, "maxBodySize": "1Mi"},
    "outlierDetection": {"consecutiveErrors": 3, "interval": "500ms", "baseEjectionTime": "1m"},
}

CASES: dict[str, Route] = {
    "minimal": route(),
    "exposed": route(**EXPOSED),
    "split": route(Split(((V1, 80), (V2, 20)))),
    "mirrors-rules": route(Split(((V1, 100),), ((V3, 25), (PLAIN, 100)), RULES)),
    "grpc": route(Split(((V1, 50), (V2, 30), (PLAIN, 20)), (), (rule("plain", PLAIN, prefix="/plain"), PIN))),
    "no-grpc": route(Split(((PLAIN, 100),)), {"retries": {"attempts": 0}}),
    "cors-any": route(traffic={"cors": {"allowOrigins": ["*"]}}),
    "connections": route(traffic={"limits": {"maxConnections": 4}}),
    "prefix": route(Split(((V1, 90), (V2, 10)), ((V3, 100),), RULES), prefix="/models/resnet-5.0", **EXPOSED),
    "everything": route(
        Split(((V1, 60), (V2, 30), (PLAIN, 10)), ((V3, 100),), RULES[:2]), EVERYTHING, prefix="/models", **EXPOSED
    ),
}
"""Routes by a name for the golden files."""
