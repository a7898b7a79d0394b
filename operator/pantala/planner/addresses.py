"""Where a model answers: its URL, a line to try it with, its ports and addresses. Pure."""

from __future__ import annotations

import shlex

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.manifest.types import Manifest
from pantala.planner import live_route, render
from pantala.planner.observed import Observed
from pantala.planner.plan import Plan

_STANDARD = {"http": 80, "https": 443}


def addresses(model: InferenceModel, seen: Observed, plan: Plan) -> Manifest:
    """The fields of the status that tell how the model is reached."""
    found: Manifest = {}
    live = live_route.read(seen).hosts
    outside = _outside(model, plan, live)
    url = outside or _inside(model, seen)
    if url is not None:
        found["url"] = url
        if resolve.find(model, plan.serving) is not None:
            found["example"] = _example(model, plan, url)
    if live:
        found["hosts"] = list(live[:8])
    if ports := _node_ports(model, seen):
        found["nodePort"] = ports
    if balancers := _load_balancer(model, seen):
        found["loadBalancer"] = balancers
    return found


def _outside(model: InferenceModel, plan: Plan, live: tuple[str, ...]) -> str | None:
    """The URL at the gateway, if it is there already; without a word of the gateway's own it is taken for plain HTTP."""
    exposure = plan.routing.exposure
    if not exposure.hosts or exposure.gateway is None or exposure.hosts[0] not in live:
        return None
    scheme, port = (exposure.listener.scheme, exposure.listener.port) if exposure.listener else ("http", 80)
    prefix = (model.spec.expose.prefix if model.spec.expose else None) or ""
    return f"{scheme}://{exposure.hosts[0]}{_suffix(scheme, port)}{prefix}"


def _inside(model: InferenceModel, seen: Observed) -> str | None:
    service = seen.child("Service", model.metadata.name)
    if service is None:
        return None
    ports = service["spec"].get("ports", ())
    port = next((item["port"] for item in ports if item["name"] == "http"), 80)
    return f"http://{model.metadata.name}.{model.metadata.namespace}.svc{_suffix('http', port)}"


def _suffix(scheme: str, port: int) -> str:
    return "" if _STANDARD[scheme] == port else f":{port}"


def _example(model: InferenceModel, plan: Plan, url: str) -> str:
    """A line for a shell that asks the model something, with the keys that it wants as variables."""
    server = render.server_parts(resolve.resolve(model, plan.serving))
    authentication = model.spec.traffic.authentication if model.spec.traffic else None
    words = ["curl", *server.example_options]
    if authentication is not None and authentication.api_keys is not None:
        header = authentication.api_keys.header.lower()
        words.append(f'-H "{header}: {"Bearer " if header == "authorization" else ""}$API_KEY"')
    elif authentication is not None:
        words.append('-H "authorization: Bearer $TOKEN"')
    return " ".join([*words, shlex.quote(url + server.example_path)])


def _node_ports(model: InferenceModel, seen: Observed) -> Manifest:
    service = seen.child("Service", naming.node_port_name(model.metadata.name))
    ports = service["spec"].get("ports", ()) if service else ()
    return {
        item["name"]: item["nodePort"] for item in ports if item["name"] in {"http", "grpc"} and item.get("nodePort")
    }


def _load_balancer(model: InferenceModel, seen: Observed) -> list[str]:
    service = seen.child("Service", naming.load_balancer_name(model.metadata.name))
    ingress = ((service or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
    return [text for item in ingress[:8] if (text := item.get("hostname") or item.get("ip"))]
