"""The tutorial, as a newcomer types it, on a real cluster."""

from pathlib import Path

import pytest

from tests.e2e import pages
from tests.e2e.support import Space

pytestmark = pytest.mark.e2e


def test_every_step_does_what_the_page_says(space: Space, tmp_path: Path) -> None:
    """Upload, Secret, first version, prediction, status, second version, and back: outputs are those on the page."""
    assert len(pages.follow(pages.DOCS / "tutorial.md", space, tmp_path)) >= 12
    pages.nothing_is_left(space)
