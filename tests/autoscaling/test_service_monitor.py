"""ServiceMonitors as files."""

import pytest

from pantala import naming
from pantala.autoscaling.service_monitor import Endpoint, service_monitor
from pantala.manifest.settings import MonitorSettings
from tests.golden import assert_golden
from tests.runtimes.build import OWNER

CASES = {
    "one-path": ([Endpoint("metrics", "/metrics")], MonitorSettings()),
    "two-paths": (
        [Endpoint("http", "/prom", ("v2", "v3")), Endpoint("metrics", "/metrics", ("v1",))],
        MonitorSettings("30s", {"release": "prometheus", "app.kubernetes.io/managed-by": "somebody"}),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """One endpoint for each port and path; the labels of the installation never hide whose the monitor is."""
    endpoints, settings = CASES[case]
    made = service_monitor("resnet", "vision", naming.labels("resnet"), OWNER, endpoints, settings)
    assert_golden(f"service-monitor/{case}.yaml", made)
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pantala"
