"""DestinationRules of Istio: how many requests and connections a version takes, and which of its replicas are left out.

Without one the mesh's own defaults hold; so there is one per version only where the user asks for something.
"""

from typing import Any

from pantala.api import durations
from pantala.api.traffic import Limits, OutlierDetection
from pantala.manifest.types import Manifest
from pantala.traffic.route import Backend, Route


def rules(route: Route) -> list[Manifest]:
    """The DestinationRules of a route, named as the Services of the versions; none where nothing is asked for."""
    found = ((backend, _policy(route, backend)) for backend in route.backends)
    return [_rule(route, backend, policy) for backend, policy in found if policy]


def duration(text: str) -> str:
    """A duration of the resource as protobuf's JSON has it, in seconds: `5400s`, `0.25s`.

    Istio reads Go's form, too, which has `1h30m` in common with GEP-2257; but not every reader of its objects does.
    """
    seconds, milliseconds = divmod(round(durations.parse(text).total_seconds() * 1000), 1000)
    return f"{seconds}.{milliseconds:03}".rstrip("0").rstrip(".") + "s" if milliseconds else f"{seconds}s"


def _rule(route: Route, backend: Backend, policy: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {
            "name": backend.service,
            "namespace": route.namespace,
            "labels": dict(route.labels),
            "ownerReferences": list(route.owner),
        },
        "spec": {"host": route.service_host(backend.service), "trafficPolicy": policy},
    }


def _policy(route: Route, backend: Backend) -> Manifest:
    policy: Manifest = {}
    if route.traffic.limits and (pool := _pool(route.traffic.limits)):
        policy["connectionPool"] = pool
    # The only replica would be left out in favour of none.
    if route.traffic.outlier_detection and backend.replicas > 1:
        policy["outlierDetection"] = _outliers(route.traffic.outlier_detection)
    return policy


def _pool(limits: Limits) -> Manifest:
    """Bounds of Envoy's circuit breakers, which answer 503 with `x-envoy-overloaded` at once, and are never retried.

    A request of HTTP/1.1 holds a connection of its own. Where only connections are bounded, the requests beyond them would
    wait in a queue without an end; as many may wait as there are connections.
    """
    pool: dict[str, dict[str, Any]] = {}
    if limits.max_connections is not None:
        pool["tcp"] = {"maxConnections": limits.max_connections}
    http = {
        "http1MaxPendingRequests": limits.max_pending_requests or limits.max_connections,
        # In spite of its name for HTTP/1.1, too (Istio's reference, ConnectionPoolSettings.HTTPSettings).
        "http2MaxRequests": limits.max_requests,
    }
    if found := {name: value for name, value in http.items() if value is not None}:
        pool["http"] = found
    return pool


def _outliers(asked: OutlierDetection) -> Manifest:
    """Ejection by answers; replicas that do not take connections count as 5xx as long as the two are not told apart."""
    return {
        "consecutive5xxErrors": asked.consecutive_errors,
        "interval": duration(asked.interval),
        "baseEjectionTime": duration(asked.base_ejection_time),
        "maxEjectionPercent": asked.max_ejection_percent,
        # With maxEjectionPercent 100 all may be left out. Where fewer than this share are healthy, Envoy asks all of them
        # again rather than none; Istio's own default is 0: none.
        "minHealthPercent": 1,
    }
