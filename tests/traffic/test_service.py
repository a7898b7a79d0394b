"""Services and scrape annotations."""

from typing import Any

import pytest

from pantala import naming
from pantala.api.traffic import NodePorts
from pantala.traffic import service
from tests.golden import assert_golden
from tests.runtimes.build import OWNER, server

CUSTOM = {"name": "custom", "custom": {"port": 9000}}
RUNTIMES = {"triton": {"name": "triton"}, "torchserve": {"name": "torchserve"}, "custom": CUSTOM}


def arguments(name: str, runtime: str, version: str | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "vision",
        "labels": naming.labels("resnet", version),
        "owner": OWNER,
        "selector": naming.selector("v1", "resnet"),
        "server": server(RUNTIMES[runtime]),
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_version_service(runtime: str) -> None:
    """A version's Service has every port of the server, by name and protocol, and selects that version."""
    assert_golden(f"service-version/{runtime}.yaml", service.version_service(**arguments("resnet-v1", runtime, "v1")))


def test_model_service() -> None:
    """The model's Service has the ports for clients only, and selects one version."""
    made = service.model_service(**arguments("resnet", "triton"))
    assert_golden("service-model/triton.yaml", made)
    assert made["spec"]["selector"] == {"pantala.dev/model": "resnet", "pantala.dev/version": "v1"}


@pytest.mark.parametrize(
    ("case", "asked"),
    [("any", NodePorts()), ("http", NodePorts(http=30080)), ("both", NodePorts(http=30080, grpc=30081))],
)
def test_node_port_service(case: str, asked: NodePorts) -> None:
    """Wanted numbers are set, the others are left to the API server by saying nothing."""
    made = service.node_port_service(**arguments("resnet-nodeport", "triton"), asked=asked)
    assert_golden(f"service-node-port/{case}.yaml", made)


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ({"name": "triton"}, ("8002", "/metrics")),
        ({"name": "torchserve"}, ("8082", "/metrics")),
        ({"name": "custom", "custom": {"port": 80, "metricsPort": 80, "metricsPath": "/prom"}}, ("80", "/prom")),
    ],
)
def test_prometheus_annotations(runtime: dict[str, Any], expected: tuple[str, str]) -> None:
    """The annotations name the server's own port and path, as text."""
    port, path = expected
    assert service.prometheus_annotations(server(runtime)) == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": port,
        "prometheus.io/path": path,
    }


def test_no_metrics_no_annotations() -> None:
    """A server without metrics asks nobody to read any."""
    assert service.prometheus_annotations(server(CUSTOM)) == {}
