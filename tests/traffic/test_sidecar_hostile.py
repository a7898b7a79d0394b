"""Hostile wishes at real sidecars."""

import pytest

from tests.traffic.guarded import Guarded
from tests.traffic.hostile import wishes

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]


@pytest.mark.parametrize("seed", range(12))
def test_envoy_takes_hostile_wishes(guarded: Guarded, seed: int) -> None:
    """A real Envoy refuses nothing of 12 models with hostile texts in all fields, and the metrics stay open."""
    guarded.put(wishes(seed))
    assert guarded.rejections() == []
    assert guarded.ask("/metrics", port=8002).status == 200
