"""Wishes of users that become policies, for tests of them: pure ones, and those at real sidecars."""

from hashlib import sha256
from typing import Any

from pantala import naming
from pantala.api.traffic import Traffic
from pantala.traffic.route import Backend, Route, Split
from tests.runtimes.build import OWNER

KEYS = {"team-a": "a key of team a", "team-b": "0123456789abcdef"}
"""Clients and their keys."""
ISSUER = "https://accounts.example.com"
API_KEYS = {"keys": [{"name": name, "sha256": sha256(key.encode()).hexdigest()} for name, key in KEYS.items()]}
JWT = {"issuer": ISSUER, "audiences": ["resnet", "bert"], "jwksUri": f"{ISSUER}/.well-known/jwks.json"}
JWKS = '{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AC2CnoA8hdDpwwdO3PoUZcV02Gsnz1_8vhQ2KpTRk1k", "y": "P33zbEPvmqcp4-IhgTSuCCZhd-2kpGpi8Ai_DQxICrw"}]}'
"""A public key whose private one nobody has."""

CASES: dict[str, dict[str, Any]] = {
    "rate-limit": {"rateLimit": {"requests": 100}},
    "rate-limit-shortest": {"rateLimit": {"requests": 1, "per": "50ms"}},
    "max-body-size": {"limits": {"maxBodySize": "64Mi"}},
    "deny": {"access": {"deny": [{"paths": ["/v2/repository*"]}, {"ipBlocks": ["10.0.0.0/8"], "methods": ["POST"]}]}},
    "allow": {"access": {"allow": [{"namespaces": ["web"], "paths": ["/v2/models/*"], "methods": ["POST", "GET"]}]}},
    "access": {
        "access": {
            "allow": [{"ipBlocks": ["192.0.2.0/24"], "paths": ["/v2/*"]}, {"remoteIpBlocks": ["203.0.113.7"]}],
            "deny": [{"namespaces": ["guests"]}],
        }
    },
    "jwt": {"authentication": {"jwt": [JWT]}},
    "jwt-two-issuers": {
        "authentication": {"jwt": [{"issuer": "first"}, {"issuer": "https://second.example.com", "jwks": JWKS}]}
    },
    "api-keys": {"authentication": {"apiKeys": API_KEYS}},
    "api-keys-authorization": {"authentication": {"apiKeys": {"header": "Authorization", **API_KEYS}}},
    "everything": {
        "rateLimit": {"requests": 1000, "per": "1m"},
        "limits": {"maxBodySize": "1Gi"},
        "authentication": {"jwt": [JWT]},
        "access": {"allow": [{"methods": ["POST"]}], "deny": [{"paths": ["/v2/repository*"]}]},
    },
}
"""What is written below `traffic`, by a name for the golden files."""


def route(traffic: dict[str, Any], *backends: Backend, **fields: Any) -> Route:
    """A route of a model with these wishes; by default of one version that speaks HTTP and gRPC."""
    ends = backends or (Backend("v1", "resnet-v1", 8000, 8001),)
    given: dict[str, Any] = {
        "name": "resnet",
        "namespace": "vision",
        "labels": naming.labels("resnet"),
        "owner": OWNER,
        "split": Split(((ends[0], 100),)),
        "backends": ends,
        "selector": naming.model_selector("resnet"),
    }
    return Route(**{**given, **fields}, traffic=Traffic.model_validate(traffic))
