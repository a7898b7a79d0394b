"""Istio's EnvoyFilter: an HTTP filter in front of the ports of a model's replicas, in their own sidecars.

Istio has no resource of its own for what is built with this: a bound on requests, on bodies, and keys.
"""

from collections.abc import Iterable
from enum import IntEnum

from pantala.manifest.types import Manifest
from pantala.traffic.route import Route

_MANAGER = "envoy.filters.network.http_connection_manager"
_ROUTER = "envoy.filters.http.router"


class Place(IntEnum):
    """Where a filter stands: smaller is nearer to the client. All are behind Istio's own, which check tokens and access.

    Istio applies filters in the order of `priority`, each directly before the router, so that the last is nearest to it
    (istio.io, EnvoyFilter, "priority").
    """

    API_KEYS = 10
    RATE_LIMIT = 20
    """Behind the keys: a stranger uses up nobody's share."""
    BODY_SIZE = 30
    """Behind the bound on requests: what is refused is not held in memory."""


def envoy_filter(route: Route, suffix: str, place: Place, ports: Iterable[int], filter_: Manifest) -> Manifest:
    """An EnvoyFilter that puts one HTTP filter in front of ports of the replicas.

    It holds for every way to them: gateway, mesh, NodePort. A port has to be in a Service, and has to be told to the mesh
    as HTTP or gRPC (`appProtocol`), or its sidecar has no HTTP filters there.

    Args:
        route: Whose replicas.
        suffix: End of the object's name, behind that of the model.
        place: Where the filter stands.
        ports: Ports of the replicas.
        filter_: Envoy's HttpFilter: `name` and `typed_config`.
    """
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": metadata(route, suffix),
        "spec": {
            "workloadSelector": {"labels": selector(route)},
            "priority": int(place),
            "configPatches": [
                {
                    "applyTo": "HTTP_FILTER",
                    "match": {
                        "context": "SIDECAR_INBOUND",
                        "listener": {
                            "filterChain": {
                                "destinationPort": port,
                                "filter": {"name": _MANAGER, "subFilter": {"name": _ROUTER}},
                            }
                        },
                    },
                    "patch": {"operation": "INSERT_BEFORE", "value": filter_},
                }
                for port in ports
            ],
        },
    }


def metadata(route: Route, suffix: str) -> Manifest:
    """Name, namespace, labels and owner of a policy.

    A model's name has at most 40 characters. No suffix ends with another, so the names of two models never meet.
    """
    return {
        "name": f"{route.name}-{suffix}",
        "namespace": route.namespace,
        "labels": dict(route.labels),
        "ownerReferences": list(route.owner),
    }


def selector(route: Route) -> dict[str, str]:
    """Labels that select the model's pods.

    Raises:
        ValueError: There are none; Istio would take every pod of the namespace.
    """
    if not route.selector:
        raise ValueError(
            f"route {route.namespace}/{route.name} selects no pods: a policy would hold for all of the namespace"
        )
    return dict(route.selector)
