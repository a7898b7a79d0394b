"""The Services of a model: its address in the cluster, and what is open to the outside."""

from __future__ import annotations

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.types import Manifest
from pantala.planner import protection, render
from pantala.planner.observed import Observed
from pantala.traffic import service


def services(model: InferenceModel, serving: ResolvedVersion, seen: Observed, owner: Manifest) -> list[Manifest]:
    """The Services that clients use, which all select exactly one version.

    None is opened to the outside before what the user wants to be protected is; one that is open stays, with its address.
    """
    owners = (owner,)
    name, namespace = model.metadata.name, model.metadata.namespace
    labels, selector = naming.labels(name), naming.selector(serving.name, name)
    server, expose = render.server_parts(serving), model.spec.expose
    built = [service.model_service(name, namespace, labels, owners, selector, server)]
    outside = []
    if expose is not None and expose.node_port is not None:
        port = naming.node_port_name(name)
        outside.append(service.node_port_service(port, namespace, labels, owners, selector, server, expose.node_port))
    if expose is not None and expose.load_balancer is not None:
        balancer = naming.load_balancer_name(name)
        outside.append(
            service.load_balancer_service(balancer, namespace, labels, owners, selector, server, expose.load_balancer)
        )
    safe = protection.enforced(model.spec.traffic, seen)
    return built + [it for it in outside if safe or seen.child("Service", it["metadata"]["name"]) is not None]
