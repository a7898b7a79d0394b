"""What asking for cards makes of a version, for each provider, as files: its Deployment, and what is granted."""

from dataclasses import asdict

import pytest

from pantala.manifest.settings import AcceleratorSettings, Settings
from pantala.manifest.types import Manifest
from tests.golden import assert_golden
from tests.planner.test_golden import plain, readable
from tests.planner.world import World, model

CASES: dict[str, Manifest] = {
    "nvidia": {"provider": "nvidia", "sharing": "TimeSlicing"},
    "mig": {"provider": "mig", "profile": "1g.10gb", "count": 2},
    "hami": {
        "provider": "hami",
        "count": 2,
        "memoryPerCard": "8000M",
        "corePercent": 50,
        "oversubscribe": True,
        "nodePolicy": "Binpack",
        "cardType": {"allow": ["A100", "H100"]},
    },
    "volcano": {"provider": "volcano", "memoryPerCard": "10Gi", "corePercent": 30, "mode": "HAMiCore"},
    "tencent": {"provider": "tencent", "memoryPerCard": "1000Mi", "corePercent": 30, "coreLimit": 50},
    "aliyun": {"provider": "aliyun", "memoryPerCard": "3000Mi"},
    "visible-devices": {"provider": "visible-devices", "devices": ["0", "1"]},
    "default-provider": {"memoryPerCard": "8Gi"},
}
TEMPLATE = {"spec": {"nodeSelector": {"pool": "shared"}}}
SETTINGS = Settings(accelerators=AcceleratorSettings(pools=(({"pool": "shared"}, "hami"),)))


@pytest.mark.parametrize("case", CASES)
def test_a_version_with_cards(case: str) -> None:
    """A version becomes exactly the Deployment that was reviewed, and exactly this is known of its cards."""
    planned = World(model(accelerator=CASES[case], template=TEMPLATE), SETTINGS).plan()
    (deployment,) = (it for it in planned.apply if it["kind"] == "Deployment")
    assert_golden(f"plan-{case}/deployment-resnet-v1.yaml", readable(deployment))
    assert_golden(f"plan-{case}/cards.yaml", plain(asdict(planned.cards["v1"])))
