"""How long a model takes from load to more replicas and back, with the periods that a cluster has by default.

Scrapes and rules every 15 s, windows of the chart, the adapter's list every minute, the HPA controller's look every 15 s, and Pantala's
own `behavior`. The model is light: what a replica needs to start is to be added.
"""

import secrets
from functools import partial

import pytest

from tests.cluster import ClusterSpec
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.addons.s3 import S3Server
from tests.cluster.fixtures import running, unique
from tests.e2e import scaling
from tests.e2e.journey import there_and_back
from tests.e2e.mesh.counting import operating
from tests.e2e.stories import telling
from tests.e2e.support import BUCKET, SECRET, Space

pytestmark = [pytest.mark.bench, pytest.mark.adapter]

DEFAULTS = {
    "sync-period": "15s",
    "downscale-stabilization": "5m",
    "initial-readiness-delay": "30s",
    "cpu-initialization-period": "5m",
}
"""Of the flags `--horizontal-pod-autoscaler-...`, in place of the short ones of the local cluster."""
PATIENCE = 900
"""Seconds for each way: downwards one replica goes every minute, after five."""


@pytest.mark.timeout(2400)
def test_from_load_to_replicas_and_back() -> None:
    """By requests per second and by queue length from one replica to three and back; the times are printed."""
    flags = tuple(f"--horizontal-pod-autoscaler-{name}={value}" for name, value in DEFAULTS.items())
    spec = ClusterSpec(unique("scaling"), nodes=1, images=("pantala", "triton"), controller_manager_args=flags)
    measures = {
        "requests": ({"metrics": [{"type": "RequestsPerSecond", "target": 4}], "behavior": {}}, 3, 0.2),
        "queue": ({"metrics": [{"type": "QueueLength", "target": 1}], "behavior": {}}, 7, 0.0),
    }
    with (
        running("bench", spec) as cluster,
        S3Server() as s3,
        scaling.measuring(cluster, {}, "15s") as prometheus,
        PrometheusAdapter(cluster, prometheus.url, scaling.adapter_config(), "1m", max_age="1m"),
        operating(cluster, "--prometheus-url", prometheus.url),
    ):
        space = Space(cluster, s3, f"scaling-{secrets.token_hex(2)}")
        cluster.kubectl("create", "namespace", space.namespace)
        keys = [f"--from-literal={name}={value}" for name, value in s3.credentials.items()]
        space.kubectl("create", "secret", "generic", SECRET, *keys)
        s3.create_bucket(BUCKET)
        scaling.store_work(space)
        stories = {
            name: partial(there_and_back, space, name, 3, measure, clients=clients, pause=pause, seconds=PATIENCE)
            for name, (measure, clients, pause) in measures.items()
        }
        with telling(stories) as told:
            for name, story in told.items():
                print(name, story.result())
