"""Routes for tests of the Gateway API."""

from typing import Any

from pantala import naming
from pantala.api.traffic import Traffic
from pantala.traffic.route import Backend, Route, Split
from tests.runtimes.build import OWNER

V1 = Backend("v1", "resnet-v1", 8000, 8001)
V2 = Backend("v2", "resnet-v2", 8000, 8001)
V3 = Backend("v3", "resnet-v3", 9000)
GATEWAY = ("infra", "ingress")
HOST = "resnet.models.example.com"
FULL = {
    "rules": [
        {"name": "pin", "headers": [{"name": "X-Model-Version", "value": "v2"}], "version": "v2"},
        {
            "name": "deep",
            "prefix": "/v2/models/resnet",
            "headers": [{"name": "x-team", "type": "Prefix", "value": "a.b*c"}],
            "version": "v1",
        },
        {
            "name": "shadow",
            "headers": [{"name": "x-u", "type": "RegularExpression", "value": "[a-f]+"}],
            "version": "v3",
        },
    ],
    "mirrors": [{"version": "v3", "percent": 25}],
    "timeout": "300s",
    "cors": {
        "allowOrigins": ["https://app.example.com", "*", "http://[::1]:8080"],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["content-type"],
        "maxAge": "1h30m",
    },
    "headers": {
        "request": {"set": {"x-team": "a b", "x-none": "", "x-percent": "100%"}, "remove": ["x-internal"]},
        "response": {"add": {"x-via": "pantala"}},
    },
}


def traffic(**fields: Any) -> Traffic:
    """The block as a user writes it."""
    return Traffic.model_validate(fields)


def route(
    shares: tuple[tuple[Backend, int], ...] = ((V1, 80), (V2, 20)), wanted: Traffic | None = None, **changes: Any
) -> Route:
    """The route of the model resnet, with the mirrors and rules of its traffic block."""
    wanted = wanted or Traffic()
    backends = {it.version: it for it in changes.get("backends", (V1, V2, V3))} | {it.version: it for it, _ in shares}
    split = Split(
        shares,
        tuple((backends[it.version], it.percent) for it in wanted.mirrors or ()),
        tuple((it, backends[it.version]) for it in wanted.rules or ()),
    )
    given: dict[str, Any] = {"labels": naming.labels("resnet"), "owner": OWNER, "split": split, "traffic": wanted}
    return Route("resnet", "vision", **{**given, "backends": tuple(backends.values()), **changes})
