"""Which Services Prometheus is asked about."""

from pantala.cluster.cache import Key
from pantala.reconcile.measurements import Target
from pantala.reconcile.targets import targets
from tests.planner.world import model


def test_services_of_routes() -> None:
    """Each version with a share or copies is found by its Service; a model without a route is not asked about."""
    routed, plain = model(), model(name="plain")
    routed["status"] = {
        "traffic": [
            {"version": "v1", "asked": 100, "configured": 0},
            {"version": "v0", "configured": 100},
            {"version": "v2", "mirror": 25},
        ]
    }
    key = Key("vision", "resnet")
    assert targets([routed, plain]) == {
        ("vision", "resnet-v1"): Target(key, "v1", share=True),
        ("vision", "resnet-v0"): Target(key, "v0", share=True),
        ("vision", "resnet-v2"): Target(key, "v2", copies=True),
    }
