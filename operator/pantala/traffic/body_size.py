"""`traffic.limits.maxBodySize`: the largest body of an HTTP request."""

from pantala.api import quantity
from pantala.manifest.types import Manifest
from pantala.traffic.envoy_filter import Place, envoy_filter
from pantala.traffic.route import Route

_TYPE = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"


def body_size(route: Route, largest: str | int) -> Manifest:
    """The filter that answers a larger body with 413; it holds a body in memory until it is complete.

    Only the ports for HTTP have it: a stream of gRPC has no end that could be waited for.

    Args:
        route: Whose replicas.
        largest: Bytes, as a quantity such as 64Mi.

    Raises:
        ValueError: That is no quantity.
    """
    size = quantity.parse(str(largest))
    if size is None:
        raise ValueError(f"{largest!r} is not a quantity")
    # Rounded down: never more than was allowed.
    config = {"@type": _TYPE, "max_request_bytes": int(size)}
    filter_ = {"name": "envoy.filters.http.buffer", "typed_config": config}
    return envoy_filter(route, "max-body-size", Place.BODY_SIZE, route.http_ports, filter_)
