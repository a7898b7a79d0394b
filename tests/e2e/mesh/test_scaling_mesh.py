"""A server that counts no requests scales on what the mesh counts for its Service.

Real pods of the custom runtime behind an Envoy that a real istiod configures, real Prometheus with the chart's rules, the real
Prometheus Adapter and the HPA controller.
"""

from collections.abc import Iterator

import pytest

from pantala.runtimes.images import TRITON
from tests.apiserver.metrics_scene import QUICK
from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.e2e import scaling
from tests.e2e.journey import Replicas, journey, last_scale
from tests.e2e.mesh.counting import operating
from tests.e2e.mesh.support import Exposed, answering, exposed
from tests.e2e.support import BUCKET, Space
from tests.remote.recorded import job

pytestmark = [pytest.mark.e2e, pytest.mark.mesh, pytest.mark.adapter]

NAME, PORT = "silent", 8700
SERVE = """
import http.server, os

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"sum": 1}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

os.chdir(os.environ["PANTALA_MODEL_DIR"])
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
MOST = 3
SCALING = {
    "minReplicas": 1,
    "maxReplicas": MOST,
    "metrics": [{"type": "RequestsPerSecond", "target": 5}],
    "behavior": dict(scaling.QUICK),
}


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, mesh: Mesh) -> Iterator[Prometheus]:
    """Prometheus with the ingress Envoy and the chart's recording rules."""
    if reason := loopback.missing():
        pytest.skip(reason)
    target, path = mesh.envoy.metrics_url.removeprefix("http://").split("/", 1)
    with scaling.measuring(cluster, jobs=[job(target, path=f"/{path}")]) as started:
        yield started


@pytest.fixture(scope="module")
def adapter(cluster: Cluster, prometheus: Prometheus) -> Iterator[PrometheusAdapter]:
    """The metrics API of the cluster, with the configuration of the chart."""
    with PrometheusAdapter(cluster, prometheus.url, scaling.adapter_config()) as started:
        yield started


@pytest.fixture(scope="module")
def operator(cluster: Cluster, prometheus: Prometheus) -> Iterator[Operator]:
    """An operator that knows Prometheus, in place of the one of other modules."""
    with operating(cluster, "--prometheus-url", prometheus.url, *QUICK) as started:
        yield started


@pytest.fixture
def model(space: Space, mesh: Mesh) -> Iterator[Exposed]:
    """A model whose server tells nobody how many requests it got."""
    space.s3.put(BUCKET, "custom/v1/number", b"1")
    with exposed(space, mesh, "custom", NAME) as made:
        spec = made.spec(["v1"], {"target": "v1"})
        spec["scaling"] = SCALING
        spec["runtime"] = {
            "name": "custom",
            "image": TRITON,
            "custom": {"port": PORT, "healthPath": "/number", "command": ["python3", "-c", SERVE]},
            "env": [{"name": "PORT", "value": str(PORT)}],
        }
        space.apply(NAME, spec)
        yield made


def test_requests_that_the_mesh_counts_scale_a_model(model: Exposed, adapter: PrometheusAdapter) -> None:
    """Until the first request nobody counts, which is said; then one replica becomes three under load, and one after it.

    No request is lost, neither while replicas come nor while they go, though a few clients ask all the time.
    """
    space = model.space
    space.wait_ready(NAME)
    told = space.wait_condition(NAME, "MetricsAvailable", "False", "NoSeries")
    assert "not of the replicas of this version: send it a request" in told["message"]
    answering(model.load(keep_alive=False, clients=2, pause=0.5), {"v1"})
    with (
        model.load(keep_alive=False, clients=1, pause=1) as fresh,
        model.load(keep_alive=True, clients=1, pause=1) as kept,
        Replicas(space.cluster.kubeconfig, space.namespace, f"{NAME}-v1") as replicas,
    ):
        space.wait_condition(NAME, "MetricsAvailable", reason="MetricsFound")
        burst = model.load(keep_alive=False, clients=4, pause=0.1)
        found = journey(replicas, burst, MOST)
        model.wait_pods("v1", 1)
    accounts = "; ".join(load.account() for load in (burst, fresh, kept))
    print(f"{found}; {replicas.told()}; {accounts}")
    assert not burst.lost + fresh.lost + kept.lost, accounts
    assert last_scale(space, NAME, 1).startswith("RequestsPerSecond")
