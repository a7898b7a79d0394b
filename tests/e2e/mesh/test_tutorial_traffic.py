"""The tutorial of traffic, as a newcomer types it, with a real istiod and a real Envoy."""

import re
from pathlib import Path

import pytest

from tests.cluster.addons.mesh_fixtures import Mesh
from tests.e2e import pages
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]


def test_every_step_does_what_the_page_says(mesh: Mesh, space: Space, tmp_path: Path) -> None:
    """Two versions at 20 and 80 percent, copies for a third, and all to one: outputs and shares are those on the page."""
    printed = pages.follow(pages.DOCS / "tutorial-traffic.md", space, tmp_path, GATEWAY=mesh.envoy.url)
    counts = [dict(re.findall(r"(\d+) (\d+)\.0", re.sub(" +", " ", text))) for text in printed if "212.0" in text]
    split = [{answer: int(count) for count, answer in one.items()} for one in counts if len(one) == 2]
    assert len(split) == 2, printed
    for found in split:
        assert sum(found.values()) == 500
        # Five standard deviations of a fair draw: Envoy draws each request by itself.
        assert abs(found["212"] - 400) < 45, found
    (copies,) = [int(text.rpartition(" ")[2]) for text in printed if text.startswith("nv_inference_request_success")]
    assert 400 < copies <= 510  # `ask` may have asked a few times, and the last copies may be under way
    pages.nothing_is_left(space)
