"""What an Envoy that is no Istio proxy must be told to be one to istiod.

Only the standard library: the image of the sidecar holds this file.
"""

from collections.abc import Mapping
from typing import Any

Address = tuple[str, int]

_RUNTIME = {"re2.max_program_size.error_level": "32768"}
"""Istio's own (pkg/bootstrap/config.go): Envoy's default of 100 refuses regular expressions that istiod lets pass."""

_HTTP = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_KEEPALIVE = {
    "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}}
}
_TAGS = (
    # istiod ends names in statistics with a semicolon; Envoy's own tags stop at the first dot and mangle the rest
    {"tag_name": "cluster_name", "regex": r"^cluster\.((.+?);\.)"},
    {"tag_name": "http_conn_manager_prefix", "regex": r"^http\.(((?:outbound|inbound)_[0-9.]+_\d+);\.)"},
)


def node(
    kind: str, address: str, name: str, namespace: str, labels: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return how a proxy introduces itself (what istiod reads: pilot/pkg/model.NodeMetadata).

    Args:
        kind: `router`, a gateway, or `sidecar`.
        address: of the proxy; for a sidecar the pod's.
        name: of its pod.
        namespace: of its pod.
        labels: what selectors of Istio's resources are matched with.
        more: further metadata.
    """
    metadata = {
        "NAMESPACE": namespace,
        "NAME": name,
        "CLUSTER_ID": "Kubernetes",  # must be istiod's own
        "ISTIO_VERSION": "1.31.0",
        "LABELS": dict(labels),
        "INSTANCE_IPS": address,
        **more,
    }
    identity = f"{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"
    return {"id": identity, "cluster": f"{name}.{namespace}", "metadata": metadata}


_AGAIN = {"base_interval": "0.25s", "max_interval": "1s"}
"""How soon Envoy asks again for an istiod that was away. By default that takes ever longer, up to 30 s (config.core.v3.GrpcService),
and a version that left the route meanwhile is gone before Envoy hears of it: docs/limits.md."""


def bootstrap(identity: Mapping[str, Any], istiod: Address, admin: Address) -> dict[str, Any]:
    """Return Envoy's configuration: everything else comes from istiod, over a plain connection.

    Args:
        identity: what `node` gave.
        istiod: where it answers without TLS.
        admin: where Envoy's administration shall listen.
    """
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc", "retry_policy": {"retry_back_off": _AGAIN}}}],
    }
    cluster = {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP.partition("/")[2]: {"@type": _HTTP, **_KEEPALIVE}},
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(istiod)}}]}],
        },
    }
    return {
        "node": dict(identity),
        "admin": {"address": _socket(admin)},
        "dynamic_resources": {"ads_config": source, "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [cluster]},
        "stats_config": {"stats_tags": list(_TAGS)},
        "layered_runtime": {"layers": [{"name": "istio", "static_layer": _RUNTIME}]},
    }


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address[0], "port_value": address[1]}}
