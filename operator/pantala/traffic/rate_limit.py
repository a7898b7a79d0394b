"""`traffic.rateLimit`: how many requests a replica takes in a time, counted by its own sidecar."""

import math

from pantala.api import durations
from pantala.api.traffic import RateLimit
from pantala.manifest.types import Manifest
from pantala.traffic.envoy_filter import Place, envoy_filter
from pantala.traffic.route import Route

HEADER = "x-pantala-refused"
"""Header of an answer that the sidecar gave in place of the server, for the bound on requests: says why."""

_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
# Both are 0 % by default: then nothing is limited (Envoy, LocalRateLimit, filter_enabled and filter_enforced).
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def rate_limit(route: Route, limit: RateLimit) -> Manifest:
    """The filter that answers requests beyond the bound with 429, or gRPC's RESOURCE_EXHAUSTED.

    It is a token bucket: `requests` may come at once, and it fills up again evenly, by `requests` within `per`. Envoy has
    one bucket for each place where the filter stands, for all of its threads. HTTP and gRPC are two places: each port of a
    replica has a bucket of its own. (A bucket can be shared by `share_key` in Envoy's filter for connections alone, not
    in that for HTTP requests.) So is a port's traffic with mutual TLS and without, where the mesh permits both.
    """
    period = durations.parse(limit.per)
    seconds = period.total_seconds()
    bucket = {
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests,
        "fill_interval": f"{seconds:.3f}s",
    }
    headers = {HEADER: "rate-limit", "retry-after": str(math.ceil(seconds / limit.requests))}
    config = {
        "@type": _TYPE,
        "stat_prefix": "pantala_rate_limit",
        "token_bucket": bucket,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [
            {"append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": {"key": key, "value": value}}
            for key, value in headers.items()
        ],
    }
    filter_ = {"name": "envoy.filters.http.local_ratelimit", "typed_config": config}
    return envoy_filter(route, "rate-limit", Place.RATE_LIMIT, route.client_ports, filter_)
