"""Routes of the Gateway API."""

import pytest

from pantala.traffic import gateway_api
from pantala.traffic.route import Route
from tests.golden import assert_golden
from tests.traffic.gateway_routes import FULL, GATEWAY, HOST, V1, route, traffic

CASES: dict[str, Route] = {
    "inside": route(((V1, 100),)),
    "split": route(gateway=GATEWAY, hosts=(HOST,)),
    "prefix": route(gateway=GATEWAY, hosts=(HOST,), prefix="/models/resnet", wanted=traffic(**FULL)),
    "full": route(gateway=GATEWAY, hosts=(HOST, "r.example.com"), wanted=traffic(**FULL)),
    "many-rules": route(
        wanted=traffic(
            rules=[
                {"name": f"r{n}", "headers": [{"name": "x-user", "value": str(n)}], "version": f"v{n % 2 + 1}"}
                for n in range(16)
            ]
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_objects(case: str) -> None:
    """A route becomes exactly the objects that were reviewed."""
    for manifest in gateway_api.objects(CASES[case]):
        assert_golden(f"gateway-api-{case}/httproute-{manifest['metadata']['name']}.yaml", manifest)
