"""`make bench`: from a change of weights in a model to Envoy's live route, beside a change of the VirtualService by hand.

The second is what istiod alone takes: it waits 0.1 s for more changes before it tells Envoy. Both are asked in turn, in one
run, so that the machine is the same for both.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tests.cluster import Cluster
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import wait_for
from tests.e2e.mesh.processes import OperatorProcess
from tests.e2e.mesh.support import Exposed, exposed, namespace, store_versions

pytestmark = [pytest.mark.bench, pytest.mark.mesh]

CHANGES = 60
BY_HAND = "by-hand"


@pytest.fixture(scope="module")
def model(cluster: Cluster, mesh: Mesh, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exposed]:
    """A Triton model of two versions behind the ingress, at 50 and 50 percent, and the operator."""
    folder = tmp_path_factory.mktemp("mesh")
    with OperatorProcess(cluster, folder), namespace(cluster, s3, "bench") as space:
        store_versions(space, folder, 2)
        with exposed(space, mesh, "triton", "weighed") as made:
            made.apply("v1", "v2", split={"v1": 50, "v2": 50})
            made.wait_routed({"v1": 50, "v2": 50})
            yield made


def test_from_the_spec_to_envoy(model: Exposed) -> None:
    """The new weights are in Envoy; the figures are printed, and none of them decides."""
    hand = f"{BY_HAND}.{model.space.namespace}.example.com"
    model.space.apply_object(_by_hand(model, hand, 50))
    model.mesh.envoy.wait_for_route(hand)
    where = ("networking.istio.io", "v1", model.space.namespace, "virtualservices", BY_HAND)

    def weigh_by_hand(share: int) -> None:
        model.api.patch_namespaced_custom_object(
            *where, {"spec": {"http": _by_hand(model, hand, share)["spec"]["http"]}}
        )

    ours, alone = [], []
    for number in range(CHANGES):
        share = 1 + number
        ours.append(_seconds(lambda share=share: model.weigh(v1=share, v2=100 - share), model.mesh, model.host, share))
        alone.append(_seconds(lambda share=share: weigh_by_hand(share), model.mesh, hand, share))
    _show({"a model's spec": ours, "its VirtualService, by hand": alone})


def _seconds(change: Callable[[], None], mesh: Mesh, host: str, share: int) -> float:
    """Make a change; the seconds until Envoy's route gives the first version this share."""
    begun = time.perf_counter()
    change()
    wait_for(lambda: next(iter(mesh.envoy.weights(host).values())) == share, f"{share} % in Envoy", 30, every=0.002)
    return time.perf_counter() - begun


def _by_hand(model: Exposed, host: str, share: int) -> dict[str, Any]:
    """A VirtualService as a person would write it."""
    services = [f"{model.name}-{version}.{model.space.namespace}.svc.cluster.local" for version in ("v1", "v2")]
    to = [
        {"destination": {"host": name, "port": {"number": 8000}}, "weight": weight}
        for name, weight in zip(services, (share, 100 - share), strict=True)
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": BY_HAND, "namespace": model.space.namespace},
        "spec": {"hosts": [host], "gateways": [f"istio-system/{GATEWAY}"], "http": [{"route": to}]},
    }


def _show(found: dict[str, list[float]]) -> None:
    table = Table(title=f"from a change to Envoy's route, {CHANGES} changes of each in turn")
    for column in ("changed", "median", "p99", "fastest", "slowest"):
        table.add_column(column, justify="right")
    for name, seconds in found.items():
        ordered = sorted(seconds)
        figures = (statistics.median(ordered), statistics.quantiles(ordered, n=100)[98], ordered[0], ordered[-1])
        table.add_row(name, *(f"{value * 1000:.0f} ms" for value in figures))
    ours, alone = (statistics.median(seconds) for seconds in found.values())
    Console(width=100).print(table, f"ratio of the medians: {ours / alone:.2f}")
