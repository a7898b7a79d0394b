"""Which listener of a Gateway takes a host."""

from typing import Any

import pytest

from pantala.manifest.types import Manifest
from pantala.traffic.gateways import Listener, listener

HTTP, HTTPS = Listener("http", 80), Listener("https", 443)
HOST = "resnet.models.example.com"


def istio(*servers: Manifest) -> Manifest:
    meta = {"name": "ingress", "namespace": "infra"}
    return {"apiVersion": "networking.istio.io/v1", "metadata": meta, "spec": {"servers": list(servers)}}


def server(*hosts: str, protocol: str = "HTTP", port: int = 80, **more: Any) -> Manifest:
    return {"port": {"number": port, "name": "web", "protocol": protocol}, "hosts": list(hosts), **more}


def api(*listeners: Manifest) -> Manifest:
    meta = {"name": "ingress", "namespace": "infra"}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "metadata": meta, "spec": {"listeners": list(listeners)}}


def listens(hostname: str = "", protocol: str = "HTTP", port: int = 80, **allowed: Any) -> Manifest:
    made = {"name": "web", "port": port, "protocol": protocol} | ({"hostname": hostname} if hostname else {})
    return made | ({"allowedRoutes": allowed} if allowed else {})


ALL = {"from": "All"}
SECURE = {"protocol": "HTTPS", "port": 443, "tls": {"mode": "SIMPLE", "credentialName": "cert"}}


@pytest.mark.parametrize(
    ("hosts", "namespace", "expected"),
    [
        (("*",), "vision", HTTP),
        (("*.example.com",), "vision", HTTP),
        (("*.models.example.com",), "vision", HTTP),
        ((HOST,), "vision", HTTP),
        (("RESNET.models.example.com",), "vision", HTTP),
        (("other.example.com", "*/*.example.com"), "vision", HTTP),
        (("vision/*",), "vision", HTTP),
        (("vision/*",), "other", None),
        (("./*",), "vision", None),
        (("./*",), "infra", HTTP),
        (("*.xmodels.example.com",), "vision", None),
        (("models.example.com",), "vision", None),
        ((), "vision", None),
    ],
)
def test_istio_hosts(hosts: tuple[str, ...], namespace: str, expected: Listener | None) -> None:
    """A server takes its hosts, by name or wildcard, from the namespace that stands before the slash; without one from all."""
    assert listener(istio(server(*hosts)), HOST, namespace) == expected


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([server("*", **SECURE)], HTTPS),
        ([server("*"), server("*", **SECURE)], HTTPS),
        ([server("*", protocol="HTTP2")], HTTP),
        ([server("*", protocol="TCP")], None),
        ([server("*", **{**SECURE, "tls": {"mode": "PASSTHROUGH"}})], None),
        ([server("*", **{**SECURE, "tls": {"mode": "MUTUAL"}})], HTTPS),
        ([server("*", **{**SECURE, "protocol": "TLS"})], None),
    ],
)
def test_istio_schemes(servers: list[Manifest], expected: Listener | None) -> None:
    """Only what ends TLS is https to a route, and it goes before plain http; a server that looks at no requests takes none."""
    assert listener(istio(*servers), HOST, "vision") == expected


@pytest.mark.parametrize(
    ("one", "namespace", "expected"),
    [
        (listens(), "infra", HTTP),
        (listens(), "vision", None),
        (listens(namespaces=ALL), "vision", HTTP),
        (listens(namespaces={"from": "Same"}), "vision", None),
        (listens(namespaces={"from": "None"}), "infra", None),
        (listens(namespaces={"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}), "vision", HTTP),
        (listens("*.example.com", namespaces=ALL), "vision", HTTP),
        (listens("*.other.com", namespaces=ALL), "vision", None),
        (listens(HOST, "HTTPS", 443, namespaces=ALL), "vision", HTTPS),
        (listens(HOST, "TLS", 443, namespaces=ALL), "vision", None),
        (listens(HOST, "TCP", namespaces=ALL), "vision", None),
        (listens(namespaces=ALL, kinds=[{"kind": "HTTPRoute"}]), "vision", HTTP),
        (listens(namespaces=ALL, kinds=[{"kind": "GRPCRoute"}]), "vision", None),
        (listens(namespaces=ALL, kinds=[{"group": "example.com", "kind": "HTTPRoute"}]), "vision", None),
    ],
)
def test_gateway_api(one: Manifest, namespace: str, expected: Listener | None) -> None:
    """A listener takes HTTPRoutes of the namespaces and for the hosts that it says; a selector is given the benefit of the doubt."""
    assert listener(api(one), HOST, namespace) == expected


def test_encrypted_listener_goes_first() -> None:
    """Where both take a host, clients are told of https."""
    both = api(listens(namespaces=ALL), listens("*.example.com", "HTTPS", 443, namespaces=ALL))
    assert listener(both, HOST, "vision") == HTTPS


def test_nothing_listens() -> None:
    """A gateway that is not filled in yet takes nothing."""
    assert listener(api(), HOST, "vision") is None
    assert listener(istio(), HOST, "vision") is None
