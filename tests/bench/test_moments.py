"""The table of docs/autoscaling.md, made anew: what rules propose for equal series."""

from tests.bench import moments
from tests.charts.helm import ROOT


def test_the_table_of_the_docs() -> None:
    """What the page says of the article's rule and of ours is what a real Prometheus answers and the HPA's formula makes of it."""
    page = (ROOT / "docs/autoscaling.md").read_text().splitlines()
    for line in moments.proposals():
        assert f"| {' | '.join(line)} |" in page
