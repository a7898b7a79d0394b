"""What a Gateway listens for: Istio's and the Gateway API's, which are both called so. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pantala.manifest.types import Manifest

_ISTIO_HTTP = {"HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB"}
"""Protocols of Istio's servers whose requests are looked at; TLS without HTTPS is routed by its name alone."""
_ENDS_TLS = {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"}
"""Modes in which a server of Istio ends TLS (ServerTLSSettings.TLSmode); PASSTHROUGH is what it is without one."""
_ROUTE = ("gateway.networking.k8s.io", "HTTPRoute")


@dataclass(frozen=True)
class Listener:
    """What of a gateway takes the requests for a host."""

    scheme: str
    """`http` or `https`."""
    port: int
    """The number that clients write in URLs."""


def listener(gateway: Manifest, host: str, namespace: str) -> Listener | None:
    """What of a gateway takes requests for a host from routes of a namespace; None if nothing does.

    One that is encrypted is preferred: a plain one beside it mostly redirects there.

    Args:
        gateway: A Gateway of `networking.istio.io` or of `gateway.networking.k8s.io`.
        host: The host, in lower case.
        namespace: Where the route is.
    """
    istio = gateway["apiVersion"].startswith("networking.istio.io/")
    found = list((_of_istio if istio else _of_gateway_api)(gateway, host, namespace))
    return next((one for one in found if one.scheme == "https"), found[0] if found else None)


def _of_istio(gateway: Manifest, host: str, namespace: str) -> Iterator[Listener]:
    """Hosts are `NAMESPACE/HOST` or `HOST`; the namespace is `.` for the gateway's own, or `*` (Gateway.servers.hosts)."""
    own = gateway["metadata"]["namespace"]
    for server in gateway["spec"].get("servers") or ():
        port = server.get("port", {})
        protocol = str(port.get("protocol", "")).upper()
        secure = protocol == "HTTPS"
        if protocol not in _ISTIO_HTTP or (secure and (server.get("tls") or {}).get("mode") not in _ENDS_TLS):
            continue
        for text in server.get("hosts") or ():
            space, _, name = text.rpartition("/")
            meant = space in {"", "*", namespace} or (space == "." and own == namespace)
            if meant and _covers(name, host):
                yield Listener("https" if secure else "http", int(port["number"]))
                break


def _of_gateway_api(gateway: Manifest, host: str, namespace: str) -> Iterator[Listener]:
    own = gateway["metadata"]["namespace"]
    for item in gateway["spec"].get("listeners") or ():
        if item.get("protocol") not in {"HTTP", "HTTPS"} or not _allows(item, own, namespace):
            continue
        if _covers(item.get("hostname") or "*", host):
            yield Listener(item["protocol"].lower(), int(item["port"]))


def _allows(item: dict[str, Any], own: str, namespace: str) -> bool:
    """Whether HTTPRoutes of a namespace may attach; what a selector takes cannot be told from here, and counts as yes."""
    allowed = item.get("allowedRoutes") or {}
    kinds = [(kind.get("group", _ROUTE[0]), kind["kind"]) for kind in allowed.get("kinds") or ()]
    if kinds and _ROUTE not in kinds:
        return False
    source = (allowed.get("namespaces") or {}).get("from", "Same")
    return source in {"All", "Selector"} or (source == "Same" and own == namespace)


def _covers(pattern: str, host: str) -> bool:
    """Whether a host, or a wildcard such as `*.example.com`, stands for a host."""
    pattern = pattern.lower()
    return pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))
