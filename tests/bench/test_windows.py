"""`make bench`: what the article's rule and ours make of the same load."""

import pytest

from tests.bench import moments, windows

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]


def test_windows() -> None:
    """The tables of docs/autoscaling.md are printed; nothing of them decides."""
    windows.main()
    moments.main()
