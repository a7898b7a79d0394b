"""PromQL that several questions share. Pure."""

_AGE = "2m"
"""How old the last sample of a series may be: the chart's averaging window."""


def fresh(selector: str) -> str:
    """The series of a selector that still get samples.

    Where a job is configured anew its old series are seen for five minutes more: Prometheus marks no end then.
    """
    return f"({selector} and last_over_time({selector}[{_AGE}]))"
