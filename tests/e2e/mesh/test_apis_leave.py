"""Istio's CRDs are removed and come back, while the operator runs and requests flow past the mesh."""

from collections.abc import Callable

import pytest

from tests.cluster.addons import istio
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.process import wait_for
from tests.e2e.mesh.crowd import Crowd
from tests.e2e.mesh.support import Exposed

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

Expose = Callable[[str, str], Exposed]
SPLIT = {"v1": 80, "v2": 20}


def test_istio_leaves_and_comes_back(expose: Expose, mesh: Mesh) -> None:
    """Through the NodePort the version with the largest share answers every request; the routes follow by themselves.

    While Istio's CRDs are away the Gateway API's, which are still there, carry the same shares. When they are back the
    VirtualService is, too, and the HTTPRoute goes.
    """
    model = expose("triton", "lasting")
    model.apply("v1", "v2", split=SPLIT)
    model.wait_routed(SPLIT)
    model.wait_served("v1")
    loads = [model.service_load(keep_alive=kept, clients=8) for kept in (True, False)]
    with Crowd(*loads) as crowd:
        crowd.step("Istio's CRDs leave")
        istio.remove(mesh.cluster)
        wait_for(lambda: model.weights(api=True) == SPLIT, "the shares by the Gateway API", 60, every=0.2)
        told = model.space.wait_condition(model.name, "TrafficReady")
        crowd.step("Istio's CRDs come back")
        mesh.install()
        model.wait_weights(SPLIT)
        model.space.wait_condition(model.name, "TrafficReady")
        gone = ("get", "httproute", model.name, "--ignore-not-found", "-o", "name")
        wait_for(lambda: not model.space.kubectl(*gone), "the HTTPRoute goes", 30, every=0.2)
    print(f"{crowd.account()}\nmeanwhile: {told['message']}")
    assert crowd.lost == 0, crowd.account()
    assert set(crowd.values(0)) == {"v1"}
